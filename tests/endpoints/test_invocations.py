"""MLflow's formats: what its clients write is read like rows."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from endpoints.models import MIXED, NUMERIC, ROW, outputs_of
from hypothesis import given, settings
from hypothesis import strategies as st

from lepton.core.errors import InvalidInput
from lepton.endpoints.replica.inputs import Shape
from lepton.endpoints.replica.invocations import Invocations
from lepton.models.prediction import Arrays, decode_rows
from lepton.models.signature import Signature

JSON, CSV = b"application/json", b"text/csv; charset=utf-8"
NAMES = list(ROW)
BACK = NAMES[::-1]
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "city": st.none() | TEXT,
            "income": st.none() | st.floats(allow_nan=False, allow_infinity=False),
            "age": st.none() | st.integers(-(2**31), 2**31),
            "note": st.none() | TEXT,
            "member": st.none() | st.booleans(),
        }
    ),
    min_size=1,
    max_size=4,
)


def decoded(body: Any, kind: bytes = JSON, signature: Signature = MIXED) -> Arrays:
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    shape = Shape(signature)
    return shape.arrays([Invocations(shape).decode(sent, kind)])


def same(a: Arrays, b: Arrays) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[k], b[k], equal_nan=k == "numbers") for k in a)


@given(ROWS)
def test_every_format_reads_like_rows(rows: list[dict[str, Any]]) -> None:
    expected = decode_rows(MIXED, rows)
    columns = {name: [row[name] for row in rows] for name in NAMES}
    ordered = [[row[column.name] for column in MIXED.inputs] for row in rows]
    for body in (
        {"dataframe_records": rows},
        {"dataframe_split": {"columns": NAMES, "data": [[row[n] for n in NAMES] for row in rows]}},
        {"dataframe_split": {"index": [0], "columns": BACK, "data": [[row[n] for n in BACK] for row in rows]}},
        {"instances": rows},
        {"instances": ordered},
        {"inputs": columns},
        {"inputs": ordered, "params": {"threads": 1}},
    ):  # fmt: skip
        assert same(decoded(body), expected)


@settings(max_examples=25)  # pandas takes its time
@given(ROWS)
def test_a_data_frame_of_pandas_is_read_as_mlflow_sends_it(rows: list[dict[str, Any]]) -> None:
    frame = pd.DataFrame(
        {
            "city": pd.array([row["city"] for row in rows], dtype="object"),
            "income": [math.nan if row["income"] is None else row["income"] for row in rows],
            "age": pd.array([row["age"] for row in rows], dtype="Int64"),
            "note": pd.array([row["note"] for row in rows], dtype="object"),
            "member": pd.array([row["member"] for row in rows], dtype="boolean"),
        }
    )
    expected = decode_rows(MIXED, rows)
    cells = frame.to_numpy().tolist()
    split = {"columns": list(frame), "data": [[None if cell is pd.NA else cell for cell in row] for row in cells]}
    assert same(decoded({"dataframe_split": split}), expected)  # with the NaN that Python's JSON writer makes of one
    if not any("\r" in (row[name] or "") for row in rows for name in ("city", "note")):  # pandas does not quote it
        assert same(decoded(frame.to_csv(index=False).encode(), CSV), expected)


def test_csv_is_read_by_the_types_of_the_columns() -> None:
    body = b'\xef\xbb\xbfnote,member,age,city,income\r\n"a, ""b""",TRUE,30,Paris,1.5e3\r\n\r\n,0,,,\r\n'
    rows = [
        {"note": 'a, "b"', "member": True, "age": 30, "city": "Paris", "income": 1500.0},
        {"note": None, "member": False, "age": None, "city": None, "income": None},
    ]
    assert same(decoded(body, b"Text/CSV"), decode_rows(MIXED, rows))


def test_nan_is_a_missing_value_and_infinity_is_refused() -> None:
    found = decoded(b'{"inputs": [[NaN, 2]]}', JSON, NUMERIC)["numbers"]
    assert np.isnan(found[0, 0])
    for body in (b'{"inputs": [[NaN, Infinity]]}', b'{"inputs": [[NaN, 2]', b'{"inputs": ' + b"[" * 99_999 + b"NaN"):
        with pytest.raises(InvalidInput, match="not valid JSON"):
            decoded(body, JSON, NUMERIC)


SPLIT = {"columns": ["area", "rooms"], "data": [[1, 2]]}


@pytest.mark.parametrize(
    ("body", "kind", "sentence"),
    [
        (b"canary", JSON, "not valid JSON"),
        ([], JSON, "exactly one of dataframe_split, dataframe_records, instances or inputs"),
        ({}, JSON, "exactly one of"),
        ({"instances": [[1, 2]], "inputs": [[1, 2]]}, JSON, "exactly one of"),
        ({"dataframe_split": [1]}, JSON, "the lists 'columns' and 'data'"),
        ({"dataframe_split": {"columns": ["area", "rooms"]}}, JSON, "must be a list with a list of values"),
        ({"dataframe_split": SPLIT | {"data": [[1, 2], ["canary"]]}}, JSON, "Row 2 must be a list of 2 values"),
        ({"dataframe_split": SPLIT | {"columns": ["area", "area"]}}, JSON, "'area' is given twice"),
        ({"dataframe_split": SPLIT | {"columns": ["area", "planet"]}}, JSON, "unknown field 'planet'"),
        ({"dataframe_records": [{"area": 1}]}, JSON, "lacks the field 'rooms'"),
        ({"dataframe_records": {"area": 1}}, JSON, "must be a list"),
        ({"instances": []}, JSON, "must be a list of one or more"),
        ({"instances": [[1]]}, JSON, "Row 1 must be a list of 2 values"),
        ({"instances": [1]}, JSON, "Row 1 must be a list of 2 values"),
        ({"instances": [{"area": "canary", "rooms": 1}]}, JSON, "Row 1: column 'area' must be a number"),
        ({"inputs": {"area": [1, 2], "rooms": [1]}}, JSON, "different lengths"),
        ({"inputs": {"area": [1, 2]}}, JSON, "lacks the field 'rooms'"),
        ({"inputs": 5}, JSON, "must be a list"),
        (b"", CSV, "The body is empty"),
        (b"\xff", CSV, "not CSV in UTF-8"),
        (b'area,rooms\n"1,2', CSV, "not CSV in UTF-8"),
        (b"area,rooms\n", CSV, "must be a list of one or more"),
        (b"area,rooms\n1\n", CSV, "Row 1 has 1 values and there are 2 column names"),
        (b"area,rooms\n1,2\n3,canary\n", CSV, "Row 2: column 'rooms' must be a number"),
        (b"area,rooms\n1_0,2\n", CSV, "Row 1: column 'area' must be a number"),
        (b"area,rooms\ninf,2\n", CSV, "Row 1: column 'area' holds NaN or infinity"),
        (b"area,area\n1,2\n", CSV, "'area' is given twice"),
        (b"area,planet\n1,canary\n", CSV, "unknown field 'planet'"),
        (b"area,rooms\n" + b"1,2\n" * 10_001, CSV, "at most 10,000"),
    ],
)
def test_what_is_wrong_gets_a_sentence_without_its_values(body: Any, kind: bytes, sentence: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        decoded(body, kind, NUMERIC)
    assert sentence in caught.value.message
    assert "canary" not in caught.value.message


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from([*NAMES, "columns", "data"]), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(
    st.dictionaries(st.sampled_from(["dataframe_split", "dataframe_records", "instances", "inputs"]), ANY, max_size=2)
)
def test_any_json_is_decoded_or_refused(body: dict[str, Any]) -> None:
    try:
        sent = json.dumps(body).encode()
        decoded(sent)
    except (InvalidInput, UnicodeEncodeError):
        return


@given(st.binary(max_size=60) | st.text("area,rooms12\n\r\"'.-", max_size=60).map(str.encode))
def test_any_csv_is_decoded_or_refused(body: bytes) -> None:
    try:
        decoded(body, CSV, NUMERIC)
    except InvalidInput:
        return


def test_answers_are_the_labels_or_the_numbers() -> None:
    rows = [{**ROW, "income": n / 4, "age": 0, "note": "", "member": False, "city": ""} for n in range(4)]
    outputs = outputs_of(MIXED, decode_rows(MIXED, rows))
    assert json.loads(Invocations(Shape(MIXED)).encode(outputs, 1, 4)) == {"predictions": ["no", "no", "yes"]}
    priced = outputs_of(NUMERIC, decode_rows(NUMERIC, [{"area": 2, "rooms": 1}]))
    assert json.loads(Invocations(Shape(NUMERIC)).encode(priced, 0, 1)) == {"predictions": [3.0]}
