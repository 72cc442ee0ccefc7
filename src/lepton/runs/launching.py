"""What a user's own command is started as: a launcher that knows where the platform is and whom it speaks for. Pure."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from lepton.core.errors import Unavailable
from lepton.runs import tokens
from lepton.runs.engines.port import Engine

LAUNCHER = (sys.executable, "-P", "-m", "lepton.launch")
"""-P: nothing is imported from where it stands."""


@dataclass(frozen=True)
class Launching:
    """How commands are started.

    Attributes:
        url: Where they reach the platform; empty: it does not listen.
        told: What they are told beside.
        engine: Where they run; None: where everything runs.
    """

    url: str = ""
    told: Mapping[str, str] = field(default_factory=dict)
    engine: Engine | None = None

    def start(
        self, run_id: str, project: str, run_key: bytes, started_at: datetime
    ) -> tuple[tuple[str, ...], Mapping[str, str]]:
        """Return the launcher's command, and its environment: no way to keys and catalog, only to ask as the run.

        Raises:
            Unavailable: if there is nobody to ask.
        """
        if not self.url:
            raise Unavailable("Commands of users need the platform's server to ask. Start it with: lepton up")
        identity = {
            "LEPTON_URL": self.url,
            "LEPTON_TOKEN": tokens.write(run_key, run_id, started_at),
            "LEPTON_RUN_ID": run_id,
            "LEPTON_PROJECT": project,
        }
        return (*LAUNCHER, run_id), identity | dict(self.told)
