"""Tensors of the Open Inference Protocol: named, shaped, typed; as JSON lists or as little-endian bytes.

Knows columns, not requests: REST (``oip.py``) and gRPC share it. Source: Open Inference Protocol v2, "Tensor Data
Types"; bytes of BYTES are each preceded by their length as four bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
import numpy.typing as npt

from lepton.core.columns import ColumnType
from lepton.core.errors import InvalidInput
from lepton.endpoints.replica.inputs import Buffer, check_rows
from lepton.models.signature import LABEL, PREDICTION, PROBABILITIES, Input, Signature, Task
from lepton.models.values import TYPE_WORDS, column_array

DATATYPES: Mapping[str, str] = {
    "BOOL": "?", "INT8": "i1", "INT16": "<i2", "INT32": "<i4", "INT64": "<i8", "UINT8": "u1", "UINT16": "<u2",
    "UINT32": "<u4", "UINT64": "<u8", "FP16": "<f2", "FP32": "<f4", "FP64": "<f8",
}  # fmt: skip
"""NumPy's name of each datatype of fixed size; BYTES has none."""
_NUMERIC = frozenset(DATATYPES) - {"BOOL"}
_WHOLE = _NUMERIC - {"FP16", "FP32", "FP64"}
_NUMBERS: frozenset[type] = frozenset((int, float, type(None)))
_BOOLEANS: frozenset[type] = frozenset((bool, type(None)))
_MISSING = float("nan")
_ALLOWED: Mapping[ColumnType, frozenset[str]] = {
    ColumnType.NUMBER: _NUMERIC,
    ColumnType.INTEGER: _NUMERIC,
    ColumnType.BOOLEAN: frozenset(("BOOL",)),
    ColumnType.TEXT: frozenset(("BYTES",)),
}
_PREFERRED = {
    ColumnType.NUMBER: "FP64",
    ColumnType.INTEGER: "INT64",
    ColumnType.BOOLEAN: "BOOL",
    ColumnType.TEXT: "BYTES",
}


@dataclass(slots=True)
class Tensor:
    """One named tensor of a request.

    Attributes:
        name: As sent.
        shape: Sizes of its axes.
        datatype: As sent.
        data: A list, possibly nested, or None where `raw` holds the elements.
        raw: The elements as bytes.
    """

    name: str
    shape: Sequence[int]
    datatype: str
    data: list[Any] | None
    raw: Buffer | None = None


def gather(inputs: Sequence[object], raw: memoryview) -> dict[str, Tensor]:
    """Read the tensors of a JSON request by name.

    Args:
        inputs: Of the request.
        raw: The bytes behind the JSON; each tensor with ``binary_data_size`` has its part, in order.

    Raises:
        InvalidInput: if one is no tensor, comes twice, or the bytes do not add up.
    """
    found: dict[str, Tensor] = {}
    at = 0
    for one in inputs:
        if not isinstance(one, dict):
            raise InvalidInput(
                "'inputs' must be a list of tensors, each an object with 'name', 'shape', 'datatype' and 'data'."
            )
        name = str(one.get("name", ""))
        tensor = Tensor(name, check_shape(name, one.get("shape")), str(one.get("datatype")), one.get("data"))
        parameters = one.get("parameters")
        size = parameters.get("binary_data_size") if isinstance(parameters, dict) else None
        if size is not None:
            if type(size) is not int or not 0 <= size <= len(raw) - at:
                raise InvalidInput(f"The bytes of input {tensor.name[:80]!r} are not all there; see binary_data_size.")
            tensor.data, tensor.raw = None, raw[at : at + size]
            at += size
        elif not isinstance(tensor.data, list):
            raise InvalidInput(f"The data of input {tensor.name[:80]!r} must be a list.")
        add(found, tensor)
    if at != len(raw):
        raise InvalidInput("More bytes follow the JSON than its tensors have. Check each binary_data_size.")
    return found


def add(found: dict[str, Tensor], tensor: Tensor) -> None:
    """Add one more tensor of a request; each may be given once."""
    if tensor.name in found:
        raise InvalidInput(f"Input {tensor.name[:80]!r} is given twice. Give every input once.")
    found[tensor.name] = tensor


def check_shape(name: str, shape: object) -> list[int]:
    """Return the shape of a tensor, or refuse what is none."""
    if isinstance(shape, list) and 1 <= len(shape) <= 2:
        first, last = shape[0], shape[-1]
        if type(first) is int and type(last) is int and first >= 0 and last >= 0:
            return shape
    raise InvalidInput(f"Input {name[:80]!r} must have the shape [N], [N, 1] or [N, k], with N rows.")


def check_names(names: Sequence[str], found: Mapping[str, Tensor]) -> None:
    """Refuse tensors the model has not, and the lack of one it has."""
    if len(found) == len(names) and all(name in found for name in names):
        return
    for name in found:
        if name not in names:
            raise InvalidInput(f"The model has no input {name[:80]!r}. It takes {_listed(names)}.")
    missing = [name for name in names if name not in found]
    plural = "" if len(missing) == 1 else "s"
    raise InvalidInput(f"Missing input{plural} {_listed(missing)}. Give every input once.")


def numbers(column: Input, tensor: Tensor) -> Buffer:
    """Read the tensor of a column of numbers or booleans: float64 [N] as bytes, NaN where JSON has null."""
    _check_datatype(column, tensor)
    if tensor.raw is not None:
        count = _count(column, tensor)
        if tensor.datatype == "FP64":
            _check_size(tensor, count * 8)
            return tensor.raw
        return _from_bytes(tensor, count).astype(np.float64).tobytes()
    values = _values(column, tensor)
    _check_whole(tensor, values, 1)
    try:
        return pack(values, _BOOLEANS if column.type is ColumnType.BOOLEAN else _NUMBERS)
    except TypeError:
        return column_array(column, values).tobytes()


def pack(values: Sequence[Any], allowed: frozenset[type]) -> bytes:
    """Write numbers as float64, None as NaN. That they are finite is looked at for a whole batch.

    Raises:
        TypeError: if one is of another type than `allowed`.
    """
    if not allowed.issuperset(map(type, values)):
        raise TypeError
    form = f"{len(values)}d"
    try:
        return struct.pack(form, *values)
    except struct.error:  # a missing value
        return struct.pack(form, *[_MISSING if value is None else value for value in values])


def side_by_side(columns: Sequence[Buffer], rows: int) -> bytes:
    """Make float64 [N, k] of k columns [N]."""
    joined = b"".join(columns)
    return joined if rows == 1 else np.frombuffer(joined).reshape(len(columns), rows).T.tobytes()


def check_lengths(found: Mapping[str, Tensor], names: Sequence[str]) -> int:
    """Return the number of rows, or refuse tensors of which one has another number of rows than the first."""
    rows = found[names[0]].shape[0]
    for name in names:
        if found[name].shape[0] != rows:
            raise InvalidInput(
                f"Input {name!r} has {found[name].shape[0]} rows and {names[0]!r} has {rows}. "
                "All inputs need the same number of rows."
            )
    check_rows(rows)
    return rows


def texts(column: Input, tensor: Tensor) -> list[str]:
    """Read the tensor of a column of text: N texts, "" for what is missing."""
    _check_datatype(column, tensor)
    if tensor.raw is None:
        values: list[str] = column_array(column, _values(column, tensor)).tolist()
        return values
    return split_texts(column.name, tensor.raw, _count(column, tensor))


def matrix(tensor: Tensor, width: int) -> Buffer:
    """Read all columns of numbers at once: float64 [N, width] as bytes, without a copy if they came so."""
    if tensor.datatype not in _NUMERIC:
        raise InvalidInput(f"Input {tensor.name!r} must hold numbers, for example of the datatype FP64.")
    if len(tensor.shape) != 2 or tensor.shape[1] != width:
        raise InvalidInput(f"Input {tensor.name!r} must have the shape [N, {width}], with N rows.")
    rows = tensor.shape[0]
    if tensor.raw is not None:
        if tensor.datatype == "FP64":
            _check_size(tensor, rows * width * 8)
            return tensor.raw
        return _from_bytes(tensor, rows * width).astype(np.float64).tobytes()
    data = tensor.data or []
    if data and type(data[0]) is list:
        if len(data) != rows or not all(type(row) is list and len(row) == width for row in data):
            raise InvalidInput(f"Input {tensor.name!r} must be {rows} lists of {width} values, as its shape says.")
        data = list(chain.from_iterable(data))
    if len(data) != rows * width:
        raise InvalidInput(f"Input {tensor.name!r} has {len(data)} values, which does not fit its shape.")
    _check_whole(tensor, data, width)
    try:
        return pack(data, _NUMBERS)
    except TypeError:
        number = next(n for n, value in enumerate(data) if type(value) not in _NUMBERS) // width + 1
        raise InvalidInput(
            f"Row {number}: input {tensor.name!r} must hold numbers, or null where a value is missing."
        ) from None


def output_datatype(signature: Signature, name: str) -> str:
    """The datatype of an output."""
    if name != LABEL:
        return "FP64"
    # The classes of a number column are whole numbers
    return "INT64" if signature.target_type is ColumnType.NUMBER else _PREFERRED[signature.target_type]


def output_dtype(signature: Signature, name: str) -> np.dtype[Any] | None:
    """How numbers of an output are written as bytes; None for texts, which `join_texts` writes."""
    datatype = output_datatype(signature, name)
    return None if datatype == "BYTES" else np.dtype(DATATYPES[datatype])


def to_bytes(datatype: str, values: Sequence[Any], array: npt.NDArray[Any]) -> bytes:
    """Write an output as bytes."""
    if datatype == "BYTES":
        return join_texts([str(value) for value in values])
    return array.astype(DATATYPES[datatype], copy=False).tobytes()


def join_texts(values: Sequence[str]) -> bytes:
    """Write texts as BYTES: each behind its length."""
    encoded = [value.encode() for value in values]
    return b"".join(chain.from_iterable((len(text).to_bytes(4, "little"), text) for text in encoded))


def split_texts(name: str, raw: Buffer, count: int) -> list[str]:
    """Read BYTES.

    Raises:
        InvalidInput: if there are not exactly `count` texts in UTF-8.
    """
    data = bytes(raw)
    values: list[str] = []
    at = 0
    while at < len(data) and len(values) <= count:
        end = at + 4 + int.from_bytes(data[at : at + 4], "little")
        if at + 4 > len(data) or end > len(data):
            raise InvalidInput(f"The bytes of input {name[:80]!r} end in the middle of a text.")
        try:
            values.append(data[at + 4 : end].decode())
        except UnicodeDecodeError:
            raise InvalidInput(
                f"Row {len(values) + 1}: the text in column {name[:80]!r} is not valid Unicode."
            ) from None
        at = end
    if len(values) != count:
        many = "too many" if len(values) > count else len(values)
        raise InvalidInput(f"Input {name[:80]!r} has {many} values, which does not fit its shape.")
    return values


def metadata(signature: Signature) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Describe inputs and outputs: name, datatype, shape (-1 = any)."""
    inputs = [{"name": column.name, "datatype": _PREFERRED[column.type], "shape": [-1]} for column in signature.inputs]
    if signature.task is Task.REGRESSION:
        return inputs, [{"name": PREDICTION, "datatype": "FP64", "shape": [-1]}]
    return inputs, [
        {"name": LABEL, "datatype": output_datatype(signature, LABEL), "shape": [-1]},
        {"name": PROBABILITIES, "datatype": "FP64", "shape": [-1, len(signature.classes or ())]},
    ]


def _check_whole(tensor: Tensor, values: Sequence[Any], width: int) -> None:
    """Refuse a fraction under a datatype of whole numbers."""
    if tensor.datatype in _WHOLE and float in set(map(type, values)):
        number = next(n for n, value in enumerate(values) if isinstance(value, float)) // width + 1
        raise InvalidInput(
            f"Row {number}: input {tensor.name!r} has the datatype {tensor.datatype} and holds no whole number."
        )


def _check_datatype(column: Input, tensor: Tensor) -> None:
    if tensor.datatype not in _ALLOWED[column.type]:
        raise InvalidInput(
            f"Input {column.name!r} must have the datatype {_PREFERRED[column.type]} ({TYPE_WORDS[column.type]})."
        )


def _count(column: Input, tensor: Tensor) -> int:
    if len(tensor.shape) == 2 and tensor.shape[1] != 1:
        raise InvalidInput(f"Input {column.name!r} must have the shape [N] or [N, 1], with N rows.")
    return tensor.shape[0]


def _values(column: Input, tensor: Tensor) -> list[Any]:
    rows = _count(column, tensor)
    values = tensor.data or []
    if list in set(map(type, values)):  # [[1], [2]] is [N, 1] too
        values = [value[0] if isinstance(value, list) and len(value) == 1 else value for value in values]
    if rows != len(values):
        raise InvalidInput(
            f"Input {column.name!r} has {len(values)} values, which does not fit its shape. Give one for each row."
        )
    return values


def _from_bytes(tensor: Tensor, count: int) -> npt.NDArray[Any]:
    kind = np.dtype(DATATYPES[tensor.datatype])
    _check_size(tensor, count * kind.itemsize)
    if kind.kind == "b":  # any byte but 0 and 1 would be a value that no boolean has
        bits = np.frombuffer(tensor.raw or b"", np.uint8)
        if (bits > 1).any():
            raise InvalidInput(f"Input {tensor.name[:80]!r} holds bytes that are no BOOL; use 0 and 1.")
        return bits
    return np.frombuffer(tensor.raw or b"", kind)


def _check_size(tensor: Tensor, size_bytes: int) -> None:
    if len(tensor.raw or b"") != size_bytes:
        raise InvalidInput(
            f"Input {tensor.name[:80]!r} has {len(tensor.raw or b''):,} bytes and its shape and datatype need "
            f"{size_bytes:,}."
        )


def _listed(names: Sequence[str], most: int = 40) -> str:
    text = ", ".join(repr(name) for name in names[:most])
    return text if len(names) <= most else f"{text} and {len(names) - most} more"
