"""What in a column speaks for cleaning it; found by `profile.py`, made into steps by `suggest.py`."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import polars as pl

_IMPOSSIBLE_IQR = 10.0
_IMPOSSIBLE_RATIO = 3.0
_RARE_SHARE = 0.02
_TAIL_SHARE = 0.1
_ENOUGH_ROWS = 20
_MAX_LABELS = 1000


@dataclass(frozen=True)
class Hints:
    """What speaks for cleaning a column; `suggest.py` makes steps of it.

    Attributes:
        variants: Labels that differ from another one only in case or in blanks around them.
        has_case_variants: Whether some of them differ in case.
        usual_case: ``lower``, ``upper`` or ``title``: how most labels are written.
        low: Values below this look impossible; None if there are none.
        high: Values above this look impossible; None if there are none.
    """

    variants: int = 0
    has_case_variants: bool = False
    usual_case: str = "lower"
    low: float | None = None
    high: float | None = None


def number_hints(values: npt.NDArray[np.float64]) -> Hints:
    """Find rare values so far from all others that they must be mistakes, and rare negative ones among positive."""
    if len(values) < _ENOUGH_ROWS:
        return Hints()
    q1, median, q3 = np.quantile(values, (0.25, 0.5, 0.75))
    reach = _IMPOSSIBLE_IQR * (q3 - q1)
    low = high = None
    if 0 < reach < math.inf:
        inside = values[(values >= q1 - reach) & (values <= q3 + reach)]
        # A gap must lie between the usual values and the others: what thins out slowly is a long tail.
        far = _IMPOSSIBLE_RATIO * float(np.abs(inside - median).max())
        above, below = values[values > q3 + reach], values[values < q1 - reach]
        if 0 < len(above) <= _RARE_SHARE * len(values) and above.min() > median + far:
            high = _rounded(q3 + reach)
        if 0 < len(below) <= _RARE_SHARE * len(values) and below.max() < median - far:
            low = _rounded(q1 - reach)
    if _has_odd_negatives(values):
        low = 0.0
    return Hints(low=low, high=high)


def _has_odd_negatives(values: npt.NDArray[np.float64]) -> bool:
    """Whether a few negative values stand apart from the positive ones, and are not just the end of their tail."""
    negative, others = values[values < 0], values[values >= 0]
    if not 0 < len(negative) <= _RARE_SHARE * len(values):
        return False
    rare, few = np.quantile(others, (_RARE_SHARE, _TAIL_SHARE))
    least = float(others.min())
    return bool(rare > 0 and least - float(negative.max()) > few - least)


def _rounded(bound: float) -> float:
    return float(f"{bound:.6g}")


def label_hints(present: pl.Series) -> Hints:
    """Find labels that differ from others only in case or in blanks around them, and how most are written."""
    labels = present.value_counts(sort=True)
    name = present.name
    if labels.height > _MAX_LABELS:
        return Hints()
    texts = labels[name]
    trimmed = texts.str.strip_chars()
    same = trimmed.str.to_lowercase().n_unique()
    if same == labels.height:
        return Hints()
    counts = {
        case: int(labels["count"].filter(trimmed == shaped).sum())
        for case, shaped in (
            ("lower", trimmed.str.to_lowercase()),
            ("upper", trimmed.str.to_uppercase()),
            ("title", trimmed.str.to_titlecase()),
        )
    }
    return Hints(
        variants=labels.height - same,
        has_case_variants=trimmed.n_unique() != same,
        usual_case=max(counts, key=lambda case: counts[case]),
    )
