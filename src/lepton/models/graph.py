"""Features and predictor as one ONNX graph, written node by node.

Inputs: ``numbers`` DOUBLE [N, k] with NaN for missing (booleans as 0 and 1), and for each column of text a STRING [N]
with "" for missing; `named` gives every column an input of its own, for other programs. Training runs the features
part alone, so what it learns from is what serving computes.
Source of the operators: https://onnx.ai/onnx/operators/ (ai.onnx 21, ai.onnx.ml 3); free text: see `words.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from lepton.core.columns import ColumnType
from lepton.models.features import CategoryFeature, Features, NumberFeature, TokensFeature, WordsFeature
from lepton.models.signature import (
    LABEL,
    NUMBERS,
    OUTPUTS,
    PREDICTION,
    PROBABILITIES,
    Label,
    Signature,
    tensor_names,
)
from lepton.models.words import tokenizer_nodes

_OPSET, _ML_OPSET, _IR_VERSION = 21, 3, 10

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Linear:
    """A fitted linear regression: ``X @ coefficients + intercept``.

    Attributes:
        coefficients: float64 [d].
        intercept: One number.
    """

    coefficients: Floats
    intercept: float


@dataclass(frozen=True)
class Logistic:
    """A fitted logistic regression.

    Attributes:
        coefficients: float64 [K, d], or [1, d] for two classes.
        intercepts: float64 [K], or [1] for two classes.
        classes: The K classes, all text or all whole numbers (booleans as 0 and 1).
    """

    coefficients: Floats
    intercepts: Floats
    classes: tuple[Label, ...]


class _Graph:
    """Collects nodes and constants under names that no column has."""

    def __init__(self, columns: Sequence[str]) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.told: list[onnx.ValueInfoProto] = []
        self.tensors = tensor_names(columns)
        self._taken = {*OUTPUTS, NUMBERS, *self.tensors.values()}

    def fresh(self, name: str) -> str:
        name = _unlike(name, self._taken)
        self._taken.add(name)
        return name

    def add(self, operator: str, *inputs: str, output: str | None = None, domain: str = "", **attributes: Any) -> str:
        result = self.fresh(operator.lower()) if output is None else output
        self.nodes.append(helper.make_node(operator, list(inputs), [result], domain=domain, **attributes))
        return result

    def constant(self, name: str, value: npt.NDArray[np.number[Any]]) -> str:
        result = self.fresh(name)
        self.constants.append(numpy_helper.from_array(value, result))
        return result

    def strings(self, name: str, values: Sequence[str]) -> str:
        result = self.fresh(name)
        self.constants.append(numpy_helper.from_array(np.array(values, dtype=object), result))
        return result


def features_graph(features: Features) -> bytes:
    """Write the features part alone: numbers and texts in, one matrix float64 [N, d] out."""
    graph = _Graph([item.column.name for item in features.items])
    matrix = _features(graph, features)
    return _write(graph, features, [(matrix, TensorProto.DOUBLE, ["N", features.width])])


def model_graph(features: Features, predictor: Linear | Logistic) -> bytes:
    """Write features and predictor: numbers and texts in, the signature's outputs out."""
    graph = _Graph([item.column.name for item in features.items])
    matrix = _features(graph, features)
    if isinstance(predictor, Linear):
        _linear(graph, matrix, predictor)
        return _write(graph, features, [(PREDICTION, TensorProto.DOUBLE, ["N"])])
    _logistic(graph, matrix, predictor)
    kind = TensorProto.STRING if isinstance(predictor.classes[0], str) else TensorProto.INT64
    return _write(
        graph,
        features,
        [(LABEL, kind, ["N"]), (PROBABILITIES, TensorProto.DOUBLE, ["N", len(predictor.classes)])],
    )


def _features(graph: _Graph, features: Features) -> str:
    parts = [_numbers(graph, features.numbers)] if features.numbers else []
    marks = [
        *(_category(graph, item) for item in features.categories),
        *(_words(graph, item) for item in features.words),
        *(_tokens(graph, item) for item in features.tokens),
    ]
    if marks:
        parts.append(graph.add("Cast", _joined(graph, marks), to=TensorProto.DOUBLE))
    return _joined(graph, parts)


def _joined(graph: _Graph, parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else graph.add("Concat", *parts, axis=1)


def _numbers(graph: _Graph, numbers: Sequence[NumberFeature]) -> str:
    median = graph.constant("median", np.array([[item.median for item in numbers]]))
    filled = graph.add("Where", graph.add("IsNaN", NUMBERS), median, NUMBERS)
    centered = graph.add("Sub", filled, graph.constant("mean", np.array([[item.mean for item in numbers]])))
    return graph.add("Div", centered, graph.constant("std", np.array([[item.std for item in numbers]])))


def _category(graph: _Graph, item: CategoryFeature) -> str:
    tensor = graph.tensors[item.column.name]
    return graph.add("OneHotEncoder", tensor, domain="ai.onnx.ml", cats_strings=list(item.categories), zeros=1)


def _words(graph: _Graph, item: WordsFeature) -> str:
    lowered, words = graph.fresh("lowered"), graph.fresh("words")
    graph.nodes.extend(tokenizer_nodes(graph.tensors[item.column.name], lowered, words))
    counts = graph.add(
        "TfIdfVectorizer",
        words,
        mode="TF",
        min_gram_length=1,
        max_gram_length=1,
        max_skip_count=0,
        ngram_counts=[0],
        ngram_indexes=list(range(item.width)),
        pool_strings=list(item.words),
    )
    return graph.add("Min", counts, graph.constant("once", np.array([1.0], dtype=np.float32)))


def _tokens(graph: _Graph, item: TokensFeature) -> str:
    lowered, words = graph.fresh("lowered"), graph.fresh("words")
    graph.nodes.extend(tokenizer_nodes(graph.tensors[item.column.name], lowered, words))
    # onnx's checker does not know onnxruntime's operator, and dies where it has to guess what comes out of it.
    graph.told.append(helper.make_tensor_value_info(words, TensorProto.STRING, ["N", None]))
    numbers = graph.add(
        "LabelEncoder",
        words,
        domain="ai.onnx.ml",
        keys_strings=["", *item.words],
        values_int64s=[0, *range(2, len(item.words) + 2)],
        default_int64=1,
    )
    # Longer by a whole length, so that there is enough to cut off of any row.
    ends = graph.constant("ends", np.array([0, 0, 0, item.length]))
    padded = graph.add("Pad", numbers, ends)
    first, length, axis = (
        graph.constant(name, np.array([value])) for name, value in (("first", 0), ("length", item.length), ("along", 1))
    )
    return graph.add("Cast", graph.add("Slice", padded, first, length, axis), to=TensorProto.FLOAT)


def _scores(graph: _Graph, matrix: str, weights: Floats, offsets: Floats) -> str:
    product = graph.add("MatMul", matrix, graph.constant("coefficients", np.ascontiguousarray(weights)))
    return graph.add("Add", product, graph.constant("intercepts", offsets))


def _linear(graph: _Graph, matrix: str, predictor: Linear) -> None:
    weights = predictor.coefficients.reshape(-1, 1).astype(np.float64)
    scores = _scores(graph, matrix, weights, np.array([predictor.intercept], dtype=np.float64))
    graph.add("Squeeze", scores, graph.constant("axis", np.array([1])), output=PREDICTION)


def _logistic(graph: _Graph, matrix: str, predictor: Logistic) -> None:
    weights, offsets = predictor.coefficients.astype(np.float64), predictor.intercepts.astype(np.float64)
    if len(weights) == 1:  # both classes at once: fewer nodes, each of which costs a lone row about a microsecond
        scores = _scores(graph, matrix, np.concatenate([-weights, weights]).T, np.concatenate([-offsets, offsets]))
        graph.add("Sigmoid", scores, output=PROBABILITIES)
    else:
        graph.add("Softmax", _scores(graph, matrix, weights.T, offsets), output=PROBABILITIES, axis=1)
    best = graph.add("ArgMax", PROBABILITIES, axis=1, keepdims=0)
    graph.add("Gather", _classes(graph, predictor.classes), best, output=LABEL, axis=0)


def _classes(graph: _Graph, classes: Sequence[Label]) -> str:
    if isinstance(classes[0], str):
        return graph.strings("classes", [str(label) for label in classes])
    return graph.constant("classes", np.array([int(label) for label in classes], dtype=np.int64))


def _write(graph: _Graph, features: Features, outputs: Sequence[tuple[str, int, list[str | int]]]) -> bytes:
    inputs = [
        helper.make_tensor_value_info(graph.tensors[item.column.name], TensorProto.STRING, ["N"])
        for item in features.items
        if item.column.type is ColumnType.TEXT
    ]
    if features.numbers:
        inputs.insert(0, helper.make_tensor_value_info(NUMBERS, TensorProto.DOUBLE, ["N", len(features.numbers)]))
    answers = [helper.make_tensor_value_info(name, kind, shape) for name, kind, shape in outputs]
    opsets = [helper.make_opsetid("", _OPSET)]
    if features.categories or features.tokens:
        opsets.append(helper.make_opsetid("ai.onnx.ml", _ML_OPSET))
    if features.words or features.tokens:
        opsets.append(helper.make_opsetid("com.microsoft", 1))
    model = helper.make_model(
        helper.make_graph(graph.nodes, "lepton", inputs, answers, graph.constants, value_info=graph.told),
        opset_imports=opsets,
        ir_version=_IR_VERSION,
        producer_name="lepton",
    )
    return _checked(model)


def named(graph: bytes, signature: Signature) -> bytes:
    """Give every column of numbers an input [N] of its own, so that other programs feed a graph by column names."""
    model = onnx.load_from_string(graph)
    names = tensor_names(column.name for column in signature.inputs)
    kinds = {column.name: TensorProto.DOUBLE for column in signature.numbers}
    inputs = [
        helper.make_tensor_value_info(names[c.name], kinds.get(c.name, TensorProto.STRING), ["N"])
        for c in signature.inputs
    ]
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    if signature.numbers:
        taken = {name for node in model.graph.node for name in (*node.input, *node.output)} | set(names.values())
        flat, folded, shape = (_unlike(name, taken) for name in ("flat", "folded", "folding"))
        model.graph.initializer.append(numpy_helper.from_array(np.array([len(signature.numbers), -1]), shape))
        # All columns one after the other, then folded into rows: three nodes however many columns.
        front = [
            helper.make_node("Concat", [names[column.name] for column in signature.numbers], [flat], axis=0),
            helper.make_node("Reshape", [flat, shape], [folded]),
            helper.make_node("Transpose", [folded], [NUMBERS], perm=[1, 0]),
        ]
        nodes = [*front, *model.graph.node]
        del model.graph.node[:]
        model.graph.node.extend(nodes)
    return _checked(model)


def _unlike(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "_"
    return name


def _checked(model: onnx.ModelProto) -> bytes:
    onnx.checker.check_model(model, full_check=True)
    data: bytes = model.SerializeToString(deterministic=True)
    return data
