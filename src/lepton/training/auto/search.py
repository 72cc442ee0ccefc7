"""The search: candidates are tried beside each other until the time is up; workers share them, worker 0 keeps all."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lepton.training.auto.candidates import Family, Size
from lepton.training.auto.lanes import Lane, choose, levels
from lepton.training.auto.results import BEATEN, DONE, FAILED, SLOW, Found, Result, pack, unpack
from lepton.training.auto.seats import Seats
from lepton.training.auto.work import Outcome, Rows, Task
from lepton.training.context import TrainingContext

_TICK_S = 1.0
_LONGEST_SHARE = 0.3
"""Of what is left of the time, one trial may take so much."""
_MOST_RESERVED = 0.5
_SAVE_S = 5.0
MOST_HELD = 40
"""Candidates that may be chosen in the end."""


@dataclass(frozen=True)
class Clock:
    """The time of a training.

    Attributes:
        began: When it would have begun if it had never stopped, on `now`'s clock.
        budget_s: How long it may take.
        now: Tells the time in seconds.
    """

    began: float
    budget_s: float
    now: Callable[[], float] = time.monotonic

    @property
    def spent_s(self) -> float:
        """Seconds since it began."""
        return self.now() - self.began

    @property
    def left_s(self) -> float:
        """Seconds that are left."""
        return self.budget_s - self.spent_s


class Search:
    """One worker's part of the search.

    Args:
        rows: What is learned from.
        families: What is tried.
        clock: The time.
        context: The other workers.
        trials: Most trials of each lane; 0: as many as there is time for.
    """

    def __init__(
        self, rows: Rows, families: Sequence[Family], clock: Clock, context: TrainingContext, *, trials: int
    ) -> None:
        self._rows, self._clock, self._context, self._trials = rows, clock, context, trials
        self.found: list[Found] = []
        self._fresh: list[Found] = []
        teaching = len(rows.features) - max(len(fold) for fold in rows.folds)
        self._size = Size(teaching, rows.features.shape[1], rows.classes)
        ranks, rank = context.collective.world_size, context.collective.rank
        many = max(1, math.ceil(ranks * context.threads / max(1, len(families))))
        steps = levels(self._size)
        every = [
            Lane(family, number, size=self._size, levels=steps, seed=rows.seed)
            for number in range(many)
            for family in families
        ]
        self.lanes = every[rank::ranks]
        self._every = {lane.name: lane for lane in every}

    def restore(self, found: Sequence[Found]) -> None:
        """Take up what was saved; all workers must take up the same."""
        for result, _ in found:
            if result.lane in self._every:
                self._every[result.lane].add(result)
        if self._context.collective.rank == 0:
            self.found = list(found)

    def run(self, seats: Seats) -> bool:
        """Try candidates until the time is up, all trials are done, or somebody says stop; say whether it was that."""
        told, saved_at, alone = len(self.found), -math.inf, self._context.collective.world_size == 1
        while True:
            self._hand_out(seats)
            until = self._clock.now() + _TICK_S
            while seats.busy() and (left := until - self._clock.now()) > 0:
                self._take(seats.wait(left))
                self._end_slow(seats)
                self._hand_out(seats)
                if alone and self._fresh:
                    break
            stop, over = self._gather(idle=not seats.busy())
            now = self._clock.now()
            if len(self.found) > told and (over or now - saved_at > _SAVE_S):
                told, saved_at = len(self.found), now
                self._save()
            if over:
                seats.stop([task for task, _ in seats.busy()])
                return stop

    def _save(self) -> None:
        collective = self._context.collective
        self._context.checkpoints.save(len(self.found), lambda: pack(self.found, self._clock.spent_s), collective)

    def reserve_s(self, seats: int) -> float:
        """Return the seconds that are kept for the end: to fit the chosen on all rows and to look into them."""
        best = sorted((lane.best for lane in self._every.values() if lane.best), key=lambda one: one.loss)[:4]
        fits = sum(self.fit_s(one) for one in best)
        longest = max((self.fit_s(one) for one in best), default=0.0)
        likely = 1.0 + 0.04 * self._clock.budget_s + 1.5 * max(2 * fits / seats, 2 * longest)
        return min(likely, _MOST_RESERVED * self._clock.budget_s)

    def fit_s(self, result: Result) -> float:
        """Return how long it is likely to take to fit a candidate on all rows."""
        return result.fit_s * max(1.0, len(self._rows.features) / min(result.rows, self._size.rows))

    def _left_s(self, seats: Seats) -> float:
        return self._clock.left_s - self.reserve_s(seats.count)

    def _hand_out(self, seats: Seats) -> None:
        while seats.free and (left := self._left_s(seats)) > 0:
            for lane in choose(self.lanes):
                if self._trials and len(lane.results) >= self._trials:
                    continue
                task, likely = lane.next(_LONGEST_SHARE * left)
                if likely is None or likely < left:
                    lane.busy = True
                    seats.submit(task, self._clock.now())
                    break
            else:
                return

    def _take(self, done: Sequence[tuple[Task, Outcome | str]]) -> None:
        for task, outcome in done:
            since = 0.0 if isinstance(outcome, str) else outcome.seconds
            self._keep(task, outcome, since, FAILED)

    def _end_slow(self, seats: Seats) -> None:
        now, left = self._clock.now(), self._left_s(seats)
        over = [
            (task, now - since)
            for task, since in seats.busy()
            if left <= 0 or (now - since > 2.0 and now - since > _LONGEST_SHARE * (left + now - since))
        ]
        seats.stop([task for task, _ in over])
        for task, seconds in over:
            self._keep(task, f"ended after {seconds:.0f} s", seconds, SLOW)

    def _keep(self, task: Task, outcome: Outcome | str, seconds: float, fate: str) -> None:
        name, _, number = task.key.partition("#")
        lane = self._every[name]
        said = {"lane": name, "number": int(number), "family": task.family, "values": task.values, "rows": task.rows}
        if isinstance(outcome, str):
            found: Found = Result(**said, fate=fate, seconds=seconds, why=outcome), None  # type: ignore[arg-type]
        else:
            fate = BEATEN if outcome.answers is None else DONE
            found = Result(
                **said, fate=fate, losses=outcome.losses, fit_s=outcome.fit_s, seconds=outcome.seconds  # type: ignore[arg-type]
            ), outcome.answers  # fmt: skip
        lane.busy = False
        lane.add(found[0])
        self._fresh.append(found)

    def _gather(self, *, idle: bool) -> tuple[bool, bool]:
        """Give worker 0 what is new, tell how it goes, and agree whether to stop and whether it is over."""
        collective, context = self._context.collective, self._context
        fresh, self._fresh = self._fresh, []
        if collective.world_size > 1:
            parts = collective.gather(pack(fresh, 0.0)) or []
            fresh = [found for part in parts for found in unpack(part)[0]]
        for found in fresh:
            self._tell(found)
        up = self._clock.left_s <= self.reserve_s(context.threads)
        stop, late, idling = collective.all_reduce([float(context.should_stop()), float(up), float(idle)])
        return bool(stop), bool(stop or late or idling == collective.world_size)

    def _tell(self, found: Found) -> None:
        result, _ = found
        self.found.append(found)
        self._forget()
        if result.lane in self._every and self._every[result.lane] not in self.lanes:
            self._every[result.lane].add(result)
        done = [one.loss for one, _ in self.found if one.fate == DONE]
        if result.fate == DONE:
            self._context.report(len(self.found), loss=result.loss, best_loss=min(done))
        title = self._every[result.lane].family.title if result.lane in self._every else result.family
        share = min(0.9, self._clock.spent_s / self._clock.budget_s)
        self._context.progress(share, f"{len(self.found)} candidates tried; the last was {title}")

    def _forget(self) -> None:
        """Drop the answers of candidates that are too far behind to be chosen: they fill the memory."""
        held = sorted((one for one in self.found if one[1] is not None), key=lambda one: (one[0].loss, one[0].key))
        if len(held) > MOST_HELD:
            behind = held[-1][0].key
            self.found = [(result, None if result.key == behind else answers) for result, answers in self.found]
