"""What one process does with one candidate: judge it fold by fold, fit it on all rows, or look into it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lepton.training.auto.candidates import FAMILIES, Size
from lepton.training.auto.folds import Positions
from lepton.training.auto.graphs import difference
from lepton.training.auto.losses import row_losses
from lepton.training.auto.members import Answers, Member
from lepton.training.auto.settings import Value
from lepton.training.recipes.port import Block, Features, Targets

MOST_EXPLAINED = 1_500
_CHECKED = 400
_SLACK = 1e-3
"""Graphs are float32 sums of many terms; a wrong tree or neighbor is off by far more."""


@dataclass(frozen=True)
class Rows:
    """What every process knows.

    Attributes:
        features: float32 [n, width].
        targets: [n]: positions of classes, or standardized numbers.
        classes: Number of classes K; None: numbers.
        folds: For each fold the rows that judge.
        blocks: Which columns belong together.
        seed: Decides whatever is random.
    """

    features: Features
    targets: Targets
    classes: int | None
    folds: Sequence[Positions]
    blocks: Sequence[Block]
    seed: int


@dataclass(frozen=True)
class Task:
    """What to do with a candidate.

    Attributes:
        kind: ``judge``, ``fit`` or ``explain``.
        key: Name that tells it from all others of the run.
        family: Name of the family.
        values: Its settings.
        rows: Most rows to learn from.
        bar: ``judge``: the losses of the best of its kind, fold by fold; empty: none.
        columns: ``explain``: positions of the blocks to shuffle.
        repeats: ``explain``: how many times each.
    """

    kind: str
    key: str
    family: str
    values: dict[str, Value]
    rows: int
    bar: tuple[float, ...] = ()
    columns: tuple[int, ...] = ()
    repeats: int = 0


@dataclass(frozen=True)
class Outcome:
    """What came of a task.

    Attributes:
        losses: ``judge``: mean loss of each fold, as far as it went.
        answers: ``judge``: for the judging rows of all folds one after the other, if it went through.
        fit_s: Seconds of one fit, on average.
        seconds: Seconds of all.
        member: ``fit``: what was fitted.
        off: ``fit``: how far its graph is from it on some rows.
        shuffled: ``explain``: answers [1 + columns * repeats, rows, …]; the first of rows as they are.
        picked: ``explain``: which rows these are.
    """

    losses: tuple[float, ...] = ()
    answers: Answers | None = None
    fit_s: float = 0.0
    seconds: float = 0.0
    member: Member | None = None
    off: float = 0.0
    shuffled: Answers | None = None
    picked: Positions | None = None


def learn(rows: Rows, task: Task, chosen: Positions) -> Member:
    """Fit a candidate on some rows, at most ``task.rows`` of them."""
    if len(chosen) > task.rows:
        rng = np.random.default_rng([rows.seed, len(chosen), task.rows])
        chosen = np.sort(rng.choice(chosen, task.rows, replace=False))
    features, targets = rows.features[chosen], rows.targets[chosen]
    size = Size(len(chosen), features.shape[1], rows.classes)
    if rows.classes is None:
        estimator = FAMILIES[task.family].build(task.values, size, rows.seed)
        return Member(estimator.fit(features, targets), family=task.family)
    present, targets = np.unique(targets, return_inverse=True)
    size = Size(len(chosen), features.shape[1], len(present))
    estimator = FAMILIES[task.family].build(task.values, size, rows.seed)
    return Member(estimator.fit(features, targets), tuple(int(i) for i in present), rows.classes, task.family)


def others(rows: Rows, fold: int) -> Positions:
    """Return the rows that teach when a fold judges."""
    left = np.ones(len(rows.features), dtype=bool)
    left[rows.folds[fold]] = False
    return np.flatnonzero(left)


def do(rows: Rows, task: Task) -> Outcome:
    """Do a task."""
    return {"judge": judge, "fit": fit, "explain": explain}[task.kind](rows, task)


def judge(rows: Rows, task: Task) -> Outcome:
    """Learn on all folds but one and answer for that one, in turn; end early if it is clearly worse than the bar."""
    began = time.monotonic()
    losses: list[float] = []
    answers: list[Answers] = []
    for fold, judging in enumerate(rows.folds):
        member = learn(rows, task, others(rows, fold))
        answers.append(member.answers(rows.features[judging]))
        losses.append(float(row_losses(answers[-1], rows.targets[judging], rows.classes).mean()))
        if not np.isfinite(losses[-1]):
            raise ValueError("the loss is not finite")
        if fold + 1 < len(rows.folds) and _beaten(losses, task.bar):
            seconds = time.monotonic() - began
            return Outcome(tuple(losses), None, seconds / (fold + 1), seconds)
    seconds = time.monotonic() - began
    return Outcome(tuple(losses), np.concatenate(answers), seconds / len(rows.folds), seconds)


def _beaten(losses: Sequence[float], bar: Sequence[float]) -> bool:
    """Whether the folds so far are worse than the best's on each and by more than its folds differ on average."""
    same = bar[: len(losses)]
    if not same or any(mine <= best for mine, best in zip(losses, same, strict=True)):
        return False
    return float(np.mean(losses)) > float(np.mean(same)) + 0.5 * float(np.std(bar))


def fit(rows: Rows, task: Task) -> Outcome:
    """Learn on all rows, and compare the graph with what was learned."""
    began = time.monotonic()
    member = learn(rows, task, np.arange(len(rows.features)))
    fit_s = time.monotonic() - began
    some = rows.features[:: max(1, len(rows.features) // _CHECKED)][:_CHECKED]
    off = difference(member, some)
    if off > _SLACK:
        raise ValueError("its graph answers otherwise")
    return Outcome(fit_s=fit_s, seconds=time.monotonic() - began, member=member, off=off)


def explain(rows: Rows, task: Task) -> Outcome:
    """Learn on all folds but the first, and answer for that one as it is and with columns shuffled."""
    began = time.monotonic()
    member = learn(rows, task, others(rows, 0))
    picked = explained(rows)
    asked = rows.features[picked]
    found = [member.answers(asked)]
    for column in task.columns:
        block = rows.blocks[column]
        place = slice(block.first, block.first + block.width)
        for repeat in range(task.repeats):
            order = np.random.default_rng([rows.seed, column, repeat]).permutation(len(asked))
            mixed = asked.copy()
            mixed[:, place] = asked[order, place]
            found.append(member.answers(mixed))
    return Outcome(seconds=time.monotonic() - began, shuffled=np.stack(found), picked=picked)


def explained(rows: Rows) -> Positions:
    """Return the rows that are looked into: those of the first fold, or some of them."""
    judging = rows.folds[0]
    if len(judging) > MOST_EXPLAINED:
        judging = np.sort(np.random.default_rng(rows.seed).choice(judging, MOST_EXPLAINED, replace=False))
    return judging
