"""Records JSON: the fast way and the explaining way say the same."""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from endpoints.models import MIXED, NUMERIC, ROW, TEXTS, outputs_of
from hypothesis import example, given
from hypothesis import strategies as st

from lepton.core.columns import ColumnType
from lepton.core.errors import InvalidInput
from lepton.endpoints.replica.inputs import Shape
from lepton.endpoints.replica.outputs import Outputs
from lepton.endpoints.replica.records import Records
from lepton.models.prediction import Arrays, decode_rows
from lepton.models.signature import Signature


def records(signature: Signature = MIXED) -> Records:
    return Records(Shape(signature), endpoint="shop", model="buyers@3")


def arrays(signature: Signature, body: bytes) -> Arrays:
    return Shape(signature).arrays([records(signature).decode(body)])


def same(a: Arrays, b: Arrays) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[k], b[k], equal_nan=k == "numbers") for k in a)


VALUES = {
    "city": st.none() | st.text(max_size=4),
    "income": st.none() | st.integers(-(10**20), 10**20) | st.floats(allow_nan=False, allow_infinity=False),
    "age": st.none() | st.integers(-5, 5) | st.floats(-5, 5),
    "note": st.none() | st.text(max_size=9),
    "member": st.none() | st.booleans(),
}
ANYTHING = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.lists(st.none(), max_size=2)
)


@given(st.lists(st.fixed_dictionaries(VALUES), min_size=1, max_size=4))
def test_the_fast_way_reads_what_the_explaining_way_reads(rows: list[dict[str, Any]]) -> None:
    body = json.dumps(rows).encode()
    shape = Shape(MIXED)
    try:
        expected = decode_rows(MIXED, json.loads(body))
    except InvalidInput as refused:
        # What only a batch shows, such as a fraction where whole numbers belong, is found before it is predicted.
        with pytest.raises(InvalidInput, match=re.escape(refused.message)):
            shape.check(records().decode(body))
        return
    found = arrays(MIXED, body)
    assert same(found, expected)
    assert shape.fits(found)


@given(st.lists(st.dictionaries(st.sampled_from([*ROW, "x"]), ANYTHING, max_size=6), max_size=3) | ANYTHING)
def test_any_json_is_read_like_the_explaining_way_or_refused(value: object) -> None:
    try:
        body = json.dumps(value).encode()
        inputs = records().decode(body)
        Shape(MIXED).check(inputs)
    except (InvalidInput, UnicodeEncodeError):
        return
    assert same(Shape(MIXED).arrays([inputs]), decode_rows(MIXED, json.loads(body)))


@example(b'[{"city": "\xff"}]')
@given(st.binary(max_size=60))
def test_any_bytes_are_refused(body: bytes) -> None:
    with pytest.raises(InvalidInput):
        records().decode(body)


def test_the_body_may_name_its_rows_or_come_as_columns() -> None:
    expected = arrays(MIXED, json.dumps([ROW, ROW]).encode())
    for body in ({"rows": [ROW, ROW]}, {"columns": {name: [value, value] for name, value in ROW.items()}}):
        assert same(arrays(MIXED, json.dumps(body).encode()), expected)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"columns": {"city": ["a"], "income": [1, 2]}}, "different lengths"),
        ({"columns": {}}, "must be an object with a list"),
        ({"columns": [1]}, "must be an object with a list"),
        ({"columns": {"city": []}}, "holds no row"),
        ({"columns": {"city": ["a"]}}, "lacks the fields"),
        ({"rows": []}, "must be a list"),
        ([], "holds no row"),
        ([ROW] * 10_001, "at most 10,000"),
    ],
)
def test_wrong_shapes_are_told(body: object, said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        records().decode(json.dumps(body).encode())


def test_requests_become_one_batch_in_their_order() -> None:
    one = [{**ROW, "age": n, "note": str(n)} for n in range(3)]
    two = [{**ROW, "income": None, "age": 9}]
    decoded = [records().decode(json.dumps(rows).encode()) for rows in (one, two)]
    assert same(Shape(MIXED).arrays(decoded), decode_rows(MIXED, [*one, *two]))


def test_numbers_alone_and_texts_alone_are_read_too() -> None:
    assert arrays(NUMERIC, b'[{"area": 1, "rooms": null}]')["numbers"].tolist()[0][0] == 1.0
    assert math.isnan(arrays(NUMERIC, b'[{"rooms": null, "area": 1}]')["numbers"][0, 1])
    assert arrays(TEXTS, b'[{"text": null}, {"text": "hi"}]')["text"].tolist() == ["", "hi"]


def test_answers_are_cut_out_of_a_batch() -> None:
    rows = [{**ROW, "income": n / 4, "age": 0, "note": "", "member": False, "city": ""} for n in range(4)]
    outputs = outputs_of(MIXED, decode_rows(MIXED, rows))
    answer = json.loads(records().encode(outputs, 1, 3))
    assert (answer["endpoint"], answer["model"]) == ("shop", "buyers@3")
    assert answer["predictions"] == [
        {"label": "no", "probabilities": {"no": 0.75, "yes": 0.25}},
        {"label": "no", "probabilities": {"no": 0.5, "yes": 0.5}},
    ]
    priced = outputs_of(NUMERIC, decode_rows(NUMERIC, [{"area": 2, "rooms": 1}]))
    assert json.loads(records(NUMERIC).encode(priced, 0, 1))["predictions"] == [{"value": 3.0}]
    spam = outputs_of(TEXTS, decode_rows(TEXTS, [{"text": "hi"}]))
    assert json.loads(records(TEXTS).encode(spam, 0, 1))["predictions"][0] == {
        "label": False, "probabilities": {"false": 1.0, "true": 0.0}
    }  # fmt: skip


def test_labels_that_are_whole_numbers_stay_numbers() -> None:
    counted = replace(TEXTS, target_type=ColumnType.NUMBER, classes=(0, 1))
    outputs = Outputs(counted, {"label": np.array([1]), "probabilities": np.array([[0.25, 0.75]])})
    assert json.loads(records(counted).encode(outputs, 0, 1))["predictions"] == [
        {"label": 1, "probabilities": {"0": 0.25, "1": 0.75}}
    ]


@given(st.lists(st.fixed_dictionaries({"area": st.floats(allow_nan=False, allow_infinity=False) | st.none()})))
def test_what_is_said_to_be_finite_is(rows: list[dict[str, Any]]) -> None:
    body = json.dumps([{"area": row["area"], "rooms": 3} for row in rows]).encode()
    try:
        inputs = records(NUMERIC).decode(body)
    except InvalidInput:
        return
    numbers = np.frombuffer(inputs.numbers)
    assert inputs.is_finite == bool(np.isfinite(numbers).all())


@pytest.mark.parametrize("number", ["1e400", "-1e999", "9" * 400, "NaN", "Infinity", "1" * 310 + ".5"])
def test_no_text_is_read_as_an_infinite_number(number: str) -> None:
    with pytest.raises(InvalidInput):
        records(NUMERIC).decode(b'[{"area":%b,"rooms":3}]' % number.encode())


NAMES = st.text(min_size=1, max_size=6)


@given(st.lists(NAMES, min_size=2, max_size=4, unique=True), st.data())
def test_answers_are_the_json_of_their_rows(classes: list[str], data: st.DataObject) -> None:
    share = st.floats(0, 1)
    rows = data.draw(
        st.lists(st.tuples(st.sampled_from(classes), st.tuples(*[share] * len(classes))), min_size=1, max_size=5)
    )
    signature = replace(MIXED, classes=tuple(classes))
    try:
        encoder = records(signature)
    except UnicodeEncodeError:  # no model has such a class: a half of a surrogate pair is no text
        return
    labels, shares = (np.array([row[place] for row in rows], dtype=kind) for place, kind in ((0, object), (1, float)))
    outputs = Outputs(signature, {"label": labels, "probabilities": shares})
    start = data.draw(st.integers(0, len(rows) - 1))
    found = json.loads(encoder.encode(outputs, start, len(rows)))
    assert found == {
        "endpoint": "shop",
        "model": "buyers@3",
        "predictions": [
            {"label": label, "probabilities": dict(zip(classes, values, strict=True))} for label, values in rows[start:]
        ],
    }
