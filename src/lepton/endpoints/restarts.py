"""When a replica that died may be started again: at once, then after 1, 2, 4 … 60 s. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from lepton.endpoints.records import Endpoint

LONGEST_S = 60.0
CALM_S = 120.0
"""A replica that lived this long starts the count anew."""


@dataclass
class RestartDelays:
    """Remembers the attempts of every deployment of this control plane's life."""

    _attempts: dict[tuple[str, int], tuple[int, datetime]] = field(default_factory=dict)

    def due(self, endpoint: Endpoint, now: datetime) -> bool:
        """Say whether a deployment may be started now."""
        count, last = self._attempts.get((endpoint.id, endpoint.generation), (0, now))
        return count == 0 or now - last >= timedelta(seconds=_delay_s(count))

    def note(self, endpoint: Endpoint, now: datetime) -> None:
        """Record that it is being started."""
        key = (endpoint.id, endpoint.generation)
        count, last = self._attempts.get(key, (0, now))
        calm = now - last >= timedelta(seconds=CALM_S)
        self._attempts[key] = (1 if calm else count + 1, now)


def _delay_s(attempts: int) -> float:
    return 0.0 if attempts < 2 else min(2.0 ** (attempts - 2), LONGEST_S)
