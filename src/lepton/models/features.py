"""What a model learns about each column before it predicts: how to fill it in, scale it, spell it out.

Plain descriptions. `fitting.py` finds them in the training rows; `graph.py` writes them as ONNX, which is the only
thing that ever applies them, in training and in serving.

* number, integer, boolean: a missing value becomes the median, then (x − mean) / std.
* text with few values: one column for each category (0 or 1); a missing value is a category of its own if training
  rows had one; unknown values are all zeros.
* free text: one column for each of the words that are in the most texts (0 or 1); or, for networks that read, the
  numbers of its words in their order.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lepton.core.columns import ColumnClass, ColumnType
from lepton.models.signature import Input

if TYPE_CHECKING:
    import polars as pl


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


@dataclass(frozen=True)
class WordsFeature:
    """A column of free text: 1 where the text holds a word, else 0; a missing text holds none."""

    column: Column
    words: tuple[str, ...]

    @property
    def width(self) -> int:
        """How many columns it makes."""
        return len(self.words)

    @property
    def names(self) -> tuple[str, ...]:
        """What those columns mean."""
        return tuple(f"{self.column.name} has {word}" for word in self.words)


@dataclass(frozen=True)
class TokensFeature:
    """A column of free text: the numbers of its first words, 0 where there are no more, 1 for a word nobody knows.

    Attributes:
        words: Known words; their numbers begin at 2.
        length: How many words of a text count.
    """

    column: Column
    words: tuple[str, ...]
    length: int

    @property
    def width(self) -> int:
        """How many columns it makes."""
        return self.length

    @property
    def names(self) -> tuple[str, ...]:
        """What those columns mean."""
        return tuple(f"{self.column.name} word {number}" for number in range(1, self.length + 1))


Feature = NumberFeature | CategoryFeature | WordsFeature | TokensFeature


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
    def words(self) -> tuple[WordsFeature, ...]:
        """The features of free text as a bag of words; they follow the categories."""
        return tuple(item for item in self.items if isinstance(item, WordsFeature))

    @property
    def tokens(self) -> tuple[TokensFeature, ...]:
        """The features of free text as a sequence of words; they come last."""
        return tuple(item for item in self.items if isinstance(item, TokensFeature))

    @property
    def made(self) -> tuple[Feature, ...]:
        """The features in the order of the columns they make."""
        return (*self.numbers, *self.categories, *self.words, *self.tokens)

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


def number_expression(column: Column) -> pl.Expr:
    """Read a column as float64, with null for what is missing or not finite."""
    import polars as pl

    value = pl.col(column.name).cast(pl.Float64)
    return pl.when(value.is_finite()).then(value)


def text_expression(column: Column) -> pl.Expr:
    """Read a column as text, with ``""`` for what is missing."""
    import polars as pl

    return pl.col(column.name).cast(pl.String).fill_null("")
