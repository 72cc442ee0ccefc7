"""The contract of runtimes, over a graph and over a user's class."""

from __future__ import annotations

import numpy as np
from endpoints.serving_here import graph_of
from onnx import TensorProto, helper, numpy_helper

from lepton.endpoints.replica.runtime import RUNTIMES, OnnxRuntime, Runtime
from lepton.endpoints.replica.sandbox import PythonRuntime
from lepton.models.bundle import pack
from lepton.models.signature import LABEL, NUMBERS, PROBABILITIES, Signature
from lepton.testing.runtimes import SIGNATURE, RuntimeContract, Wrong

MODEL = b"""
import numpy as np

class Model:
    def load(self, folder):
        self.weight = 0.001

    def predict(self, batch):
        total = 0
        for column in batch.values():
            if column.dtype == object:
                total = total + np.array([len(text) for text in column], dtype=float)
            else:
                total = total + np.nan_to_num(column)
        if "area" in batch:
            return total
        share = 0.5 + np.arctan(self.weight * total) / np.pi
        return np.column_stack([1 - share, share])
"""
WRONG_PYTHON = {
    Wrong.TOO_FEW_ROWS: "np.full((n - 1, 2), 0.5)",
    Wrong.ONE_CLASS_TOO_MANY: "np.full((n, 3), 1 / 3)",
    Wrong.FLAT: "np.full(n, 0.5)",
    Wrong.NOT_A_NUMBER: "np.full((n, 2), np.nan)",
    Wrong.NEGATIVE: "np.tile([-0.5, 1.5], (n, 1))",
    Wrong.TOO_MUCH: "np.full((n, 2), 1.0)",
    Wrong.RAISES: "{}[str(batch['income'])]",
}
WRONG_GRAPH = {
    Wrong.TOO_FEW_ROWS: np.full((2, 2), 0.5),
    Wrong.ONE_CLASS_TOO_MANY: np.full((3, 3), 1 / 3),
    Wrong.FLAT: np.full(3, 0.5),
    Wrong.NOT_A_NUMBER: np.full((3, 2), np.nan),
    Wrong.NEGATIVE: np.tile([-0.5, 1.5], (3, 1)),
    Wrong.TOO_MUCH: np.full((3, 2), 1.0),
}


class TestOnnx(RuntimeContract):
    def make_runtime(self, signature: Signature) -> Runtime:
        return OnnxRuntime(graph_of(signature), signature)

    def make_wrong(self, wrong: Wrong) -> Runtime | None:
        answer = WRONG_GRAPH.get(wrong)
        return None if answer is None else OnnxRuntime(_graph_that_answers(answer), SIGNATURE)


class TestPython(RuntimeContract):
    def make_runtime(self, signature: Signature) -> Runtime:
        return PythonRuntime(pack({"model.py": MODEL}), signature)

    def make_wrong(self, wrong: Wrong) -> Runtime | None:
        code = f"""
import numpy as np
class Model:
    def load(self, folder): pass
    def predict(self, batch):
        n = len(batch["income"])
        return {WRONG_PYTHON[wrong]}
"""
        return PythonRuntime(pack({"model.py": code.encode()}), SIGNATURE)


def test_every_format_has_its_runtime() -> None:
    assert set(RUNTIMES) == {"onnx", "python", "openai"}
    assert (RUNTIMES["onnx"], RUNTIMES["python"]) == (OnnxRuntime, PythonRuntime)


def _graph_that_answers(array: np.ndarray) -> bytes:  # type: ignore[type-arg]
    """A graph that answers the same whatever it is asked."""
    constants = {PROBABILITIES: array, LABEL: np.array(["no"] * len(array), dtype=object)}
    inputs = [helper.make_tensor_value_info(NUMBERS, TensorProto.DOUBLE, [None, 3])]
    inputs += [helper.make_tensor_value_info(name, TensorProto.STRING, [None]) for name in SIGNATURE.tensors.values()]
    nodes = [
        helper.make_node("Constant", [], [name], value=numpy_helper.from_array(value, f"{name}_value"))
        for name, value in constants.items()
    ]
    outputs = [
        helper.make_tensor_value_info(LABEL, TensorProto.STRING, [None]),
        helper.make_tensor_value_info(PROBABILITIES, TensorProto.DOUBLE, None),
    ]
    graph = helper.make_graph(nodes, "wrong", inputs, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    made: bytes = model.SerializeToString()
    return made
