"""Requests become arrays, or a sentence that names the row and the column."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lepton.core.columns import ColumnType
from lepton.core.errors import Internal, InvalidInput
from lepton.models.prediction import (
    MAX_ROWS,
    decode_rows,
    open_session,
)
from lepton.models.signature import Input, Signature, Task

CANARY = "canary-7f3a"

SIGNATURE = Signature(
    task=Task.CLASSIFICATION,
    target="bought",
    target_type=ColumnType.TEXT,
    inputs=(
        Input("income", ColumnType.NUMBER),
        Input("age", ColumnType.INTEGER),
        Input("member", ColumnType.BOOLEAN),
        Input("city", ColumnType.TEXT, values=("Paris", "Rome")),
    ),
    classes=("no", "yes"),
)
ROW: dict[str, Any] = {"income": 1200.5, "age": 30, "member": True, "city": "Paris"}


def test_rows_become_a_matrix_of_numbers_and_an_array_for_each_text() -> None:
    arrays = decode_rows(SIGNATURE, [ROW, {"income": None, "age": 31.0, "member": None, "city": None}])
    assert arrays["numbers"].dtype == np.float64
    np.testing.assert_array_equal(arrays["numbers"], [[1200.5, 30, 1], [math.nan, 31, math.nan]])
    assert arrays["city"].tolist() == ["Paris", ""]


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ({}, "must be a list"),
        (None, "must be a list"),
        ([], "must be a list"),
        ([ROW, [1]], "Row 2 is not an object"),
        ([{**ROW, "planet": CANARY}], "Row 1 has the unknown field 'planet'"),
        ([{k: v for k, v in ROW.items() if k != "age"}], "Row 1 lacks the field 'age'"),
        ([{"income": 1}], "lacks the fields 'age', 'member', 'city'"),
        ([ROW, {**ROW, "income": CANARY}], "Row 2: column 'income' must be a number"),
        ([{**ROW, "income": True}], "Row 1: column 'income' must be a number"),
        ([{**ROW, "age": 30.5}], "Row 1: column 'age' must be a whole number"),
        ([{**ROW, "age": [CANARY]}], "Row 1: column 'age' must be a whole number"),
        ([{**ROW, "member": 1}], "Row 1: column 'member' must be true or false"),
        ([{**ROW, "city": 5}], "Row 1: column 'city' must be text"),
        ([{**ROW, "city": "\ud800"}], "Row 1: the text in column 'city' is not valid Unicode"),
        ([{**ROW, "income": float("nan")}], "Row 1: column 'income' holds NaN or infinity"),
        ([ROW, {**ROW, "income": float("inf")}], "Row 2: column 'income' holds NaN or infinity"),
        ([{**ROW, "age": 10**400}], "Row 1: the number in column 'age' is too large"),
        ([ROW] * (MAX_ROWS + 1), "10,001 rows and at most 10,000 are allowed"),
    ],
)
def test_wrong_rows_get_a_sentence_without_their_values(rows: object, sentence: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        decode_rows(SIGNATURE, rows)
    assert sentence in caught.value.message
    assert CANARY not in caught.value.message


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from([*ROW, "x"]), inner, max_size=5),
    max_leaves=12,
)


@given(JSON | st.lists(st.fixed_dictionaries(dict.fromkeys(ROW, JSON)), min_size=1, max_size=3))
def test_any_json_is_decoded_or_refused(value: object) -> None:
    try:
        arrays = decode_rows(SIGNATURE, value)
    except InvalidInput:
        return
    assert isinstance(value, list)
    assert all(len(array) == len(value) for array in arrays.values())


def test_what_is_no_graph_is_an_error_of_ours() -> None:
    with pytest.raises(Internal):
        open_session(b"not a graph")
