"""Arrow's streaming format, written: one batch of columns of numbers, booleans and texts, none of them missing."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lepton.endpoints.replica.flat import Child, Writer
from lepton.endpoints.replica.ipc import BATCH, BOOL, FLOAT, INT, SCHEMA, UTF8, Values

_VERSION_5 = struct.pack("<h", 4)


def write(columns: Mapping[str, Sequence[Any] | Values]) -> bytes:
    """Write columns of one length as a stream of one batch: float64, int64, booleans or texts, none missing."""
    rows = len(next(iter(columns.values())))
    types, buffers = [], []
    for values in columns.values():
        number, details, parts = _column(values)
        types.append((number, details))
        buffers += [b"", *parts]  # nothing is missing
    places, at = b"", 0
    for buffer in buffers:
        places += struct.pack("<qq", at, len(buffer))
        at += len(buffer) + -len(buffer) % 8
    schema = _schema(list(columns), types)
    nodes = struct.pack("<qq", rows, 0) * len(columns)
    batch = Writer().message(
        [
            _VERSION_5,
            bytes([BATCH]),
            lambda to: to.table(
                [
                    struct.pack("<q", rows),
                    lambda to: to.structs(nodes, len(columns)),
                    lambda to: to.structs(places, len(buffers)),
                ]
            ),
            struct.pack("<q", at),
        ]
    )
    padded = [part for buffer in buffers for part in (buffer, bytes(-len(buffer) % 8))]
    return b"".join([_framed(schema), _framed(batch), *padded, b"\xff\xff\xff\xff\0\0\0\0"])


def _column(values: Sequence[Any] | Values) -> tuple[int, list[bytes], list[bytes]]:
    """Return the type, its details and the buffers of a column."""
    array = np.asarray(values, dtype=object) if isinstance(values[0], str) else np.asarray(values)
    if array.dtype == object:
        texts = [str(value).encode() for value in array]
        ends = np.cumsum([0, *map(len, texts)]).astype("<i4")
        return UTF8, [], [ends.tobytes(), b"".join(texts)]
    if array.dtype == bool:
        return BOOL, [], [np.packbits(array, bitorder="little").tobytes()]
    if array.dtype.kind in "iu":
        return INT, [struct.pack("<i", 64), b"\1"], [array.astype("<i8").tobytes()]
    return FLOAT, [struct.pack("<h", 2)], [array.astype("<f8").tobytes()]


def _schema(names: Sequence[str], types: Sequence[tuple[int, list[bytes]]]) -> bytes:
    def field(name: str, number: int, details: list[bytes]) -> Child:
        return lambda to: to.table(
            [
                lambda to: to.text(name),
                b"\0",
                bytes([number]),
                lambda to: to.table(details),
                None,
                lambda to: to.tables([]),
            ]
        )

    fields = [field(name, number, details) for name, (number, details) in zip(names, types, strict=True)]
    return Writer().message(
        [
            _VERSION_5,
            bytes([SCHEMA]),
            lambda to: to.table([struct.pack("<h", 0), lambda to: to.tables(fields)]),
            struct.pack("<q", 0),
        ]
    )


def _framed(message: bytes) -> bytes:
    return b"\xff\xff\xff\xff" + struct.pack("<i", len(message)) + message
