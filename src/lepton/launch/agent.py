"""``python -m lepton.launch.agent``: keeps one run on another machine, and has what launches commands at hand."""

from __future__ import annotations

from lepton.runs.engines import agent
from lepton.runs.engines.supervisor import Programs
from lepton.runs.launching import LAUNCHER


def programs() -> Programs:
    """Import what workers become."""
    from lepton.launch import warm
    from lepton.launch.__main__ import main

    warm.up()
    return {LAUNCHER: lambda arguments: main(arguments[0])}


if __name__ == "__main__":
    agent.main(programs)
