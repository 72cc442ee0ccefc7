"""Gives an ONNX graph that was made elsewhere the inputs and outputs of ours, so that it is served like one.

What is taken: one matrix of numbers [N, k] in; probabilities [N, K], or one number for each row, out. Nothing is run
here (see `trial`); what a graph may hold is checked first.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, compose, external_data_helper, helper, numpy_helper

from lepton.core.columns import ColumnClass, ColumnType
from lepton.core.errors import InvalidInput, LeptonError
from lepton.models.signature import LABEL, NUMBERS, PREDICTION, PROBABILITIES, Input, Signature, Task

DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml"})
"""Operators that a graph may use: those of the standard, which every runtime has."""
MAX_COLUMNS, MAX_CLASSES = 10_000, 10_000
_TOKENIZER = ("com.microsoft", "Tokenizer")
_PREFIX, _OURS = "model/", "answer/"
_NUMBERS = frozenset((TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.INT64, TensorProto.INT32))
_FLOATS = frozenset((TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16))


@dataclass(frozen=True)
class Foreign:
    """A graph from elsewhere that was checked.

    Attributes:
        input: Name of its matrix.
        kind: Element type of that, as ONNX numbers them.
        width: Columns of it; None if the graph leaves that open.
        outputs: Names of its outputs of floating-point numbers.
    """

    model: onnx.ModelProto
    input: str
    kind: int
    width: int | None
    outputs: tuple[str, ...]


def read(graph: bytes) -> Foreign:
    """Check a graph that somebody brought.

    Raises:
        InvalidInput: if it is not one that can be served; the sentence says what to do.
    """
    try:
        model = onnx.load_from_string(graph)
        _check_parts(model)  # first: the checker would look for other files where the graph says they are
        # The first field behind the version, where onnxruntime looks for the mark of another format ("ORTM").
        model.producer_name = "lepton"
        onnx.checker.check_model(model)
    except LeptonError:
        raise
    except Exception:  # noqa: BLE001 - protobuf's and the checker's errors share no class, and quote the file
        raise InvalidInput(
            "The file is not a valid ONNX model. Export it again, or look at it with onnx.checker."
        ) from None
    stored = {constant.name for constant in model.graph.initializer}
    inputs = [one for one in model.graph.input if one.name not in stored]
    if len(inputs) != 1:
        raise InvalidInput(
            f"The graph has {len(inputs)} inputs, and one matrix of numbers [rows, columns] is taken. Join them in the "
            "export, or register the model as code (--code)."
        )
    kind, shape = _tensor(inputs[0])
    if kind not in _NUMBERS or len(shape) != 2:
        raise InvalidInput(f"The graph's input {inputs[0].name[:80]!r} must be a matrix of numbers [rows, columns].")
    if shape[0] is not None:
        raise InvalidInput(
            f"The graph takes exactly {shape[0]} rows. Export it with a free first dimension (dynamic axes), as "
            "requests are answered together."
        )
    outputs = tuple(one.name for one in model.graph.output if _tensor(one)[0] in _FLOATS)
    if len(outputs) != 1:
        raise InvalidInput(
            f"The graph has {len(outputs)} outputs of floating-point numbers, and one is taken: probabilities "
            "[rows, classes], or a number for each row. For a classifier of scikit-learn, convert with zipmap=False."
        )
    return Foreign(model, inputs[0].name, kind, shape[1], outputs)


def signature_of(foreign: Foreign, columns: int | None, declared: Signature | None) -> Signature:
    """Return what the model takes and answers.

    Args:
        foreign: The graph.
        columns: Of its output on a trial: K of [N, K], or None for [N].
        declared: What its owner says; None: columns are called x1, x2 …, classes 0, 1 ….

    Raises:
        InvalidInput: if the two do not agree, or it is open how many columns the model takes.
    """
    width = len(declared.inputs) if declared is not None else foreign.width
    if width is None:
        raise InvalidInput("The graph does not say how many columns it takes. Give a signature that names them.")
    if not 0 < width <= MAX_COLUMNS or foreign.width not in (None, width):
        raise InvalidInput(f"The signature names {width} columns, and the graph takes {foreign.width}.")
    is_one = columns in (None, 1)
    if declared is not None:
        _check_declared(declared, columns)
        return declared
    if not is_one and columns is not None and columns > MAX_CLASSES:
        raise InvalidInput(
            f"The graph answers with {columns:,} numbers for each row; at most {MAX_CLASSES:,} are taken."
        )
    return Signature(
        task=Task.REGRESSION if is_one else Task.CLASSIFICATION,
        target="prediction" if is_one else "class",
        target_type=ColumnType.NUMBER if is_one else ColumnType.INTEGER,
        inputs=tuple(_column(f"x{number}") for number in range(1, width + 1)),
        classes=None if is_one else tuple(range(columns or 0)),
    )


def adopt(foreign: Foreign, signature: Signature, *, width: int | None = None) -> bytes:
    """Write the graph with our inputs and outputs.

    A class is the one of the highest probability, whatever labels the graph has itself.

    Args:
        foreign: The graph.
        signature: What it takes and answers.
        width: Columns of its matrix; None: as many as the signature has inputs.

    Returns:
        A graph that takes ``numbers`` DOUBLE [N, k] and answers as the signature says.
    """
    model = compose.add_prefix(foreign.model, _PREFIX)
    given, answered = _PREFIX + foreign.input, _PREFIX + foreign.outputs[0]
    front = [helper.make_node("Cast", [NUMBERS], [given], to=foreign.kind)]
    shares = PROBABILITIES if signature.classes is not None else f"{_OURS}exact"
    back = [helper.make_node("Cast", [answered], [shares], to=TensorProto.DOUBLE)]
    constants = []
    if signature.classes is None:
        constants.append(numpy_helper.from_array(np.array([-1], np.int64), f"{_OURS}flat"))
        back.append(helper.make_node("Reshape", [shares, f"{_OURS}flat"], [PREDICTION]))
        outputs = [helper.make_tensor_value_info(PREDICTION, TensorProto.DOUBLE, ["N"])]
    else:
        is_text = isinstance(signature.classes[0], str)
        known = np.array(signature.classes, object) if is_text else np.array([*map(int, signature.classes)], np.int64)
        constants.append(numpy_helper.from_array(known, f"{_OURS}classes"))
        back.append(helper.make_node("ArgMax", [shares], [f"{_OURS}best"], axis=1, keepdims=0))
        back.append(helper.make_node("Gather", [f"{_OURS}classes", f"{_OURS}best"], [LABEL], axis=0))
        kind = TensorProto.STRING if is_text else TensorProto.INT64
        outputs = [
            helper.make_tensor_value_info(LABEL, kind, ["N"]),
            helper.make_tensor_value_info(PROBABILITIES, TensorProto.DOUBLE, ["N", len(signature.classes)]),
        ]
    graph = model.graph
    nodes = [*front, *graph.node, *back]
    del graph.node[:], graph.input[:], graph.output[:], graph.value_info[:]
    graph.node.extend(nodes)
    graph.initializer.extend(constants)
    graph.input.extend(
        [helper.make_tensor_value_info(NUMBERS, TensorProto.DOUBLE, ["N", width or len(signature.inputs)])]
    )
    graph.output.extend(outputs)
    if not any(opset.domain in ("", "ai.onnx") for opset in model.opset_import):
        model.opset_import.append(helper.make_opsetid("", 13))
    onnx.checker.check_model(model)
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def check_ours(graph: bytes, signature: Signature) -> None:
    """Check a graph that was written with our inputs and outputs by a program that may not be ours.

    Raises:
        InvalidInput: if it takes or answers anything but what the signature says, or uses operators of others.
    """
    try:
        model = onnx.load_from_string(graph)
        _check_parts(model, ours=True)
        onnx.checker.check_model(model)
    except LeptonError:
        raise
    except Exception:  # noqa: BLE001 - as above
        raise InvalidInput("The graph of the training is no ONNX graph that can be served.") from None
    stored = {constant.name for constant in model.graph.initializer}
    taken = {one.name for one in model.graph.input} - stored
    expected = {*signature.tensors.values(), *([NUMBERS] if signature.numbers else [])}
    if taken != expected or tuple(one.name for one in model.graph.output) != signature.outputs:
        raise InvalidInput("The graph of the training does not take and answer what its signature says.")


def _check_parts(model: onnx.ModelProto, *, ours: bool = False) -> None:
    if any(external_data_helper.uses_external_data(one) for one in external_data_helper._get_all_tensors(model)):
        raise InvalidInput("The model keeps its weights in other files. Save it as one file (external_data=False).")
    if model.functions:
        raise InvalidInput("The model has functions of its own. Export it with them inlined (onnx.inliner).")
    domains = {opset.domain for opset in model.opset_import} | {node.domain for node in _nodes(model.graph)}
    if ours:  # of onnxruntime's own operators, ours use the one that finds words
        domains = {node.domain for node in _nodes(model.graph) if (node.domain, node.op_type) != _TOKENIZER}
    if unknown := sorted(domains - DOMAINS):
        raise InvalidInput(
            f"The model uses operators of {unknown[0][:80]!r}, and only those of the standard are taken (ai.onnx, "
            "ai.onnx.ml). Export it without them, or register the model as code (--code)."
        )


def _nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            for inner in [attribute.g, *attribute.graphs]:
                yield from _nodes(inner)


def _tensor(value: onnx.ValueInfoProto) -> tuple[int, Sequence[int | None]]:
    """Return element type and shape; 0 for what is no tensor, None for what is free."""
    tensor = value.type.tensor_type
    return tensor.elem_type, [one.dim_value or None for one in tensor.shape.dim]


def _check_declared(declared: Signature, columns: int | None) -> None:
    if any(column.type is ColumnType.TEXT for column in declared.inputs):
        raise InvalidInput("The graph takes numbers only, and the signature names a column of text.")
    expected = 1 if declared.classes is None else len(declared.classes)
    if expected != (columns or 1):
        raise InvalidInput(
            f"By the signature the graph answers every row with {expected} number{'' if expected == 1 else 's'}, "
            f"and it does with {columns or 1}. Name the classes in the order of its output."
        )


def _column(name: str) -> Input:
    return Input(name, ColumnType.NUMBER, ColumnClass.PLAIN, nullable=False)
