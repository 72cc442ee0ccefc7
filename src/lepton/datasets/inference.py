"""Types of text columns: which type the values of a column have, and their conversion to it.

A column has a type if nearly all of its values fit it; the rows with the few values that don't are rejected.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from lepton.core.columns import ColumnType
from lepton.datasets.reading import Rejected, TextBatch

if TYPE_CHECKING:
    import polars as pl

FITTING_SHARE = 0.95
"""A column has a type if this share of its values fits it, and if it has few values, all of them."""
_FEW_VALUES = 20

_MARKERS = ("", "na", "n/a", "nan", "null", "none", "?", "-")
MISSING_MARKERS = tuple(
    "".join(letters) for marker in _MARKERS for letters in itertools.product(*({c, c.upper()} for c in marker))
)
"""What stands for a missing value, blanks around it aside, in any case."""

_LEADING_ZERO = r"^[+-]?0\d+$"
_DIGITS = r"^[+-]?\d+$"
_COMMA_NUMBER = r"^[+-]?(\d+(,\d*)?|,\d+)([eE][+-]?\d+)?$"
_DATE = r"^\d{4}-\d{2}-\d{2}$"
_DATETIME = r"^\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}(:\d{2}([.,]\d{1,9})?)?( ?([Zz]|[+-]\d{2}:?\d{2}))?$"
_ZONE = r" ?(?:[Zz]|(?P<sign>[+-])(?P<hours>\d{2}):?(?P<minutes>\d{2}))$"

_EXPECTED = {
    ColumnType.INTEGER: "a whole number",
    ColumnType.NUMBER: "a number",
    ColumnType.BOOLEAN: "true or false",
    ColumnType.DATE: "a date like 2026-01-31",
    ColumnType.DATETIME: "a time like 2026-01-31 12:00:00",
    ColumnType.TEXT: "text",
}


@dataclass
class Evidence:
    """How many values of one column fit which type."""

    seen: int = 0
    integers: int = 0
    numbers: int = 0
    comma_numbers: int = 0
    booleans: int = 0
    dates: int = 0
    datetimes: int = 0
    has_codes: bool = False

    def add(self, values: pl.Series) -> None:
        """Count the values of one batch."""
        trimmed = trim(values).drop_nulls()
        self.seen += len(trimmed)
        is_number = _to_number(trimmed).is_not_null()
        numbers, others = trimmed.filter(is_number), trimmed.filter(~is_number)
        integers = _to_integer(numbers)
        self.numbers += len(numbers)
        self.integers += len(integers) - integers.null_count()
        is_code = numbers.str.contains(_LEADING_ZERO) | (integers.is_null() & numbers.str.contains(_DIGITS))
        self.has_codes = self.has_codes or bool(is_code.any())
        self.comma_numbers += int(others.str.contains(_COMMA_NUMBER).sum()) + len(numbers)
        self.booleans += int(others.str.to_lowercase().is_in(["true", "false"]).sum())
        self.dates += _count(to_date(others.filter(others.str.contains(_DATE))))
        self.datetimes += _count(to_datetime(others.filter(others.str.contains(_DATETIME))))

    def fits(self, count: int) -> bool:
        """Whether `count` of the values seen are enough to set the type."""
        return self.seen > 0 and count >= (FITTING_SHARE * self.seen if self.seen >= _FEW_VALUES else self.seen)


@dataclass(frozen=True)
class Plan:
    """How to convert one column."""

    type: ColumnType
    has_decimal_comma: bool = False


@dataclass
class Inference:
    """Finds the types of all columns from batches of rows.

    Attributes:
        allow_decimal_comma: Whether ``1,5`` can be a number: not where commas separate.
    """

    allow_decimal_comma: bool = False
    _columns: dict[str, Evidence] = field(default_factory=dict)

    def add(self, frame: pl.DataFrame) -> None:
        """Look at one more batch."""
        for column in frame:
            self._columns.setdefault(column.name, Evidence()).add(column)

    def plans(self, names: Iterable[str], textual: frozenset[str]) -> dict[str, Plan]:
        """Decide how to convert each column; `textual` ones hold text even if it looks like numbers."""
        return {name: self._plan(self._columns.get(name, Evidence()), name in textual) for name in names}

    def _plan(self, seen: Evidence, is_textual: bool) -> Plan:
        if not is_textual:
            if seen.fits(seen.booleans):
                return Plan(ColumnType.BOOLEAN)
            if seen.fits(seen.numbers) and not seen.has_codes:
                return Plan(ColumnType.INTEGER if seen.integers == seen.numbers else ColumnType.NUMBER)
            if self.allow_decimal_comma and seen.fits(seen.comma_numbers) and not seen.has_codes:
                return Plan(ColumnType.NUMBER, has_decimal_comma=True)
        if seen.fits(seen.dates + seen.datetimes):
            return Plan(ColumnType.DATE if not seen.datetimes else ColumnType.DATETIME)
        return Plan(ColumnType.TEXT)


def convert_batch(batch: TextBatch, plans: Mapping[str, Plan]) -> tuple[pl.DataFrame, list[Rejected]]:
    """Convert the columns of a batch; return the rows of which every value fits, and the others."""
    import polars as pl

    columns: list[pl.Series] = []
    rejected: dict[int, str] = {}
    for name, plan in plans.items():
        text = (
            batch.frame[name] if name in batch.frame.columns else pl.Series(name, [None] * len(batch.lines), pl.String)
        )
        trimmed = trim(text)
        values = _convert(text, trimmed, plan)
        misfit = values.is_null() & trimmed.is_not_null()
        if misfit.any():
            reason = f"column {name!r} holds what is not {_EXPECTED[plan.type]}"
            for row in misfit.arg_true().to_list():
                rejected.setdefault(row, reason)
        columns.append(values.alias(name))
    frame = pl.DataFrame(columns)
    if rejected:
        frame = frame.filter(~_mask(len(batch.lines), rejected))
    return frame, [Rejected(int(batch.lines[row]), reason) for row, reason in sorted(rejected.items())]


def trim(values: pl.Series) -> pl.Series:
    """Take blanks off both ends, and make missing what stands for a missing value."""
    trimmed = values.str.strip_chars()
    return _without(trimmed, trimmed.is_in(MISSING_MARKERS))


def _convert(text: pl.Series, trimmed: pl.Series, plan: Plan) -> pl.Series:
    if plan.type is ColumnType.TEXT:
        return _without(text, trimmed.is_null())
    return text_to(trimmed, plan.type, has_decimal_comma=plan.has_decimal_comma)


def text_to(trimmed: pl.Series, kind: ColumnType, *, has_decimal_comma: bool = False) -> pl.Series:
    """Read trimmed texts as values of a type; what does not fit becomes missing."""
    import polars as pl

    if kind is ColumnType.INTEGER:
        return _to_integer(trimmed)
    if kind is ColumnType.NUMBER:
        return _to_number(trimmed.str.replace(",", ".", literal=True) if has_decimal_comma else trimmed)
    if kind is ColumnType.BOOLEAN:
        return trimmed.str.to_lowercase().replace_strict(
            ["true", "false"], [True, False], default=None, return_dtype=pl.Boolean
        )
    if kind is ColumnType.DATE:
        return to_date(trimmed)
    if kind is ColumnType.DATETIME:
        return to_datetime(trimmed)
    return trimmed


def to_date(trimmed: pl.Series) -> pl.Series:
    """Read ISO 8601 dates."""
    return _without(trimmed, ~trimmed.str.contains(_DATE)).str.to_date("%Y-%m-%d", strict=False)


def to_datetime(trimmed: pl.Series) -> pl.Series:
    """Read ISO 8601 times, to UTC; a date alone is its midnight, a time without a zone is taken as UTC."""
    import polars as pl

    text = pl.col("text")
    zone = text.str.extract_groups(_ZONE).struct
    offset = zone.field("sign").replace_strict({"+": 1, "-": -1}, default=0, return_dtype=pl.Int64) * (
        zone.field("hours").cast(pl.Int64).fill_null(0) * 60 + zone.field("minutes").cast(pl.Int64).fill_null(0)
    )
    local = text.str.replace(_ZONE, "").str.replace("[Tt]", " ").str.replace(",", ".", literal=True)
    length = local.str.len_bytes()
    whole = (
        pl.when(length == 10).then(local + " 00:00:00").when(length == 16).then(local + ":00").otherwise(local)
    ).str.to_datetime("%Y-%m-%d %H:%M:%S%.f", time_unit="us", strict=False)
    is_time = text.str.contains(_DATETIME) | text.str.contains(_DATE)
    frame = pl.DataFrame({"text": trimmed})
    return frame.select(pl.when(is_time).then(whole - pl.duration(minutes=offset))).to_series().alias(trimmed.name)


def _to_integer(trimmed: pl.Series) -> pl.Series:
    import polars as pl

    return trimmed.cast(pl.Int64, strict=False)


def _to_number(trimmed: pl.Series) -> pl.Series:
    import polars as pl

    numbers = trimmed.cast(pl.Float64, strict=False)
    return _without(numbers, ~numbers.is_finite())


def _without(values: pl.Series, where: pl.Series) -> pl.Series:
    import polars as pl

    return pl.select(pl.when(where.fill_null(False)).then(None).otherwise(values)).to_series().alias(values.name)


def _count(values: pl.Series) -> int:
    return len(values) - values.null_count()


def _mask(rows: int, chosen: Iterable[int]) -> pl.Series:
    import polars as pl

    mask: npt.NDArray[np.bool_] = np.zeros(rows, dtype=np.bool_)
    mask[list(chosen)] = True
    return pl.Series(mask)
