"""Small changes to ONNX graphs that converters leave: one floating-point output, all classes, the target's own unit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

_FLOATS = (1, 11)  # TensorProto.FLOAT and DOUBLE


def finish_graph(
    model: Any, *, classes: int | None, known: Sequence[int] = (), scale: float = 1.0, offset: float = 0.0
) -> bytes:
    """Return a graph with one output: probabilities [n, K], or numbers [n, 1].

    Args:
        model: An ``onnx.ModelProto`` with exactly one floating-point output; other outputs are dropped.
        classes: Number of classes K; None: the target is a number.
        known: The positions of the classes that the output has columns for, if some are missing; the rest get 0.
        scale: What a number is multiplied with.
        offset: What is added to it afterwards.
    """
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    graph = model.graph
    (output,) = [item for item in graph.output if item.type.tensor_type.elem_type in _FLOATS]
    last = output.name
    if output.type.tensor_type.elem_type != TensorProto.FLOAT:
        graph.node.append(helper.make_node("Cast", [last], ["lepton_float"], to=TensorProto.FLOAT))
        last = "lepton_float"
    steps: list[tuple[str, np.ndarray[Any, Any]]] = []
    if classes is not None and len(known) and len(known) < classes:
        steps.append(("MatMul", np.eye(classes)[list(known)]))
    if scale != 1.0:
        steps.append(("Mul", np.array([scale])))
    if offset != 0.0:
        steps.append(("Add", np.array([offset])))
    for number, (operator, constant) in enumerate(steps):
        graph.initializer.append(numpy_helper.from_array(constant.astype(np.float32), f"lepton_constant_{number}"))
        graph.node.append(helper.make_node(operator, [last, f"lepton_constant_{number}"], [f"lepton_{number}"]))
        last = f"lepton_{number}"
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(last, TensorProto.FLOAT, [None, classes or 1]))
    if not any(item.domain in ("", "ai.onnx") for item in model.opset_import):
        model.opset_import.append(helper.make_opsetid("", 13))
    _drop_what_nobody_reads(graph, last)
    onnx.checker.check_model(model)
    data: bytes = model.SerializeToString()
    return data


def _drop_what_nobody_reads(graph: Any, output: str) -> None:
    """Take out nodes that only served other outputs; what a node gives besides what is read stays."""
    read, kept = {output}, []
    for node in reversed(graph.node):
        if read.intersection(node.output):
            kept.append(node)
            read.update(node.input)
    del graph.node[:]
    graph.node.extend(reversed(kept))
