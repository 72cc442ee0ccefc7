"""``python -m lepton.cli``: the same as ``lepton``."""

from lepton.cli import main

main()
