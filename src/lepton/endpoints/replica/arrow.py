"""Arrow IPC for bulk: a stream of record batches in, one out. What a stream looks like in bytes is in ``ipc.py``."""

from __future__ import annotations

from typing import Any

import numpy as np

from lepton.core.columns import ColumnType
from lepton.core.errors import InvalidInput
from lepton.endpoints.replica import ipc, ipc_writer
from lepton.endpoints.replica.inputs import Inputs, Shape
from lepton.endpoints.replica.outputs import Outputs
from lepton.models.signature import PROBABILITIES, Input, class_name
from lepton.models.values import TYPE_WORDS

MEDIA_TYPE = b"application/vnd.apache.arrow.stream"

_KINDS = {
    ColumnType.NUMBER: ("number", "null"),
    ColumnType.INTEGER: ("number", "null"),
    ColumnType.BOOLEAN: ("boolean", "null"),
    ColumnType.TEXT: ("text", "null"),
}


class Arrow:
    """Decodes and encodes Arrow streams for one model."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._signature = shape.signature
        self._columns = {column.name: column for column in self._signature.inputs}
        self._schemas: dict[bytes, list[ipc.Field]] = {}

    def decode(self, body: bytes) -> Inputs:
        """Read a stream with exactly the columns of the model; null, and NaN among numbers, is a missing value.

        Raises:
            InvalidInput: if it is none, or a column is missing, unknown or of another type.
        """
        stream = ipc.Stream(body, len(self._columns) + 1, self._schemas)
        places: dict[str, int] = {}
        for place, field in enumerate(stream.fields):
            column = self._columns.get(field.name)
            if column is None or field.name in places:
                what = "an unknown" if column is None else "twice the"
                raise _unlike(what, field.name)
            if field.kind not in _KINDS[column.type]:
                raise _refused(column)
            places[field.name] = place
        for name in self._columns:
            if name not in places:
                raise _unlike("no", name)
        rows, columns = stream.columns()
        numbers = [columns[places[column.name]] for column in self._signature.numbers]
        texts = [_texts(columns[places[column.name]]) for column in self._signature.texts]
        joined = np.column_stack(numbers).tobytes() if numbers else b""
        return Inputs(rows, joined, texts, self._shape.longest(texts))

    def encode(self, outputs: Outputs, start: int, stop: int) -> bytes:
        """Write rows `start` to `stop`: the outputs as columns, one for each class among the probabilities."""
        columns: dict[str, Any] = {}
        for name in self._signature.outputs:
            if name == PROBABILITIES:
                shares = outputs.arrays[name][start:stop]
                for index, label in enumerate(self._signature.classes or ()):
                    columns[f"probability_{class_name(label)}"] = shares[:, index]
            else:
                columns[name] = outputs.values(name, start, stop)
        return ipc_writer.write(columns)


def _texts(values: Any) -> list[str]:
    return values.tolist() if values.dtype == object else [""] * len(values)


def _unlike(what: str, name: str) -> InvalidInput:
    return InvalidInput(f"The stream has {what} column {name[:80]!r}. It needs exactly the columns of the model.")


def _refused(column: Input) -> InvalidInput:
    return InvalidInput(
        f"Column {column.name!r} must hold {TYPE_WORDS[column.type]} in every row, or null where the value is missing."
    )
