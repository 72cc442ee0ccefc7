"""FlatBuffers, as far as the messages of Arrow need them: tables read field by field, and tables written.

Reading trusts nothing: whatever points outside raises `struct.error` or `ValueError`, and nothing is copied or
allocated by what a message says of itself. Source: https://flatbuffers.dev/internals/.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

Child = Callable[["Writer"], int]
"""Writes something behind a table and returns where."""


class Table:
    """A table at a place of a buffer; fields are asked by their number."""

    __slots__ = ("_at", "_data", "_vtable")

    def __init__(self, data: memoryview, at: int) -> None:
        self._data = data
        self._at = at
        self._vtable = at - struct.unpack_from("<i", data, at)[0]
        if self._vtable < 0:
            raise ValueError("a table without fields")

    @classmethod
    def root(cls, data: memoryview) -> Table:
        """Return the table that a buffer begins with."""
        return cls(data, *struct.unpack_from("<I", data))

    def _place(self, field: int) -> int:
        """Return where a field is, 0 if it is not given."""
        size, *_ = struct.unpack_from("<H", self._data, self._vtable)
        if 6 + 2 * field > size:
            return 0
        offset, *_ = struct.unpack_from("<H", self._data, self._vtable + 4 + 2 * field)
        return self._at + offset if offset else 0

    def scalar(self, field: int, kind: str, default: int = 0) -> int:
        """Return a number: ``kind`` is the letter that `struct` has for it."""
        at = self._place(field)
        return int(struct.unpack_from(f"<{kind}", self._data, at)[0]) if at else default

    def table(self, field: int) -> Table | None:
        """Return a table inside, None if it is not given."""
        at = self._place(field)
        return Table(self._data, at + struct.unpack_from("<I", self._data, at)[0]) if at else None

    def tables(self, field: int, most: int) -> Iterator[Table]:
        """Return the tables of a vector, at most so many."""
        at, count = self._vector(field)
        for place in range(at, at + 4 * min(count, most), 4):
            yield Table(self._data, place + struct.unpack_from("<I", self._data, place)[0])

    def integers(self, field: int, width: int = 1) -> npt.NDArray[np.int64]:
        """Return a vector of int64, or of structs of `width` of them: [N, width]."""
        at, count = self._vector(field)
        return np.frombuffer(self._data, "<i8", count * width, at).reshape(count, width)

    def text(self, field: int) -> str:
        """Return a text, "" if it is not given."""
        at, size = self._vector(field)
        if at + size > len(self._data):
            raise ValueError("a text beyond the end")
        return bytes(self._data[at : at + size]).decode()

    def _vector(self, field: int) -> tuple[int, int]:
        """Return where the elements of a vector begin, and how many there are."""
        at = self._place(field)
        if not at:
            return 0, 0
        at += struct.unpack_from("<I", self._data, at)[0]
        return at + 4, struct.unpack_from("<I", self._data, at)[0]


class Writer:
    """Writes tables front to back: every field in 8 bytes, what a field points to behind its table."""

    def __init__(self) -> None:
        self._out = bytearray(8)

    def message(self, fields: Sequence[bytes | Child | None]) -> bytes:
        """Write the one table that a buffer begins with; its length is a multiple of 8."""
        struct.pack_into("<I", self._out, 0, self.table(fields))
        self._align(8)
        return bytes(self._out)

    def table(self, fields: Sequence[bytes | Child | None]) -> int:
        """Write a table of numbers (as bytes) and of what they point to; None is not given."""
        self._align(8)
        vtable, count = len(self._out), len(fields)
        places = [8 + 8 * index if value is not None else 0 for index, value in enumerate(fields)]
        self._out += struct.pack(f"<HH{count}H", 4 + 2 * count, 8 + 8 * count, *places)
        self._align(8)
        at = len(self._out)
        self._out += struct.pack("<i", at - vtable) + bytes(4 + 8 * count)
        for place, value in zip(places, fields, strict=True):
            if isinstance(value, bytes):
                self._out[at + place : at + place + len(value)] = value
            elif value is not None:
                self._point(at + place, value(self))
        return at

    def text(self, value: str) -> int:
        """Write a text."""
        return self._sized(value.encode(), len(value.encode())) if value else self._sized(b"", 0)

    def structs(self, data: bytes, count: int) -> int:
        """Write a vector of structs of int64."""
        self._align(8, ahead=4)
        return self._sized(data, count)

    def tables(self, children: Sequence[Child]) -> int:
        """Write a vector of tables."""
        at = self._sized(bytes(4 * len(children)), len(children))
        for index, child in enumerate(children):
            self._point(at + 4 + 4 * index, child(self))
        return at

    def _sized(self, data: bytes, count: int) -> int:
        self._align(4)
        at = len(self._out)
        self._out += struct.pack("<I", count) + data + b"\0"
        return at

    def _point(self, place: int, at: int) -> None:
        struct.pack_into("<I", self._out, place, at - place)

    def _align(self, size: int, *, ahead: int = 0) -> None:
        self._out += bytes(-(len(self._out) + ahead) % size)
