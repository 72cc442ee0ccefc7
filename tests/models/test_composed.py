"""Features and what a framework has learned, as one graph: whatever version of the operators it was exported with."""

from __future__ import annotations

import numpy as np
import onnx
import polars as pl
import pytest
from onnx import TensorProto, helper, numpy_helper

from lepton.core.columns import ColumnType
from lepton.core.errors import InvalidInput
from lepton.models.adopted import check_ours
from lepton.models.composed import blocks_of, join
from lepton.models.features import Column, Features
from lepton.models.fitting import fit_features
from lepton.models.frames import predict_frame, transform
from lepton.models.graph import features_graph
from lepton.models.prediction import open_session
from lepton.models.signature import Signature, Task
from lepton.training.recipes.port import Block

WORDS = ["red", "blue", "green", "fast", "slow", "car", "bike", "dog"]
ROWS = 120


@pytest.fixture(scope="module")
def frame() -> pl.DataFrame:
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(WORDS, 1 + row % 9)) + f" id{row}" for row in range(ROWS)]
    return pl.DataFrame(
        {"age": rng.normal(40, 9, ROWS), "city": rng.choice(["Bern", "Graz"], ROWS).tolist(), "note": texts}
    )


@pytest.fixture(scope="module")
def features(frame: pl.DataFrame) -> Features:
    columns = [Column("age", ColumnType.NUMBER), Column("city", ColumnType.TEXT), Column("note", ColumnType.TEXT)]
    return fit_features(frame.lazy(), columns, tokens=5)


def predictor(width: int, opset: int, outputs: int = 2) -> tuple[bytes, np.ndarray]:
    """A softmax over a product, or the product alone for one output, exported with some version of the operators."""
    weights = np.random.default_rng(1).normal(size=(width, outputs)).astype(np.float32)
    nodes = [helper.make_node("MatMul", ["X", "W"], ["z"])]
    answer = "z"
    if outputs > 1:
        nodes.append(helper.make_node("Softmax", ["z"], ["p"], axis=1))
        answer = "p"
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, ["N", width])],
        [helper.make_tensor_value_info(answer, TensorProto.FLOAT, ["N", outputs])],
        [numpy_helper.from_array(weights, "W")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    return model.SerializeToString(), weights


def test_tokens_are_the_numbers_of_the_first_words_in_their_order(frame: pl.DataFrame, features: Features) -> None:
    matrix = transform(open_session(features_graph(features)), frame, features.inputs)
    known = {word: number for number, word in enumerate(features.tokens[0].words, 2)}
    for text, row in zip(frame["note"], matrix, strict=True):
        expected = [known.get(word, 1) for word in text.split()][:5]
        assert row[-5:].tolist() == expected + [0] * (5 - len(expected))


def test_blocks_say_which_columns_of_the_matrix_are_whose(features: Features) -> None:
    assert set(features.categories[0].categories) == {"Bern", "Graz"}
    assert blocks_of(features) == (
        Block("age", "number", 0, 1, 0),
        Block("city", "category", 1, 2, 2, features.categories[0].categories),
        Block("note", "tokens", 3, 5, 10),
    )


@pytest.mark.parametrize("opset", [13, 18, 21, 22])
def test_a_joined_graph_answers_as_features_and_predictor_do_one_after_the_other(
    frame: pl.DataFrame, features: Features, opset: int
) -> None:
    graph, weights = predictor(features.width, opset)
    signature = Signature(Task.CLASSIFICATION, "left", ColumnType.TEXT, features.inputs, ("no", "yes"))
    joined = join(features, graph, signature)
    check_ours(joined, signature)
    found = predict_frame(open_session(joined), signature, frame)
    scores = transform(open_session(features_graph(features)), frame, features.inputs).astype(np.float32) @ weights
    shares = np.exp(scores - scores.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(found["probabilities"], shares, atol=1e-6)  # of single precision
    assert found["label"].tolist() == [("no", "yes")[best] for best in shares.argmax(axis=1)]


def test_a_number_is_answered_as_one_for_each_row(frame: pl.DataFrame, features: Features) -> None:
    graph, weights = predictor(features.width, 18, outputs=1)
    signature = Signature(Task.REGRESSION, "price", ColumnType.NUMBER, features.inputs)
    found = predict_frame(open_session(join(features, graph, signature)), signature, frame)["prediction"]
    matrix = transform(open_session(features_graph(features)), frame, features.inputs).astype(np.float32)
    np.testing.assert_allclose(found, (matrix @ weights)[:, 0], rtol=1e-5, atol=1e-5)


def test_a_graph_with_operators_of_others_is_refused_but_for_the_one_that_finds_words(features: Features) -> None:
    graph, _ = predictor(features.width, 21)
    signature = Signature(Task.CLASSIFICATION, "left", ColumnType.TEXT, features.inputs, ("no", "yes"))
    model = onnx.load_from_string(join(features, graph, signature))
    model.graph.node.append(helper.make_node("FusedGemm", ["a"], ["b"], domain="com.microsoft"))
    with pytest.raises(InvalidInput, match="operators of 'com.microsoft'"):
        check_ours(model.SerializeToString(), signature)


def test_a_graph_that_takes_anything_but_its_signature_says_is_refused(features: Features) -> None:
    graph, _ = predictor(features.width, 21)
    signature = Signature(Task.CLASSIFICATION, "left", ColumnType.TEXT, features.inputs, ("no", "yes"))
    joined = join(features, graph, signature)
    fewer = Signature(Task.CLASSIFICATION, "left", ColumnType.TEXT, features.inputs[:2], ("no", "yes"))
    with pytest.raises(InvalidInput, match="does not take and answer what its signature says"):
        check_ours(joined, fewer)
