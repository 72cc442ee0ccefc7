"""Arrow IPC for bulk: a stream of record batches in, one out. Polars reads and writes it, loaded when first asked for.

Source: https://arrow.apache.org/docs/format/Columnar.html, "IPC Streaming Format".
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np

from lepton.core.columns import ColumnType
from lepton.core.errors import InvalidInput
from lepton.endpoints.replica.inputs import Inputs, Shape, check_rows
from lepton.endpoints.replica.outputs import Outputs
from lepton.models.signature import NUMBERS, PROBABILITIES, Input, class_name
from lepton.models.values import TYPE_WORDS

if TYPE_CHECKING:
    import polars as pl

MEDIA_TYPE = b"application/vnd.apache.arrow.stream"


class Arrow:
    """Decodes and encodes Arrow streams for one model."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._signature = shape.signature

    def decode(self, body: bytes) -> Inputs:
        """Read a stream with exactly the columns of the model; null, and NaN among numbers, is a missing value.

        Raises:
            InvalidInput: if it is none, or a column is missing, unknown or of another type.
        """
        import polars as pl

        try:
            frame = pl.read_ipc_stream(body)
        except Exception:  # noqa: BLE001 - the reader's errors share no class, and may quote values
            raise InvalidInput(
                "The body is no Arrow IPC stream. Write one with, for example, pyarrow.ipc.new_stream."
            ) from None
        names = [column.name for column in self._signature.inputs]
        for name in (*frame.columns, *names):
            if name not in names or name not in frame.columns:
                what = "an unknown" if name not in names else "no"
                raise InvalidInput(
                    f"The stream has {what} column {name[:80]!r}. It needs exactly the columns of the model."
                )
        check_rows(frame.height)
        arrays: dict[str, Any] = {
            tensor: _texts(frame[name], self._column(name)) for name, tensor in self._signature.tensors.items()
        }
        if self._shape.width:
            matrix = arrays[NUMBERS] = np.empty((frame.height, self._shape.width))
            for index, column in enumerate(self._signature.numbers):
                matrix[:, index] = _numbers(frame[column.name], column)
        return self._shape.from_arrays(arrays)

    def encode(self, outputs: Outputs, start: int, stop: int) -> bytes:
        """Write rows `start` to `stop`: the outputs as columns, one for each class among the probabilities."""
        import polars as pl

        columns: dict[str, Any] = {}
        for name in self._signature.outputs:
            if name == PROBABILITIES:
                shares = outputs.arrays[name][start:stop]
                for index, label in enumerate(self._signature.classes or ()):
                    columns[f"probability_{class_name(label)}"] = shares[:, index]
            else:
                columns[name] = outputs.values(name, start, stop)
        stream = io.BytesIO()
        pl.DataFrame(columns).write_ipc_stream(stream)
        return stream.getvalue()

    def _column(self, name: str) -> Input:
        return next(column for column in self._signature.texts if column.name == name)


def _numbers(values: pl.Series, column: Input) -> Any:
    import polars as pl

    fits = values.dtype == pl.Boolean if column.type is ColumnType.BOOLEAN else values.dtype.is_numeric()
    if not fits and values.dtype != pl.Null:
        raise _refused(column)
    return values.cast(pl.Float64).to_numpy()


def _texts(values: pl.Series, column: Input) -> Any:
    import polars as pl

    if values.dtype not in (pl.String, pl.Categorical, pl.Enum, pl.Null):
        raise _refused(column)
    return np.array(values.cast(pl.String).fill_null("").to_list(), dtype=object)


def _refused(column: Input) -> InvalidInput:
    return InvalidInput(
        f"Column {column.name!r} must hold {TYPE_WORDS[column.type]} in every row, or null where the value is missing."
    )
