"""What the readers of files have in common: what they are told, what they found, which rows they refused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO, Protocol

from lepton.core.columns import ColumnType
from lepton.core.errors import InvalidInput

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import polars as pl

REPORTED_ROWS = 100_000
"""How many rejected rows a report lists; all of them are counted."""


@dataclass(frozen=True)
class ReadOptions:
    """What the user said about a file; None means: find out. See `records.ImportOptions` for the fields."""

    format: str | None = None
    separator: str | None = None
    encoding: str | None = None
    header: bool | None = None
    file_name: str | None = None


@dataclass(frozen=True)
class Detected:
    """How a file was read.

    Attributes:
        format: ``csv``, ``tsv``, ``parquet`` or ``jsonl``.
        separator: The character between fields; None if there is only one column, or the format has none.
        encoding: The character encoding; None for Parquet.
        header: Whether the first row named the columns; None unless CSV or TSV.
        quote: The quoting character; None if quotes were taken as part of the text.
    """

    format: str
    separator: str | None = None
    encoding: str | None = None
    header: bool | None = None
    quote: str | None = None


@dataclass(frozen=True)
class Rejected:
    """A row that was not taken: the line it starts on (the row's number in Parquet), from 1, and why."""

    line: int
    reason: str


@dataclass
class Rejections:
    """Collects rejected rows: the first `REPORTED_ROWS` of them, and their number."""

    rows: list[Rejected] = field(default_factory=list)
    total: int = 0

    def add(self, rejected: Sequence[Rejected]) -> None:
        """Take note of more rows."""
        self.total += len(rejected)
        self.rows.extend(rejected[: REPORTED_ROWS - len(self.rows)])

    def check_share(self, kept: int) -> None:
        """Refuse the file if more of it was rejected than kept, or if nothing was kept.

        Raises:
            InvalidInput: with the first reason.
        """
        if self.total > kept:
            first = min(self.rows, key=lambda row: row.line)
            raise InvalidInput(
                f"{self.total} of {self.total + kept} rows cannot be read, the first on line {first.line}: "
                f"{first.reason}. Check the separator, the encoding and the quotes of the file, or name them."
            )
        if kept == 0:
            raise InvalidInput("The file has no rows. Import a file with at least one row of data.")


@dataclass(frozen=True)
class TextBatch:
    """Some rows as text, in order.

    Attributes:
        frame: All columns as strings, exactly as they stand in the file.
        lines: Line each row starts on, shape (rows,).
        rejected: Rows among them that could not be taken apart.
    """

    frame: pl.DataFrame
    lines: npt.NDArray[np.int64]
    rejected: Sequence[Rejected]


class TextTable(Protocol):
    """A file whose values are text, and whose types have to be found."""

    @property
    def detected(self) -> Detected:
        """How the file is read."""

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns; complete once `batches` has been read to its end."""

    @property
    def textual(self) -> frozenset[str]:
        """Columns whose values were marked as text by the file, so that ``"94110"`` is no number."""

    def batches(self) -> Iterator[TextBatch]:
        """Read the file from its start; can be called again."""


class Reading(Protocol):
    """A file that is open for import."""

    @property
    def detected(self) -> Detected:
        """How the file is read."""

    @property
    def types(self) -> dict[str, ColumnType]:
        """Type of each column, in order."""

    @property
    def rejections(self) -> Rejections:
        """Complete once `frames` has been read to its end."""

    def frames(self) -> Iterator[pl.DataFrame]:
        """Yield the rows that were taken, each column in the type of `types`.

        Raises:
            InvalidInput: at the end, if most rows were rejected or there were none.
        """


def unique_names(cells: Sequence[str]) -> tuple[str, ...]:
    """Make column names out of the cells of a header: ``column_<n>`` for empty ones, ``_2`` … for repeated ones."""
    stripped = [" ".join(cell.split()) or f"column_{number}" for number, cell in enumerate(cells, start=1)]
    taken = set(stripped)
    names: list[str] = []
    used: set[str] = set()
    for name in stripped:
        candidate, number = name, 2
        while candidate in used or (number > 2 and candidate in taken):
            candidate, number = f"{name}_{number}", number + 1
        used.add(candidate)
        names.append(candidate)
    return tuple(names)


def check_columns(count: int, limit: int = 10_000) -> None:
    """Refuse tables so wide that it must be a mistake.

    Raises:
        InvalidInput: if there are more than `limit` columns.
    """
    if count > limit:
        raise InvalidInput(
            f"The file has {count} columns; at most {limit} can be imported. Check the separator, or turn the table "
            "so that what repeats is in rows."
        )


def size_of(source: BinaryIO) -> int:
    """Return the size of a stream in bytes and leave it at its start."""
    size = source.seek(0, 2)
    source.seek(0)
    return size
