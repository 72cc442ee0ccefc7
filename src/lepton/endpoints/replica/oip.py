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
from lepton.models.signature import NUMBERS, PROBABILITIES

_MISSING = float("nan")
_PLANS = 64
_PLAN_BYTES = 4096
_COPIED = 16 << 10


@dataclass(slots=True)
class Question:
    """A decoded inference request, and how its answer is wanted.

    Attributes:
        inputs: What to predict.
        id: Sent back as it came.
        outputs: Names of the outputs that are wanted.
        binary: Those of them that are wanted as bytes.
        head: The JSON of the answer, if it is known before the answer is: everything is wanted as bytes of known size.
    """

    inputs: Inputs
    id: str | None
    outputs: Sequence[str]
    binary: frozenset[str] = frozenset()
    head: bytes = b""


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


@dataclass(slots=True, frozen=True)
class _Plan:
    """What the JSON in front of a matrix of FP64 says.

    Attributes:
        size_bytes: Of the matrix.
        head: As of a `Question`.
    """

    rows: int
    size_bytes: int
    outputs: Sequence[str]
    binary: frozenset[str]
    head: bytes


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
        self._plans: dict[bytes, _Plan] = {}
        names = {"model_name": endpoint, "model_version": version}
        self._head = orjson.dumps(names)[:-1] + b","
        self._plain, self._binary = self._templates()
        self._datatypes = {name: tensors.output_dtype(self._signature, name) for name in self._signature.outputs}

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
        if json_bytes is not None:
            if json_bytes > len(view):
                raise InvalidInput("Inference-Header-Content-Length is longer than the body.")
            plan = self._plans.get(bytes(view[:json_bytes]))
            if plan is not None and len(view) - json_bytes == plan.size_bytes:
                numbers = view[json_bytes:]
                # Few bytes are copied sooner than looked after as a view.
                inputs = Inputs(plan.rows, bytes(numbers) if plan.size_bytes <= _COPIED else numbers)
                return Question(inputs, None, plan.outputs, plan.binary, plan.head)
        head = read_json(view if json_bytes is None else view[:json_bytes])
        if not isinstance(head, dict) or not isinstance(head.get("inputs"), list):
            raise InvalidInput('The body must be an object with a list "inputs" of {name, shape, datatype, data}.')
        found = tensors.gather(head["inputs"], view[json_bytes:] if json_bytes is not None else view[:0])
        inputs = self.inputs(found)
        outputs, binary = self._wanted(head)
        identity = head.get("id")
        if json_bytes is not None and self._only_matrix:
            known = self._known_head(inputs.rows, outputs, binary)
            plan = _Plan(inputs.rows, len(view) - json_bytes, outputs, binary, known)
            self._remember(view[:json_bytes], head, found, plan)
        return Question(inputs, identity if isinstance(identity, str) else None, outputs, binary)

    def encode(self, question: Question, outputs: Outputs, start: int, stop: int) -> tuple[list[bytes], int | None]:
        """Write an answer.

        Returns:
            The parts of the body, and the length of the JSON in front if bytes follow it.
        """
        if question.head:
            parts = [self._bytes_of(outputs, name, start, stop) for name in question.outputs]
            return [question.head, *parts], len(question.head)
        described: list[bytes] = []
        raw: list[bytes] = []
        for name in question.outputs:
            if name in question.binary:
                raw.append(self._bytes_of(outputs, name, start, stop))
                described.append(self._binary[name] % (stop - start, len(raw[-1])))
            else:
                described.append(self._plain[name] % (stop - start, _json_of(outputs, name, start, stop)))
        identity = b"" if question.id is None else b'"id":%b,' % orjson.dumps(question.id)
        head = b'%b%b"outputs":[%b]}' % (self._head, identity, b",".join(described))
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
            inputs = Inputs(rows, pack.pack(*data), is_finite=True)  # what is not is no JSON
        except struct.error:  # a missing value
            inputs = Inputs(rows, pack.pack(*[_MISSING if value is None else value for value in data]))
        return Question(inputs, request.id, self._signature.outputs)

    def _remember(
        self, json: memoryview, head: Mapping[str, Any], found: Mapping[str, tensors.Tensor], plan: _Plan
    ) -> None:
        """Keep what the JSON in front of a matrix means: a client that gives no ids sends the same one each time."""
        matrix = found.get(NUMBERS)
        is_plain = matrix is not None and matrix.raw is not None and matrix.datatype == "FP64"
        if is_plain and "id" not in head and len(json) <= _PLAN_BYTES and len(self._plans) < _PLANS:
            self._plans[bytes(json)] = plan

    def _templates(self) -> tuple[dict[str, bytes], dict[str, bytes]]:
        """How each output is described: with its rows and data, and with its rows and size in bytes."""
        plain, binary = {}, {}
        for name in self._signature.outputs:
            described = {"name": name, "datatype": tensors.output_datatype(self._signature, name)}
            width = b",%d" % len(self._signature.classes or ()) if name == PROBABILITIES else b""
            start = orjson.dumps(described)[:-1] + b',"shape":[%d' + width
            plain[name] = start + b'],"data":%b}'
            binary[name] = start + b'],"parameters":{"binary_data_size":%d}}'
        return plain, binary

    def _known_head(self, rows: int, outputs: Sequence[str], binary: frozenset[str]) -> bytes:
        """Return the JSON of an answer that is nothing but numbers as bytes; empty of any other."""
        described: list[bytes] = []
        for name in outputs:
            datatype = self._datatypes[name]
            if name not in binary or datatype is None:
                return b""
            width = len(self._signature.classes or ()) if name == PROBABILITIES else 1
            described.append(self._binary[name] % (rows, rows * width * datatype.itemsize))
        return b'%b"outputs":[%b]}' % (self._head, b",".join(described))

    def _bytes_of(self, outputs: Outputs, name: str, start: int, stop: int) -> bytes:
        datatype = self._datatypes[name]
        if datatype is None:
            return tensors.join_texts([str(value) for value in outputs.values(name, start, stop)])
        return outputs.raw(name, datatype, start, stop)

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


def _json_of(outputs: Outputs, name: str, start: int, stop: int) -> bytes:
    """Write rows `start` to `stop` of an output as one flat list."""
    array = outputs.arrays[name]
    if array.ndim == 1:
        return orjson.dumps(outputs.all_values(name)[start:stop])
    if stop - start == 1:
        return orjson.dumps(outputs.all_values(name)[start])
    return orjson.dumps(array[start:stop].ravel(), option=orjson.OPT_SERIALIZE_NUMPY)


def _parameters(value: Mapping[str, Any]) -> Mapping[str, Any]:
    found = value.get("parameters")
    return found if isinstance(found, dict) else {}
