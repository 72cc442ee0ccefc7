"""Fitted candidates as ONNX: one input, a weighted mean of their answers, one output.

Trees, networks and linear models are written node by node, which is a hundred times faster than the general converter
for large forests and rounds thresholds so that float32 rows take the same branches.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from lepton.training.auto.candidates import Products
from lepton.training.auto.members import Member
from lepton.training.recipes.port import Features, Scores

OPSET, ML_OPSET, IR = 15, 3, 8
INPUT, OUTPUT = "features", "scores"


class Sheet:
    """A graph that is being written."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def put(self, kind: str, inputs: Sequence[str], *, domain: str = "", **attributes: Any) -> str:
        """Add a node with one output and return its name."""
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, list(inputs), [name], domain=domain, **attributes))
        return name

    def constant(self, array: npt.ArrayLike, kind: type[np.generic] = np.float32) -> str:
        """Add numbers and return their name."""
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(array, dtype=kind), name))
        return name

    def trees(self, columns: dict[str, list[Any]], *, outputs: int, start: npt.ArrayLike) -> str:
        """Add trees whose leaves are summed up."""
        attributes = {**columns, "n_targets": outputs, "aggregate_function": "SUM", "post_transform": "NONE"}
        node = helper.make_node("TreeEnsembleRegressor", [INPUT], [f"v{len(self.nodes)}"], domain="ai.onnx.ml")
        for name, value in attributes.items():
            node.attribute.append(helper.make_attribute(name, value))
        self.nodes.append(node)
        return self.put("Add", [node.output[0], self.constant(np.reshape(start, (1, -1)))])


def _down(thresholds: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Round to float32, never up: then ``x <= t`` holds for the same float32 x."""
    near = thresholds.astype(np.float32)
    return np.where(near.astype(np.float64) > thresholds, np.nextafter(near, np.float32(-np.inf)), near)


class Trees:
    """Columns of a tree ensemble, tree by tree."""

    def __init__(self) -> None:
        self._parts: dict[str, list[npt.NDArray[Any]]] = {}
        self._leaves: dict[str, list[npt.NDArray[Any]]] = {}

    def add(
        self, tree: int, columns: npt.NDArray[Any], thresholds: npt.NDArray[np.float64], left: npt.NDArray[Any],
        right: npt.NDArray[Any], values: npt.NDArray[np.float64], targets: Sequence[int],
    ) -> None:  # fmt: skip
        """Add a tree of N nodes.

        Args:
            tree: Its number.
            columns: [N]: which column a node looks at; -1: it is a leaf.
            thresholds: [N]: up to which value it goes left.
            left: [N]: node for those.
            right: [N]: node for the others.
            values: [N, targets]: what a leaf adds.
            targets: To which outputs.
        """
        count, leaf = len(columns), columns < 0
        for name, part in (
            ("nodes_treeids", np.full(count, tree)),
            ("nodes_nodeids", np.arange(count)),
            ("nodes_featureids", np.where(leaf, 0, columns)),
            ("nodes_values", np.where(leaf, np.float32(0), _down(thresholds))),
            ("nodes_truenodeids", np.where(leaf, 0, left)),
            ("nodes_falsenodeids", np.where(leaf, 0, right)),
            ("nodes_modes", leaf),
        ):
            self._parts.setdefault(name, []).append(part)
        leaves = np.flatnonzero(leaf)
        for name, part in (
            ("target_treeids", np.full(len(leaves) * len(targets), tree)),
            ("target_nodeids", np.repeat(leaves, len(targets))),
            ("target_ids", np.tile(np.asarray(targets), len(leaves))),
            ("target_weights", values[leaves].astype(np.float32).ravel()),
        ):
            self._leaves.setdefault(name, []).append(part)

    def columns(self) -> dict[str, list[Any]]:
        """Return the attributes of the node."""
        found: dict[str, list[Any]] = {
            name: np.concatenate(parts).tolist() for name, parts in {**self._parts, **self._leaves}.items()
        }
        found["nodes_modes"] = ["LEAF" if leaf else "BRANCH_LEQ" for leaf in found["nodes_modes"]]
        return found


def _forest(sheet: Sheet, estimator: Any, outputs: int) -> str:
    trees = Trees()
    for number, one in enumerate(estimator.estimators_):
        tree = one.tree_
        values = tree.value[:, 0, :] if outputs > 1 else tree.value[:, :, 0]
        if outputs > 1:
            values = values / values.sum(axis=1, keepdims=True)
        columns = np.where(tree.children_left < 0, -1, tree.feature)
        trees.add(
            number, columns, tree.threshold, tree.children_left, tree.children_right,
            values / len(estimator.estimators_), range(outputs),
        )  # fmt: skip
    return sheet.trees(trees.columns(), outputs=outputs, start=np.zeros(outputs))


def _boosting(sheet: Sheet, estimator: Any, classes: int) -> str:
    trees, number = Trees(), 0
    for together in estimator._predictors:
        for target, predictor in enumerate(together):
            nodes = predictor.nodes
            columns = np.where(nodes["is_leaf"].astype(bool), -1, nodes["feature_idx"])
            trees.add(
                number,
                columns,
                nodes["num_threshold"],
                nodes["left"],
                nodes["right"],
                nodes["value"][:, None],
                [target],
            )
            number += 1
    outputs = classes if classes > 2 else 1
    raw = sheet.trees(trees.columns(), outputs=outputs, start=np.ravel(estimator._baseline_prediction))
    return _linked(sheet, raw, classes) if classes else raw


def _linked(sheet: Sheet, raw: str, classes: int) -> str:
    """Probabilities from logits: of all classes, or of the second of two."""
    if classes > 2:
        return sheet.put("Softmax", [raw], axis=1)
    second = sheet.put("Sigmoid", [raw])
    first = sheet.put("Sigmoid", [sheet.put("Neg", [raw])])
    return sheet.put("Concat", [first, second], axis=1)


def _linear(sheet: Sheet, estimator: Any, features: str, classes: int) -> str:
    weights = np.atleast_2d(estimator.coef_).T
    raw = sheet.put("Gemm", [features, sheet.constant(weights), sheet.constant(np.ravel(estimator.intercept_))])
    return _linked(sheet, raw, classes) if classes else raw


def _products(sheet: Sheet, estimator: Products, classes: int) -> str:
    left = sheet.put("Gather", [INPUT, sheet.constant(estimator.left, np.int64)], axis=1)
    right = sheet.put("Gather", [INPUT, sheet.constant(estimator.right, np.int64)], axis=1)
    wide = sheet.put("Concat", [INPUT, sheet.put("Mul", [left, right])], axis=1)
    even = sheet.put("Sub", [wide, sheet.constant(estimator.mean)])
    even = sheet.put("Div", [even, sheet.constant(estimator.scale)])
    return _linear(sheet, estimator.inner, even, classes)


def _network(sheet: Sheet, estimator: Any, classes: int) -> str:
    now = INPUT
    for layer, (weights, bias) in enumerate(zip(estimator.coefs_, estimator.intercepts_, strict=True)):
        now = sheet.put("Gemm", [now, sheet.constant(weights), sheet.constant(bias)])
        if layer + 1 < len(estimator.coefs_):
            now = sheet.put("Relu", [now])
    return _linked(sheet, now, classes) if classes else now


def _foreign(sheet: Sheet, estimator: Any, width: int, classes: int) -> str:
    """Take over the nodes of a converter's graph: nearest neighbors."""
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType

    made = to_onnx(
        estimator, initial_types=[(INPUT, FloatTensorType([None, width]))],
        target_opset={"": OPSET, "ai.onnx.ml": ML_OPSET}, options={"zipmap": False} if classes else None,
    )  # fmt: skip
    prefix = f"f{len(sheet.nodes)}_"
    graph = onnx.compose.add_prefix_graph(made.graph, prefix)
    sheet.nodes.append(helper.make_node("Identity", [INPUT], [prefix + INPUT]))
    sheet.nodes += graph.node
    sheet.constants += graph.initializer
    return str(graph.output[-1].name)


def _grown(sheet: Sheet, estimator: Any, width: int, classes: int, *, kind: str) -> str:
    """Take over the trees of LightGBM or XGBoost."""
    from onnxmltools import convert_lightgbm, convert_xgboost
    from onnxmltools.convert.common.data_types import FloatTensorType

    types = [(INPUT, FloatTensorType([None, width]))]
    if kind == "xgboost":
        made = convert_xgboost(estimator, initial_types=types, target_opset=OPSET)
    else:
        zipmap = {"zipmap": False} if classes else {}
        made = convert_lightgbm(estimator, initial_types=types, target_opset=OPSET, **zipmap)
    [trees] = [node for node in made.graph.node if node.op_type.startswith("TreeEnsemble")]
    mine = onnx.NodeProto()
    mine.CopyFrom(trees)
    outputs = [f"v{len(sheet.nodes)}_{i}" for i in range(len(trees.output))]
    del mine.output[:], mine.input[:]
    mine.input.append(INPUT)
    mine.output.extend(outputs)
    mine.name = ""
    sheet.nodes.append(mine)
    return outputs[-1]


def _member(sheet: Sheet, member: Member, width: int) -> str:
    """Write what a member answers: probabilities [n, K], or numbers [n, 1]."""
    estimator, known = member.estimator, len(member.present)
    match member.family:
        case "linear" | "sparse":
            found = _linear(sheet, estimator, INPUT, known)
        case "products":
            found = _products(sheet, estimator, known)
        case "network":
            found = _network(sheet, estimator, known)
        case "random_forest" | "extra_trees":
            found = _forest(sheet, estimator, known or 1)
        case "boosting":
            found = _boosting(sheet, estimator, known)
        case "lightgbm" | "xgboost":
            found = _grown(sheet, estimator, width, known, kind=member.family)
        case _:
            found = _foreign(sheet, estimator, width, known)
    if member.classes is None:
        return sheet.put("Reshape", [found, sheet.constant([-1, 1], np.int64)])
    if known == member.classes:
        return found
    spread = np.zeros((known, member.classes), dtype=np.float32)
    spread[np.arange(known), member.present] = 1.0
    return sheet.put("MatMul", [found, sheet.constant(spread)])


def compose(members: Sequence[tuple[Member, float]], width: int, *, mean: float = 0.0, scale: float = 1.0) -> bytes:
    """Write one graph.

    Args:
        members: What was fitted, and its weight; the weights add up to 1.
        width: Columns of the matrix.
        mean: What is added to numbers in the end.
        scale: With what they are multiplied before.

    Returns:
        ONNX: input float32 [n, width], output float32 [n, K] or [n, 1].
    """
    sheet = Sheet()
    parts = [sheet.put("Mul", [_member(sheet, member, width), sheet.constant(weight)]) for member, weight in members]
    total = parts[0] if len(parts) == 1 else sheet.put("Sum", parts)
    classes = members[0][0].classes
    if classes is None:
        total = sheet.put("Add", [sheet.put("Mul", [total, sheet.constant(scale)]), sheet.constant(mean)])
    sheet.nodes.append(helper.make_node("Identity", [total], [OUTPUT]))
    shape = [None, classes or 1]
    graph = helper.make_graph(
        sheet.nodes, "auto",
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [None, width])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, shape)], sheet.constants,
    )  # fmt: skip
    opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=IR, producer_name="lepton")
    return bytes(model.SerializeToString())


def run(graph: bytes, features: Features) -> Scores:
    """Return what a graph answers, [n, K] or [n, 1]."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run([OUTPUT], {INPUT: features})[0], dtype=np.float64)


def difference(member: Member, features: Features) -> float:
    """Return the largest difference between a member and its graph on rows, as a share of the answer where above 1."""
    wanted = member.answers(features).reshape(len(features), -1).astype(np.float64)
    got = run(compose([(member, 1.0)], features.shape[1]), features)
    return float((np.abs(got - wanted) / np.maximum(1.0, np.abs(wanted))).max())
