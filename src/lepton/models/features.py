"""What a model learns about each column before it predicts: how to fill it in, scale it, spell it out.

Plain descriptions, and how to fit them to the training rows. `graph.py` writes them as ONNX, which is the only thing
that ever applies them, in training and in serving.

* number, integer, boolean: a missing value becomes the median, then (x − mean) / std.
* text with few values: one column for each category (0 or 1); a missing value is a category of its own if training
  rows had one; unknown values are all zeros.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lepton.core.columns import ColumnClass, ColumnType
from lepton.core.errors import InvalidInput
from lepton.models.signature import Input

if TYPE_CHECKING:
    import polars as pl

MAX_CATEGORIES = 100
"""Most categories of one text column; rarer ones count as unknown."""

_COLUMNS_AT_ONCE = 16  # medians hold these columns in memory together


@dataclass(frozen=True)
class Column:
    """A column on offer as a feature."""

    name: str
    type: ColumnType
    column_class: ColumnClass = ColumnClass.PLAIN


@dataclass(frozen=True)
class NumberFeature:
    """A column of numbers (or booleans as 0 and 1): fill in `median`, subtract `mean`, divide by `std`."""

    column: Column
    median: float
    mean: float
    std: float

    @property
    def width(self) -> int:
        """How many columns it makes."""
        return 1

    @property
    def names(self) -> tuple[str, ...]:
        """What those columns mean."""
        return (self.column.name,)


@dataclass(frozen=True)
class CategoryFeature:
    """A column of text with few values: 1 where the value equals a category, else 0; ``""`` stands for missing."""

    column: Column
    categories: tuple[str, ...]

    @property
    def width(self) -> int:
        """How many columns it makes."""
        return len(self.categories)

    @property
    def names(self) -> tuple[str, ...]:
        """What those columns mean."""
        return tuple(
            f"{self.column.name} = {value}" if value else f"{self.column.name} missing" for value in self.categories
        )


Feature = NumberFeature | CategoryFeature


@dataclass(frozen=True)
class Features:
    """The fitted features of one model, in the order of the model's inputs.

    Attributes:
        items: One for each column used.
        notes: One sentence for each column left out, saying why.
    """

    items: tuple[Feature, ...]
    notes: tuple[str, ...] = ()

    @property
    def numbers(self) -> tuple[NumberFeature, ...]:
        """The features of numbers; they come first among the columns made."""
        return tuple(item for item in self.items if isinstance(item, NumberFeature))

    @property
    def categories(self) -> tuple[CategoryFeature, ...]:
        """The features of categories; they follow the numbers."""
        return tuple(item for item in self.items if isinstance(item, CategoryFeature))

    @property
    def made(self) -> tuple[Feature, ...]:
        """The features in the order of the columns they make."""
        return (*self.numbers, *self.categories)

    @property
    def width(self) -> int:
        """How many columns the features make together."""
        return sum(item.width for item in self.items)

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The model's inputs."""
        return tuple(
            Input(
                name=item.column.name,
                type=item.column.type,
                column_class=item.column.column_class,
                values=tuple(v for v in item.categories if v) if isinstance(item, CategoryFeature) else None,
            )
            for item in self.items
        )


def fit_features(rows: pl.LazyFrame, columns: Sequence[Column], *, named: bool = False) -> Features:
    """Fit features to the training rows.

    Args:
        rows: The training rows.
        columns: Columns on offer, without the target.
        named: Whether the user asked for exactly these columns; then one that cannot be used is an error.

    Raises:
        InvalidInput: if no column can be used, or one that was asked for cannot.
    """
    found: dict[str, Feature | str] = {}
    numbers = [c for c in columns if c.type in (ColumnType.NUMBER, ColumnType.INTEGER, ColumnType.BOOLEAN)]
    for group in _groups(numbers, _COLUMNS_AT_ONCE):
        found |= _fit_numbers(rows, group)
    texts = [c for c in columns if c.type is ColumnType.TEXT]
    if texts:
        found |= _fit_texts(rows, texts)
    for column in columns:
        if column.name not in found:
            found[column.name] = (
                f"Column {column.name!r} holds {column.type.value} values, which are not supported as features so far. "
                "Cast it to number or text with datasets.clean, or leave it out."
            )
    notes = [note for column in columns if isinstance(note := found[column.name], str)]
    items = [item for column in columns if not isinstance(item := found[column.name], str)]
    if notes and (named or not items):
        raise InvalidInput(notes[0])
    if not items:
        raise InvalidInput("No column is left to predict from. The dataset needs at least one besides the target.")
    return Features(tuple(items), tuple(f"{note} It is left out." for note in notes))


def _fit_numbers(rows: pl.LazyFrame, columns: Sequence[Column]) -> dict[str, Feature | str]:
    import polars as pl

    wanted = []
    for index, column in enumerate(columns):
        value = number_expression(column)
        wanted += [
            value.count().alias(f"count{index}"),
            value.median().alias(f"median{index}"),
            value.mean().alias(f"mean{index}"),
            value.var(ddof=0).alias(f"var{index}"),
            value.min().alias(f"min{index}"),
            value.max().alias(f"max{index}"),
        ]
    row = rows.select(pl.len().alias("rows"), *wanted).collect(engine="streaming").row(0, named=True)
    found: dict[str, Feature | str] = {}
    for index, column in enumerate(columns):
        values = {key: row[f"{key}{index}"] for key in ("count", "median", "mean", "var", "min", "max")}
        found[column.name] = _number(column, row["rows"], values)
    return found


def _number(column: Column, rows: int, found: Mapping[str, Any]) -> Feature | str:
    count = int(found["count"])
    if count == 0:
        return f"Column {column.name!r} has no values in the training rows."
    median = float(found["median"])
    if found["min"] == found["max"]:
        return f"Column {column.name!r} has one and the same value in all training rows."
    # The mean and spread of the column as it is after filling in, from those of the values that are there.
    share = count / rows
    mean = share * float(found["mean"]) + (1 - share) * median
    variance = share * (float(found["var"]) + (float(found["mean"]) - mean) ** 2) + (1 - share) * (median - mean) ** 2
    std = math.sqrt(variance) if variance > 0 else 0.0
    if not math.isfinite(mean) or not math.isfinite(std) or std <= abs(mean) * 1e-14:
        return f"Column {column.name!r} has values too large, or too close together, to be scaled."
    return NumberFeature(column, median, mean, std)


def _fit_texts(rows: pl.LazyFrame, columns: Sequence[Column]) -> dict[str, Feature | str]:
    import polars as pl

    # A sketch first, in little memory: exact counts of a column of free text would hold all of it.
    counts = rows.select(
        pl.len().alias("rows"),
        *(text_expression(c).approx_n_unique().alias(f"distinct{i}") for i, c in enumerate(columns)),
    )
    sketch = counts.collect(engine="streaming").row(0, named=True)
    found: dict[str, Feature | str] = {}
    for index, column in enumerate(columns):
        distinct = int(sketch[f"distinct{index}"])
        if _is_free_text(distinct, sketch["rows"]):
            found[column.name] = (
                f"Column {column.name!r} looks like free text or an identifier ({distinct:,} distinct values in "
                f"{sketch['rows']:,} rows); text columns with up to {MAX_CATEGORIES} categories are supported so far."
            )
        else:
            found[column.name] = _categories(rows, column)
    return found


def _is_free_text(distinct: int, rows: int) -> bool:
    # Counts are estimates within about 3%; a short table of few texts is no free text
    return distinct > 0.9 * rows > 27 or (distinct > 10 * MAX_CATEGORIES and distinct > 0.1 * rows)


def _categories(rows: pl.LazyFrame, column: Column) -> Feature | str:
    import polars as pl

    value = text_expression(column).alias("value")
    frame = (
        rows.select(value)
        .group_by("value")
        .agg(pl.len().alias("count"))
        .sort(["count", "value"], descending=[True, False])
        .head(MAX_CATEGORIES + 1)
        .collect(engine="streaming")
    )
    counted: list[str] = frame["value"].to_list()
    missing = "" in counted
    categories = [value for value in counted if value][:MAX_CATEGORIES]
    if not categories:
        return f"Column {column.name!r} has no values in the training rows."
    if len(categories) == 1 and not missing:
        return f"Column {column.name!r} has one and the same value in all training rows."
    return CategoryFeature(column, (*categories, *([""] if missing else [])))


def number_expression(column: Column) -> pl.Expr:
    """Read a column as float64, with null for what is missing or not finite."""
    import polars as pl

    value = pl.col(column.name).cast(pl.Float64)
    return pl.when(value.is_finite()).then(value)


def text_expression(column: Column) -> pl.Expr:
    """Read a column as text, with ``""`` for what is missing."""
    import polars as pl

    return pl.col(column.name).cast(pl.String).fill_null("")


def _groups(columns: Sequence[Column], size: int) -> Iterable[Sequence[Column]]:
    return (columns[start : start + size] for start in range(0, len(columns), size))
