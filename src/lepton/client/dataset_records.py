"""What the platform says of datasets; the verbs are in ``datasets.py``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from lepton.client.answers import Answer, Cell


@dataclass(frozen=True, kw_only=True)
class DatasetVersion(Answer):
    """One immutable version of a dataset.

    Attributes:
        ref: Its address, such as ``cancer@2``.
        parent: The version it was made from; None when imported.
        made_by: ``import``, ``clean``, ``split`` or ``predict``.
    """

    ref: str
    name: str
    version: int
    rows: int
    columns: int
    size_bytes: int
    created_at: datetime
    created_by: str
    run_id: str | None = None
    parent: str | None = None
    made_by: str = "import"


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A dataset and its versions, the newest first."""

    name: str
    latest: int
    versions: tuple[DatasetVersion, ...]


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column of a schema.

    Attributes:
        column_class: ``plain``, ``personal`` or ``secret``.
        masked: Whether its values are hidden from you.
    """

    name: str
    type: str
    column_class: str = field(metadata={"json": "class"})
    nulls: int | None = None
    distinct: int | None = None
    masked: bool = False


@dataclass(frozen=True, kw_only=True)
class DatasetDetail(DatasetVersion):
    """A version with its schema and its sister versions."""

    schema: tuple[Column, ...]
    versions: tuple[DatasetVersion, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Histogram:
    """Counts of values between edges; one edge more than counts."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class TopValue:
    """A frequent value."""

    value: Cell
    count: int


@dataclass(frozen=True, kw_only=True)
class ColumnProfile(Column):
    """What is known of a column's values; None throughout where they are hidden from you."""

    mean: float | None = None
    std: float | None = None
    min: Cell = None
    max: Cell = None
    quantiles: Mapping[str, Cell] | None = None
    histogram: Histogram | None = None
    top_values: tuple[TopValue, ...] | None = None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Cleaning steps, in order; each a mapping with the key ``step``."""

    steps: tuple[Mapping[str, object], ...]


@dataclass(frozen=True, kw_only=True)
class Profile(Answer):
    """What is in a version, column by column, and what to do about it."""

    ref: str
    rows: int
    columns: tuple[ColumnProfile, ...]
    duplicate_rows: int | None = None
    suggested_recipe: Recipe | None = None


@dataclass(frozen=True, kw_only=True)
class Rows(Answer):
    """Some rows of a version; `masked` names the columns whose values are hidden from you."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    total: int
    masked: tuple[str, ...] = ()

    def records(self) -> list[dict[str, Cell]]:
        """Return the rows as dictionaries, ready for ``pandas.DataFrame`` or ``endpoints.predict``."""
        return [dict(zip(self.columns, row, strict=True)) for row in self.rows]


@dataclass(frozen=True, kw_only=True)
class Step:
    """What one cleaning step changed."""

    step: str
    summary: str
    rows_before: int
    rows_after: int
    cells_changed: int = 0
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Rejected:
    """A row of the imported file that could not be read."""

    line: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class Report(Answer):
    """How a version was made."""

    made_by: str
    recipe: Recipe | None = None
    steps: tuple[Step, ...] = ()
    rejected: tuple[Rejected, ...] = ()
    rejected_total: int = 0
    detected: Mapping[str, Cell] | None = None
