"""The terminal door. ``app.py`` lists the commands; ``door.py`` is what every command has; nothing here decides."""

from __future__ import annotations


def main() -> None:
    """Run ``lepton`` with the arguments of this process and exit."""
    import sys

    from lepton.cli.app import run

    sys.exit(run(sys.argv[1:]))
