"""Graphs that were made elsewhere: what is taken and served like ours, and what is refused with what to do."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from lepton.core.errors import InvalidInput
from lepton.models import adopted, bundle, trial
from lepton.models.declared import read_signature
from lepton.models.prediction import decode_rows, open_session, run_session
from lepton.models.signature import Signature, Task

Floats = npt.NDArray[np.float64]


def graph(
    *, rows: str | int = "rows", width: int | str = 4, classes: int = 3, kind: int = TensorProto.FLOAT,
    softmax: bool = True, more: Sequence[onnx.NodeProto] = (), domain: str = "",
    names: tuple[str, str] = ("input", "out"),
) -> onnx.ModelProto:  # fmt: skip
    """A linear layer as another program would export it."""
    random = np.random.default_rng(0)
    k = width if isinstance(width, int) else 4
    weights = random.normal(size=(k, classes)).astype(helper.tensor_dtype_to_np_dtype(kind))
    last = "logits" if softmax else names[1]
    nodes = [helper.make_node("MatMul", [names[0], "weights"], [last])]
    if softmax:
        nodes.append(helper.make_node("Softmax", ["logits"], [names[1]], axis=1))
    made = helper.make_graph(
        [*nodes, *more],
        "g",
        [helper.make_tensor_value_info(names[0], kind, [rows, width])],
        [helper.make_tensor_value_info(names[1], kind, [rows, classes])],
        [numpy_helper.from_array(weights, "weights")],
    )
    opsets = [helper.make_opsetid("", 17), *([helper.make_opsetid(domain, 1)] if domain else [])]
    return helper.make_model(made, opset_imports=opsets, ir_version=8)


def adopted_of(model: onnx.ModelProto, declared: Signature | None = None) -> tuple[bytes, Signature]:
    foreign = adopted.read(model.SerializeToString())
    columns = trial.columns_of(
        foreign.model.SerializeToString(),
        foreign.input,
        foreign.outputs[0],
        foreign.kind,
        foreign.width or len(declared.inputs),
    )
    signature = adopted.signature_of(foreign, columns, declared)
    return adopted.adopt(foreign, signature), signature


def answered(data: bytes, signature: Signature, rows: Floats) -> dict[str, npt.NDArray[np.generic]]:
    names = [column.name for column in signature.inputs]
    records = [dict(zip(names, map(float, row), strict=True)) for row in rows]
    return run_session(open_session(data), signature, decode_rows(signature, records))


@given(st.lists(st.lists(st.floats(-100, 100, width=32), min_size=4, max_size=4), min_size=1, max_size=20))
@settings(max_examples=30, deadline=None)
def test_it_answers_what_it_answered_elsewhere(rows: list[list[float]]) -> None:
    model = graph()
    data, signature = ADOPTED
    given = np.array(rows)
    right = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"input": given.astype(np.float32)})[0]
    found = answered(data, signature, given)
    np.testing.assert_array_equal(found["probabilities"], right.astype(np.float64))
    assert found["label"].tolist() == right.argmax(axis=1).tolist()


ADOPTED = adopted_of(graph())


def test_without_a_signature_columns_and_classes_are_numbered() -> None:
    signature = ADOPTED[1]
    assert [column.name for column in signature.inputs] == ["x1", "x2", "x3", "x4"]
    assert (signature.task, signature.classes) == (Task.CLASSIFICATION, (0, 1, 2))


def test_a_signature_names_columns_and_classes() -> None:
    names = [{"name": name, "type": "number"} for name in "abcd"]
    declared = {"task": "classification", "target": "animal", "inputs": names, "classes": ["cat", "dog", "eel"]}
    data, signature = adopted_of(graph(width="columns"), read_signature(json.dumps(declared).encode()))
    found = answered(data, signature, np.ones((2, 4)))
    assert set(found["label"].tolist()) <= {"cat", "dog", "eel"}
    wrong = declared | {"classes": ["cat", "dog"]}
    with pytest.raises(InvalidInput, match="with 2 numbers, and it does with 3"):
        adopted_of(graph(), read_signature(json.dumps(wrong).encode()))
    with pytest.raises(InvalidInput, match="names 3 columns, and the graph takes 4"):
        adopted_of(graph(), read_signature(json.dumps(declared | {"inputs": names[:3]}).encode()))


@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16])
def test_one_number_for_each_row_is_a_regression(kind: int) -> None:
    data, signature = adopted_of(graph(classes=1, softmax=False, kind=kind))
    assert (signature.task, signature.classes) == (Task.REGRESSION, None)
    assert answered(data, signature, np.ones((5, 4)))["prediction"].shape == (5,)


@pytest.mark.parametrize("names", [("numbers", "label"), ("probabilities", "prediction"), ("numbers", "probabilities")])
def test_names_of_its_own_are_in_nobodys_way(names: tuple[str, str]) -> None:
    data, signature = adopted_of(graph(names=names))
    assert answered(data, signature, np.ones((2, 4)))["probabilities"].shape == (2, 3)


@pytest.mark.parametrize(("classes", "names"), [(3, ("classes", "best")), (1, ("exact", "flat"))])
def test_names_that_converters_give_are_in_nobodys_way(classes: int, names: tuple[str, str]) -> None:
    stored, made = names  # scikit-learn's graphs have labels called "classes", which nobody reads
    model = graph(classes=classes, softmax=classes > 1, more=[helper.make_node("Identity", [stored], [made])])
    model.graph.initializer.append(numpy_helper.from_array(np.arange(3), stored))
    data, signature = adopted_of(model)
    assert {len(answer) for answer in answered(data, signature, np.ones((2, 4))).values()} == {2}


def external() -> onnx.ModelProto:
    model = graph()
    weights = model.graph.initializer[0]
    onnx.external_data_helper.set_external_data(weights, location="/etc/passwd")
    weights.ClearField("raw_data")
    return model


def two_inputs() -> onnx.ModelProto:
    model = graph()
    model.graph.input.append(helper.make_tensor_value_info("other", TensorProto.FLOAT, ["rows", 1]))
    return model


def of_text() -> onnx.ModelProto:
    made = helper.make_graph(
        [helper.make_node("Identity", ["a"], ["b"])], "g",
        [helper.make_tensor_value_info("a", TensorProto.STRING, ["n", 1])],
        [helper.make_tensor_value_info("b", TensorProto.STRING, ["n", 1])],
    )  # fmt: skip
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def over_all_rows() -> onnx.ModelProto:
    """Subtracts from every row the mean over all rows, as batch normalization does while it learns."""
    model = graph()
    nodes = [
        helper.make_node("ReduceMean", ["input"], ["mean"], axes=[0], keepdims=1),
        helper.make_node("Sub", ["input", "mean"], ["centered"]),
        *model.graph.node,
    ]
    nodes[2].input[0] = "centered"
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model


FOREIGN_OPERATOR = helper.make_node("Run", ["logits"], ["x"], domain="com.example.shell")


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (external(), "external_data=False"),
        (two_inputs(), "2 inputs, and one matrix"),
        (of_text(), "must be a matrix of numbers"),
        (graph(rows=1), "exactly 1 rows. Export it with a free first dimension"),
        (
            graph(more=[FOREIGN_OPERATOR], domain="com.example.shell"),
            "'com.example.shell', and only those of the standard",
        ),
        (over_all_rows(), "differently when other rows are asked"),
        (graph(softmax=False), "do not add up to 1. Export it with a Softmax"),
    ],
)
def test_what_cannot_be_served_is_refused_with_what_to_do(model: onnx.ModelProto, sentence: str) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        adopted_of(model)


@given(st.binary(max_size=200))
def test_bytes_that_are_no_graph_are_refused(data: bytes) -> None:
    with pytest.raises(InvalidInput):
        adopted.read(data)


def test_no_name_makes_onnxruntime_take_a_graph_for_another_format() -> None:
    model = graph()
    model.producer_name = "ORTM and more"
    assert model.SerializeToString()[4:8] == b"ORTM"
    with pytest.raises(Exception, match="ORT|verification|format"):
        onnxruntime.InferenceSession(model.SerializeToString())
    data, signature = adopted_of(model)
    assert data[4:8] != b"ORTM"
    assert answered(data, signature, np.ones((2, 4)))["probabilities"].shape == (2, 3)


def test_a_graph_that_takes_all_the_time_there_is_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trial, "WITHIN_S", 0)
    with pytest.raises(InvalidInput, match="could not be run on 3 rows"):
        adopted_of(graph())


def test_a_file_of_a_graph_is_bundled_as_one(tmp_path: Path) -> None:
    path = tmp_path / "digits.onnx"
    path.write_bytes(graph().SerializeToString())
    assert list(bundle.read_code(path)) == [bundle.GRAPH]
    with pytest.raises(InvalidInput, match="model.onnx instead"):
        bundle.unpack(bundle.pack({bundle.GRAPH: b"", bundle.ENTRY: b""}))
