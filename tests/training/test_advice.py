"""Advice before the training: leaks, copies, identifiers and rare classes, a sentence each, and no false alarm."""

import numpy as np
import pytest

from lepton.training.advice import advise, alone_tells, unseen
from lepton.training.recipes.port import Block, Problem

ROWS = 400


def advice(column, targets, classes=2, kind="number"):
    column = np.asarray(column, np.float32).reshape(len(targets), -1)
    noise = np.random.default_rng(9).normal(size=(len(targets), 1)).astype(np.float32)
    width = column.shape[1]
    blocks = (Block("odd", kind, 0, width, 2), Block("plain", "number", width, 1))
    return advise(np.hstack([column, noise]), np.asarray(targets), Problem(blocks, classes, "bought"))


@pytest.fixture
def classes():
    return np.random.default_rng(0).integers(2, size=ROWS)


def test_a_column_that_alone_tells_the_target_is_called_a_leak(classes):
    after = classes * 10.0 + np.random.default_rng(1).normal(size=ROWS)
    [said] = advice(after, classes)
    assert said.startswith("Column odd alone tells bought almost perfectly.")
    assert "--feature" in said


def test_the_same_for_numbers():
    price = np.random.default_rng(2).uniform(-1.0, 1.0, size=ROWS)
    [said] = advice(price**3 + 5 * price, price, classes=None)  # no line, so no copy; but each tells the other
    assert "alone tells" in said


def test_a_good_column_is_no_leak(classes):
    good = classes * 3.0 + np.random.default_rng(1).normal(size=ROWS)  # ROC AUC 0.98
    assert advice(good, classes) == []
    assert 0.9 < alone_tells(good[:, None].astype(np.float32), classes, Problem((), 2)) < 0.999


@pytest.mark.parametrize(("change", "count"), [(lambda y: 5 - 2 * y, 2), (lambda y: 3.0 * y + 1, None)])
def test_a_copy_of_the_target_is_called_one(change, count, classes):
    targets = classes if count else np.random.default_rng(2).normal(size=ROWS)
    [said] = advice(change(targets), targets, classes=count)
    assert said.startswith("Column odd is a copy of bought under another name.")


def test_a_column_of_one_value_and_one_that_numbers_the_rows_are_named(classes):
    assert advice(np.ones(ROWS), classes)[0].startswith("Column odd has one value in all rows")
    numbers = np.random.default_rng(3).permutation(ROWS) / 100.0
    assert advice(numbers, classes)[0].startswith("Column odd looks like an identifier")
    assert advice(np.random.default_rng(3).normal(size=ROWS), classes) == []  # all different, and no identifier
    each = np.eye(ROWS)
    assert advice(each, classes, kind="category")[0].startswith("Column odd looks like an identifier")


def test_classes_with_few_rows_and_with_none_are_counted():
    targets = np.array([0] * 200 + [1] * 195 + [2] * 5)
    said = advice(np.random.default_rng(4).normal(size=ROWS), targets, classes=4)
    assert said[0].startswith("1 of 4 classes of bought have fewer than 10 rows (the rarest 5)")
    assert said[1].startswith("1 of 4 classes of bought have no row to learn from")


def test_classes_that_only_validation_has_are_counted():
    assert unseen(np.array([0, 1]), np.array([0, 2, 3]), Problem((), 4, "plan"))[0].startswith(
        "2 classes of plan are only"
    )
    assert unseen(np.array([0, 1]), np.array([1]), Problem((), 4)) == []


def test_no_sentence_holds_a_value_of_a_cell(classes):
    said = " ".join(advice(classes * 123456.5, classes))
    assert "123" not in said
