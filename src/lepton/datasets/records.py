"""The words of datasets: versions, what one may read of them, and what an import is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from lepton.core.refs import Ref
from lepton.datasets.documents import Description
from lepton.datasets.profile import ColumnProfile
from lepton.datasets.reading import Detected, ReadOptions, Rejected
from lepton.datasets.report import StepReport
from lepton.datasets.schema import Column, Schema
from lepton.datasets.steps import Recipe
from lepton.store.tables import Table

if TYPE_CHECKING:
    import polars as pl

MadeBy = Literal["import", "clean", "split", "predict"]
"""The verb that made a version."""

Cell = str | int | float | bool | None
"""A value as JSON carries it; dates and times in ISO 8601."""


@dataclass(frozen=True)
class ImportOptions:
    """What the user says about a file; None means: find out.

    Attributes:
        name: Name of the dataset; a name that exists gets a new version.
        project: Where it goes.
        format: ``csv``, ``tsv``, ``parquet`` or ``jsonl``.
        separator: One ASCII character between the fields of a CSV.
        encoding: Name of a character encoding, such as ``utf-8`` or ``cp1252``.
        header: Whether the first row of a CSV names the columns.
        personal: Columns that hold personal data.
        secret: Columns only owners may read.
        file_name: How the file was called; only its ending is looked at.
    """

    name: str
    project: str = "default"
    format: str | None = None
    separator: str | None = None
    encoding: str | None = None
    header: bool | None = None
    personal: tuple[str, ...] = ()
    secret: tuple[str, ...] = ()
    file_name: str | None = None

    @property
    def reading(self) -> ReadOptions:
        """The part that is about the file alone."""
        return ReadOptions(self.format, self.separator, self.encoding, self.header, self.file_name)


@dataclass(frozen=True)
class DatasetVersion:
    """One immutable version of a dataset.

    Attributes:
        id: ULID; also the id of its table.
        project: Where it is.
        name: Name of the dataset.
        version: Number, from 1; never used again after deletion.
        rows: Number of rows.
        columns: Number of columns.
        size_bytes: What its encrypted files take.
        created_at: When it was committed.
        created_by: Name of the user.
        run_id: The run that made it.
        parent: Ref of the version it was made from, None for an import.
        made_by: The verb that made it.
    """

    id: str
    project: str
    name: str
    version: int
    rows: int
    columns: int
    size_bytes: int
    created_at: datetime
    created_by: str
    run_id: str
    parent: str | None
    made_by: MadeBy

    @property
    def ref(self) -> str:
        """``name@version``."""
        return f"{self.name}@{self.version}"


@dataclass(frozen=True)
class DatasetSummary:
    """A dataset in the list: its versions, newest first."""

    name: str
    latest: int
    versions: tuple[DatasetVersion, ...]


@dataclass(frozen=True)
class DatasetDetail:
    """One version with its columns, as the reader may see them, and its sisters, newest first."""

    version: DatasetVersion
    schema: tuple[Column, ...]
    versions: tuple[DatasetVersion, ...]


@dataclass(frozen=True)
class DatasetProfile:
    """What the values look like, and the cleaning they seem to need."""

    version: DatasetVersion
    columns: tuple[ColumnProfile, ...]
    duplicate_rows: int
    suggested_recipe: Recipe


@dataclass(frozen=True)
class RowsPage:
    """Some rows in order; values of masked columns are None."""

    columns: tuple[str, ...]
    rows: list[list[Cell]]
    total: int
    masked: tuple[str, ...]


@dataclass(frozen=True)
class DatasetReport:
    """How a version came to be.

    Attributes:
        version: The version.
        recipe: The recipe that made it; values of masked columns are left out. None unless cleaned.
        steps: What each step changed.
        rejected: Rows of the file that were not taken: line and reason. At most `reading.REPORTED_ROWS` of them.
        rejected_total: How many there are.
        detected: How the file was read; None unless imported.
    """

    version: DatasetVersion
    recipe: Recipe | None
    steps: tuple[StepReport, ...]
    rejected: tuple[Rejected, ...]
    rejected_total: int
    detected: Detected | None


@dataclass(frozen=True)
class Export:
    """A dataset on its way out.

    Attributes:
        chunks: The bytes of the file.
        file_name: How to call it.
        media_type: What it is.
        left_out: Columns the actor may not read, which are not in it.
    """

    chunks: Iterator[bytes]
    file_name: str
    media_type: str
    left_out: tuple[str, ...]


@dataclass(frozen=True)
class OpenDataset:
    """A version opened for reading in a worker.

    Attributes:
        version: The version.
        schema: Its columns; `schema.visible` are those the actor may read.
    """

    version: DatasetVersion
    schema: Schema
    _scan: Callable[[Sequence[str], tuple[int, int] | None], pl.LazyFrame] = field(repr=False)

    @property
    def ref(self) -> Ref:
        """The exact version."""
        return Ref(self.version.name, self.version.version)

    def scan(self, columns: Sequence[str] | None = None, *, rows: tuple[int, int] | None = None) -> pl.LazyFrame:
        """Read columns lazily, in the order asked for; None means all the actor may read.

        With ``rows``, only the rows from the first to before the end; a slice of the plan would decode all before it.

        Raises:
            InvalidInput: if a column does not exist.
            Forbidden: if the actor may not read a column.
        """
        return self._scan(self.schema.visible if columns is None else columns, rows)


@dataclass(frozen=True)
class Upload:
    """A file that was taken in: the id its key is under, and its blob."""

    id: str
    blob_id: str


@dataclass(frozen=True)
class Draft:
    """A stored table that is to become a version.

    Attributes:
        name: Name of the dataset.
        table: The stored table.
        description: What is kept besides it.
        made_by: The verb that makes it.
        parent: Ref of the version it was made from.
        upload: The file it was read from.
    """

    name: str
    table: Table
    description: Description
    made_by: MadeBy
    parent: str | None = None
    upload: Upload | None = None
