"""Which candidate is tried next: trials of one family, one after the other, each chosen by seed and results so far.

As a trial depends only on the earlier ones of its own lane, time decides how far a lane gets and not what it tries.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np

from lepton.training.auto.candidates import Family, Size
from lepton.training.auto.results import DONE, Result
from lepton.training.auto.settings import Values, first, nearby, somewhere
from lepton.training.auto.work import Task

_AT_A_LEVEL = 3
"""Trials on few rows before the best is tried on more."""
_MORE = 4
"""How many times the rows of the level before."""
_STALE = 10


class Lane:
    """Trials of one family.

    Args:
        family: What is tried.
        number: 0 begins with the family's usual settings, others somewhere.
        size: Of the rows that teach one fold.
        levels: Rows to learn from, few first; the last is all.
        seed: Decides what is tried.
    """

    def __init__(self, family: Family, number: int, *, size: Size, levels: Sequence[int], seed: int) -> None:
        self.family, self.name = family, family.name if number == 0 else f"{family.name}:{number}"
        self._size, self._levels, self._settings = size, tuple(levels), family.settings(size)
        self._seed = [seed, zlib.crc32(family.name.encode()), number]
        self._level = 0
        self.results: list[Result] = []
        self.busy = False

    @property
    def best(self) -> Result | None:
        """The best that went through all folds, of those on the most rows."""
        done = [one for one in self.results if one.fate == DONE]
        most = max((one.rows for one in done), default=0)
        return min((one for one in done if one.rows == most), key=lambda one: one.loss, default=None)

    @property
    def spent_s(self) -> float:
        """Seconds of all its trials."""
        return sum(one.seconds for one in self.results)

    @property
    def stale(self) -> int:
        """How many trials ago the best one was."""
        return 0 if self.best is None else len(self.results) - 1 - self.results.index(self.best)

    @property
    def closed(self) -> bool:
        """Whether nothing more is to be had: three trials failed or ran over, or there is nothing to tune."""
        bad = sum(one.fate not in (DONE, "beaten") for one in self.results)
        return bad >= 3 or (bad >= 1 and self.best is None) or (not self._settings and bool(self.results))

    def add(self, result: Result) -> None:
        """Take what came of a trial."""
        self.results.append(result)
        self._level = max(self._level, self._levels.index(result.rows) if result.rows in self._levels else 0)

    def next(self, allowed_s: float) -> tuple[Task, float | None]:
        """Return what to try, and how many seconds it may take; None: not known.

        Args:
            allowed_s: A trial on more rows is not chosen if it is likely to take longer.
        """
        number, rows = len(self.results), self._levels[self._level]
        rng = np.random.default_rng([*self._seed, number])
        best, here = self.best, [one for one in self.results if one.rows == rows]
        if best is None:
            start = first(self._settings) if number == 0 and not self._seed[-1] else somewhere(self._settings, rng)
            return self._task(number, start, rows, ()), None
        usual = float(np.mean([one.seconds for one in here if one.fate == DONE] or [best.seconds]))
        if self._level + 1 < len(self._levels) and len(here) >= _AT_A_LEVEL:
            more = self._levels[self._level + 1]
            likely = usual * more / rows * 1.2
            if likely <= allowed_s:
                return self._task(number, best.values, more, ()), likely
        if rng.random() < 0.15:
            values: Values = somewhere(self._settings, rng)
        else:
            values = nearby(self._settings, best.values, max(0.06, 0.25 * 0.9**self.stale), rng)
        return self._task(number, values, rows, best.losses), usual

    def weight(self, rank: int) -> float:
        """Return its share of the time, given how many lanes are better."""
        return float(max(0.5**rank, 0.04) * 0.5 ** (self.stale // _STALE))

    def _task(self, number: int, values: Values, rows: int, bar: tuple[float, ...]) -> Task:
        return Task("judge", f"{self.name}#{number}", self.family.name, dict(values), rows, bar)


def levels(size: Size) -> list[int]:
    """Return on how many rows candidates are tried, few first: about two million cells, then four times as many."""
    few = max(2_000, 2_000_000 // max(size.width, 8))
    found = [size.rows]
    while found[0] / _MORE >= few:
        found.insert(0, found[0] // _MORE)
    return found


def choose(lanes: Sequence[Lane]) -> list[Lane]:
    """Return the lanes that may go on, the one whose turn it is first.

    Those that were never tried come first, in their order; then each gets time by how good its best is: the best half
    of it, the next a quarter, and so on.
    """
    able = [lane for lane in lanes if not lane.busy and not lane.closed]
    fresh = [lane for lane in able if not lane.results]
    by_loss = sorted(lanes, key=lambda lane: lane.best.loss if lane.best else float("inf"))
    tried = [lane for lane in able if lane.results]
    return fresh + sorted(tried, key=lambda lane: lane.spent_s / lane.weight(by_loss.index(lane)))
