"""Cleaning: what each step of a recipe does to a table, and the report of what it changed. The table is in memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING

from lepton.core.columns import ColumnType
from lepton.core.errors import InvalidInput
from lepton.datasets.fitting import columns_of, schema_after
from lepton.datasets.inference import text_to, trim
from lepton.datasets.report import Fitted, StepReport
from lepton.datasets.schema import Schema, dtype_of
from lepton.datasets.steps import (
    Cast,
    ClipOutliers,
    ClipRange,
    DropColumns,
    DropDuplicates,
    DropMissing,
    DropOutliers,
    FillMissing,
    NormalizeLabels,
    Recipe,
    Scale,
    Step,
)

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class Cleaned:
    """A clean table, its schema, and how it came to be."""

    frame: pl.DataFrame
    schema: Schema
    steps: tuple[StepReport, ...]


def apply_recipe(
    frame: pl.DataFrame, schema: Schema, recipe: Recipe, *, on_step: Callable[[int], None] = lambda _: None
) -> Cleaned:
    """Do the steps of a recipe in order.

    Args:
        frame: The table.
        schema: Its columns.
        recipe: What to do.
        on_step: Called with the number of steps done.

    Raises:
        InvalidInput: if a step does not fit, or no row is left.
    """
    reports = []
    for number, step in enumerate(recipe.steps, start=1):
        columns = columns_of(step, schema, number=number)
        after, fitted = _STEPS[type(step)](frame, step, columns)
        if after.height == 0 < frame.height:
            raise InvalidInput(f"Step {number} ({step.name}) drops every row. Loosen it, or leave it out.")
        reports.append(_report(step, columns, frame, after, fitted))
        frame, schema = after, schema_after(step, columns, schema)
        on_step(number)
    return Cleaned(frame, schema, tuple(reports))


def _report(
    step: Step, columns: tuple[str, ...], before: pl.DataFrame, after: pl.DataFrame, fitted: Fitted
) -> StepReport:
    changed: dict[str, int] = {}
    if before.height == after.height:
        for name in columns:
            if name in after.columns:
                count = _changed(before[name], after[name])
                changed.update({name: count} if count else {})
    return StepReport(step.name, before.height, after.height, columns, changed, fitted)


def _changed(before: pl.Series, after: pl.Series) -> int:
    import polars as pl

    if before.dtype != after.dtype:
        before, after = before.cast(pl.String), after.cast(pl.String)
    return int(before.ne_missing(after).sum())


_Done = tuple["pl.DataFrame", Fitted]


def _drop_duplicates(frame: pl.DataFrame, _step: Step, columns: tuple[str, ...]) -> _Done:
    return frame.unique(subset=list(columns), keep="first", maintain_order=True), {}


def _drop_missing(frame: pl.DataFrame, _step: Step, columns: tuple[str, ...]) -> _Done:
    return frame.drop_nulls(list(columns)), {}


def _drop_columns(frame: pl.DataFrame, _step: Step, columns: tuple[str, ...]) -> _Done:
    return frame.drop(columns), {}


def _fill_missing(frame: pl.DataFrame, step: FillMissing, columns: tuple[str, ...]) -> _Done:
    import polars as pl

    fitted: dict[str, dict[str, str | float | int | bool | None]] = {}
    filled = []
    for name in columns:
        column = frame[name]
        value = _constant(step, column.dtype) if step.strategy == "constant" else _typical(column, step.strategy)
        if value is None or not column.null_count():
            continue
        shown = value.isoformat() if isinstance(value, date) else value
        fitted[name] = {step.strategy: shown}
        filled.append(pl.col(name).fill_null(pl.lit(value, dtype=column.dtype)))
    return frame.with_columns(filled), fitted


def _constant(step: FillMissing, dtype: pl.DataType) -> str | float | int | bool | date | None:
    import polars as pl

    if isinstance(step.value, str) and isinstance(dtype, pl.Datetime):
        moment: date | None = text_to(pl.Series([step.value]), ColumnType.DATETIME)[0]
        return moment
    return date.fromisoformat(step.value) if isinstance(step.value, str) and isinstance(dtype, pl.Date) else step.value


def _typical(column: pl.Series, strategy: str) -> str | float | int | bool | date | None:
    """Return the mean, median or mode; of whole numbers a whole one; of equally frequent values the least."""
    present = column.drop_nulls()
    if not len(present):
        return None
    if strategy == "mode":
        value: str | float | int | bool | date = present.mode().sort()[0]
        return value
    number = float(present.mean() if strategy == "mean" else present.median())  # type: ignore[arg-type] # of numbers
    return round(number) if column.dtype.is_integer() else number


def _fences(column: pl.Series, step: ClipOutliers) -> tuple[float, float] | None:
    """Return the least and the greatest usual value; None if the column has no spread to measure by."""
    present = column.drop_nulls()
    if not len(present):
        return None
    if step.method == "iqr":
        low = float(present.quantile(0.25, "linear"))  # type: ignore[arg-type] # there are values
        high = float(present.quantile(0.75, "linear"))  # type: ignore[arg-type]
        reach = step.factor * (high - low)
    else:
        low = high = float(present.mean())  # type: ignore[arg-type]
        reach = step.factor * float(present.std(ddof=0))  # type: ignore[arg-type]
    return (low - reach, high + reach) if 0 < reach < math.inf else None


def _all_fences(frame: pl.DataFrame, step: ClipOutliers, columns: tuple[str, ...]) -> dict[str, tuple[float, float]]:
    fences = {name: _fences(frame[name], step) for name in columns}
    return {name: fence for name, fence in fences.items() if fence is not None}


def _clip_outliers(frame: pl.DataFrame, step: ClipOutliers, columns: tuple[str, ...]) -> _Done:
    fences = _all_fences(frame, step, columns)
    clipped = [_clip(frame[name], low, high) for name, (low, high) in fences.items()]
    return frame.with_columns(clipped), {name: {"low": low, "high": high} for name, (low, high) in fences.items()}


def _clip(column: pl.Series, low: float, high: float) -> pl.Series:
    """Clip, whole numbers to whole ones inside of the range."""
    if not column.dtype.is_integer():
        return column.clip(low, high)
    lowest, highest = -(2**63), 2**63 - 1
    return column.clip(
        max(math.ceil(low), lowest) if math.isfinite(low) else lowest,
        min(math.floor(high), highest) if math.isfinite(high) else highest,
    )


def _drop_outliers(frame: pl.DataFrame, step: ClipOutliers, columns: tuple[str, ...]) -> _Done:
    import polars as pl

    fences = _all_fences(frame, step, columns)
    usual = [pl.col(name).is_between(low, high).fill_null(True) for name, (low, high) in fences.items()]
    return frame.filter(usual) if usual else frame, {
        name: {"low": low, "high": high} for name, (low, high) in fences.items()
    }


def _clip_range(frame: pl.DataFrame, step: ClipRange, columns: tuple[str, ...]) -> _Done:
    import polars as pl

    low = -math.inf if step.min is None else step.min
    high = math.inf if step.max is None else step.max
    if step.outside == "clip":
        return frame.with_columns(_clip(frame[name], low, high) for name in columns), {}
    inside = [pl.when(pl.col(name).is_between(low, high)).then(pl.col(name)) for name in columns]
    return frame.with_columns(inside), {}


def _normalize_labels(frame: pl.DataFrame, step: NormalizeLabels, columns: tuple[str, ...]) -> _Done:
    import polars as pl

    written = _written(pl.Series([old for old, _ in step.mapping], dtype=pl.String), step).to_list()
    mapping = dict(zip(written, (new for _, new in step.mapping), strict=True))
    changed = []
    for name in columns:
        column = _written(frame[name], step)
        if mapping:
            column = column.replace(mapping)
        changed.append(pl.when(pl.lit(column) != "").then(pl.lit(column)).alias(name))
    return frame.with_columns(changed), {}


def _written(column: pl.Series, step: NormalizeLabels) -> pl.Series:
    if step.trim:
        column = column.str.strip_chars()
    if step.case == "lower":
        return column.str.to_lowercase()
    if step.case == "upper":
        return column.str.to_uppercase()
    return column.str.to_titlecase() if step.case == "title" else column


def _cast(frame: pl.DataFrame, step: Cast, columns: tuple[str, ...]) -> _Done:
    return frame.with_columns(_as(frame[name], step.type) for name in columns), {}


def _as(column: pl.Series, kind: ColumnType) -> pl.Series:
    import polars as pl

    dtype = column.dtype
    if dtype == pl.String:
        return text_to(trim(column), kind)
    if kind is ColumnType.TEXT and dtype in (pl.Date, pl.Datetime):
        return column.dt.to_string("iso")
    if kind is ColumnType.BOOLEAN and dtype.is_numeric():
        return column.replace_strict([0, 1], [False, True], default=None, return_dtype=pl.Boolean)
    if kind is ColumnType.INTEGER and dtype.is_float():
        whole = pl.when(pl.col(column.name) == pl.col(column.name).round()).then(pl.col(column.name))
        return column.to_frame().select(whole.cast(pl.Int64, strict=False)).to_series()
    return column.cast(dtype_of(kind), strict=False)


def _scale(frame: pl.DataFrame, step: Scale, columns: tuple[str, ...]) -> _Done:
    import polars as pl

    scaled = []
    fitted: dict[str, dict[str, str | float | int | bool | None]] = {}
    for name in columns:
        column = frame[name].cast(pl.Float64)
        present = column.drop_nulls()
        if not len(present):
            scaled.append(column)
            continue
        if step.method == "min_max":
            low, high = float(present.min()), float(present.max())  # type: ignore[arg-type] # there are values
            fitted[name] = {"min": low, "max": high}
            shift, width = low, high - low
        else:
            shift, width = float(present.mean()), float(present.std(ddof=0))  # type: ignore[arg-type]
            fitted[name] = {"mean": shift, "std": width}
        scaled.append((column - shift) / (width or 1.0))
    return frame.with_columns(scaled), fitted


_STEPS: Mapping[type[Step], Callable[..., _Done]] = {
    DropDuplicates: _drop_duplicates,
    DropMissing: _drop_missing,
    FillMissing: _fill_missing,
    ClipOutliers: _clip_outliers,
    DropOutliers: _drop_outliers,
    ClipRange: _clip_range,
    NormalizeLabels: _normalize_labels,
    Cast: _cast,
    Scale: _scale,
    DropColumns: _drop_columns,
}
