"""The messages of the Open Inference Protocol's gRPC service, written down as a table and made into classes.

In the protocol's files every field has the number of its place, so names and types are all there is to say. The
classes live in a pool of their own: other packages may hold theirs in the same process. Tensors go in and out here too.
Source: Open Inference Protocol v2, inference_grpc.md, "Protobuf".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

import numpy as np

from lepton.core.errors import InvalidInput
from lepton.endpoints.replica import tensors
from lepton.endpoints.replica.outputs import Outputs

SERVICE = "inference.GRPCInferenceService"

_MESSAGES: Mapping[str, str] = {
    "InferParameter": "?bool_param bool, ?int64_param int64, ?string_param string, ?double_param double, "
    "?uint64_param uint64",
    "ServerLiveRequest": "",
    "ServerLiveResponse": "live bool",
    "ServerReadyRequest": "",
    "ServerReadyResponse": "ready bool",
    "ModelReadyRequest": "name string, version string",
    "ModelReadyResponse": "ready bool",
    "ServerMetadataRequest": "",
    "ServerMetadataResponse": "name string, version string, extensions string*",
    "ModelMetadataRequest": "name string, version string",
    "ModelMetadataResponse.TensorMetadata": "name string, datatype string, shape int64*",
    "ModelMetadataResponse": "name string, versions string*, platform string, inputs .TensorMetadata*, "
    "outputs .TensorMetadata*",
    "InferTensorContents": "bool_contents bool*, int_contents int32*, int64_contents int64*, uint_contents uint32*, "
    "uint64_contents uint64*, fp32_contents float*, fp64_contents double*, bytes_contents bytes*",
    "ModelInferRequest.InferInputTensor": "name string, datatype string, shape int64*, parameters map, "
    "contents InferTensorContents",
    "ModelInferRequest.InferRequestedOutputTensor": "name string, parameters map",
    "ModelInferRequest": "model_name string, model_version string, id string, parameters map, "
    "inputs .InferInputTensor*, outputs .InferRequestedOutputTensor*, raw_input_contents bytes*",
    "ModelInferResponse.InferOutputTensor": "name string, datatype string, shape int64*, parameters map, "
    "contents InferTensorContents",
    "ModelInferResponse": "model_name string, model_version string, id string, parameters map, "
    "outputs .InferOutputTensor*, raw_output_contents bytes*",
}
"""Fields in the order of their numbers. ``*``: repeated; ``?``: one of these; ``.X``: the X inside this message;
``map``: `InferParameter` by string."""
_CONTENTS: Mapping[str, tuple[str, str]] = {
    "BOOL": ("bool_contents", "BOOL"),
    "INT8": ("int_contents", "INT32"),
    "INT16": ("int_contents", "INT32"),
    "INT32": ("int_contents", "INT32"),
    "INT64": ("int64_contents", "INT64"),
    "UINT8": ("uint_contents", "UINT32"),
    "UINT16": ("uint_contents", "UINT32"),
    "UINT32": ("uint_contents", "UINT32"),
    "UINT64": ("uint64_contents", "UINT64"),
    "FP32": ("fp32_contents", "FP32"),
    "FP64": ("fp64_contents", "FP64"),
    "BYTES": ("bytes_contents", "BYTES"),
}
"""Where a message holds the elements of each datatype, and which of them they have there."""


@cache
def classes() -> Mapping[str, Any]:
    """Return the class of each message by its name."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    file = descriptor_pb2.FileDescriptorProto(name="open_inference.proto", package="inference", syntax="proto3")
    made: dict[str, Any] = {}
    for path, fields in sorted(_MESSAGES.items(), key=lambda message: message[0].count(".")):
        outer, _, name = path.rpartition(".")
        message = made[path] = (made[outer].nested_type if outer else file.message_type).add(name=name)
        for number, field in enumerate(filter(None, fields.split(", ")), 1):
            _add_field(message, number, field, f".inference.{path}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        path: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"inference.{path}")) for path in _MESSAGES
    }


def _add_field(message: Any, number: int, field: str, within: str) -> None:
    name, _, kind = field.partition(" ")
    one = message.field.add(name=name.lstrip("?"), number=number, label="LABEL_OPTIONAL")
    if name.startswith("?"):
        one.oneof_index = 0
        if not message.oneof_decl:
            message.oneof_decl.add(name="parameter_choice")
    if kind.endswith("*") or kind == "map":
        one.label = one.LABEL_REPEATED
    kind = kind.rstrip("*")
    if kind == "map":
        entry = message.nested_type.add(name="ParametersEntry")
        entry.options.map_entry = True
        _add_field(entry, 1, "key string", "")
        _add_field(entry, 2, "value InferParameter", "")
        kind = ".ParametersEntry"
    if kind[0] == "." or kind[0].isupper():
        one.type = one.TYPE_MESSAGE
        one.type_name = f"{within}{kind}" if kind[0] == "." else f".inference.{kind}"
    else:
        one.type = getattr(one, f"TYPE_{kind.upper()}")


def read_tensors(request: Any) -> dict[str, tensors.Tensor]:
    """Read the tensors of a request by name.

    Raises:
        InvalidInput: if one comes twice, or its elements are not where they belong.
    """
    raw = request.raw_input_contents
    if raw and len(raw) != len(request.inputs):
        raise InvalidInput(
            f"There are {len(request.inputs)} inputs and {len(raw)} raw_input_contents. Send all inputs raw, or none."
        )
    found: dict[str, tensors.Tensor] = {}
    for index, one in enumerate(request.inputs):
        shape = tensors.check_shape(one.name, list(one.shape))
        tensor = tensors.Tensor(one.name, shape, one.datatype, None, raw[index]) if raw else _typed(one, shape)
        tensors.add(found, tensor)
    return found


def _typed(one: Any, shape: list[int]) -> tensors.Tensor:
    name = one.name[:80]
    if "shared_memory_region" in one.parameters:
        raise InvalidInput(f"Input {name!r} lies in shared memory, which is not offered here. Send its bytes.")
    if one.datatype not in _CONTENTS:
        raise InvalidInput(f"Input {name!r} must have a datatype that has contents, or come in raw_input_contents.")
    field, datatype = _CONTENTS[one.datatype]
    values = getattr(one.contents, field)
    if len(values) != np.prod(shape, dtype=object):
        raise InvalidInput(f"Input {name!r} has {len(values)} values in {field}, which does not fit its shape.")
    if datatype == "BYTES":
        data = b"".join(len(value).to_bytes(4, "little") + value for value in values)
    else:
        data = np.fromiter(values, tensors.DATATYPES[datatype], len(values)).tobytes()
    return tensors.Tensor(one.name, shape, datatype, None, data)


def write_outputs(response: Any, names: Sequence[str], answer: tuple[Outputs, int, int], *, raw: bool) -> None:
    """Write outputs the way the inputs came: raw or as contents.

    Args:
        response: Takes them.
        names: Which.
        answer: A batch, and the first and the end of this request's rows among it.
        raw: Whether as bytes.
    """
    outputs, start, stop = answer
    for name in names:
        array = outputs.arrays[name][start:stop]
        datatype = tensors.output_datatype(outputs.signature, name)
        one = response.outputs.add(name=name, datatype=datatype, shape=array.shape)
        values = outputs.values(name, start, stop)
        if raw:
            response.raw_output_contents.append(tensors.to_bytes(datatype, values, array))
            continue
        if datatype == "BYTES":
            values = [str(value).encode() for value in values]
        elif array.ndim > 1:
            values = [value for row in values for value in row]
        getattr(one.contents, _CONTENTS[datatype][0]).extend(values)
