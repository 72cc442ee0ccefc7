"""What the values of a dataset look like: counts, moments, quantiles, histograms, frequent values, warnings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lepton.core.columns import ColumnClass, ColumnType


@dataclass(frozen=True)
class Histogram:
    """Counts of values in bins of equal width; bin i is [edges[i], edges[i+1]), the last one closed."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True)
class TopValue:
    """A frequent value and how often it is there."""

    value: str | int | float | bool
    count: int


@dataclass(frozen=True)
class ColumnProfile:
    """Statistics of one column, missing values left out.

    For a reader who may not see its values all but name, type and class is None or empty, and `masked` is set.
    """

    name: str
    type: ColumnType
    column_class: ColumnClass
    masked: bool = False
    nulls: int | None = None
    distinct: int | None = None
    mean: float | None = None
    std: float | None = None
    min: float | int | str | None = None
    max: float | int | str | None = None
    quantiles: Mapping[str, float] | None = None
    histogram: Histogram | None = None
    top_values: tuple[TopValue, ...] | None = None
    warnings: tuple[str, ...] = ()
