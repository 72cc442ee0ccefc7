"""When something that died may be started again: at once, then after 1, 2, 4 … 60 s. Pure; imports nothing of ours.

The control plane asks it about replicas, a replica's supervisor about workers.
"""

from __future__ import annotations

from dataclasses import dataclass, field

LONGEST_S = 60.0
CALM_S = 120.0
"""What lived this long starts the count anew."""


@dataclass
class RestartDelays:
    """Remembers the attempts of everything it was told of, on a clock of seconds that only goes forward."""

    _attempts: dict[str, tuple[int, float]] = field(default_factory=dict)

    def due(self, key: str, now_s: float) -> bool:
        """Say whether another attempt may be made now."""
        count, last_s = self._attempts.get(key, (0, now_s))
        return now_s - last_s >= _delay_s(count)

    def note(self, key: str, now_s: float) -> None:
        """Record an attempt, or the end of one."""
        count, last_s = self._attempts.get(key, (0, now_s))
        calm = now_s - last_s >= CALM_S
        self._attempts[key] = (1 if calm else count + 1, now_s)


def _delay_s(attempts: int) -> float:
    return 0.0 if attempts < 2 else min(2.0 ** (attempts - 2), LONGEST_S)
