"""Finds the features of a model in its training rows, in passes that hold little of them in memory."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from lepton.core.columns import ColumnType
from lepton.core.errors import InvalidInput
from lepton.models.features import (
    CategoryFeature,
    Column,
    Feature,
    Features,
    NumberFeature,
    TokensFeature,
    WordsFeature,
    number_expression,
    text_expression,
)

if TYPE_CHECKING:
    import polars as pl

MAX_CATEGORIES = 100
"""Most categories of one text column; rarer ones count as unknown."""
WORD_ROWS = 100_000
"""Most rows in which words are looked for, evenly spread over the table."""

_COLUMNS_AT_ONCE = 16  # these are in memory together
_BATCH_ROWS = 4096


def fit_features(
    rows: pl.LazyFrame, columns: Sequence[Column], *, named: bool = False, tokens: int = 0, keep_constant: bool = False
) -> Features:
    """Fit features to the training rows.

    Args:
        rows: The training rows.
        columns: Columns on offer, without the target.
        named: Whether the user asked for exactly these columns; then one that cannot be used is an error.
        tokens: How many words of a free text to keep in their order; 0 takes it as a bag of words.
        keep_constant: Whether columns of numbers that tell nothing stay, for models that want them in their places:
            a picture's pixels.

    Raises:
        InvalidInput: if no column can be used, or one that was asked for cannot.
    """
    found: dict[str, Feature | str] = {}
    numbers = [c for c in columns if c.type in (ColumnType.NUMBER, ColumnType.INTEGER, ColumnType.BOOLEAN)]
    for group in _groups(numbers, _COLUMNS_AT_ONCE):
        found |= _fit_numbers(rows, group, keep_constant)
    texts = [c for c in columns if c.type is ColumnType.TEXT]
    if texts:
        found |= _fit_texts(rows, texts, tokens)
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


def only(rows: pl.LazyFrame, names: Sequence[str], chosen: npt.NDArray[np.bool_]) -> pl.LazyFrame:
    """Return the chosen ones of the rows of a table with these columns."""
    import polars as pl

    mark = "chosen"
    while mark in names:
        mark += "_"
    return pl.concat([rows, pl.LazyFrame({mark: chosen})], how="horizontal").filter(pl.col(mark)).drop(mark)


def _fit_numbers(rows: pl.LazyFrame, columns: Sequence[Column], keep_constant: bool) -> dict[str, Feature | str]:
    wanted = [number_expression(column).alias(str(index)) for index, column in enumerate(columns)]
    frame = rows.select(wanted).collect(engine="streaming")
    return {
        column.name: _number(column, frame.height, frame[str(index)].drop_nulls().to_numpy(), keep_constant)
        for index, column in enumerate(columns)
    }


def _number(column: Column, rows: int, present: npt.NDArray[np.float64], keep_constant: bool) -> Feature | str:
    if keep_constant and (not len(present) or present.min() == present.max()):
        only = float(present[0]) if len(present) else 0.0
        return NumberFeature(column, only, only, 1.0)
    if not len(present):
        return f"Column {column.name!r} has no values in the training rows."
    if present.min() == present.max():
        return f"Column {column.name!r} has one and the same value in all training rows."
    # NumPy adds up in the same order every time; the streaming engine in that in which its threads are done.
    with np.errstate(over="ignore", invalid="ignore"):
        median, average, spread = float(np.median(present)), float(present.mean()), float(present.var())
    # The mean and spread of the column as it is after filling in, from those of the values that are there.
    share = len(present) / rows
    mean = share * average + (1 - share) * median
    moved, filled = average - mean, median - mean
    # Products, as a power of floats raises where a product is infinite.
    variance = share * (spread + moved * moved) + (1 - share) * filled * filled
    std = math.sqrt(variance) if variance > 0 else 0.0
    if not math.isfinite(mean) or not math.isfinite(std) or std <= abs(mean) * 1e-14:
        return f"Column {column.name!r} has values too large, or too close together, to be scaled."
    return NumberFeature(column, median, mean, std)


def _fit_texts(rows: pl.LazyFrame, columns: Sequence[Column], tokens: int) -> dict[str, Feature | str]:
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
            found[column.name] = _words(rows, column, sketch["rows"], tokens)
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


def _words(rows: pl.LazyFrame, column: Column, count: int, tokens: int) -> Feature | str:
    from lepton.models.words import MIN_ROWS_WITH_WORD, find_words

    some = rows.select(text_expression(column).alias("text")).gather_every(-(-count // WORD_ROWS))
    words = find_words(
        np.array(batch["text"].to_list(), dtype=object)
        for batch in some.collect_batches(chunk_size=_BATCH_ROWS, maintain_order=True, engine="streaming")
    )
    if not words:
        return (
            f"Column {column.name!r} is an identifier rather than a text or a category: nearly all its values differ, "
            f"and no word of theirs is in {MIN_ROWS_WITH_WORD} rows."
        )
    return TokensFeature(column, words, tokens) if tokens else WordsFeature(column, words)


def _groups(columns: Sequence[Column], size: int) -> Iterable[Sequence[Column]]:
    return (columns[start : start + size] for start in range(0, len(columns), size))
