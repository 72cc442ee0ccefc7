"""Open Inference Protocol v2 over REST: tensors as JSON, or as bytes behind the JSON (the binary tensor extension).

A column is one tensor [N] or [N, 1]; all columns of numbers may come as one tensor ``numbers`` [N, k] instead, which as
FP64 bytes is handed to the model without being touched. Source: Open Inference Protocol v2, inference_rest.md, and
Triton's "Binary Tensor Data Extension".
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import orjson

from lepton.core.errors import InvalidInput
from lepton.endpoints.replica import tensors
from lepton.endpoints.replica.inputs import Buffer, Inputs, Shape, check_rows
from lepton.endpoints.replica.outputs import Outputs
from lepton.endpoints.replica.records import read_json
from lepton.models.signature import NUMBERS

_MISSING = float("nan")


@dataclass(slots=True)
class Question:
    """A decoded inference request, and how its answer is wanted.

    Attributes:
        inputs: What to predict.
        id: Sent back as it came.
        outputs: Names of the outputs that are wanted.
        binary: Those of them that are wanted as bytes.
    """

    inputs: Inputs
    id: str | None
    outputs: Sequence[str]
    binary: frozenset[str] = frozenset()


class _Matrix(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    name: str
    shape: tuple[int, int]
    datatype: str
    data: list[float | None]
    parameters: msgspec.UnsetType = msgspec.UNSET


class _Simple(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """The request that most clients send: one matrix, nothing special."""

    inputs: tuple[_Matrix]
    id: str | None = None


class Oip:
    """Decodes and encodes Open Inference Protocol requests of one model."""

    def __init__(self, shape: Shape, *, endpoint: str, version: str) -> None:
        self._shape = shape
        self._signature = shape.signature
        self._endpoint, self._version = endpoint, version
        self._simple = msgspec.json.Decoder(_Simple)
        self._packs: dict[int, struct.Struct] = {}
        self._names = [column.name for column in self._signature.inputs]
        self._texts = [column.name for column in self._signature.texts]
        # A column that is itself called so is meant by the name.
        self._matrix = shape.width > 0 and NUMBERS not in self._names
        self._only_matrix = self._matrix and not self._signature.texts

    def decode(self, body: Buffer, json_bytes: int | None) -> Question:
        """Read a request.

        Args:
            body: JSON, and behind it the bytes of the tensors that are sent as bytes.
            json_bytes: Length of the JSON as the header ``Inference-Header-Content-Length`` has it; None for all.

        Raises:
            InvalidInput: saying what is wrong and where, never with a value.
        """
        if json_bytes is None and self._only_matrix:
            question = self._decode_simple(body)
            if question is not None:
                return question
        view = memoryview(body)
        if json_bytes is not None and json_bytes > len(view):
            raise InvalidInput("Inference-Header-Content-Length is longer than the body.")
        head = read_json(view if json_bytes is None else view[:json_bytes])
        if not isinstance(head, dict) or not isinstance(head.get("inputs"), list):
            raise InvalidInput('The body must be an object with a list "inputs" of {name, shape, datatype, data}.')
        found = tensors.gather(head["inputs"], view[json_bytes:] if json_bytes is not None else view[:0])
        inputs = self.inputs(found)
        outputs, binary = self._wanted(head)
        identity = head.get("id")
        return Question(inputs, identity if isinstance(identity, str) else None, outputs, binary)

    def encode(self, question: Question, outputs: Outputs, start: int, stop: int) -> tuple[list[bytes], int | None]:
        """Write an answer.

        Returns:
            The parts of the body, and the length of the JSON in front if bytes follow it.
        """
        described: list[dict[str, Any]] = []
        raw: list[bytes] = []
        for name in question.outputs:
            array = outputs.arrays[name][start:stop]
            one: dict[str, Any] = {
                "name": name,
                "datatype": tensors.output_datatype(self._signature, name),
                "shape": list(array.shape),
            }
            if name in question.binary:
                raw.append(tensors.to_bytes(one["datatype"], outputs.values(name, start, stop), array))
                one["parameters"] = {"binary_data_size": len(raw[-1])}
            else:
                values = outputs.values(name, start, stop)
                one["data"] = values if array.ndim == 1 else [value for row in values for value in row]
            described.append(one)
        answer: dict[str, Any] = {"model_name": self._endpoint, "model_version": self._version}
        if question.id is not None:
            answer["id"] = question.id
        head = orjson.dumps(answer | {"outputs": described})
        return [head, *raw], len(head) if raw else None

    def metadata(self) -> dict[str, Any]:
        """Describe the model."""
        inputs, outputs = tensors.metadata(self._signature)
        return {
            "name": self._endpoint,
            "versions": [self._version],
            "platform": "onnxruntime_onnx",
            "inputs": inputs,
            "outputs": outputs,
        }

    def inputs(self, found: Mapping[str, tensors.Tensor]) -> Inputs:
        """Lay the tensors of a request out as one request for the model.

        Raises:
            InvalidInput: if they are not what the model takes.
        """
        signature = self._signature
        matrix = found.get(NUMBERS) if self._matrix else None
        names = self._names if matrix is None else (NUMBERS, *self._texts)
        tensors.check_names(names, found)
        rows = tensors.check_lengths(found, names)
        numbers: Buffer = b""
        if matrix is not None:
            numbers = tensors.matrix(matrix, self._shape.width)
        elif self._shape.width:
            columns = [tensors.numbers(column, found[column.name]) for column in signature.numbers]
            numbers = tensors.side_by_side(columns, rows)
        texts = [tensors.texts(column, found[column.name]) for column in signature.texts]
        return Inputs(rows, numbers, texts, self._shape.longest(texts))

    def wanted(self, name: object, parameters: Mapping[str, Any]) -> str:
        """Return the name of an output that is asked for.

        Args:
            name: As asked.
            parameters: Of the output, as asked.

        Raises:
            InvalidInput: if the model has no such output, or not in the way that is asked.
        """
        if name not in self._signature.outputs:
            raise InvalidInput(f"The model has no such output. It gives {', '.join(self._signature.outputs)}.")
        if parameters.get("classification"):
            raise InvalidInput(
                "Outputs are not written as classification strings. Ask for 'probabilities' as they are."
            )
        if "shared_memory_region" in parameters:
            raise InvalidInput("Shared memory is not offered here. Leave it out to get the output in the answer.")
        return str(name)

    def _decode_simple(self, body: Buffer) -> Question | None:
        try:
            request = self._simple.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        (tensor,) = request.inputs
        rows, width = tensor.shape
        data = tensor.data
        if (
            tensor.name != NUMBERS
            or width != self._shape.width
            or rows * width != len(data)
            or tensor.datatype not in ("FP64", "FP32")
        ):
            return None
        check_rows(rows)
        pack = self._packs.get(len(data))
        if pack is None:
            pack = struct.Struct(f"{len(data)}d")
            if len(self._packs) < 64:
                self._packs[len(data)] = pack
        try:
            numbers = pack.pack(*data)
        except struct.error:  # a missing value
            numbers = pack.pack(*[_MISSING if value is None else value for value in data])
        return Question(Inputs(rows, numbers), request.id, self._signature.outputs)

    def _wanted(self, head: Mapping[str, Any]) -> tuple[Sequence[str], frozenset[str]]:
        every = _parameters(head).get("binary_data_output") is True
        asked = head.get("outputs")
        if asked is None or asked == []:
            return self._signature.outputs, frozenset(self._signature.outputs if every else ())
        if not isinstance(asked, list) or not all(isinstance(one, dict) for one in asked):
            raise InvalidInput('"outputs" must be a list of {name}. Leave it out to get all of them.')
        names: list[str] = []
        binary = set()
        for one in asked:
            parameters = _parameters(one)
            name = self.wanted(one.get("name"), parameters)
            if name in names:
                raise InvalidInput(f"Output {name!r} is asked for twice. Ask for every output once.")
            names.append(name)
            if parameters.get("binary_data", every) is True:
                binary.add(name)
        return names, frozenset(binary)


def _parameters(value: Mapping[str, Any]) -> Mapping[str, Any]:
    found = value.get("parameters")
    return found if isinstance(found, dict) else {}
