"""Arrow streams: pyarrow and Polars are understood and understand; nothing that is sent ends the worker."""

from __future__ import annotations

import datetime
import io
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest
from endpoints.models import MIXED, NUMERIC, ROW, TEXTS, outputs_of
from hypothesis import example, given
from hypothesis import strategies as st

from lepton.core.columns import ColumnType
from lepton.core.errors import InvalidInput
from lepton.endpoints.replica import ipc_writer
from lepton.endpoints.replica.arrow import Arrow
from lepton.endpoints.replica.inputs import Shape
from lepton.endpoints.replica.outputs import Outputs
from lepton.models.prediction import Arrays, decode_rows
from lepton.models.signature import Input, Signature, Task

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "city": st.none() | st.sampled_from(["Paris", "Rome", "", "a long name of a city, é中"]),
            "income": st.none() | st.floats(allow_nan=False, allow_infinity=False),
            "age": st.none() | st.integers(-100, 100),
            "note": st.none() | TEXT,
            "member": st.none() | st.booleans(),
        }
    ),
    min_size=1,
    max_size=20,
)
TYPES = {"city": pa.string(), "income": pa.float64(), "age": pa.int32(), "note": pa.string(), "member": pa.bool_()}
LIKE: list[dict[str, pa.DataType]] = [
    {},
    {"city": pa.large_string(), "note": pa.large_string(), "age": pa.int8()},
    {"city": pa.string_view(), "note": pa.string_view(), "age": pa.int64()},
    {"city": pa.dictionary(pa.int8(), pa.string()), "note": pa.dictionary(pa.uint32(), pa.large_string())},
    {"age": pa.float32(), "city": pa.dictionary(pa.int32(), pa.string())},
]


def stream(table: pa.Table, **options: Any) -> bytes:
    out = io.BytesIO()
    rows = options.pop("rows", None)
    with pa.ipc.new_stream(out, table.schema, options=pa.ipc.IpcWriteOptions(**options)) as writer:
        writer.write_table(table, max_chunksize=rows)
    return out.getvalue()


def table(rows: list[dict[str, Any]], like: dict[str, pa.DataType] | None = None) -> pa.Table:
    made = pa.table({n: pa.array([row[n] for row in rows], kind) for n, kind in TYPES.items()})
    for name, kind in (like or {}).items():
        value = made[name].combine_chunks()
        if pa.types.is_dictionary(kind):
            value = value.cast(kind.value_type).dictionary_encode().cast(kind)
        else:
            value = value.cast(kind)
        made = made.set_column(made.schema.get_field_index(name), name, value)
    return made


def decoded(body: bytes, signature: Signature = MIXED) -> Arrays:
    shape = Shape(signature)
    return shape.arrays([Arrow(shape).decode(body)])


def same(a: Arrays, b: Arrays) -> bool:
    return a.keys() == b.keys() and all(np.array_equal(a[k], b[k], equal_nan=k == "numbers") for k in a)


@given(ROWS, st.sampled_from(LIKE), st.none() | st.integers(1, 7))
def test_streams_of_pyarrow_read_like_rows(
    rows: list[dict[str, Any]], like: dict[str, pa.DataType], batch: int | None
) -> None:
    assert same(decoded(stream(table(rows, like), rows=batch)), decode_rows(MIXED, rows))


@given(ROWS, st.booleans())
def test_streams_of_polars_read_like_rows(rows: list[dict[str, Any]], categorical: bool) -> None:
    kinds = {
        "city": pl.String(),
        "income": pl.Float64(),
        "age": pl.Int16(),
        "note": pl.String(),
        "member": pl.Boolean(),
    }
    frame = pl.DataFrame(rows, schema=kinds)
    if categorical:
        frame = frame.with_columns(pl.col("city").cast(pl.Categorical), pl.col("note").cast(pl.Categorical))
    out = io.BytesIO()
    frame.write_ipc_stream(out)
    assert same(decoded(out.getvalue()), decode_rows(MIXED, rows))


@pytest.mark.parametrize(
    "kind", ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64"]
)
def test_numbers_of_every_type_are_read(kind: str) -> None:
    values = np.array([0, 1, 100], kind)
    body = stream(pa.table({"rooms": values, "area": values}))
    assert decoded(body, NUMERIC)["numbers"].tolist() == [[float(v)] * 2 for v in values]


def test_slices_and_columns_without_any_value_are_read() -> None:
    rows = [{**ROW, "age": n, "note": None} for n in range(9)]
    part = table(rows).slice(3, 4).set_column(3, "note", pa.nulls(4)).set_column(1, "income", pa.nulls(4))
    assert same(decoded(stream(part)), decode_rows(MIXED, [{**row, "income": None} for row in rows[3:7]]))


def test_dictionaries_may_grow() -> None:
    kind = pa.dictionary(pa.int32(), pa.string())
    batches = [
        pa.record_batch({"text": pa.DictionaryArray.from_arrays(pa.array(places, pa.int32()), words)})
        for places, words in (([0, 1], ["a", "b"]), ([2, 0, None], ["a", "b", "c"]))
    ]
    out = io.BytesIO()
    options = pa.ipc.IpcWriteOptions(emit_dictionary_deltas=True)
    with pa.ipc.new_stream(out, pa.schema({"text": kind}), options=options) as writer:
        for batch in batches:
            writer.write_batch(batch)
    assert decoded(out.getvalue(), TEXTS)["text"].tolist() == ["a", "b", "c", "a", ""]


WHOLE = table([ROW, ROW])
DAY = datetime.date(2026, 1, 1)
CATEGORY = Signature(
    Task.REGRESSION, "y", ColumnType.NUMBER, (Input("text", ColumnType.TEXT, values=("a",)),)
)  # fmt: skip


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        (stream(WHOLE.drop_columns("age")), "has no column 'age'"),
        (stream(WHOLE.append_column("planet", pa.array(["canary"] * 2))), "has an unknown column 'planet'"),
        (stream(WHOLE.append_column("age", pa.array([1, 2]))), "has twice the column 'age'"),
        (stream(WHOLE.set_column(2, "age", pa.array(["canary"] * 2))), "'age' must hold a whole number"),
        (stream(WHOLE.set_column(4, "member", pa.array([0, 1]))), "'member' must hold true or false"),
        (stream(WHOLE.set_column(0, "city", pa.array([1, 2]))), "'city' must hold text"),
        (stream(WHOLE.set_column(1, "income", pa.array([[1], [2]]))), "'income' must hold a number"),
        (stream(WHOLE.set_column(1, "income", pa.array([DAY] * 2))), "'income' must hold a number"),
        (stream(WHOLE.slice(0, 0)), "holds no row"),
        (stream(pa.concat_tables([WHOLE] * 5001).combine_chunks()), "10,002 rows and at most 10,000"),
        (stream(WHOLE, compression="zstd"), "The stream is compressed"),
        (stream(pa.concat_tables([WHOLE] * 600), rows=1), "more than 1000 messages"),
        (b"", "no Arrow IPC stream"),
        (b"[]", "no Arrow IPC stream"),
        (stream(WHOLE)[:-40], "no Arrow IPC stream"),
    ],
)  # fmt: skip
def test_wrong_streams_get_a_sentence_without_their_values(body: bytes, sentence: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        decoded(body)
    assert sentence in caught.value.message
    assert "canary" not in caught.value.message


LONG = "x" * (1 << 20)


def test_one_long_text_that_rows_share_is_bounded_over_all_batches() -> None:
    places = pa.array([0] * 40, pa.int32())
    views = np.array([[1 << 20, 0, 0, 0]] * 40, "<i4")
    for shared in (
        pa.DictionaryArray.from_arrays(places, [LONG]),
        pa.Array.from_buffers(pa.string_view(), 40, [None, pa.py_buffer(views.tobytes()), pa.py_buffer(LONG.encode())]),
    ):
        assert decoded(stream(pa.table({"text": shared}), rows=10), CATEGORY)["text"].tolist() == [LONG] * 40
        with pytest.raises(InvalidInput, match="too long together"):
            decoded(stream(pa.table({"text": pa.chunked_array([shared, shared])}), rows=40), CATEGORY)


def test_dictionaries_are_bounded() -> None:
    words = pa.DictionaryArray.from_arrays(pa.array([0], pa.int32()), [""] * 100_001)
    with pytest.raises(InvalidInput, match="more than 100,000 values"):
        decoded(stream(pa.table({"text": words})), TEXTS)


SOUND = [stream(table([ROW, {**ROW, "note": None, "city": "a long name of a city"}], like)) for like in LIKE]


@given(
    st.sampled_from(SOUND), st.lists(st.tuples(st.integers(0, 10**6), st.binary(min_size=1, max_size=8)), max_size=4)
)
@example(SOUND[0], [(0, b"\xff\xff\xff\xff\xff\xff\xff\x7f")])
def test_damaged_streams_are_decoded_or_refused(body: bytes, changes: list[tuple[int, bytes]]) -> None:
    data = bytearray(body)
    for place, change in changes:
        at = place % len(data)
        data[at : at + len(change)] = change[: len(data) - at]
    try:
        found = decoded(bytes(data))
    except InvalidInput:
        return
    assert all(len(array) <= 10_000 for array in found.values())


@given(st.binary(max_size=200))
def test_any_bytes_are_refused(body: bytes) -> None:
    with pytest.raises(InvalidInput):
        decoded(body)


def test_answers_are_streams_of_the_outputs() -> None:
    rows = [{**ROW, "income": n / 4, "age": 0, "note": "", "member": False, "city": ""} for n in range(4)]
    outputs = outputs_of(MIXED, decode_rows(MIXED, rows))
    body = Arrow(Shape(MIXED)).encode(outputs, 1, 4)
    with pa.ipc.open_stream(body) as reader:
        found = reader.read_all()
    found.validate(full=True)
    assert found.to_pydict() == {
        "label": ["no", "no", "yes"], "probability_no": [0.75, 0.5, 0.25], "probability_yes": [0.25, 0.5, 0.75]
    }  # fmt: skip
    assert pl.read_ipc_stream(body).to_dict(as_series=False) == found.to_pydict()


def test_answers_keep_the_type_of_their_labels() -> None:
    for target, label, kind in (
        (ColumnType.BOOLEAN, True, pa.bool_()),
        (ColumnType.NUMBER, 1, pa.int64()),
        (ColumnType.TEXT, "é中", pa.string()),
    ):
        signature = Signature(Task.CLASSIFICATION, "t", target, (Input("x", ColumnType.NUMBER),), (label,))
        outputs = Outputs(signature, {"label": np.array([label] * 9), "probabilities": np.ones((9, 1))})
        found = pa.ipc.open_stream(Arrow(Shape(signature)).encode(outputs, 0, 9)).read_all()
        found.validate(full=True)
        assert found["label"].type == kind
        assert found["label"].to_pylist() == [label] * 9


@given(
    st.integers(1, 9).flatmap(
        lambda n: st.dictionaries(
            TEXT,
            st.lists(TEXT, min_size=n, max_size=n)
            | st.lists(st.booleans(), min_size=n, max_size=n)
            | st.lists(st.integers(-(2**63), 2**63 - 1), min_size=n, max_size=n)
            | st.lists(st.floats(allow_nan=False), min_size=n, max_size=n),
            min_size=1,
            max_size=4,
        )
    )
)
def test_whatever_is_written_is_read_by_others(columns: dict[str, Any]) -> None:
    found = pa.ipc.open_stream(ipc_writer.write(columns)).read_all()
    found.validate(full=True)
    assert found.to_pydict() == columns
