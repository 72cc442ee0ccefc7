"""What a target is taken for, and the rows that are held out."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from lepton.core.columns import ColumnType
from lepton.core.errors import InvalidInput
from lepton.models.signature import Task
from lepton.models.target import MISSING, UNKNOWN, class_codes, hold_out, read_target

INTEGER, NUMBER, TEXT, BOOLEAN = ColumnType.INTEGER, ColumnType.NUMBER, ColumnType.TEXT, ColumnType.BOOLEAN


@pytest.mark.parametrize(
    ("values", "kind", "classes"),
    [
        (["no", "yes", None, ""] * 5, TEXT, ("no", "yes")),
        ([True, False, None] * 5, BOOLEAN, (False, True)),
        ([2, 0, 1] * 20, INTEGER, (0, 1, 2)),
        ([1.0, 0.0, None] * 5, NUMBER, (0, 1)),
        (list(range(30)), INTEGER, None),
        ([3, 4, 5, 6] * 5, INTEGER, None),
        ([0.5, 1.5] * 10, NUMBER, None),
    ],
)
def test_the_recipe_follows_from_the_values(values: list[object], kind: ColumnType, classes: object) -> None:
    target = read_target(pl.Series("y", values), kind, "auto")
    assert target.classes == classes
    assert target.recipe == ("linear_regression" if classes is None else "logistic_regression")
    assert target.task is (Task.REGRESSION if classes is None else Task.CLASSIFICATION)
    assert target.known.tolist() == [value is not None and value != "" for value in values]


def test_classes_are_coded_by_position() -> None:
    codes = class_codes(pl.Series("y", ["b", None, "a", "", "new"]), TEXT, ("a", "b"))
    assert codes.tolist() == [1, MISSING, 0, MISSING, UNKNOWN]
    assert class_codes(pl.Series("y", [True, False, None]), BOOLEAN, (False, True)).tolist() == [1, 0, MISSING]
    assert class_codes(pl.Series("y", [3, 7, 5, None]), INTEGER, (3, 5)).tolist() == [0, UNKNOWN, 1, MISSING]


@pytest.mark.parametrize(
    ("values", "kind", "recipe", "sentence"),
    [
        ([None] * 20, NUMBER, "auto", "has no values"),
        ([""] * 20, TEXT, "auto", "has no values"),
        (["secret"] * 20, TEXT, "auto", "one and the same value"),
        ([7.0] * 20, NUMBER, "linear_regression", "one and the same value"),
        ([1.0, 2.0] * 3, NUMBER, "auto", "Only 6 rows"),
        (["secret", "b"] * 10, TEXT, "linear_regression", "predicts numbers"),
        ([True, False] * 10, BOOLEAN, "linear_regression", "predicts numbers"),
        ([0.5, 1.25] * 10, NUMBER, "logistic_regression", "numbers with decimals"),
        ([f"secret{i}" for i in range(200)], TEXT, "auto", "200 different values"),
    ],
)
def test_impossible_targets_get_a_sentence(values: list[object], kind: ColumnType, recipe: str, sentence: str) -> None:
    dtype = {NUMBER: pl.Float64, TEXT: pl.String, BOOLEAN: pl.Boolean}[kind]
    with pytest.raises(InvalidInput, match=sentence) as caught:
        read_target(pl.Series("y", values, dtype=dtype), kind, recipe)
    assert "'y'" in caught.value.message
    assert "secret" not in caught.value.message


def test_each_class_has_its_share_of_the_held_out_rows() -> None:
    target = read_target(pl.Series("y", ["a"] * 80 + ["b"] * 20 + [None] * 10), TEXT, "auto")
    train, test = hold_out(target, 0.2, seed=1)
    assert not (train & test).any()
    assert not (train | test)[100:].any()
    assert (train | test)[:100].all()
    assert (test[:80].sum(), test[80:100].sum()) == (16, 4)
    again, _ = hold_out(target, 0.2, seed=1)
    other, _ = hold_out(target, 0.2, seed=2)
    assert (train == again).all()
    assert (train != other).any()


def test_many_small_classes_still_leave_rows_to_hold_out() -> None:
    target = read_target(pl.Series("y", [f"c{i // 2}" for i in range(20)]), TEXT, "auto")
    train, test = hold_out(target, 0.2, seed=0)
    assert test.sum() == 4
    assert train.sum() == 16


def test_too_few_rows_to_hold_out_are_refused() -> None:
    target = read_target(pl.Series("y", np.arange(10.0) + 0.5), NUMBER, "auto")
    with pytest.raises(InvalidInput, match="too few to hold out"):
        hold_out(target, 0.999, seed=0)
