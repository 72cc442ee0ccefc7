"""Whether a recipe fits a dataset: which columns each step is done on, and what it makes of the schema."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date, datetime

from lepton.core.columns import ColumnType
from lepton.core.errors import InvalidInput
from lepton.datasets.schema import NUMERIC, Column, Schema, suggestion
from lepton.datasets.steps import (
    Cast,
    ClipOutliers,
    ClipRange,
    DropColumns,
    FillMissing,
    NormalizeLabels,
    Recipe,
    Scale,
    Step,
)

_CASTS: Mapping[ColumnType, frozenset[ColumnType]] = {
    ColumnType.TEXT: frozenset(ColumnType),
    ColumnType.INTEGER: frozenset({ColumnType.NUMBER, ColumnType.BOOLEAN, ColumnType.TEXT}),
    ColumnType.NUMBER: frozenset({ColumnType.INTEGER, ColumnType.BOOLEAN, ColumnType.TEXT}),
    ColumnType.BOOLEAN: frozenset({ColumnType.INTEGER, ColumnType.NUMBER, ColumnType.TEXT}),
    ColumnType.DATE: frozenset({ColumnType.DATETIME, ColumnType.TEXT}),
    ColumnType.DATETIME: frozenset({ColumnType.DATE, ColumnType.TEXT}),
}


def check_recipe(recipe: Recipe, schema: Schema) -> Schema:
    """Check that every step can be done, and return the schema the recipe leads to.

    Raises:
        InvalidInput: with one sentence on the first step that cannot.
    """
    for number, step in enumerate(recipe.steps, start=1):
        schema = schema_after(step, columns_of(step, schema, number=number), schema)
        if not len(schema):
            raise InvalidInput(f"Step {number} (drop_columns) drops every column. Keep at least one.")
    return schema


def columns_of(step: Step, schema: Schema, *, number: int = 1) -> tuple[str, ...]:
    """Return the columns a step is done on: those it names, or all it can be done on.

    Raises:
        InvalidInput: if it names a column that does not exist or whose type does not suit it.
    """
    if step.columns is None:
        return tuple(column.name for column in schema if _problem(step, column) is None)
    for name in step.columns:
        if name not in schema:
            raise InvalidInput(
                f"Step {number} ({step.name}) names column {name[:80]!r}, which the dataset does not have. "
                f"{suggestion(name, schema.names)}"
            )
        problem = _problem(step, schema.column(name))
        if problem is not None:
            raise InvalidInput(f"Step {number} ({step.name}) {problem}, and column {name!r} is {_kind(schema, name)}.")
    return step.columns


def schema_after(step: Step, columns: tuple[str, ...], schema: Schema) -> Schema:
    """Return the schema of what a step makes; statistics are gone."""
    kept = [c for c in schema if not (isinstance(step, DropColumns) and c.name in columns)]
    kind: ColumnType | None = None
    if isinstance(step, Cast):
        kind = step.type
    elif isinstance(step, Scale):
        kind = ColumnType.NUMBER
    return Schema(
        tuple(
            replace(c, nulls=None, distinct=None, type=kind if kind is not None and c.name in columns else c.type)
            for c in kept
        )
    )


def _kind(schema: Schema, name: str) -> str:
    return schema.column(name).type.value


def _problem(step: Step, column: Column) -> str | None:
    """Return what kind of columns the step works on, if `column` is none of them."""
    kind = column.type
    if isinstance(step, ClipOutliers | ClipRange | Scale) and kind not in NUMERIC:
        return "works on columns of numbers"
    if isinstance(step, NormalizeLabels) and kind is not ColumnType.TEXT:
        return "works on columns of text"
    if isinstance(step, Cast) and step.type is not kind and step.type not in _CASTS[kind]:
        allowed = ", ".join(sorted(_CASTS[kind]))
        return f"cannot read it as {step.type.value} but as {allowed}"
    if isinstance(step, FillMissing):
        if step.strategy in ("mean", "median") and kind not in NUMERIC:
            return f"fills by the {step.strategy} only columns of numbers"
        if step.strategy == "constant" and not is_a(step.value, kind):
            return "has a 'value' of another type"
    return None


def is_a(value: object, kind: ColumnType) -> bool:
    """Whether a JSON value can stand in a column of a type."""
    if kind is ColumnType.BOOLEAN or isinstance(value, bool):
        return kind is ColumnType.BOOLEAN and isinstance(value, bool)
    if isinstance(value, int | float):
        return kind is ColumnType.NUMBER or (kind is ColumnType.INTEGER and float(value).is_integer())
    if not isinstance(value, str) or kind in NUMERIC:
        return False
    try:
        if kind is ColumnType.DATE:
            date.fromisoformat(value)
        elif kind is ColumnType.DATETIME:
            datetime.fromisoformat(value)
    except ValueError:
        return False
    return True
