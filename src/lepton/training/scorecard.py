"""A logistic regression of two classes as points to add up, as lenders write it.

score = base + pdo / log(2) * (log-odds - log(odds)): at ``odds`` to 1 the score is ``base``, and each ``pdo`` points
double the odds. Source: N. Siddiqi, "Credit Risk Scorecards", 2006, chapter 6.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lepton.training.problems import TrainingDataError

Floats = NDArray[np.float64]
_HALF = 0.5
"""Added to the rows of each class in a bin, so that an empty one has a finite weight of evidence."""


@dataclass(frozen=True)
class Line:
    """Points of one thing.

    Args:
        column: which column.
        condition: when the points are given; ``per unit`` for a number they are multiplied with.
        points: how many.
    """

    column: str
    condition: str
    points: float


@dataclass(frozen=True)
class Scale:
    """What points mean.

    Args:
        base: score at ``odds``.
        odds: of the good class, to 1; above 0.
        pdo: points that double the odds; above 0.

    Raises:
        TrainingDataError: a number is not possible.
    """

    base: float = 600.0
    odds: float = 50.0
    pdo: float = 20.0

    def __post_init__(self) -> None:
        for name, value in (("odds", self.odds), ("pdo", self.pdo)):
            if not 0 < value < math.inf:
                raise TrainingDataError(f"{name}={value!r} is not possible; give a number above 0.")
        if not math.isfinite(self.base):
            raise TrainingDataError(f"base={self.base!r} is not possible; give a number.")


@dataclass(frozen=True)
class Scorecard:
    """Points to add up to a score.

    Args:
        good: the class that a high score speaks for.
        base: score at ``odds``.
        odds: of the good class, to 1.
        pdo: points that double the odds.
        start: points that every row has.
        lines: what is added to them.
    """

    good: str
    base: float
    odds: float
    pdo: float
    start: float
    lines: tuple[Line, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, fit for JSON."""
        return {**vars(self), "lines": [vars(line) for line in self.lines]}

    def to_csv(self) -> str:
        """Return a table of ``column``, ``condition``, ``points``; the first line is the start."""
        out = io.StringIO()
        writer = csv.writer(out, lineterminator="\n")
        writer.writerow(["column", "condition", "points"])
        writer.writerow(["", "start", f"{self.start:.6g}"])
        for line in self.lines:
            writer.writerow([_safe(line.column), _safe(line.condition), f"{line.points:.6g}"])
        return out.getvalue()


@dataclass(frozen=True)
class Part:
    """What a column adds to the log-odds of the good class: its weight where the condition holds."""

    column: str
    condition: str
    weight: float


PER_UNIT = "per unit"


def scorecard(parts: Iterable[Part], intercept: float, *, good: str, scale: Scale) -> Scorecard:
    """Turn log-odds into points.

    Args:
        parts: what each column adds to the log-odds of the good class.
        intercept: log-odds without any of them.
        good: the class that a high score speaks for.
        scale: what the points mean.
    """
    factor = scale.pdo / math.log(2.0)
    start = scale.base + factor * (intercept - math.log(scale.odds))
    lines = tuple(Line(part.column, part.condition, factor * part.weight) for part in parts)
    return Scorecard(good, scale.base, scale.odds, scale.pdo, start, lines)


@dataclass(frozen=True)
class Bin:
    """Values of a column that count alike.

    Args:
        above: lower end, not part of it; minus infinity for the first. Both ends are NaN for missing values.
        upto: upper end, part of it; infinity for the last.
        rows: how many rows are in it.
        evidence: log of (share of the good ones that are here / share of the others that are here).
    """

    above: float
    upto: float
    rows: int
    evidence: float

    @property
    def condition(self) -> str:
        """Say which values these are."""
        if math.isnan(self.upto):
            return "missing"
        if math.isinf(self.above):
            return "any" if math.isinf(self.upto) else f"<= {self.upto:.6g}"
        return f"> {self.above:.6g}" if math.isinf(self.upto) else f"> {self.above:.6g} and <= {self.upto:.6g}"


def weigh_evidence(values: ArrayLike, good: ArrayLike, *, bins: int = 5) -> tuple[Bin, ...]:
    """Cut a column at its quantiles and weigh what each bin says; missing values (NaN) are a bin of their own.

    Source: I. Good, "Probability and the weighing of evidence", 1950; Siddiqi 2006, chapter 6.

    Args:
        values: numbers [n].
        good: whether each row is of the good class [n].
        bins: how many, at most; equal values are never cut apart.
    """
    numbers, right = np.asarray(values, dtype=np.float64), np.asarray(good).astype(bool)
    if numbers.ndim != 1 or numbers.shape != right.shape or right.all() or not right.any():
        raise TrainingDataError("Weighing evidence needs one number a row, and rows of both classes.")
    present = numbers[~np.isnan(numbers)]
    cuts: NDArray[np.float64] = (
        np.unique(np.quantile(present, np.arange(1, bins) / bins, method="inverted_cdf"))
        if len(present)
        else np.empty(0)
    )
    ends = [-math.inf, *(float(cut) for cut in cuts if cut < present.max()), math.inf]
    found = [_bin(above, upto, right, (numbers > above) & (numbers <= upto)) for above, upto in pairwise(ends)]
    missing = np.isnan(numbers)
    return (*found, _bin(math.nan, math.nan, right, missing)) if missing.any() else tuple(found)


def evidence_of(values: ArrayLike, bins: Sequence[Bin]) -> Floats:
    """Return the weight of evidence of each value [n]; a missing one that training had not counts as 0."""
    numbers = np.asarray(values, dtype=np.float64)
    found = np.zeros(len(numbers))
    for one in bins:
        here = np.isnan(numbers) if math.isnan(one.upto) else (numbers > one.above) & (numbers <= one.upto)
        found[here] = one.evidence
    return found


def parts_of_bins(column: str, bins: Sequence[Bin], weight: float) -> tuple[Part, ...]:
    """Return what a column adds whose weight of evidence was learned from with this weight."""
    return tuple(Part(column, one.condition, weight * one.evidence) for one in bins)


def _bin(above: float, upto: float, good: NDArray[np.bool_], here: NDArray[np.bool_]) -> Bin:
    hits, others = (good & here).sum() + _HALF, (~good & here).sum() + _HALF
    evidence = math.log(hits / (good.sum() + _HALF)) - math.log(others / ((~good).sum() + _HALF))
    return Bin(above, upto, int(here.sum()), evidence)


def _safe(text: str) -> str:
    """Keep a spreadsheet from reading a name as a formula."""
    return f"'{text}" if text[:1] in ("=", "+", "-", "@", "\t", "\r") else text
