"""What a step of cleaning, splitting or predicting changed, counted and in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

Fitted = Mapping[str, Mapping[str, str | float | int | bool | None]]
"""By column, values calculated from the data, such as a median."""

_SUMMARIES = {
    "drop_duplicates": "{rows} dropped that repeated an earlier one",
    "drop_missing": "{rows} with missing values dropped",
    "fill_missing": "{cells} filled",
    "clip_outliers": "{cells} moved to the edge of the usual range",
    "drop_outliers": "{rows} with outliers dropped",
    "clip_range": "{cells} outside of the range changed",
    "normalize_labels": "{cells} rewritten",
    "cast": "{columns} read as another type, {cells} changed",
    "scale": "{columns} scaled",
    "drop_columns": "{columns} dropped",
    "split": "{kept} taken",
    "predict": "{columns} added by a model",
}


@dataclass(frozen=True)
class StepReport:
    """What one step changed.

    Attributes:
        step: Name of the step, such as ``fill_missing``.
        rows_before: Rows that went in.
        rows_after: Rows that came out.
        columns: Columns it was done on.
        changed: By column, cells that hold something else than before; without the columns hidden from the reader.
        fitted: By column, values calculated from the data; without the columns hidden from the reader.
    """

    step: str
    rows_before: int
    rows_after: int
    columns: tuple[str, ...] = ()
    changed: Mapping[str, int] = field(default_factory=dict)
    fitted: Fitted = field(default_factory=dict)

    @property
    def cells_changed(self) -> int:
        """Cells that hold something else than before."""
        return sum(self.changed.values())

    @property
    def summary(self) -> str:
        """One sentence, without any value of the data."""
        return _SUMMARIES[self.step].format(
            rows=_count(self.rows_before - self.rows_after, "row"),
            kept=f"{self.rows_after} of {_count(self.rows_before, 'row')}",
            cells=_count(self.cells_changed, "cell"),
            columns=_count(len(self.columns), "column"),
        )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
