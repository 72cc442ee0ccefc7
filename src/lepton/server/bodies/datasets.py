"""The JSON of datasets."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

from pydantic import Field, JsonValue, SkipValidation

from lepton.access.records import DEFAULT_PROJECT
from lepton.core.columns import ColumnClass, ColumnType
from lepton.datasets.records import ImportOptions, MadeBy
from lepton.server.wire import Answer, Body, RecipeJson, Scalar


class VersionAnswer(Answer):
    """A version of a dataset."""

    ref: str
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


class DatasetAnswer(Answer):
    """A dataset and its versions, the newest first."""

    name: str
    latest: int
    versions: list[VersionAnswer]


class ColumnAnswer(Answer):
    """A column; of a masked one the values, and what they would tell, are hidden."""

    name: str
    type: ColumnType
    column_class: ColumnClass = Field(serialization_alias="class")
    masked: bool
    nulls: int | None
    distinct: int | None


class DetailAnswer(VersionAnswer):
    """A version with its columns and its sister versions."""

    columns_: list[ColumnAnswer] = Field(validation_alias="schema", serialization_alias="schema")
    versions: list[VersionAnswer]


class HistogramAnswer(Answer):
    """Counts between edges."""

    edges: list[float]
    counts: list[int]


class TopValueAnswer(Answer):
    """A frequent value."""

    value: Scalar
    count: int


class ProfileColumnAnswer(ColumnAnswer):
    """Statistics of a column."""

    mean: float | None
    std: float | None
    min: Scalar
    max: Scalar
    quantiles: Mapping[str, Scalar] | None
    histogram: HistogramAnswer | None
    top_values: list[TopValueAnswer] | None
    warnings: list[str]


class ProfileAnswer(Answer):
    """Statistics of a version, and the cleaning they suggest."""

    ref: str
    rows: int
    columns: list[ProfileColumnAnswer]
    duplicate_rows: int | None
    suggested_recipe: RecipeJson


class RowsAnswer(Answer):
    """Some rows; cells of masked columns are null."""

    columns: list[str]
    rows: Annotated[list[list[Scalar]], SkipValidation]  # cells are checked where they are read, not one by one again
    total: int
    masked: list[str]


class StepAnswer(Answer):
    """What a step changed."""

    step: str
    summary: str
    rows_before: int
    rows_after: int
    cells_changed: int
    columns: list[str]
    changed: Mapping[str, int]
    fitted: Mapping[str, Mapping[str, Scalar]]


class RejectedAnswer(Answer):
    """A row of the file that was not taken."""

    line: int
    reason: str


class DetectedAnswer(Answer):
    """How the file was read."""

    format: str
    separator: str | None
    encoding: str | None
    header: bool | None
    quote: str | None


class ReportAnswer(Answer):
    """How a version came to be."""

    made_by: MadeBy
    recipe: RecipeJson | None
    steps: list[StepAnswer]
    rejected: list[RejectedAnswer]
    rejected_total: int
    detected: DetectedAnswer | None


class ImportQuery(Body):
    """What is said about a file; what is not said is detected."""

    name: str
    project: str = DEFAULT_PROJECT
    format: str | None = None
    separator: str | None = None
    encoding: str | None = None
    header: bool | None = None
    personal: list[str] = Field(default_factory=list)
    secret: list[str] = Field(default_factory=list)
    file_name: str | None = None

    def options(self) -> ImportOptions:
        """What the operation takes."""
        return ImportOptions(**(dict(self) | {"personal": tuple(self.personal), "secret": tuple(self.secret)}))


class CleanBody(Body):
    """What to clean; without a recipe, what the profile suggests."""

    recipe: dict[str, JsonValue] | None = None
    target: str | None = None


class SplitBody(Body):
    """How to split."""

    fractions: dict[str, float] = Field(default_factory=lambda: {"train": 0.8, "test": 0.2})
    seed: int = 0
    stratify: str | None = None
