"""Records JSON: rows as objects or as columns in, predictions as objects out.

The common case, a list of objects that are all in order, is decoded by msgspec straight into typed fields. Whatever
that refuses goes the slow and explaining way of ``models/prediction.py``, which alone decides what is wrong.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

import msgspec
import orjson

from lepton.core.columns import ColumnType
from lepton.core.errors import InvalidInput
from lepton.endpoints.replica.inputs import Inputs, Shape, check_rows
from lepton.endpoints.replica.outputs import Outputs
from lepton.models.prediction import decode_rows
from lepton.models.signature import LABEL, PREDICTION, PROBABILITIES, Task, class_name

_FIELDS: Mapping[ColumnType, Any] = {
    ColumnType.NUMBER: float | None,
    ColumnType.INTEGER: float | None,
    ColumnType.BOOLEAN: bool | None,
    ColumnType.TEXT: str | None,
}
_MISSING = float("nan")
_values = msgspec.structs.astuple


class Records:
    """Decodes and encodes records of one model."""

    def __init__(self, shape: Shape, *, endpoint: str, model: str) -> None:
        self._shape = shape
        self._signature = signature = shape.signature
        self._width = shape.width
        self._texts = len(signature.texts)
        self._is_number = signature.task is Task.REGRESSION
        columns = (*signature.numbers, *signature.texts)
        row = msgspec.defstruct(
            "Row",
            [(f"c{i}", _FIELDS[c.type], msgspec.field(name=c.name)) for i, c in enumerate(columns)],
            forbid_unknown_fields=True,
            gc=False,
        )
        self._decoder = msgspec.json.Decoder(list[row])  # type: ignore[valid-type]
        self._pack = struct.Struct(f"{shape.width}d").pack
        self._head = b'{"endpoint":' + orjson.dumps(endpoint) + b',"model":' + orjson.dumps(model) + b',"predictions":'
        self._labels = {label: orjson.dumps(label) for label in signature.classes or ()}
        names = (orjson.dumps(class_name(label)).replace(b"%", b"%%") + b":%b" for label in self._labels)
        self._row = b'{"label":%b,"probabilities":{' + b",".join(names) + b"}}"

    def decode(self, body: bytes) -> Inputs:
        """Read ``[{column: value, …}, …]``, ``{"rows": [...]}`` or ``{"columns": {column: [...], …}}``.

        Raises:
            InvalidInput: saying what is wrong and where, never with a value.
        """
        try:
            rows = self._decoder.decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return self._decode_slowly(body)
        check_rows(len(rows))
        values = [_values(row) for row in rows]
        if not self._texts:
            numbers, is_finite = self._packed(values)
            return Inputs(len(rows), numbers, is_finite=is_finite)
        width = self._width
        numbers, is_finite = self._packed([row[:width] for row in values]) if width else (b"", True)
        texts = [[value or "" for value in column] for column in zip(*(row[width:] for row in values), strict=True)]
        return Inputs(len(rows), numbers, texts, self._shape.longest(texts), is_finite)

    def encode(self, outputs: Outputs, start: int, stop: int) -> bytes:
        """Write rows `start` to `stop`: ``{"label", "probabilities"}`` or ``{"value"}`` for each."""
        if self._is_number:
            values = outputs.values(PREDICTION, start, stop)
            return self._head + orjson.dumps([{"value": value} for value in values]) + b"}"
        labels, shares = outputs.all_values(LABEL), outputs.all_values(PROBABILITIES)
        if stop - start == 1:
            return b"%b[%b]}" % (self._head, self._written(labels[start], shares[start]))
        rows = map(self._written, labels[start:stop], shares[start:stop])
        return b"%b[%b]}" % (self._head, b",".join(rows))

    def _written(self, label: Any, shares: list[float]) -> bytes:
        """Write one row; a template takes half as long as making dictionaries to be written."""
        named = self._labels.get(label) or orjson.dumps(label)
        return self._row % (named, *orjson.dumps(shares)[1:-1].split(b","))

    def _packed(self, rows: list[tuple[Any, ...]]) -> tuple[bytes, bool]:
        """Return rows as bytes, and whether nothing is missing; what is no finite number is no JSON."""
        pack = self._pack
        try:
            return (pack(*rows[0]) if len(rows) == 1 else b"".join([pack(*row) for row in rows])), True
        except struct.error:
            return b"".join([pack(*[_MISSING if v is None else v for v in row]) for row in rows]), False

    def _decode_slowly(self, body: bytes) -> Inputs:
        request = read_json(body)
        rows = request
        if isinstance(request, dict):
            rows = from_columns(request["columns"]) if "columns" in request else request.get("rows")
        return self._shape.from_arrays(decode_rows(self._signature, rows))


def read_json(body: bytes | memoryview) -> Any:
    """Parse JSON.

    Raises:
        InvalidInput: if it is none.
    """
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        raise InvalidInput(
            "The body is not valid JSON in UTF-8 (NaN and Infinity are not JSON; send null for a missing value)."
        ) from None


def from_columns(columns: object) -> list[dict[str, Any]]:
    """Turn columns into rows.

    Raises:
        InvalidInput: if they are not lists of one length.
    """
    if not isinstance(columns, dict) or not columns or not all(isinstance(v, list) for v in columns.values()):
        raise InvalidInput("The columns must be an object with a list of values for each column of the model.")
    lengths = {len(values) for values in columns.values()}
    if len(lengths) > 1:
        raise InvalidInput("The columns have different lengths. Give one value for each row in every column.")
    check_rows(lengths.pop())
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]
