"""The terminal door. ``program.py`` lists the commands; ``door.py`` is what every one has; nothing here decides."""

from lepton.cli.program import app, main

__all__ = ["app", "main"]
