"""How far live rows lie from the rows a model was trained on: PSI, Kolmogorov-Smirnov, Wasserstein, and when to alert.

Pure functions on what `windows.py` counts; no storage, no clock.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from lepton.endpoints.windows import Counts, Floats, NumberReference, Reference, TextReference, Window

PSI_GROUPS = 10
MODERATE_PSI = 0.1
MAJOR_PSI = 0.25
MIN_ROWS = 500
"""Without any drift PSI times the rows is about chi-square with 10 degrees of freedom: over 0.1 by chance in one of
four million windows of 500 rows (and in one of 30 of 200)."""
RELEASE = 0.8
"""A level is left when PSI is below this share of where it began, so that it does not flap."""


@dataclass(frozen=True)
class ColumnDrift:
    """How one column of a window differs from its reference.

    Attributes:
        name: Name of the column.
        psi: Population stability index over tenths or values, missing ones as a group of their own; 0 is no change.
        ks: Greatest difference of the two distribution functions, 0 to 1; None for text and where nothing is present.
        wasserstein: Mean distance by which values have moved, in the column's unit; None like `ks`.
        missing_share: Share of the window's rows without a value.
        unseen_share: Share of the present values that lie outside of the range of training, or are texts that
            training has not seen; None where that is not known.
        rows: Rows of the window.
    """

    name: str
    psi: float
    ks: float | None
    wasserstein: float | None
    missing_share: float
    unseen_share: float | None
    rows: int


class Level(IntEnum):
    """What a drift calls for."""

    STABLE = 0
    MODERATE = 1
    MAJOR = 2


_BEGINS = {Level.MODERATE: MODERATE_PSI, Level.MAJOR: MAJOR_PSI}


def compare(reference: Reference, window: Window) -> tuple[ColumnDrift, ...]:
    """Compare every column of a window with its reference, numbers first."""
    numbers = [
        _compare_number(column, window.numbers[place], float(window.below[place]), float(window.above[place]))
        for place, column in enumerate(reference.numbers)
    ]
    texts = [_compare_text(column, counts) for column, counts in zip(reference.texts, window.texts, strict=True)]
    return (*numbers, *texts)


def level_after(before: Level, drift: ColumnDrift, *, min_rows: int = MIN_ROWS) -> Level:
    """Return the level of a column after another look.

    It rises as soon as PSI reaches `MODERATE_PSI` or `MAJOR_PSI`, and falls only below `RELEASE` times that. Windows
    of fewer than `min_rows` rows change nothing.
    """
    if drift.rows < min_rows:
        return before
    risen = max((level for level, begin in _BEGINS.items() if drift.psi >= begin), default=Level.STABLE)
    held = max((level for level, begin in _BEGINS.items() if drift.psi >= RELEASE * begin), default=Level.STABLE)
    return max(risen, min(before, held))


def psi(expected: Floats, actual: Floats) -> float:
    """Population stability index of two distributions over the same groups, each positive and adding up to 1.

    ``sum((a - e) * ln(a / e))``, the symmetric Kullback-Leibler divergence of Jeffreys (1946); as an index of
    stability: Siddiqi, Credit Risk Scorecards (2006), who calls below 0.1 no change and above 0.25 a major one.
    """
    return float(np.sum((actual - expected) * np.log(actual / expected)))


def ks(expected: Floats, actual: Floats) -> float:
    """Two-sample Kolmogorov-Smirnov statistic of shares in the same cells, in order.

    ``max |F(x) - G(x)|``, looked at on the edges of the cells alone. That is a lower bound of the statistic of the
    values themselves: inside of a cell the difference is greater by at most the lesser of its two shares.
    Source: Massey, J. Am. Stat. Assoc. 46 (1951).
    """
    return float(np.abs(np.cumsum(actual - expected)).max())


def wasserstein(edges: Floats, expected: Floats, actual: Floats, *, is_stepped: bool = False) -> float:
    """1-Wasserstein distance ``integral |F(x) - G(x)| dx`` between the first edge and the last, float64 [m].

    Shares are float64 [m + 1], those below the first edge first. Values are taken as evenly spread inside of a cell of
    width w; with shares e and a in it that is off by at most ``w * (e + a) / 2``. Where the edges are all values there
    are (`is_stepped`), values are taken to lie on them; that is off by ``w * a`` at most, and exact if they do.
    Source: Vallender, Theory Probab. Appl. 18 (1974), for distance and distribution functions.
    """
    gaps = np.cumsum(actual - expected)[:-1]  # F - G at each edge
    left, right = gaps[:-1], gaps[1:]
    if is_stepped:
        return float(np.sum(np.diff(edges) * np.abs(left)))
    size = np.abs(left) + np.abs(right)
    # A line from left to right: a trapezium, or where it crosses zero two triangles.
    crosses = left * right < 0
    safe = np.where(size > 0, size, 1.0)
    areas = np.where(crosses, (left**2 + right**2) / (2 * safe), size / 2)
    return float(np.sum(np.diff(edges) * areas))


def _compare_number(column: NumberReference, counts: Counts, below: float, above: float) -> ColumnDrift:
    expected, edges = np.array(column.shares), np.array(column.edges)
    live, missing = counts[: len(expected)], int(counts[-1])
    if not len(edges):  # training had no value: all that come are unseen
        live = counts[:1]
    present = int(live.sum())
    before = column.rows - column.missing
    groups = _tenths(expected)
    stability = psi(
        _smoothed(np.append(np.bincount(groups, expected * before), column.missing)),
        _smoothed(np.append(np.bincount(groups, live), missing)),
    )
    actual = live / max(present, 1)
    comparable = present > 0 and len(edges) > 0
    moved = None
    if comparable:
        inside = wasserstein(edges, expected, actual, is_stepped=column.is_stepped)
        moved = inside + (below + above) / present
    return ColumnDrift(
        name=column.name,
        psi=stability,
        ks=ks(expected, actual) if comparable else None,
        wasserstein=moved,
        missing_share=missing / max(present + missing, 1),
        unseen_share=_outside(live, present),
        rows=present + missing,
    )


def _compare_text(column: TextReference, counts: Counts) -> ColumnDrift:
    others, unseen, missing = (int(count) for count in counts[-3:])
    live = np.append(counts[:-3], others + unseen)
    present = int(live.sum())
    before = column.rows - column.missing
    return ColumnDrift(
        name=column.name,
        psi=psi(
            _smoothed(np.append(np.array(column.shares) * before, column.missing)), _smoothed(np.append(live, missing))
        ),
        ks=None,
        wasserstein=None,
        missing_share=missing / max(present + missing, 1),
        unseen_share=None if column.known is None or not present else unseen / present,
        rows=present + missing,
    )


def _tenths(shares: Floats) -> Counts:
    """Number the cells by the group they are in: about a tenth of the reference each, without empty groups."""
    upper = np.cumsum(shares)
    tenths = np.clip(np.ceil(upper * PSI_GROUPS - 1e-9).astype(np.int64) - 1, 0, PSI_GROUPS - 1)
    # The cell below all of training belongs to the first group that has values.
    first = int(np.argmax(shares > 0))
    tenths[:first] = tenths[first]
    numbered: Counts = np.unique(tenths, return_inverse=True)[1].astype(np.int64)
    return numbered


def _smoothed(counts: Sequence[float] | Floats | Counts) -> Floats:
    """Shares with half a row added to each group, so that an empty one is no infinite surprise.

    Source: Krichevsky and Trofimov, IEEE Trans. Inf. Theory 27 (1981).
    """
    raised = np.asarray(counts, dtype=np.float64) + 0.5
    shares: Floats = raised / raised.sum()
    return shares


def _outside(live: Counts, present: int) -> float | None:
    if not present:
        return None
    return 1.0 if len(live) == 1 else float(live[0] + live[-1]) / present
