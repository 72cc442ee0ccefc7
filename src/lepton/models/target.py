"""What is predicted: finds out whether a target is a class or a number, and turns its column into an array."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from lepton.core.columns import ColumnType
from lepton.core.errors import InvalidInput
from lepton.datasets.split import holdout_mask
from lepton.models.features import Column
from lepton.models.requests import AUTO, LINEAR, LOGISTIC
from lepton.models.signature import Input, Label, Signature, Task

if TYPE_CHECKING:
    import polars as pl

MAX_CLASSES = 100
MAX_AUTO_CLASSES = 20
"""Whole numbers with up to this many different values count as classes, if no recipe says otherwise."""
MIN_ROWS = 10
MISSING = -1
UNKNOWN = -2

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Target:
    """The target of a training.

    Attributes:
        recipe: The recipe that fits it; never ``"auto"``.
        classes: The classes, sorted; None for a regression.
        values: For each row its class as a position in `classes`, int64 [N] with `MISSING`; or float64 [N] with NaN.
    """

    recipe: str
    classes: tuple[Label, ...] | None
    values: npt.NDArray[np.int64] | npt.NDArray[np.float64]

    @property
    def task(self) -> Task:
        """Classification or regression."""
        return Task.REGRESSION if self.classes is None else Task.CLASSIFICATION

    @property
    def known(self) -> Mask:
        """Which rows have a value, bool [N]."""
        known: Mask = self.values >= 0 if self.classes is not None else ~np.isnan(self.values)
        return known

    def signature(self, column: Column, inputs: tuple[Input, ...]) -> Signature:
        """Say what a model takes and answers that predicts this target, a column of the table."""
        return Signature(
            task=self.task,
            target=column.name,
            target_type=column.type,
            target_class=column.column_class,
            inputs=inputs,
            classes=self.classes,
        )

    def only(self, rows: Mask) -> Target:
        """Return the target with no values but those of `rows`."""
        values = self.values.copy()
        values[~rows] = np.nan if self.classes is None else MISSING
        return Target(self.recipe, self.classes, values)

    def restricted(self, train: Mask) -> Target:
        """Return the target with only the classes that occur among `train` rows; others become `UNKNOWN`."""
        if self.classes is None:
            return self
        kept = np.unique(self.values[train])
        if len(kept) == len(self.classes):
            return self
        positions = np.full(len(self.classes), UNKNOWN)
        positions[kept] = np.arange(len(kept))
        values = np.where(self.values >= 0, positions[self.values], self.values).astype(np.int64)
        return Target(self.recipe, tuple(self.classes[int(i)] for i in kept), values)


def read_target(column: pl.Series, kind: ColumnType, recipe: str) -> Target:
    """Turn the target column into a target.

    Raises:
        InvalidInput: if it has no or only one value, too few rows, or does not fit the recipe.
    """
    present = _present(column, kind)
    known = len(present) - present.null_count()
    if known == 0:
        raise InvalidInput(
            f"Column {column.name!r} has no values, so nothing can be learned from it. Choose another target."
        )
    if known < MIN_ROWS:
        raise InvalidInput(
            f"Only {known} rows have a value in column {column.name!r}; at least {MIN_ROWS} are needed to train."
        )
    distinct = present.drop_nulls().unique()
    if len(distinct) == 1:
        raise InvalidInput(
            f"Column {column.name!r} has one and the same value in all rows, so there is nothing to predict. "
            "Choose another target."
        )
    chosen = _choose(column.name, kind, recipe, distinct, known)
    if chosen == LINEAR:
        return Target(chosen, None, present.to_numpy().astype(np.float64))
    classes = _classes(column.name, kind, distinct, known)
    return Target(chosen, classes, class_codes(column, kind, classes))


def class_codes(column: pl.Series, kind: ColumnType, classes: tuple[Label, ...]) -> npt.NDArray[np.int64]:
    """Return the position of each value in `classes`; `MISSING` where there is none, `UNKNOWN` where it is no class."""
    import polars as pl

    present = _present(column, kind)
    mapped = present.replace_strict(
        pl.Series(list(classes), dtype=present.dtype), pl.Series(range(len(classes)), dtype=pl.Int64), default=UNKNOWN
    )
    codes: npt.NDArray[np.int64] = (
        pl.select(pl.when(present.is_null()).then(MISSING).otherwise(mapped)).to_series().to_numpy()
    )
    return codes.astype(np.int64)


def number_values(column: pl.Series, kind: ColumnType) -> npt.NDArray[np.float64]:
    """Return the values as float64 [N], NaN for missing ones."""
    values: npt.NDArray[np.float64] = _present(column, kind).to_numpy()
    return values.astype(np.float64)


def hold_out(target: Target, fraction: float, seed: int) -> tuple[Mask, Mask]:
    """Choose the rows to train on and those to hold out, the same on every machine; each class gets its share.

    Returns:
        Two masks of shape [N]; rows without a target are in neither.

    Raises:
        InvalidInput: if one of the parts would be empty or hold only one class.
    """
    known = np.flatnonzero(target.known)
    strata = target.values[known].astype(np.int64) if target.classes is not None else None
    held = holdout_mask(len(known), fraction, seed=seed, strata=strata)
    if not held.any():  # no class is large enough for its share to be a row
        held = holdout_mask(len(known), fraction, seed=seed)
    if held.all() or not held.any() or len(np.unique(target.values[known[~held]])) < 2:
        raise InvalidInput(
            f"{len(known)} rows are too few to hold out a share of {fraction:g} and learn from the rest. "
            "Choose another test_fraction, or bring more rows."
        )
    train, test = np.zeros(len(target.values), dtype=bool), np.zeros(len(target.values), dtype=bool)
    train[known[~held]], test[known[held]] = True, True
    return train, test


def part(target: Target, fraction: float, seed: int) -> tuple[Target, Mask, Mask]:
    """Hold rows out, of classes that the others have.

    Returns:
        The target with the classes that training sees, the rows to train on and those held out.

    Raises:
        InvalidInput: if one of the parts would be empty or hold only one class.
    """
    train, test = hold_out(target, fraction, seed)
    target = target.restricted(train)
    test &= target.known
    if not test.any():
        raise InvalidInput("No held-out row is of a class that training has seen. Choose a smaller test_fraction.")
    return target, train, test


def _present(column: pl.Series, kind: ColumnType) -> pl.Series:
    """The column with null for whatever counts as missing: empty text, numbers that are not finite."""
    import polars as pl

    values: pl.Expr = pl.col(column.name)
    expression: pl.Expr
    if kind is ColumnType.TEXT:
        expression = pl.when(values.cast(pl.String) != "").then(values.cast(pl.String))
    elif kind is ColumnType.BOOLEAN:
        expression = values.cast(pl.Boolean)
    else:
        number = values.cast(pl.Float64)
        expression = pl.when(number.is_finite()).then(number)
    return column.to_frame().select(expression.alias(column.name)).to_series()


def _choose(name: str, kind: ColumnType, recipe: str, distinct: pl.Series, rows: int) -> str:
    numeric = kind in (ColumnType.NUMBER, ColumnType.INTEGER)
    if recipe == LINEAR and not numeric:
        raise InvalidInput(
            f"Column {name!r} holds {kind.value} values and {LINEAR} predicts numbers. Use the recipe {LOGISTIC}, or "
            "cast the column to number with datasets.clean."
        )
    if recipe != AUTO:
        return recipe
    if not numeric:
        return LOGISTIC
    whole = bool((distinct == distinct.round()).all())
    few = len(distinct) == 2 or (len(distinct) <= MAX_AUTO_CLASSES and 10 * len(distinct) <= rows)
    return LOGISTIC if whole and few else LINEAR


def _classes(name: str, kind: ColumnType, distinct: pl.Series, rows: int) -> tuple[Label, ...]:
    if len(distinct) > MAX_CLASSES:
        raise InvalidInput(
            f"Column {name!r} has {len(distinct):,} different values in {rows:,} rows; a classification can have up to "
            f"{MAX_CLASSES}. Choose a column of categories, or {LINEAR} for a number."
        )
    if kind in (ColumnType.NUMBER, ColumnType.INTEGER):
        if not bool((distinct == distinct.round()).all()):
            raise InvalidInput(
                f"Column {name!r} holds numbers with decimals, which are no classes. Use the recipe {LINEAR}, or cast "
                "the column to text with datasets.clean."
            )
        return tuple(int(value) for value in distinct.sort())
    return tuple(distinct.sort().to_list())
