"""The steps a cleaning recipe can have. How one is read is in `recipe.py`, what steps do in `clean.py`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import ClassVar, Literal

from lepton.core.columns import ColumnType

Json = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]
Columns = tuple[str, ...] | None
"""Names of columns; None means all the step can be done on."""


@dataclass(frozen=True)
class Step:
    """What all steps share: `columns` they are done on, and `why` they are suggested, which changes nothing."""

    name: ClassVar[str]
    columns: Columns = None
    why: str = field(default="", kw_only=True)

    def to_json(self) -> dict[str, Json]:
        """Write the step the way a user would."""
        values = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "why" or self.why}
        plain = {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}
        return {"step": self.name, **plain}

    def redacted(self) -> Step:
        """Return the step without the values in it that come from the data."""
        return self


@dataclass(frozen=True)
class DropDuplicates(Step):
    """Keep the first of rows that are equal in `columns`."""

    name: ClassVar[str] = "drop_duplicates"


@dataclass(frozen=True)
class DropMissing(Step):
    """Drop rows in which any of `columns` is missing."""

    name: ClassVar[str] = "drop_missing"


@dataclass(frozen=True)
class FillMissing(Step):
    """Fill missing values by what is typical of the column, or by `value`."""

    name: ClassVar[str] = "fill_missing"
    strategy: Literal["mean", "median", "mode", "constant"] = "median"
    value: str | float | int | bool | None = None

    def redacted(self) -> Step:
        """Return the step without its constant."""
        return replace(self, value=None)


@dataclass(frozen=True)
class ClipOutliers(Step):
    """Move numbers that lie too far out to the edge of what is usual."""

    name: ClassVar[str] = "clip_outliers"
    method: Literal["iqr", "zscore"] = "iqr"
    factor: float = 1.5


@dataclass(frozen=True)
class DropOutliers(ClipOutliers):
    """Drop rows in which a number lies too far out."""

    name: ClassVar[str] = "drop_outliers"


@dataclass(frozen=True)
class ClipRange(Step):
    """Move numbers outside of ``[min, max]`` to its edge, or make them missing."""

    name: ClassVar[str] = "clip_range"
    min: float | None = None
    max: float | None = None
    outside: Literal["clip", "missing"] = "clip"

    def redacted(self) -> Step:
        """Return the step without its bounds."""
        return replace(self, min=None, max=None)


@dataclass(frozen=True)
class NormalizeLabels(Step):
    """Write labels in one way: trim, change case, then replace whole labels by `mapping` (None means missing)."""

    name: ClassVar[str] = "normalize_labels"
    trim: bool = True
    case: Literal["lower", "upper", "title", "none"] = "none"
    mapping: tuple[tuple[str, str | None], ...] = ()

    def to_json(self) -> dict[str, Json]:
        """Write the step the way a user would."""
        return {**super().to_json(), "mapping": dict(self.mapping)}

    def redacted(self) -> Step:
        """Return the step without the labels in it."""
        return replace(self, mapping=())


@dataclass(frozen=True)
class Cast(Step):
    """Read values as another type; what cannot be read becomes missing."""

    name: ClassVar[str] = "cast"
    type: ColumnType = ColumnType.TEXT

    def to_json(self) -> dict[str, Json]:
        """Write the step the way a user would."""
        return {**super().to_json(), "type": self.type.value}


@dataclass(frozen=True)
class Scale(Step):
    """Bring numbers to [0, 1] (``min_max``) or to mean 0 and standard deviation 1 (``z_score``)."""

    name: ClassVar[str] = "scale"
    method: Literal["min_max", "z_score"] = "z_score"


@dataclass(frozen=True)
class DropColumns(Step):
    """Drop columns."""

    name: ClassVar[str] = "drop_columns"


@dataclass(frozen=True)
class Recipe:
    """Steps, done in order."""

    steps: tuple[Step, ...]

    def to_json(self) -> dict[str, Json]:
        """Write the recipe as JSON; `recipe.parse_recipe` reads it."""
        return {"steps": [step.to_json() for step in self.steps]}
