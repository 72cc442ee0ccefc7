"""The end of the search: who answers together is chosen, fitted on all rows in time, and looked into."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from lepton.training.auto import ensemble
from lepton.training.auto.losses import of_truth, row_losses
from lepton.training.auto.members import Answers, Member
from lepton.training.auto.results import DONE, Found, Result
from lepton.training.auto.search import MOST_HELD, Clock, Search
from lepton.training.auto.seats import Seats
from lepton.training.auto.work import Outcome, Rows, Task, explained, learn

_REPORT_SHARE = 0.03
"""Of the time, for importance and words."""
_FALLBACK_ROWS = 2_000
_MOST_COLUMNS = 40


@dataclass(frozen=True)
class Finished:
    """What answers in the end, and how it did on rows that did not teach it.

    Attributes:
        members: Fitted on all rows (or as many as there was time for), with weights that add up to 1.
        chosen: The results they come from, with their weights.
        answers: Their mean for the judging rows; None: nothing was judged.
        judged: Which rows these are.
        stacked: Whether several answer because that was better by more than noise.
        gain: By how much, in loss.
        noise: Standard error of that.
        notes: A sentence for each thing that did not go as it should.
    """

    members: tuple[tuple[Member, float], ...]
    chosen: tuple[tuple[Result, float], ...]
    answers: Answers | None
    judged: npt.NDArray[np.int64]
    stacked: bool = False
    gain: float = 0.0
    noise: float = 0.0
    notes: tuple[str, ...] = ()


def finish(rows: Rows, search: Search, seats: Seats, clock: Clock, *, stack: bool) -> Finished:
    """Choose and fit; a candidate that cannot be fitted in time is left out, and the others chosen anew."""
    judged = np.concatenate(list(rows.folds))
    pool = _pool(search.found)
    notes: list[str] = []
    members: dict[str, Member] = {}
    refused: set[str] = set()
    while True:
        left = clock.left_s - _REPORT_SHARE * clock.budget_s
        usable = [
            found
            for found in pool
            if found[0].key not in refused and (found[0].key in members or search.fit_s(found[0]) < max(left, 0.5))
        ]
        if not usable:
            return _fallback(rows, judged, notes)
        truth = np.stack([of_truth(answers, rows.targets[judged], rows.classes) for _, answers in usable])
        chosen = ensemble.choose(truth, rows.classes, seed=rows.seed, stack=stack)
        chosen = _affordable(chosen, usable, search, members, max(left, 0.5) * seats.count)
        wanted = [usable[at][0] for at in chosen.weights if usable[at][0].key not in members]
        made, failed = _fit(rows, wanted, seats, clock)
        members |= made
        refused |= set(failed)
        notes += [f"{_title(search, result)} was left out in the end: {failed[result.key]}."
                  for result in wanted if result.key in failed]  # fmt: skip
        if not failed or (clock.left_s < 0 and any(usable[at][0].key in members for at in chosen.weights)):
            break
    kept = {at: weight for at, weight in chosen.weights.items() if usable[at][0].key in members}
    total = sum(kept.values())
    mixed = sum((weight / total * usable[at][1] for at, weight in kept.items()), np.zeros_like(usable[0][1]))
    return Finished(
        tuple((members[usable[at][0].key], weight / total) for at, weight in kept.items()),
        tuple((usable[at][0], weight / total) for at, weight in kept.items()),
        mixed.astype(np.float32), judged, len(kept) > 1, chosen.gain, chosen.noise, tuple(notes),
    )  # fmt: skip


def _pool(found: Sequence[Found]) -> list[tuple[Result, Answers]]:
    done = [(result, answers) for result, answers in found if result.fate == DONE and answers is not None]
    return sorted(done, key=lambda one: (one[0].loss, one[0].key))[:MOST_HELD]


def _title(search: Search, result: Result) -> str:
    lane = next((lane for lane in search.lanes if lane.family.name == result.family), None)
    return lane.family.title if lane else result.family


def _affordable(
    chosen: ensemble.Chosen, usable: Sequence[tuple[Result, Answers]], search: Search, members: dict[str, Member],
    left_s: float,
) -> ensemble.Chosen:  # fmt: skip
    """Drop the members with the smallest weights until all can be fitted in time; the best stays."""
    weights = dict(chosen.weights)

    def needed() -> float:
        return sum(search.fit_s(usable[at][0]) for at in weights if usable[at][0].key not in members)

    while len(weights) > 1 and needed() > left_s:
        del weights[min(weights, key=lambda at: weights[at])]
    total = sum(weights.values())
    return replace(chosen, weights={at: weight / total for at, weight in weights.items()})


def _fit(rows: Rows, wanted: Sequence[Result], seats: Seats, clock: Clock) -> tuple[dict[str, Member], dict[str, str]]:
    tasks = [Task("fit", one.key, one.family, one.values, len(rows.features)) for one in wanted]
    made: dict[str, Member] = {}
    failed: dict[str, str] = {}
    for task, outcome in do_all(tasks, seats, clock, keep_s=_REPORT_SHARE * clock.budget_s):
        if isinstance(outcome, str):
            failed[task.key] = outcome
        elif outcome.member is not None:
            made[task.key] = outcome.member
    return made, failed


def do_all(tasks: Sequence[Task], seats: Seats, clock: Clock, *, keep_s: float) -> list[tuple[Task, Outcome | str]]:
    """Do tasks beside each other; those that are not done when only `keep_s` of the time is left are ended."""
    waiting, done = list(tasks), []
    while waiting or seats.busy():
        while waiting and seats.free:
            seats.submit(waiting.pop(0), clock.now())
        left = clock.left_s - keep_s
        done += seats.wait(min(left, 1.0))
        if left <= 0:
            late = [task for task, _ in seats.busy()]
            seats.stop(late)
            done += [(task, "there was no time left to fit it on all rows") for task in (*late, *waiting)]
            break
    return done


def _fallback(rows: Rows, judged: npt.NDArray[np.int64], notes: Sequence[str]) -> Finished:
    """Fit a linear model on few rows: there must be an answer, even if nothing was finished."""
    few = min(len(rows.features), _FALLBACK_ROWS)
    task = Task("fit", "linear", "linear", {"strength": 1.0}, few)
    some = np.arange(len(rows.features))
    member = learn(rows, task, some)
    said = (
        f"No candidate was finished in time, so this is a linear model of {few:,} rows that nothing was compared with. "
        "Give it more time: --budget."
    )
    return Finished(((member, 1.0),), (), None, judged, notes=(*notes, said))


def importance(
    rows: Rows, done: Finished, seats: Seats, clock: Clock
) -> tuple[list[int], npt.NDArray[np.float64]] | None:
    """Return how much worse the loss gets when a column of the table is shuffled, on rows that taught nobody.

    Args:
        rows: What was learned from.
        done: Who answers.
        seats: Where to work.
        clock: The time.

    Returns:
        Positions of the columns, and the increase of the mean loss [columns, repeats]; None: there was no time.
    """
    if not done.chosen or clock.left_s <= 0.2:
        return None
    columns = tuple(range(len(rows.blocks)))
    if len(columns) > _MOST_COLUMNS:
        columns = _likely(rows, _MOST_COLUMNS)
    repeats = 5 if len(columns) <= 20 else 3
    tasks = [
        Task("explain", result.key, result.family, result.values, result.rows, columns=columns, repeats=repeats)
        for result, _ in done.chosen
    ]
    weights = {result.key: weight for result, weight in done.chosen}
    found = [
        (weights[task.key], outcome.shuffled)
        for task, outcome in do_all(tasks, seats, clock, keep_s=0.1)
        if not isinstance(outcome, str) and outcome.shuffled is not None
    ]
    if not found:
        return None
    total = sum(weight for weight, _ in found)
    mixed = sum((weight / total * shuffled for weight, shuffled in found), np.zeros_like(found[0][1]))
    targets = rows.targets[explained(rows)]
    means = np.array([float(row_losses(answers, targets, rows.classes).mean()) for answers in mixed])
    return list(columns), (means[1:] - means[0]).reshape(len(columns), repeats)


def _likely(rows: Rows, most: int) -> tuple[int, ...]:
    """Return the columns that go along with the target most, each by its strongest part."""
    some = rows.features[:5_000].astype(np.float64)
    targets = rows.targets[:5_000]
    wanted = np.eye(rows.classes)[targets.astype(np.int64)] if rows.classes else targets[:, None].astype(np.float64)
    some -= some.mean(axis=0)
    wanted = wanted - wanted.mean(axis=0)
    scale = np.sqrt((some**2).sum(axis=0))[:, None] * np.sqrt((wanted**2).sum(axis=0))
    strength = np.abs(np.divide(some.T @ wanted, scale, out=np.zeros_like(scale), where=scale > 0)).max(axis=1)
    each = [float(strength[block.first : block.first + block.width].max(initial=0.0)) for block in rows.blocks]
    return tuple(sorted(np.argsort(each)[::-1][:most].tolist()))
