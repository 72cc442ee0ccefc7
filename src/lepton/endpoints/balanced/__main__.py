"""Start the process of a balanced endpoint: as a replica's, with machines in the place of workers."""

from __future__ import annotations

import sys

from lepton.endpoints.balanced.group import Group
from lepton.endpoints.replica.__main__ import main

if __name__ == "__main__":
    sys.exit(main(Group))
