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

Batch = tuple[NDArray[np.floating], NDArray[Any]] | tuple[NDArray[np.floating], NDArray[Any], NDArray[np.floating]]
Batches = Callable[[], Iterator[Batch]]
"""Each call is one pass over a worker's rows: features [n, d] float64 or float32, targets [n] and, if rows do not count
alike, how much each does [n]; always in the same order."""
RowWeights = NDArray[np.float64] | None
"""How much each row of a batch counts [n]; None for 1."""

FULL_MOMENTS_COLUMNS = 5_000
"""Up to this many columns all products are kept (200 MB at the limit)."""
SAMPLE_EVERY = 50


@dataclass(frozen=True)
class Survey:
    """What all workers agree on, and this worker's own encoded targets.

    Args:
        moments: of the features, or of features and target (last) where the target is a number.
        targets: one array a batch; numbers as they are, labels as positions in ``classes``.
        weights: how much rows count, one array or None a batch.
        counts: weight of the rows of each class, of all workers [k].
        single: whether some rows of any worker are float32.
        sample: every 50th row of this worker, if asked for: features, targets, weights.
    """

    rows: int
    columns: int
    moments: Moments
    targets: tuple[NDArray[Any], ...]
    weights: tuple[RowWeights, ...]
    classes: NDArray[Any] | None = None
    counts: NDArray[np.float64] | None = None
    single: bool = False
    sample: tuple[tuple[NDArray[np.floating], NDArray[Any], RowWeights], ...] = ()

    @property
    def total(self) -> float:
        """Sum of the weights of the rows of all workers; their number, if all count alike."""
        return self.moments.rows


@dataclass
class _Notes:
    rows: int = 0
    columns: int | None = None
    problem: str | None = None
    single: bool = False
    moments: Moments | None = None
    targets: list[NDArray[Any]] = field(default_factory=list)
    weights: list[RowWeights] = field(default_factory=list)
    labels: LabelIndex = field(default_factory=LabelIndex)
    sample: list[NDArray[np.floating]] = field(default_factory=list)


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
        for features, target, *weights in batches():
            counted = row_weights(weights[0], len(features)) if weights else None
            _note(notes, features, np.asarray(target), counted, classify=classify, full=full)
            if sample:
                notes.sample.append(features[::SAMPLE_EVERY].copy())
    except TrainingDataError as error:
        notes.problem = error.message
    agreed = _agree(notes, collective, classify=classify)
    width = agreed.columns if classify else agreed.columns + 1
    mine = notes.moments or Moments.empty(width, full=full and agreed.columns <= FULL_MOMENTS_COLUMNS)
    moments = mine.over_workers(collective)
    if moments.rows == 0:
        raise TrainingDataError("All weights of rows are zero, so there is nothing to learn from.")
    targets, weighted = notes.targets, tuple(notes.weights)
    classes, counts = None, None
    if classify:
        classes = agreed.classes
        position = {value: at for at, value in enumerate(classes.tolist())}
        order = np.array([position[value] for value in notes.labels.values], dtype=np.int32)
        targets = [order[codes] for codes in notes.targets]
        own = np.zeros(len(classes))
        for codes, counted in zip(targets, weighted, strict=True):
            own += np.bincount(codes, weights=counted, minlength=len(classes))
        counts = collective.all_reduce(own)
    kept = zip(notes.sample, targets, weighted, strict=True) if sample else ()
    every = slice(None, None, SAMPLE_EVERY)
    thin = tuple((some, codes[every], None if w is None else w[every]) for some, codes, w in kept)
    return Survey(agreed.rows, agreed.columns, moments, tuple(targets), weighted, classes, counts, agreed.single, thin)


def _note(
    notes: _Notes,
    features: NDArray[np.floating],
    target: NDArray[Any],
    weights: RowWeights,
    *,
    classify: bool,
    full: bool,
) -> None:
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
    notes.weights.append(weights)
    step = chunk_rows(width)
    for start in range(0, len(features), step):
        part = slice(start, start + step)
        finite = notes.moments.add(
            features[part],
            None if classify else encoded[part].astype(np.float64),
            weights=None if weights is None else weights[part],
        )
        if not finite:
            raise _infinite(features[part])
    notes.rows += len(features)
    notes.single |= features.dtype == np.float32


def row_weights(weights: object, rows: int) -> NDArray[np.float64]:
    """Return checked weights of rows [n]: finite, none below 0."""
    found = np.asarray(weights, dtype=np.float64)
    if found.shape != (rows,):
        raise TrainingDataError(f"Weights of shape {found.shape} do not fit {rows} rows; give one number a row.")
    if not np.isfinite(found).all() or (found < 0).any():
        raise TrainingDataError("A weight of a row is missing, infinite or below 0; give 0 to leave a row out.")
    return found


def _infinite(block: NDArray[np.floating]) -> TrainingDataError:
    wrong = ~np.isfinite(block).all(axis=0)
    if not wrong.any():
        return TrainingDataError("The features hold numbers too large to be squared; scale the columns first.")
    return TrainingDataError(
        f"Feature column {int(np.flatnonzero(wrong)[0])} has missing or infinite values; "
        "drop or fill those rows before training."
    )


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
    single: bool


def _agree(notes: _Notes, collective: Collective, *, classify: bool) -> _Agreed:
    """Share what every worker found; worker 0 decides and tells all."""
    labels = notes.labels
    mine = [notes.rows, notes.columns, notes.problem, labels.kind, labels.dtype, labels.values, notes.single]
    everyone = collective.gather(json.dumps(mine).encode())
    verdict = _decide([json.loads(one) for one in everyone], classify=classify) if everyone is not None else None
    rows, columns, problem, dtype, values, single = json.loads(collective.broadcast(verdict))
    if problem is not None:
        raise TrainingDataError(problem)
    classes = np.empty(len(values), dtype=dtype)
    classes[:] = values
    return _Agreed(rows, columns, classes, single)


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
    single = any(one[6] for one in everyone)
    return json.dumps(
        [rows, widths[0] if widths else 0, problems[0] if problems else None, dtype, values, single]
    ).encode()
