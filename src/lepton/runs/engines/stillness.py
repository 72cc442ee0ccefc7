"""Notices processes that hang: stopped by a signal, or waiting for a device that does not answer. Linux, by /proc.

A process that merely waits, however long, does not hang: only whoever wrote it knows what it waits for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

HUNG_AFTER_S = 7.5
"""With the time between two looks, and that in which what hangs is ended, this stays below 10 s."""
LOOK_EVERY_S = 0.5
_BLIND_S = 3.0
"""Who has not looked for so long was stopped itself, or the whole machine was; what it saw before counts no more."""
_STATES = {"T": "was stopped by a signal (SIGSTOP)", "D": "waited for a disk or another device that did not answer"}


@dataclass(frozen=True, slots=True)
class Sight:
    """What was seen of a process (proc(5), stat).

    Attributes:
        state: One letter.
        started: When it started, which tells it apart from others that get its number.
        ticks: How much of processors it has used, with all of its threads.
    """

    state: str
    started: int
    ticks: int


@dataclass(frozen=True)
class Hung:
    """A process that hangs.

    Attributes:
        pid: Its number.
        why: What it did, to be put behind "its process".
    """

    pid: int
    why: str


def sight_of(pid: int) -> Sight | None:
    """Look at a process; None if there is none."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return Sight(fields[0], int(fields[19]), int(fields[11]) + int(fields[12]))
    except (OSError, IndexError):
        return None


class Stillness:
    """Remembers what was seen of processes, and since when that has not changed.

    Args:
        after_s: A process hangs that could not go on at any look for so long, and has used no processor meanwhile.
        sight: How to look at one.
    """

    def __init__(self, *, after_s: float = HUNG_AFTER_S, sight: Callable[[int], Sight | None] = sight_of) -> None:
        self._after_s = after_s
        self._sight = sight
        self._since: dict[int, tuple[Sight, float]] = {}
        self._looked = 0.0

    def look(self, pids: Iterable[int], now: float) -> Hung | None:
        """Look at processes; return one that hangs.

        Args:
            pids: All that are to be watched; what was seen of others is forgotten.
            now: Seconds of a clock that stands still while the machine does.
        """
        before = self._since if now - self._looked < _BLIND_S else {}
        self._looked, self._since = now, {}
        for pid in pids:
            sight = self._sight(pid)
            if sight is None or sight.state not in _STATES:
                continue
            seen, since = before.get(pid, (sight, now))
            if seen != sight:
                since = now
            self._since[pid] = (sight, since)
            if now - since >= self._after_s:
                return Hung(pid, f"{_STATES[sight.state]} for {now - since:.0f} s")
        return None
