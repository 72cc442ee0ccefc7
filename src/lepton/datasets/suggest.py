"""A cautious recipe, suggested from a profile: only steps that hardly ever do harm, each with its reason.

Nothing is scaled (a model does that itself), and numbers to be predicted are never changed.
"""

from __future__ import annotations

from collections.abc import Sequence

from lepton.core.columns import ColumnType
from lepton.datasets.profile import MAX_CATEGORIES, ColumnProfile
from lepton.datasets.schema import NUMERIC
from lepton.datasets.steps import (
    ClipRange,
    DropColumns,
    DropDuplicates,
    DropMissing,
    FillMissing,
    NormalizeLabels,
    Recipe,
    Step,
)

_CASES = ("lower", "upper", "title", "none")


def suggest_recipe(profiles: Sequence[ColumnProfile], duplicate_rows: int, *, target: str | None = None) -> Recipe:
    """Suggest how to clean a dataset.

    Args:
        profiles: Profiles of its columns; masked ones are left alone.
        duplicate_rows: Number of rows that repeat an earlier one.
        target: The column that will be predicted, if that is known: rows without it are dropped, and if it holds
            numbers they stay as they are.
    """
    seen = [p for p in profiles if not p.masked]
    empty = [p.name for p in seen if not p.distinct and p.nulls and p.name != target]
    full = [p for p in seen if p.name not in empty]
    steps: list[Step] = []
    if empty and len(empty) < len(profiles):
        steps.append(DropColumns(tuple(empty), why="All their values are missing."))
    steps += _normalize(full)
    if duplicate_rows:
        steps.append(DropDuplicates(why=f"{duplicate_rows} rows repeat an earlier one in every column."))
    ranges = [p for p in full if p.name != target and (p.hints.low is not None or p.hints.high is not None)]
    for low, high in dict.fromkeys((p.hints.low, p.hints.high) for p in ranges):
        names = tuple(p.name for p in ranges if (p.hints.low, p.hints.high) == (low, high))
        reason = "A few values must be mistakes: far from all others, or negative among positive ones."
        steps.append(ClipRange(names, min=low, max=high, outside="missing", why=reason))
    steps += [
        DropMissing((p.name,), why="Rows without the value to predict cannot be learned from.")
        for p in full
        if p.name == target and p.nulls
    ]
    return Recipe((*steps, *_fill(full, {p.name for p in ranges}, target)))


def _normalize(profiles: Sequence[ColumnProfile]) -> list[Step]:
    steps: list[Step] = []
    varied = [p for p in profiles if p.hints.variants]
    for case in _CASES:
        names = tuple(p.name for p in varied if (p.hints.usual_case if p.hints.has_case_variants else "none") == case)
        if names:
            reason = "Some labels differ from others only in case or in blanks around them."
            steps.append(NormalizeLabels(names, trim=True, case=case, why=reason))  # type: ignore[arg-type] # one of four
    return steps


def _fill(profiles: Sequence[ColumnProfile], cut: set[str], target: str | None) -> list[Step]:
    lacking = [p for p in profiles if p.name != target and (p.nulls or p.name in cut)]
    numbers = tuple(p.name for p in lacking if p.type in NUMERIC)
    labels = tuple(
        p.name
        for p in lacking
        if p.type is ColumnType.BOOLEAN or (p.type is ColumnType.TEXT and (p.distinct or 0) <= MAX_CATEGORIES)
    )
    steps: list[Step] = []
    if numbers:
        steps.append(FillMissing(numbers, strategy="median", why="Values are missing; the median is robust."))
    if labels:
        steps.append(FillMissing(labels, strategy="mode", why="Values are missing; the most frequent one stands in."))
    return steps
