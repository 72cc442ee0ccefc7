"""The terminal door. ``program.py`` lists the commands; ``door.py`` is what every command has; nothing here decides."""

from lepton.cli.program import app, main

__all__ = ["app", "main"]
