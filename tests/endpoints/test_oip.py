"""Open Inference Protocol over REST: JSON and bytes say the same, and whatever is wrong gets one sentence."""

from __future__ import annotations

import json
import math
import struct
from typing import Any

import numpy as np
import pytest
from endpoints.models import MIXED, NUMERIC, TEXTS, outputs_of
from endpoints.tensors import binary, raw, tensor
from hypothesis import given
from hypothesis import strategies as st

from lepton.core.columns import ColumnType
from lepton.core.errors import InvalidInput
from lepton.endpoints.replica.inputs import Inputs, Shape
from lepton.endpoints.replica.oip import Oip, Question
from lepton.endpoints.replica.outputs import Outputs
from lepton.endpoints.replica.tensors import DATATYPES
from lepton.models.prediction import Arrays, decode_rows
from lepton.models.signature import Input, Signature, Task

CANARY = "canary-7f3a"
TENSORS = [
    tensor("income", "FP64", [1200.5, None]),
    tensor("age", "INT64", [30, 31]),
    tensor("member", "BOOL", [True, False]),
    tensor("city", "BYTES", ["Paris", ""]),
    tensor("note", "BYTES", ["a b", "é"]),
]
ROWS = [
    {"income": 1200.5, "age": 30, "member": True, "city": "Paris", "note": "a b"},
    {"income": None, "age": 31, "member": False, "city": None, "note": "é"},
]


def oip(signature: Signature = MIXED) -> Oip:
    return Oip(Shape(signature), endpoint="shop", version="3")


def asked(inputs: object, signature: Signature = MIXED, **more: Any) -> Question:
    return oip(signature).decode(json.dumps({"inputs": inputs, **more}).encode(), None)


def checked(inputs: object) -> None:
    """Read a request and look at its numbers as the batcher does before it predicts."""
    Shape(MIXED).check(asked(inputs).inputs)


def arrays(inputs: Inputs, signature: Signature = MIXED) -> Arrays:
    return Shape(signature).arrays([inputs])


def same(a: Arrays, b: Arrays) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[k], b[k], equal_nan=k == "numbers") for k in a)


def matrix(width: int) -> Signature:
    return Signature(
        Task.REGRESSION, "y", ColumnType.NUMBER, tuple(Input(f"c{i}", ColumnType.NUMBER) for i in range(width))
    )


# What both forms are read as


def test_tensors_become_the_same_arrays_as_rows() -> None:
    assert same(arrays(asked(TENSORS).inputs), decode_rows(MIXED, ROWS))


def test_bytes_become_the_same_arrays_as_json() -> None:
    sent = [{**TENSORS[0], "data": [1200.5, math.nan]}, *TENSORS[1:]]
    assert same(arrays(oip().decode(*binary(sent)).inputs), decode_rows(MIXED, ROWS))


def test_some_tensors_may_come_as_bytes_and_others_as_json() -> None:
    part = raw("FP64", [1200.5, math.nan])
    first = {"name": "income", "datatype": "FP64", "shape": [2], "parameters": {"binary_data_size": len(part)}}
    head = json.dumps({"inputs": [*TENSORS[1:], first]}).encode()
    assert same(arrays(oip().decode(head + part, len(head)).inputs), decode_rows(MIXED, ROWS))


def test_columns_may_have_the_shape_n_1() -> None:
    nested = [tensor("income", "FP32", [[1.5], [2.5]], [2, 1]), {**TENSORS[1], "shape": [2, 1]}, *TENSORS[2:]]
    assert arrays(asked(nested).inputs)["numbers"][:, 0].tolist() == [1.5, 2.5]


WHOLE = {f"{kind}{bits}": (kind, bits) for kind in ("INT", "UINT") for bits in (8, 16, 32, 64)}


def values_of(datatype: str) -> st.SearchStrategy[Any]:
    if datatype in WHOLE:
        kind, bits = WHOLE[datatype]
        low, high = (0, 2**bits - 1) if kind == "UINT" else (-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
        return st.integers(low, high) | st.sampled_from([low, high])
    return st.floats(width=int(datatype[2:]), allow_infinity=False, allow_nan=False)  # type: ignore[arg-type]


@given(st.data(), st.sampled_from(sorted(set(DATATYPES) - {"BOOL"})), st.integers(1, 3), st.integers(1, 4))
def test_every_datatype_of_numbers_reads_the_same_as_bytes_and_as_json(
    data: st.DataObject, datatype: str, rows: int, width: int
) -> None:
    signature = matrix(width)
    flat = data.draw(st.lists(values_of(datatype), min_size=rows * width, max_size=rows * width))
    one = tensor("numbers", datatype, flat, [rows, width])
    columns = [
        tensor(f"c{i}", datatype, flat[i::width], data.draw(st.sampled_from([[rows], [rows, 1]]))) for i in range(width)
    ]
    expected = np.array(flat, DATATYPES[datatype]).astype(np.float64).reshape(rows, width)
    pad = " " * data.draw(st.integers(0, 8))  # behind JSON of any length the bytes are not aligned
    for sent in ([one], columns):
        for found in (
            asked(sent, signature),
            oip(signature).decode(*binary(sent, id=pad)),
            asked([{**one, "data": [[value] for value in one["data"]]} for one in columns], signature),
        ):
            assert np.array_equal(arrays(found.inputs, signature)["numbers"], expected)


@given(st.lists(st.booleans(), min_size=1, max_size=5))
def test_booleans_read_the_same_as_bytes_and_as_json(values: list[bool]) -> None:
    signature = Signature(Task.REGRESSION, "y", ColumnType.NUMBER, (Input("ok", ColumnType.BOOLEAN),))
    sent = [tensor("ok", "BOOL", values)]
    for found in (asked(sent, signature), oip(signature).decode(*binary(sent))):
        assert arrays(found.inputs, signature)["numbers"][:, 0].tolist() == values


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=6), min_size=1, max_size=5))
def test_texts_read_the_same_as_bytes_and_as_json(values: list[str]) -> None:
    sent = [tensor("text", "BYTES", values)]
    for found in (asked(sent, TEXTS), oip(TEXTS).decode(*binary(sent))):
        assert arrays(found.inputs, TEXTS)["text"].tolist() == values


def test_all_numbers_may_come_as_one_matrix_beside_the_texts() -> None:
    sent = [tensor("numbers", "FP64", [1200.5, 30, 1, None, 31, 0], [2, 3]), *TENSORS[3:]]
    assert same(arrays(asked(sent).inputs), decode_rows(MIXED, ROWS))
    nested = [tensor("numbers", "FP64", [[1200.5, 30, 1], [None, 31, 0]], [2, 3]), *TENSORS[3:]]
    assert same(arrays(asked(nested).inputs), decode_rows(MIXED, ROWS))


def test_a_matrix_of_bytes_is_not_copied() -> None:
    body, json_bytes = binary([tensor("numbers", "FP64", [1.0, 2.0], [1, 2])])
    found = oip(NUMERIC).decode(body, json_bytes).inputs.numbers
    assert isinstance(found, memoryview)
    assert found.obj is body


def test_what_is_remembered_of_a_head_is_not_taken_for_another_request() -> None:
    made = oip(NUMERIC)
    for values in ([1.0, 2.0], [3.0, math.nan]):
        body, json_bytes = binary([tensor("numbers", "FP64", values, [1, 2])])
        found = arrays(made.decode(body, json_bytes).inputs, NUMERIC)["numbers"]
        assert np.array_equal(found, [values], equal_nan=True)
        with pytest.raises(InvalidInput, match="not all there"):
            made.decode(body[:-8], json_bytes)
        with pytest.raises(InvalidInput, match="More bytes"):
            made.decode(body + bytes(8), json_bytes)
    for name in ("a", "b"):  # an id is sent back as it came
        numbered, json_bytes = binary([tensor("numbers", "FP64", [1.0, 2.0], [1, 2])], id=name)
        assert made.decode(numbered, json_bytes).id == name
    single, json_bytes = binary([tensor("numbers", "FP32", [1.0, 2.0], [1, 2])])
    for _ in range(2):
        assert arrays(made.decode(single, json_bytes).inputs, NUMERIC)["numbers"].tolist() == [[1.0, 2.0]]


def test_a_column_called_numbers_is_meant_by_the_name() -> None:
    signature = Signature(Task.REGRESSION, "y", ColumnType.NUMBER, (Input("numbers", ColumnType.NUMBER),))
    assert arrays(asked([tensor("numbers", "FP64", [1.5, 2.5])], signature).inputs, signature)["numbers"].shape == (
        2,
        1,
    )


def test_what_only_a_batch_shows_is_found_before_it_is_predicted() -> None:
    sent = [tensor("numbers", "FP64", [1.0, 30.5, 1, 1.0, 30, 2], [2, 3]), *TENSORS[3:]]
    found = asked(sent).inputs
    assert not Shape(MIXED).fits(arrays(found))
    with pytest.raises(InvalidInput, match="Row 1: column 'age' must be a whole number"):
        Shape(MIXED).check(found)


# What is wrong


@pytest.mark.parametrize(
    ("index", "change", "sentence"),
    [
        (0, {"name": "planet"}, "no input 'planet'"),
        (0, {"name": None}, "no input 'None'"),
        (0, {"name": "age"}, "'age' is given twice"),
        (0, {"datatype": "BYTES"}, "'income' must have the datatype FP64"),
        (0, {"datatype": "BF16"}, "'income' must have the datatype FP64"),
        (1, {"datatype": "BOOL"}, "'age' must have the datatype INT64"),
        (2, {"datatype": "UINT8"}, "'member' must have the datatype BOOL"),
        (3, {"datatype": "FP64"}, "'city' must have the datatype BYTES"),
        (0, {"shape": [2, 2]}, "shape [N] or [N, 1]"),
        (0, {"shape": []}, "'income' must have the shape [N], [N, 1] or [N, k]"),
        (0, {"shape": "2"}, "'income' must have the shape [N], [N, 1] or [N, k]"),
        (0, {"shape": [2, 1, 1]}, "'income' must have the shape [N], [N, 1] or [N, k]"),
        (0, {"shape": [-2]}, "'income' must have the shape [N], [N, 1] or [N, k]"),
        (0, {"shape": [True], "data": [1.0]}, "'income' must have the shape [N], [N, 1] or [N, k]"),
        (0, {"shape": [3]}, "'income' has 3 rows and 'city' has 2. All inputs need the same number"),
        (0, {"data": [1.0]}, "'income' has 1 values, which does not fit its shape"),
        (3, {"data": ["a"] * 3}, "'city' has 3 values, which does not fit its shape"),
        (0, {"shape": [0], "data": []}, "'income' has 0 rows and 'city' has 2. All inputs need the same number"),
        (0, {"data": "1.0, 2.0"}, "The data of input 'income' must be a list"),
        (0, {"data": [1.0, CANARY]}, "Row 2: column 'income' must be a number"),
        (0, {"data": [1.0, [1.0, 2.0]]}, "Row 2: column 'income' must be a number"),
        (0, {"data": [True, 1.0]}, "Row 1: column 'income' must be a number"),
        (1, {"data": [30, 31.5]}, "Row 2: input 'age' has the datatype INT64"),
        (1, {"data": [30, 31.5], "datatype": "FP64"}, "Row 2: column 'age' must be a whole number"),
        (3, {"data": ["a", 5]}, "Row 2: column 'city' must be text"),
        (0, {"data": [1.0, float("inf")]}, "not valid JSON"),
        (0, {"parameters": {"binary_data_size": 5}}, "bytes of input 'income' are not all there"),
        (0, {"parameters": {"binary_data_size": -1}}, "bytes of input 'income' are not all there"),
        (0, {"parameters": {"binary_data_size": CANARY}}, "bytes of input 'income' are not all there"),
        (0, {"parameters": {"shared_memory_region": CANARY}, "data": None}, "The data of input 'income' must be"),
    ],
)  # fmt: skip
def test_wrong_tensors_get_a_sentence_without_their_values(index: int, change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        checked([{**one, **change} if at == index else one for at, one in enumerate(TENSORS)])
    assert sentence in caught.value.message
    assert CANARY not in caught.value.message


@pytest.mark.parametrize(("rows", "sentence"), [(0, "holds no row"), (10_001, "10,001 rows and at most 10,000")])
def test_the_number_of_rows_is_bounded(rows: int, sentence: str) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        asked([{**one, "shape": [rows], "data": one["data"][:1] * rows} for one in TENSORS])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"datatype": "BYTES", "data": [CANARY] * 4}, "'numbers' must hold numbers"),
        ({"datatype": "BOOL"}, "'numbers' must hold numbers"),
        ({"shape": [4]}, "'numbers' must have the shape [N, 2]"),
        ({"shape": [4, 1]}, "'numbers' must have the shape [N, 2]"),
        ({"shape": [3, 2]}, "'numbers' has 4 values, which does not fit its shape"),
        ({"shape": [0, 2], "data": []}, "holds no row"),
        ({"shape": [10_001, 2]}, "at most 10,000 are allowed"),
        ({"data": [[1, 2, 3], [4]]}, "'numbers' must be 2 lists of 2 values"),
        ({"data": [[1, 2], 3, 4]}, "'numbers' must be 2 lists of 2 values"),
        ({"data": [[1, 2], [3, CANARY]]}, "Row 2: input 'numbers' must hold numbers"),
        ({"data": [1, 2, CANARY, 4]}, "Row 2: input 'numbers' must hold numbers"),
        ({"data": [1, True, 3, 4]}, "Row 1: input 'numbers' must hold numbers"),
        ({"data": [1, 2, 3, 4.5], "datatype": "INT32"}, "Row 2: input 'numbers' has the datatype INT32"),
    ],
)
def test_wrong_matrices_get_a_sentence_without_their_values(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        asked([{**tensor("numbers", "FP64", [1.0, 2.0, 3.0, 4.0], [2, 2]), **change}], NUMERIC)
    assert sentence in caught.value.message
    assert CANARY not in caught.value.message


@pytest.mark.parametrize("inputs", [[1], TENSORS[:3], [], [*TENSORS, 1], None, {}])
def test_what_is_no_list_of_all_tensors_is_refused(inputs: object) -> None:
    with pytest.raises(InvalidInput, match=r"list (of tensors|\"inputs\")|Missing inputs? '"):
        asked(inputs)


@pytest.mark.parametrize(
    ("part", "sentence"),
    [
        (b"\1\2", "has 2 bytes and its shape and datatype need 16"),
        (struct.pack("<3d", 1, 2, 3), "has 24 bytes and its shape and datatype need 16"),
        (b"", "has 0 bytes and its shape and datatype need 16"),
    ],
)
@pytest.mark.parametrize(("name", "shape"), [("area", [2]), ("numbers", [1, 2])])
def test_bytes_of_another_size_than_the_shape_says_are_refused(
    part: bytes, sentence: str, name: str, shape: list[int]
) -> None:
    one = {"name": name, "datatype": "FP64", "shape": shape, "parameters": {"binary_data_size": len(part)}}
    other = tensor("rooms", "FP64", [1.0, 2.0])
    head = json.dumps({"inputs": [one] if name == "numbers" else [one, other]}).encode()
    with pytest.raises(InvalidInput, match=f"Input '{name}' {sentence}"):
        oip(NUMERIC).decode(head + part, len(head))


@pytest.mark.parametrize(
    ("part", "sentence"),
    [
        (b"\5\0\0\0abc", "end in the middle of a text"),
        (b"\5\0", "end in the middle of a text"),
        (b"\xff\xff\xff\xff", "end in the middle of a text"),
        (b"\0\0\0\0" * 2, "has too many values"),
        (b"", "has 0 values"),
        (b"\1\0\0\0\xff", "Row 1: the text in column 'text' is not valid Unicode"),
    ],
)
def test_bytes_that_are_no_texts_are_refused(part: bytes, sentence: str) -> None:
    one = {"name": "text", "datatype": "BYTES", "shape": [1], "parameters": {"binary_data_size": len(part)}}
    head = json.dumps({"inputs": [one]}).encode()
    with pytest.raises(InvalidInput, match=sentence):
        oip(TEXTS).decode(head + part, len(head))


def test_bytes_that_are_no_booleans_are_refused() -> None:
    sent = [{**TENSORS[0], "data": [1.0, 2.0]}, *TENSORS[1:]]
    body, json_bytes = binary(sent)
    at = json_bytes + 16 + 16
    with pytest.raises(InvalidInput, match="'member' holds bytes that are no BOOL"):
        oip().decode(body[:at] + b"\2" + body[at + 1 :], json_bytes)


def test_the_length_of_the_json_and_the_bytes_behind_it_must_add_up() -> None:
    body, json_bytes = binary([tensor("numbers", "FP64", [1.0, 2.0], [1, 2])])
    with pytest.raises(InvalidInput, match="More bytes follow the JSON"):
        oip(NUMERIC).decode(body + b"!", json_bytes)
    with pytest.raises(InvalidInput, match="longer than the body"):
        oip(NUMERIC).decode(body, len(body) + 1)
    with pytest.raises(InvalidInput, match="not valid JSON"):
        oip(NUMERIC).decode(body, json_bytes - 1)
    with pytest.raises(InvalidInput, match="not valid JSON"):
        oip(NUMERIC).decode(body, None)


# Whatever is sent

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)
TENSOR = st.fixed_dictionaries(
    {
        "name": st.sampled_from([one["name"] for one in TENSORS] + ["numbers"]) | JSON,
        "datatype": st.sampled_from([*DATATYPES, "BYTES"]) | JSON,
        "shape": st.lists(st.integers(0, 3), max_size=3) | JSON,
    },
    optional={"data": st.lists(JSON, max_size=3) | JSON, "parameters": JSON | st.fixed_dictionaries(
        {"binary_data_size": st.integers(0, 30) | JSON}
    )},
)  # fmt: skip
REQUEST = JSON | st.fixed_dictionaries(
    {"inputs": st.lists(TENSOR, max_size=5) | JSON},
    optional={
        "id": JSON,
        "parameters": JSON | st.just({"binary_data_output": True}),
        "outputs": JSON | st.lists(st.fixed_dictionaries({"name": st.sampled_from(["label", "x"]) | JSON}), max_size=3),
    },
)


@given(REQUEST, st.binary(max_size=40), st.sampled_from([MIXED, NUMERIC, TEXTS]), st.booleans())
def test_any_request_is_decoded_or_refused(request: object, behind: bytes, signature: Signature, split: bool) -> None:
    try:
        head = json.dumps(request).encode()
        found = oip(signature).decode(head + behind, len(head) if split else None)
        Shape(signature).check(found.inputs)
    except (InvalidInput, UnicodeEncodeError):
        return
    assert all(len(array) == found.inputs.rows for array in arrays(found.inputs, signature).values())


@given(st.binary(max_size=80), st.none() | st.integers(0, 100))
def test_any_bytes_are_refused(body: bytes, json_bytes: int | None) -> None:
    with pytest.raises(InvalidInput):
        oip().decode(body, json_bytes)


@given(st.data())
def test_any_bytes_behind_the_json_are_decoded_or_refused(data: st.DataObject) -> None:
    sent = [{**TENSORS[0], "data": [1.0, 2.0]}, *TENSORS[1:]]
    body, json_bytes = binary(sent)
    behind = data.draw(st.binary(max_size=80) | st.just(body[json_bytes:]).map(bytearray).flatmap(_damaged))
    try:
        found = oip().decode(body[:json_bytes] + behind, json_bytes)
    except InvalidInput:
        return
    assert len(behind) == len(body) - json_bytes
    assert found.inputs.rows == 2


def _damaged(body: bytearray) -> st.SearchStrategy[bytes]:
    return st.tuples(st.integers(0, len(body) - 1), st.integers(0, 255)).map(
        lambda change: bytes(body[: change[0]]) + bytes([change[1]]) + bytes(body[change[0] + 1 :])
    )


@given(
    st.lists(
        st.none() | st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**70), 2**70),
        min_size=2,
        max_size=6,
    ),
    st.sampled_from(["FP64", "FP32"]),
)
def test_the_fast_way_reads_what_the_explaining_way_reads(flat: list[Any], datatype: str) -> None:
    flat = flat[: len(flat) // 2 * 2]
    one = tensor("numbers", datatype, flat, [len(flat) // 2, 2])
    fast = asked([one], NUMERIC)
    slow = asked([{**one, "parameters": {}}], NUMERIC)  # which only the explaining way takes
    assert bytes(fast.inputs.numbers) == bytes(slow.inputs.numbers)
    assert (fast.id, fast.outputs, fast.binary) == (slow.id, slow.outputs, slow.binary)


# Answers


def answered(question: Question, signature: Signature = MIXED, outputs: Outputs | None = None) -> dict[str, Any]:
    outputs = outputs or outputs_of(signature, arrays(question.inputs, signature))
    parts, json_bytes = oip(signature).encode(question, outputs, 0, question.inputs.rows)
    answer: dict[str, Any] = json.loads(parts[0])
    assert json_bytes == (len(parts[0]) if len(parts) > 1 else None)
    rest = b"".join(parts[1:])
    for one in answer["outputs"]:
        if "parameters" in one:
            size = one["parameters"]["binary_data_size"]
            one["bytes"], rest = rest[:size], rest[size:]
    assert not rest
    return answer


def test_the_answer_names_the_model_and_the_request() -> None:
    answer = answered(asked(TENSORS, id="7"))
    assert (answer["model_name"], answer["model_version"], answer["id"]) == ("shop", "3", "7")
    label, shares = answer["outputs"]
    assert (label["name"], label["datatype"], label["shape"]) == ("label", "BYTES", [2])
    assert (shares["name"], shares["datatype"], shares["shape"]) == ("probabilities", "FP64", [2, 2])
    assert "id" not in answered(asked(TENSORS))
    assert len(shares["data"]) == 4
    assert label["data"] == ["no", "no"]


def test_outputs_come_as_bytes_when_asked_for_so() -> None:
    everything = answered(asked(TENSORS, parameters={"binary_data_output": True}))
    assert [one["bytes"] for one in everything["outputs"]] == [
        raw("BYTES", ["no", "no"]),
        raw("FP64", answered(asked(TENSORS))["outputs"][1]["data"]),
    ]
    one = answered(asked(TENSORS, outputs=[{"name": "probabilities", "parameters": {"binary_data": True}}]))
    assert [each["name"] for each in one["outputs"] if "bytes" in each] == ["probabilities"]
    assert len(one["outputs"]) == 1
    mixed = answered(
        asked(
            TENSORS,
            parameters={"binary_data_output": True},
            outputs=[{"name": "probabilities"}, {"name": "label", "parameters": {"binary_data": False}}],
        )
    )
    assert [("bytes" in each, each["name"]) for each in mixed["outputs"]] == [(True, "probabilities"), (False, "label")]
    assert "bytes" in answered(asked(TENSORS, parameters={"binary_data_output": True}, outputs=[]))["outputs"][0]


@pytest.mark.parametrize("binary", [False, True])
def test_a_request_gets_its_own_rows_of_a_batch(binary: bool) -> None:
    question = asked(TENSORS, parameters={"binary_data_output": binary})
    batch = outputs_of(MIXED, arrays(question.inputs, MIXED))
    encoder = oip()
    alone = [Outputs(MIXED, {name: array[row : row + 1] for name, array in batch.arrays.items()}) for row in range(2)]
    for row, one in enumerate(alone):
        assert encoder.encode(question, batch, row, row + 1) == encoder.encode(question, one, 0, 1)
    both = outputs_of(NUMERIC, {"numbers": np.array([[1.0, 2.0], [3.0, 4.0]])})
    kind = np.dtype("<f8")
    assert [both.raw("prediction", kind, at, at + 1) for at in range(2)] == [raw("FP64", [3.0]), raw("FP64", [7.0])]


@given(st.lists(st.none() | st.floats(allow_nan=False, allow_infinity=False), min_size=2, max_size=2))
def test_what_is_said_to_be_finite_is(row: list[float | None]) -> None:
    inputs = asked([tensor("numbers", "FP64", row, [1, 2])], NUMERIC).inputs
    assert inputs.is_finite == bool(np.isfinite(np.frombuffer(inputs.numbers)).all())


@pytest.mark.parametrize(
    ("outputs", "sentence"),
    [
        ([{"name": CANARY}], "no such output. It gives label, probabilities."),
        ([{}], "no such output"),
        ([{"name": ["label"]}], "no such output"),
        ([{"name": "label"}, {"name": "label"}], "'label' is asked for twice"),
        ({"name": "label"}, "must be a list of {name}"),
        ([1], "must be a list of {name}"),
        ([{"name": "label", "parameters": {"classification": 2}}], "not written as classification strings"),
        ([{"name": "label", "parameters": {"shared_memory_region": CANARY}}], "Shared memory is not offered"),
    ],
)
def test_outputs_the_model_does_not_give_are_refused(outputs: object, sentence: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        asked(TENSORS, outputs=outputs)
    assert sentence in caught.value.message
    assert CANARY not in caught.value.message


def test_labels_keep_their_type() -> None:
    outputs = {"label": np.array([1]), "probabilities": np.array([[0.25, 0.75]])}
    for target, datatype, label in ((ColumnType.BOOLEAN, "BOOL", True), (ColumnType.NUMBER, "INT64", 1)):
        signature = Signature(
            Task.CLASSIFICATION, "t", target, NUMERIC.inputs, (False, True) if label is True else (0, 1)
        )
        for more in ({}, {"parameters": {"binary_data_output": True}}):
            question = asked([tensor("numbers", "FP64", [1.0, 2.0], [1, 2])], signature, **more)
            found = answered(question, signature, Outputs(signature, outputs))["outputs"][0]
            assert found["datatype"] == datatype
            if more:
                assert found["bytes"] == raw(datatype, [label])
            else:
                assert found["data"] == [label]
                assert type(found["data"][0]) is type(label)


def test_metadata_offers_one_tensor_for_each_column() -> None:
    found = oip().metadata()
    assert (found["name"], found["versions"]) == ("shop", ["3"])
    assert [one["datatype"] for one in found["inputs"]] == ["BYTES", "FP64", "INT64", "BYTES", "BOOL"]
    assert [(one["datatype"], one["shape"]) for one in found["outputs"]] == [("BYTES", [-1]), ("FP64", [-1, 2])]
    assert oip(NUMERIC).metadata()["outputs"] == [{"name": "prediction", "datatype": "FP64", "shape": [-1]}]
