"""What the values of a dataset look like: counts, moments, quantiles, histograms, frequent values, warnings.

One column is in memory at a time.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from lepton.core.columns import ColumnClass, ColumnType
from lepton.datasets.hints import Hints, label_hints, number_hints
from lepton.datasets.schema import NUMERIC, Column

if TYPE_CHECKING:
    import polars as pl

QUANTILES = (0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99)
BINS = 20
TOP_VALUES = 10
MAX_CATEGORIES = 100
"""A text column with more different values than this holds free text or identifiers rather than categories."""

_MAX_TOP_CHARACTERS = 200
_MAX_NUMERIC_CATEGORIES = 50
_FAR_IQR = 3.0
_MOSTLY_MISSING = 0.5
_ENOUGH_ROWS = 20
_IDENTIFIER = re.compile(r"(.*[\W_])?(id|uuid|guid|key|index|nr|no)", re.IGNORECASE)


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

    Attributes:
        std: Sample standard deviation (n - 1).
        min: Least value; dates in ISO 8601; None for text.
        max: Greatest value, like `min`.
        quantiles: By probability, such as ``"0.25"``, with linear interpolation.
        top_values: The most frequent values, most frequent first; long texts cut.
        warnings: Sentences without any value of the data.
        reference: Quantiles at 0, 0.01 … 1, kept to compare later data with.
        hints: What speaks for cleaning.
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
    reference: tuple[float, ...] = ()
    hints: Hints = field(default_factory=Hints)

    def to_json(self) -> dict[str, Any]:
        """Return the profile as JSON; `from_json` reads it."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ColumnProfile:
        """Read what `to_json` made."""
        histogram, top = data["histogram"], data["top_values"]
        nested = {
            "type": ColumnType(data["type"]),
            "column_class": ColumnClass(data["column_class"]),
            "histogram": histogram and Histogram(tuple(histogram["edges"]), tuple(histogram["counts"])),
            "top_values": None if top is None else tuple(TopValue(**value) for value in top),
            "warnings": tuple(data["warnings"]),
            "reference": tuple(data["reference"]),
            "hints": Hints(**data["hints"]),
        }
        return cls(**{**data, **nested})


def profile_columns(
    columns: Sequence[Column], read: Callable[[str], pl.Series], *, on_column: Callable[[int], None] = lambda _: None
) -> tuple[ColumnProfile, ...]:
    """Profile columns one after the other.

    Args:
        columns: The columns.
        read: Returns the values of a column by name.
        on_column: Called with the number of columns done.
    """
    profiles = []
    for number, column in enumerate(columns, start=1):
        profiles.append(profile_column(column, read(column.name)))
        on_column(number)
    return tuple(profiles)


def profile_column(column: Column, values: pl.Series) -> ColumnProfile:
    """Profile one column."""
    present = values.drop_nulls()
    profile = ColumnProfile(
        name=column.name,
        type=column.type,
        column_class=column.column_class,
        nulls=len(values) - len(present),
        distinct=present.n_unique(),
    )
    if not len(present):
        return replace(profile, warnings=("All values are missing.",) if len(values) else ())
    if column.type in NUMERIC:
        profile = _with_numbers(profile, present)
    elif column.type in (ColumnType.DATE, ColumnType.DATETIME):
        ordered = present.sort()
        profile = replace(profile, min=ordered[0].isoformat(), max=ordered[-1].isoformat())
    elif column.type is ColumnType.TEXT:
        profile = replace(profile, hints=label_hints(present))
    if column.type not in NUMERIC or (profile.distinct or 0) <= _MAX_NUMERIC_CATEGORIES:
        profile = replace(profile, top_values=_top_values(present))
    return replace(profile, warnings=tuple(_warnings(profile, present)))


def count_duplicates(frame: pl.LazyFrame) -> int:
    """Count the rows that are equal to an earlier one in all columns."""
    import polars as pl

    if not frame.collect_schema().names():
        return 0
    lengths = [frame.select(pl.len()), frame.unique().select(pl.len())]
    rows, different = (int(length.collect(engine="streaming").item()) for length in lengths)
    return rows - different


def _with_numbers(profile: ColumnProfile, present: pl.Series) -> ColumnProfile:
    values: npt.NDArray[np.float64] = present.to_numpy().astype(np.float64)
    with np.errstate(over="ignore", invalid="ignore"):  # numbers near 1e308 have no finite spread
        low, high = float(values.min()), float(values.max())
        reference = np.quantile(values, np.linspace(0, 1, 101))
        quantiles = np.quantile(values, QUANTILES)
        mean, std = float(values.mean()), float(values.std(ddof=1)) if len(values) > 1 else 0.0
    is_whole = profile.type is ColumnType.INTEGER
    return replace(
        profile,
        mean=_finite(mean),
        std=_finite(std),
        min=int(present.min()) if is_whole else low,  # type: ignore[arg-type] # numbers all
        max=int(present.max()) if is_whole else high,  # type: ignore[arg-type]
        quantiles={f"{p:g}": float(q) for p, q in zip(QUANTILES, quantiles, strict=True)},
        histogram=_histogram(values, low, high),
        reference=tuple(reference.tolist()),
        hints=number_hints(values),
    )


def _histogram(values: npt.NDArray[np.float64], low: float, high: float) -> Histogram | None:
    if not math.isfinite(high - low):
        return None
    try:
        counts, edges = np.histogram(values, bins=BINS if high > low else 1, range=(low, high))
    except ValueError:  # so narrow that floats cannot tell the bins apart
        return Histogram((low, high), (len(values),))
    return Histogram(tuple(edges.tolist()), tuple(counts.tolist()))


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _top_values(present: pl.Series) -> tuple[TopValue, ...]:
    import polars as pl

    counts = present.alias("value").value_counts().sort("count", "value", descending=[True, False]).head(TOP_VALUES)
    if present.dtype in (pl.Date, pl.Datetime):
        counts = counts.with_columns(pl.col("value").dt.to_string("iso"))
    elif present.dtype == pl.String:
        counts = counts.with_columns(pl.col("value").str.slice(0, _MAX_TOP_CHARACTERS))
    return tuple(TopValue(value, count) for value, count in counts.rows())


def _warnings(profile: ColumnProfile, present: pl.Series) -> list[str]:
    nulls, distinct, count = profile.nulls or 0, profile.distinct or 0, len(present)
    warnings = []
    if nulls > _MOSTLY_MISSING * (nulls + count):
        warnings.append(f"{nulls / (nulls + count):.0%} of the values are missing.")
    if distinct == 1:
        warnings.append("All values are the same.")
    if looks_like_identifier(profile, count):
        warnings.append("Every value is different: it looks like an identifier.")
    elif profile.type is ColumnType.TEXT and distinct > MAX_CATEGORIES:
        warnings.append(f"There are {distinct} different texts, too many to be categories.")
    hints = profile.hints
    if hints.variants:
        differ = "label differs" if hints.variants == 1 else "labels differ"
        warnings.append(f"{hints.variants} {differ} from others only in case or blanks.")
    if hints.low is not None or hints.high is not None:
        warnings.append("A few values look impossible: far from all others, or negative among positive ones.")
    if profile.quantiles is not None:
        share = _far_share(present, profile.quantiles)
        if share > 0:
            warnings.append(f"{share:.2%} of the values lie more than {_FAR_IQR:g} quartile ranges out.")
    return warnings


def looks_like_identifier(profile: ColumnProfile, count: int) -> bool:
    """Whether a column numbers or names the rows rather than describing them."""
    if count < _ENOUGH_ROWS or profile.distinct != count:
        return False
    if profile.type is ColumnType.TEXT:
        return all(len(str(top.value)) < 64 and " " not in str(top.value) for top in profile.top_values or ())
    if profile.type is not ColumnType.INTEGER:
        return False
    is_consecutive = isinstance(profile.min, int) and isinstance(profile.max, int) and profile.max - profile.min < count
    return is_consecutive or _IDENTIFIER.fullmatch(profile.name) is not None


def _far_share(present: pl.Series, quantiles: Mapping[str, float]) -> float:
    q1, q3 = quantiles["0.25"], quantiles["0.75"]
    reach = _FAR_IQR * (q3 - q1)
    if not 0 < reach < math.inf:
        return 0.0
    return float(((present < q1 - reach) | (present > q3 + reach)).mean())  # type: ignore[arg-type] # of booleans
