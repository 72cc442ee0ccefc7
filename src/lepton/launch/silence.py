"""When a command that seems alive counts as hung: it does nothing that anybody can see. Pure, but for one file's time.

Only for commands that asked for it, as there are programs that rightly wait for days.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

_LITTLE = 0.01
"""What of one processor a program uses that only waits: threads of libraries that look whether there is work."""


class Silence:
    """Watches one command.

    It does something when it writes a line, calls `lepton.heartbeat`, or uses more than 1% of a processor. Once it has
    called `lepton.heartbeat`, only that counts: who waits for others in vain may do so at full speed.

    Args:
        most_s: How long it may do nothing; 0: for ever. What does nothing is noticed between once and twice as late.
        beat: Returns when `lepton.heartbeat` was last called, by any clock.
        now: Seconds.
    """

    def __init__(self, most_s: float, beat: Callable[[], int], now: float) -> None:
        self._most_s = most_s
        self._beat = beat
        self._first = self._last = beat()
        self._heard = False
        self._began, self._used_s = now, 0.0

    def hear(self) -> None:
        """Note that it has written something."""
        self._heard = True

    def has_lasted(self, used_s: float, now: float) -> bool:
        """Whether it has done nothing for too long.

        Args:
            used_s: CPU seconds of the command and all that it has started, so far.
            now: Seconds.
        """
        if not self._most_s or now - self._began < self._most_s:
            return False
        beat = self._beat()
        works = self._heard or used_s - self._used_s > _LITTLE * (now - self._began)
        does_something = beat != self._last if beat != self._first else works
        self._heard, self._last, self._began, self._used_s = False, beat, now, used_s
        return not does_something


def beat_of(file: Path) -> Callable[[], int]:
    """Return what looks when a file was last touched; 0 while it is not there."""

    def beat() -> int:
        try:
            return file.stat().st_mtime_ns
        except OSError:
            return 0

    return beat
