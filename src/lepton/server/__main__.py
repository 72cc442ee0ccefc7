"""``python -m lepton.server``: the control plane."""

from __future__ import annotations

import os
import sys

os.environ["POLARS_OOC_DISK_BUDGET_MB"] = "0"  # before Polars is imported: it must not spill plaintext

from lepton.core.errors import LeptonError
from lepton.core.settings import Settings


def main() -> int:
    """Serve until told to stop; 1 if that could not begin."""
    from lepton.server.serve import prepare_log, serve

    os.umask(0o077)  # what is made here is for this account only
    prepare_log()
    try:
        serve(Settings.from_environment())
    except LeptonError as error:
        sys.stderr.write(f"{error.message}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
