"""The two models as every peer serves them.

The logistic regression is trained by Lepton on a synthetic table, through its own client; the others get the same
numbers as an ONNX file. The MLP has seeded weights.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.serving.cases import COLUMNS, FEATURES, Array, Models, mlp_layers

ROWS = 2_000


def train(home: Path) -> Models:
    """Train a logistic regression as `bench@1` in a new Lepton home and return the numbers of both models."""
    import lepton

    table = home.parent / "bench.csv"
    _write_table(table)
    with lepton.open(home) as client:
        data = client.datasets.import_(table, name="bench")
        model = client.models.train("bench", dataset=data.ref, target="bought", recipe="logistic_regression")
        client.models.export(model.ref, home.parent / "bench.onnx")
    weights, bias = _weights(home.parent / "bench.onnx")
    return Models(weights, bias, mlp_layers())


def _write_table(path: Path) -> None:
    random = np.random.default_rng(0)
    features = random.normal(size=(ROWS, FEATURES)).round(6)
    score = features @ random.normal(size=FEATURES) / 3
    bought = np.where(score + random.logistic(size=ROWS) > 0, 1, 0)
    lines = [",".join([*COLUMNS, "bought"])]
    lines += [",".join([*map(str, row), str(label)]) for row, label in zip(features, bought, strict=True)]
    path.write_text("\n".join(lines) + "\n")


def _weights(path: Path) -> tuple[Array, float]:
    """Read the weights off the answers: on raw columns the graph is linear up to its sigmoid."""
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    probes = np.vstack([np.zeros(FEATURES), np.eye(FEATURES)])
    feed = {put.name: probes[:, number] for number, put in enumerate(session.get_inputs())}
    (shares,) = session.run(["probabilities"], feed)
    logits = np.log(shares[:, 1]) - np.log(shares[:, 0])
    return logits[1:] - logits[0], float(logits[0])


def write_onnx(models: Models, folder: Path) -> dict[str, Path]:
    """Write both models as ONNX files that take "input" [N, features]."""
    paths = {name: folder / f"{name}.onnx" for name in ("logistic", "mlp")}
    paths["logistic"].write_bytes(_logistic(models))
    paths["mlp"].write_bytes(_mlp(models))
    return paths


def _logistic(models: Models) -> bytes:
    from onnx import TensorProto, helper, numpy_helper

    # Both classes' logits side by side; Softmax over (0, z) is the sigmoid of z.
    weights = np.stack([np.zeros(FEATURES), models.weights], axis=1)
    constants = [
        numpy_helper.from_array(weights, "weights"),
        numpy_helper.from_array(np.array([0.0, models.bias]), "bias"),
    ]
    nodes = [
        helper.make_node("Gemm", ["input", "weights", "bias"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["probabilities"], axis=1),
        helper.make_node("ArgMax", ["logits"], ["label"], axis=1, keepdims=0),
    ]
    puts = [helper.make_tensor_value_info("input", TensorProto.DOUBLE, ["rows", FEATURES])]
    outs = [
        helper.make_tensor_value_info("label", TensorProto.INT64, ["rows"]),
        helper.make_tensor_value_info("probabilities", TensorProto.DOUBLE, ["rows", 2]),
    ]
    return _serialized(helper.make_graph(nodes, "logistic", puts, outs, constants))


def _mlp(models: Models) -> bytes:
    from onnx import TensorProto, helper, numpy_helper

    nodes, constants, at = [], [], "input"
    for number, (weights, bias) in enumerate(models.layers):
        constants += [numpy_helper.from_array(weights, f"w{number}"), numpy_helper.from_array(bias, f"b{number}")]
        nodes.append(helper.make_node("Gemm", [at, f"w{number}", f"b{number}"], [f"z{number}"]))
        last = number + 1 == len(models.layers)
        at = "probabilities" if last else f"a{number}"
        nodes.append(helper.make_node("Softmax" if last else "Relu", [f"z{number}"], [at]))
    puts = [helper.make_tensor_value_info("input", TensorProto.FLOAT, ["rows", len(models.layers[0][0])])]
    outs = [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, ["rows", len(models.layers[-1][1])])]
    return _serialized(helper.make_graph(nodes, "mlp", puts, outs, constants))


def _serialized(graph: Any) -> bytes:
    from onnx import checker, helper

    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    checker.check_model(model, full_check=True)
    return bytes(model.SerializeToString())
