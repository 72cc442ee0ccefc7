"""The first look at the rows: one pass in which all workers check them and agree on what they are.

Each worker looks at its own shard; problems, the number of columns, the classes and the moments are then shared, so
that all workers raise the same error or go on with the same numbers. The later passes are in ``shards.py``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.training.collective import Collective
from lepton.training.labels import Label, LabelIndex, merge
from lepton.training.moments import Moments
from lepton.training.problems import TrainingDataError

Batch = tuple[NDArray[np.float64], NDArray[Any]]
Batches = Callable[[], Iterator[Batch]]
"""Each call is one pass over a worker's rows: features [n, d] float64 and targets [n], always in the same order."""

FULL_MOMENTS_COLUMNS = 5_000
"""Up to this many columns all products are kept (200 MB at the limit)."""
SAMPLE_EVERY = 50


@dataclass(frozen=True)
class Survey:
    """What all workers agree on, and this worker's own encoded targets.

    Args:
        moments: of the features, or of features and target (last) where the target is a number.
        targets: one array a batch; numbers as they are, labels as positions in ``classes``.
        sample: every 50th row of this worker, if asked for.
    """

    rows: int
    columns: int
    moments: Moments
    targets: tuple[NDArray[Any], ...]
    classes: NDArray[Any] | None = None
    sample: tuple[Batch, ...] = ()


@dataclass
class _Notes:
    rows: int = 0
    columns: int | None = None
    problem: str | None = None
    moments: Moments | None = None
    targets: list[NDArray[Any]] = field(default_factory=list)
    labels: LabelIndex = field(default_factory=LabelIndex)
    sample: list[Batch] = field(default_factory=list)


def survey(
    batches: Batches, collective: Collective, *, classify: bool, full: bool = False, sample: bool = False
) -> Survey:
    """Pass once over this worker's rows and agree with the others.

    Args:
        batches: this worker's rows; may be none at all, as long as another worker has some.
        collective: the workers.
        classify: whether targets are labels (else numbers, and the moments include them).
        full: whether to keep products between columns, if they are not too many.
        sample: whether to keep every 50th row.

    Raises:
        TrainingDataError: on all workers, if any of them met rows that cannot be used.
    """
    notes = _Notes()
    try:
        for features, target in batches():
            _note(notes, features, np.asarray(target), classify=classify, full=full)
            if sample:
                notes.sample.append((features[::SAMPLE_EVERY].copy(), notes.targets[-1][::SAMPLE_EVERY]))
    except TrainingDataError as error:
        notes.problem = error.message
    agreed = _agree(notes, collective, classify=classify)
    width = agreed.columns if classify else agreed.columns + 1
    mine = notes.moments or Moments.empty(width, full=full and agreed.columns <= FULL_MOMENTS_COLUMNS)
    moments = mine.over_workers(collective)
    if not classify:
        targets, kept = notes.targets, notes.sample
    else:
        position = {value: at for at, value in enumerate(agreed.classes.tolist())}
        order = np.array([position[value] for value in notes.labels.values], dtype=np.int32)
        targets = [order[codes] for codes in notes.targets]
        kept = [(features, order[codes]) for features, codes in notes.sample]
    classes = agreed.classes if classify else None
    return Survey(agreed.rows, agreed.columns, moments, tuple(targets), classes, tuple(kept))


def _note(notes: _Notes, features: NDArray[np.float64], target: NDArray[Any], *, classify: bool, full: bool) -> None:
    if features.ndim != 2 or target.shape != (len(features),):
        raise TrainingDataError("A batch needs features of shape (rows, columns) and one target a row.")
    if notes.columns not in (None, features.shape[1]):
        raise TrainingDataError(f"A batch has {features.shape[1]} columns, the first one had {notes.columns}.")
    notes.columns = features.shape[1]
    width = notes.columns if classify else notes.columns + 1
    if notes.moments is None:
        notes.moments = Moments.empty(width, full=full and notes.columns <= FULL_MOMENTS_COLUMNS)
    encoded = notes.labels.add(target) if classify else _numbers(target)
    notes.targets.append(encoded)
    step = chunk_rows(width)
    for start in range(0, len(features), step):
        block = np.asarray(features[start : start + step], dtype=np.float64)
        if not np.isfinite(block).all():
            bad = int(np.flatnonzero(~np.isfinite(block).all(axis=0))[0])
            raise TrainingDataError(
                f"Feature column {bad} has missing or infinite values; drop or fill those rows before training."
            )
        notes.moments.add(block if classify else np.column_stack([block, encoded[start : start + step]]))
    notes.rows += len(features)


def chunk_rows(columns: int) -> int:
    """Return how many rows of so many float64 columns stay in a core's cache (about 1 MB)."""
    return min(max((1 << 17) // (columns + 1), 128), 8192)


def _numbers(target: NDArray[Any]) -> NDArray[np.float64]:
    try:
        numbers = target.astype(np.float64)
    except (TypeError, ValueError):
        raise TrainingDataError("The target is not numeric; cast it to a number or use LogisticRegression.") from None
    if not np.isfinite(numbers).all():
        raise TrainingDataError("The target has missing or infinite values; drop or fill those rows first.")
    return numbers


@dataclass(frozen=True)
class _Agreed:
    rows: int
    columns: int
    classes: NDArray[Any]


def _agree(notes: _Notes, collective: Collective, *, classify: bool) -> _Agreed:
    """Share what every worker found; worker 0 decides and tells all."""
    labels = notes.labels
    mine = [notes.rows, notes.columns, notes.problem, labels.kind, labels.dtype, labels.values]
    everyone = collective.gather(json.dumps(mine).encode())
    verdict = _decide([json.loads(one) for one in everyone], classify=classify) if everyone is not None else None
    rows, columns, problem, dtype, values = json.loads(collective.broadcast(verdict))
    if problem is not None:
        raise TrainingDataError(problem)
    classes = np.empty(len(values), dtype=dtype)
    classes[:] = values
    return _Agreed(rows, columns, classes)


def _decide(everyone: list[list[Any]], *, classify: bool) -> bytes:
    rows = sum(one[0] for one in everyone)
    widths = sorted({one[1] for one in everyone if one[1] is not None})
    problems = [one[2] for one in everyone if one[2] is not None]
    values: list[Label] = []
    dtype = "O"
    if not problems and rows == 0:
        problems = ["There are no rows to train on."]
    if not problems and len(widths) > 1:
        problems = [f"The workers have rows of different numbers of columns ({', '.join(map(str, widths))})."]
    if not problems and classify:
        try:
            values, dtype = merge([(one[3], one[4], one[5]) for one in everyone])
        except TrainingDataError as error:
            problems = [error.message]
        if not problems and len(values) < 2:
            problems = ["The target has only one class; a classifier needs rows of two or more classes."]
    return json.dumps([rows, widths[0] if widths else 0, problems[0] if problems else None, dtype, values]).encode()
