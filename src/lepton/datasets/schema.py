"""The columns of a dataset: names, types and classes. How types are found in text is in `inference.py`."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lepton.core.columns import ColumnClass, ColumnType
from lepton.core.errors import InvalidInput

if TYPE_CHECKING:
    import polars as pl

NUMERIC = (ColumnType.INTEGER, ColumnType.NUMBER)
"""The types one can calculate with."""

_NAMES_SHOWN = 12


@dataclass(frozen=True)
class Column:
    """One column.

    Attributes:
        name: Its name, unique in the dataset.
        type: What its values are.
        column_class: How sensitive it is.
        nulls: How many values are missing; None where it is not counted or not for the reader.
        distinct: How many different values there are, missing ones left out; None as with `nulls`.
        masked: Whether the reader may not see its values.
    """

    name: str
    type: ColumnType
    column_class: ColumnClass = ColumnClass.PLAIN
    nulls: int | None = None
    distinct: int | None = None
    masked: bool = False


@dataclass(frozen=True)
class Schema:
    """All columns, in order."""

    columns: tuple[Column, ...]

    def __iter__(self) -> Iterator[Column]:
        return iter(self.columns)

    def __len__(self) -> int:
        return len(self.columns)

    def __contains__(self, name: object) -> bool:
        return any(column.name == name for column in self.columns)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of all columns."""
        return tuple(column.name for column in self.columns)

    @property
    def classes(self) -> dict[str, ColumnClass]:
        """Class of each column by name."""
        return {column.name: column.column_class for column in self.columns}

    @property
    def masked(self) -> tuple[str, ...]:
        """Names of the columns whose values the reader may not see."""
        return tuple(column.name for column in self.columns if column.masked)

    @property
    def visible(self) -> tuple[str, ...]:
        """Names of the columns whose values the reader may see."""
        return tuple(column.name for column in self.columns if not column.masked)

    def column(self, name: str) -> Column:
        """Return one column.

        Raises:
            InvalidInput: if there is none of that name; says which there are.
        """
        for column in self.columns:
            if column.name == name:
                return column
        raise InvalidInput(f"There is no column {name[:80]!r}. {suggestion(name, self.names)}")

    def mask(self, readable: Iterable[ColumnClass]) -> Schema:
        """Return the schema for a reader of these classes: statistics of other columns are gone."""
        allowed = frozenset(readable)
        return Schema(
            tuple(
                c if c.column_class in allowed else replace(c, nulls=None, distinct=None, masked=True)
                for c in self.columns
            )
        )

    def to_json(self) -> list[list[str]]:
        """Return names, types and classes as JSON; statistics are kept elsewhere, each under its class's key."""
        return [[c.name, c.type.value, c.column_class.value] for c in self.columns]

    @classmethod
    def from_json(cls, data: Sequence[Sequence[str]]) -> Schema:
        """Read what `to_json` made."""
        return cls(tuple(Column(name, ColumnType(kind), ColumnClass(group)) for name, kind, group in data))


def suggestion(name: str, allowed: Sequence[str]) -> str:
    """Return a sentence that helps somebody who meant one of `allowed` but wrote `name`."""
    close = difflib.get_close_matches(name.lower(), [a.lower() for a in allowed], n=1, cutoff=0.6)
    for candidate in allowed:
        if close and candidate.lower() == close[0]:
            return f"Did you mean {candidate!r}?"
    shown = ", ".join(repr(a) for a in allowed[:_NAMES_SHOWN])
    more = f" and {len(allowed) - _NAMES_SHOWN} more" if len(allowed) > _NAMES_SHOWN else ""
    return f"There are: {shown}{more}." if allowed else "There are none."


def classify(types: Mapping[str, ColumnType], personal: Sequence[str], secret: Sequence[str]) -> Schema:
    """Make the schema of freshly read columns, some of which were declared personal or secret.

    Raises:
        InvalidInput: if a declared column does not exist or is declared as both.
    """
    for name in (*personal, *secret):
        if name not in types:
            raise InvalidInput(f"The file has no column {name[:80]!r} to protect. {suggestion(name, list(types))}")
        if name in personal and name in secret:
            raise InvalidInput(f"Column {name!r} is declared both personal and secret. Keep one of the two.")
    return Schema(
        tuple(
            Column(
                name,
                kind,
                ColumnClass.SECRET
                if name in secret
                else ColumnClass.PERSONAL
                if name in personal
                else ColumnClass.PLAIN,
            )
            for name, kind in types.items()
        )
    )


def strictest(classes: Iterable[ColumnClass]) -> ColumnClass:
    """Return the most sensitive of the classes; plain if there are none."""
    order = list(ColumnClass)
    return max(classes, key=order.index, default=ColumnClass.PLAIN)


def dtype_of(kind: ColumnType) -> pl.DataType | type[pl.DataType]:
    """Return how Polars holds a column type; times are in UTC, without a zone, in microseconds."""
    import polars as pl

    return {
        ColumnType.INTEGER: pl.Int64(),
        ColumnType.NUMBER: pl.Float64(),
        ColumnType.BOOLEAN: pl.Boolean(),
        ColumnType.TEXT: pl.String(),
        ColumnType.DATE: pl.Date(),
        ColumnType.DATETIME: pl.Datetime("us"),
    }[kind]
