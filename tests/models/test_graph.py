"""The one graph: what it computes, and that rows of a request and rows of a table get the same answer."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import onnx
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lepton.core.columns import ColumnType
from lepton.models.features import CategoryFeature, Column, Features, NumberFeature, WordsFeature
from lepton.models.fitting import fit_features
from lepton.models.frames import predict_frame, transform
from lepton.models.graph import Linear, Logistic, features_graph, model_graph
from lepton.models.prediction import decode_rows, open_session, run_session
from lepton.models.signature import Signature, Task

NUMBERS = st.floats(-1e6, 1e6).map(lambda x: round(x, 3))
WORDS = st.sampled_from(["", "red", "blue", "Blue ", "zażółć", "x'\"\n"]) | st.text(max_size=4)
VALUES = {
    ColumnType.NUMBER: NUMBERS,
    ColumnType.INTEGER: st.integers(-(10**6), 10**6),
    ColumnType.BOOLEAN: st.booleans(),
    ColumnType.TEXT: WORDS,
}
DTYPES = {
    ColumnType.NUMBER: pl.Float64(),
    ColumnType.INTEGER: pl.Int64(),
    ColumnType.BOOLEAN: pl.Boolean(),
    ColumnType.TEXT: pl.String(),
}
# What `words.py` says a word is, for Python's own regular expressions and the characters used here
TOKEN = re.compile(r"[\u4e00-\u9fff]|(?:(?![\u4e00-\u9fff])[^\W_]|')+")
TOKEN_LETTERS = "aFrReE gGo'!,.2中文é\n\t_"
TOKENS = st.sampled_from(["FREE!", "free", "go,go", "Don't", "中文", "élan", "2.0", "_go_", "x"])
NAMES = st.sampled_from(
    ["label", "probabilities", "prediction", "features", "concat", "mean", "a b", "número"]
) | st.text(min_size=1, max_size=6)


def fitted() -> Features:
    return Features(
        (
            CategoryFeature(Column("city", ColumnType.TEXT), ("Rome", "Paris", "")),
            NumberFeature(Column("age", ColumnType.INTEGER), median=30.0, mean=40.0, std=10.0),
            CategoryFeature(Column("size", ColumnType.TEXT), ("S", "L")),
            NumberFeature(Column("member", ColumnType.BOOLEAN), median=1.0, mean=0.5, std=0.5),
        )
    )


def test_features_are_filled_in_scaled_and_spelled_out() -> None:
    features = fitted()
    frame = pl.DataFrame(
        {
            "city": ["Paris", None, "Oslo", ""],
            "age": [50, None, 40, 30],
            "size": ["S", "L", None, "XL"],
            "member": [True, False, None, True],
        }
    )
    matrix = transform(open_session(features_graph(features)), frame, features.inputs)
    assert matrix.dtype == np.float64
    assert matrix.tolist() == [
        [1.0, 1.0, 0.0, 1.0, 0.0, 1.0, 0.0],
        [-1.0, -1.0, 0.0, 0.0, 1.0, 0.0, 1.0],
        [0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0],
        [-1.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0],
    ]
    assert [name for item in features.made for name in item.names] == [
        "age", "member", "city = Rome", "city = Paris", "city missing", "size = S", "size = L",
    ]  # fmt: skip


@settings(max_examples=60)
@given(
    texts=st.lists(
        st.none() | st.text(TOKEN_LETTERS, max_size=30) | st.lists(TOKENS, max_size=8).map(" ".join),
        min_size=1,
        max_size=6,
    )
)
def test_words_of_requests_and_tables_are_found_alike(texts: list[str | None]) -> None:
    words = ("free", "go", "don't", "中", "élan", "2")
    features = Features(
        (
            WordsFeature(Column("words", ColumnType.TEXT), words),
            NumberFeature(Column("x", ColumnType.NUMBER), 0.0, 0.0, 1.0),
            WordsFeature(Column("lowered", ColumnType.TEXT), ("free",)),
        )
    )
    frame = pl.DataFrame(
        {"words": texts, "x": [1.0] * len(texts), "lowered": texts},
        schema={"words": pl.String(), "x": pl.Float64(), "lowered": pl.String()},
    )
    session = open_session(features_graph(features))
    matrix = transform(session, frame, features.inputs)
    known = [set(TOKEN.findall(_lower(text or ""))) for text in texts]
    assert matrix.tolist() == [[1.0, *(float(w in k) for w in words), float("free" in k)] for k in known]
    signature = Signature(Task.REGRESSION, "t", ColumnType.NUMBER, features.inputs)
    arrays = decode_rows(signature, frame.to_dicts())
    assert session.run(None, arrays)[0].tolist() == matrix.tolist()


def _lower(text: str) -> str:
    return "".join(c.lower() if c.isascii() else c for c in text)


def test_the_graph_is_valid_and_the_same_each_time() -> None:
    predictor = Logistic(np.zeros((3, 7)), np.zeros(3), ("a", "b", "ü"))
    graph = model_graph(fitted(), predictor)
    onnx.checker.check_model(onnx.load_from_string(graph), full_check=True)
    assert graph == model_graph(fitted(), predictor)


@pytest.mark.parametrize("task", ["linear", "two classes", "three classes"])
@settings(max_examples=40)
@given(data=st.data())
def test_requests_and_tables_get_the_answer_numpy_gives(task: str, data: st.DataObject) -> None:
    kinds = data.draw(st.lists(st.sampled_from(list(VALUES)), min_size=1, max_size=6), label="kinds")
    names = data.draw(st.lists(NAMES, min_size=len(kinds), max_size=len(kinds), unique=True), label="names")
    cells = {n: VALUES[k] | st.none() for n, k in zip(names, kinds, strict=True)}
    training = data.draw(st.lists(st.fixed_dictionaries(cells), min_size=4, max_size=12), label="training rows")
    columns = [Column(n, k) for n, k in zip(names, kinds, strict=True)]
    schema = {n: DTYPES[k] for n, k in zip(names, kinds, strict=True)}
    # Two rows that differ in every column, so that none is left out
    ends = [dict(zip(names, map(END.__getitem__, kinds), strict=True)) for END in (LOW, HIGH)]
    features = fit_features(pl.DataFrame(training + ends, schema=schema).lazy(), columns)
    assert not features.notes
    rows = data.draw(st.lists(st.fixed_dictionaries(cells), min_size=1, max_size=5), label="rows to predict")
    random = np.random.default_rng(0)
    matrix = reference(features, rows)
    if task == "linear":
        predictor: Linear | Logistic = Linear(random.normal(size=features.width), 0.5)
        signature = Signature(Task.REGRESSION, "t", ColumnType.NUMBER, features.inputs)
        expected = matrix @ predictor.coefficients + 0.5
    else:
        count = 2 if task == "two classes" else 3
        weights = random.normal(size=(1 if count == 2 else 3, features.width))
        classes = ("no", "perhaps", "yes")[:count]
        predictor = Logistic(weights, np.full(len(weights), 0.1), classes)
        signature = Signature(Task.CLASSIFICATION, "t", ColumnType.TEXT, features.inputs, classes)
        expected = probabilities(matrix @ weights.T + 0.1)
    session = open_session(model_graph(features, predictor))
    from_rows = run_session(session, signature, decode_rows(signature, rows))
    from_table = predict_frame(session, signature, pl.DataFrame(rows, schema=schema))
    for name in signature.outputs:
        np.testing.assert_array_equal(from_rows[name], from_table[name])
    # The values are products of numbers up to about 1e1 × 1e1 in double precision
    np.testing.assert_allclose(from_rows[signature.outputs[-1]], expected, rtol=1e-9, atol=1e-9)
    if task != "linear":
        best = np.asarray(classes, dtype=object)[from_rows["probabilities"].argmax(axis=1)]
        assert from_rows["label"].tolist() == best.tolist()


LOW: dict[ColumnType, Any] = {
    ColumnType.NUMBER: -1e6, ColumnType.INTEGER: -(10**6), ColumnType.BOOLEAN: False, ColumnType.TEXT: "low",
}  # fmt: skip
HIGH: dict[ColumnType, Any] = {
    ColumnType.NUMBER: 1e6, ColumnType.INTEGER: 10**6, ColumnType.BOOLEAN: True, ColumnType.TEXT: "high",
}  # fmt: skip


def reference(features: Features, rows: list[dict[str, Any]]) -> np.ndarray:
    """The features of rows, the slow and obvious way."""
    lines = []
    for row in rows:
        line: list[float] = []
        for number in features.numbers:
            value = row[number.column.name]
            line.append(((number.median if value is None else float(value)) - number.mean) / number.std)
        for category in features.categories:
            line += [float((row[category.column.name] or "") == known) for known in category.categories]
        lines.append(line)
    return np.array(lines)


def probabilities(scores: np.ndarray) -> np.ndarray:
    if scores.shape[1] == 1:
        scores = np.column_stack([np.zeros(len(scores)), scores[:, 0]])
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def test_extreme_scores_are_certain_and_not_broken() -> None:
    features = Features((NumberFeature(Column("x", ColumnType.NUMBER), 0.0, 0.0, 1.0),))
    for weights in (np.array([[1.0]]), np.array([[-1.0], [0.0], [1.0]])):
        classes = tuple(range(max(2, len(weights))))
        signature = Signature(Task.CLASSIFICATION, "t", ColumnType.INTEGER, features.inputs, classes)
        session = open_session(model_graph(features, Logistic(weights, np.zeros(len(weights)), classes)))
        outputs = run_session(session, signature, decode_rows(signature, [{"x": 1e300}, {"x": -1e300}, {"x": None}]))
        assert np.isfinite(outputs["probabilities"]).all()
        assert outputs["label"].tolist()[:2] == [classes[-1], 0]
        assert outputs["label"].dtype == np.int64
