"""Trained versions that are changed where they lie: they fail or are slow when they are asked, or cannot be loaded."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from models.workshop import EDITOR, Workshop
from onnx import TensorProto, helper, numpy_helper

from lepton.core.refs import Ref
from lepton.models.signature import NUMBERS
from lepton.store.segments import SegmentWriter


def make_it_fail(workshop: Workshop, model: Ref) -> None:
    """Let a version fail on rows with a number of one or more; zeros, which are for warming up, go well."""
    steps = [
        helper.make_node("ReduceMax", [NUMBERS], ["most"], keepdims=0),
        helper.make_node("Cast", ["most"], ["index"], to=TensorProto.INT64),
        helper.make_node("Gather", ["only", "index"], ["nothing"]),  # beyond the only element it fails
    ]
    _put_before(workshop, model, steps, numpy_helper.from_array(np.zeros(1), "only"))


def make_it_slow(workshop: Workshop, model: Ref) -> None:
    """Let a version multiply large matrices before every answer: about a tenth of a second."""
    steps = [
        helper.make_node("ReduceMax", [NUMBERS], ["most"], keepdims=0),
        helper.make_node("Sub", ["most", "most"], ["zero"]),
        helper.make_node("Add", ["large", "zero"], ["factor"]),
        helper.make_node("MatMul", ["factor", "factor"], ["product"]),
        helper.make_node("ReduceMax", ["product"], ["some"], keepdims=0),
        helper.make_node("Sub", ["some", "some"], ["nothing"]),
    ]
    _put_before(workshop, model, steps, numpy_helper.from_array(np.full((900, 900), 1e-3), "large"))


def damage(path: Path) -> None:
    """Change one bit in the middle of a file."""
    path.chmod(0o600)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def _put_before(workshop: Workshop, model: Ref, steps: list[onnx.NodeProto], constant: onnx.TensorProto) -> None:
    """Add what steps give as ``nothing`` to the numbers that a version's graph begins with."""
    graph = onnx.load_from_string(workshop.models.open(EDITOR, model, action="models.get").graph)
    for node in graph.graph.node:
        node.input[:] = ["changed" if name == NUMBERS else name for name in node.input]
    graph.graph.initializer.append(constant)
    nodes = [*steps, helper.make_node("Add", [NUMBERS, "nothing"], ["changed"]), *graph.graph.node]
    del graph.graph.node[:]
    graph.graph.node.extend(nodes)
    _write(workshop, model, graph.SerializeToString())


def _write(workshop: Workshop, model: Ref, graph: bytes) -> None:
    artifact = workshop.models.artifact(EDITOR, model)
    path = workshop.blobs.path(artifact.blob_id)
    path.chmod(0o600)
    key = workshop.keyring.get("default", f"model/{artifact.version_id}")
    with path.open("wb") as file:
        writer = SegmentWriter(file, key, artifact.blob_id)
        writer.write(graph)
        writer.finish()
