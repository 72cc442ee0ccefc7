"""Arrow's streaming format, read for flat tables of numbers, booleans and texts. Knows no models.

Our own reader, because a worker reads what anybody with a token sends: general readers end the whole process when a
length in a damaged stream is too large to allocate, or unpack what was compressed without bound.
Source: https://arrow.apache.org/docs/format/Columnar.html, "Serialization and Interprocess Communication".
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from lepton.core.errors import InvalidInput
from lepton.endpoints.replica.flat import Table
from lepton.endpoints.replica.inputs import Buffer, check_rows

Values = npt.NDArray[Any]

SCHEMA, DICTIONARY, BATCH = 1, 2, 3
NULL, INT, FLOAT, UTF8, BOOL, LARGE_UTF8, UTF8_VIEW = 1, 2, 3, 5, 6, 20, 24
_FLOATS = ("<f2", "<f4", "<f8")
_MAX_MESSAGES = 1000
_REMEMBERED = 64
_REMEMBERED_BYTES = 64 << 10
_MAX_DICTIONARY = 100_000
_MAX_CHARACTERS = 64 << 20
"""Of all texts that rows share with others: sharing costs the sender nothing."""


@dataclass(frozen=True)
class Field:
    """A column of a stream.

    Attributes:
        name: As sent.
        kind: ``number``, ``boolean``, ``text``, ``null`` (nothing but missing values), or ``other``.
        type: Arrow's number of the type.
        dtype: NumPy's name of numbers.
        dictionary: Number of the dictionary that its values stand in, None if they stand for themselves.
        index: NumPy's name of the places in the dictionary.
    """

    name: str
    kind: str
    type: int
    dtype: str = ""
    dictionary: int | None = None
    index: str = ""


class Stream:
    """A stream whose schema was read.

    Args:
        body: The stream.
        most: Fields that are looked at.
        known: Schemas that were read before, by their bytes; a few are kept, as clients send the same one again.

    Raises:
        InvalidInput: if it is no Arrow IPC stream.
    """

    def __init__(self, body: Buffer, most: int, known: dict[bytes, list[Field]]) -> None:
        self._messages = _messages(memoryview(body))
        try:
            kind, schema, _, message = next(self._messages)
            fields = known.get(message)
            if fields is None:
                if kind != SCHEMA or schema.scalar(0, "h"):  # big-endian
                    raise _damaged()
                fields = [_field(field) for field in schema.tables(1, most)]
                if len(known) < _REMEMBERED and len(message) <= _REMEMBERED_BYTES:
                    known[message] = fields
            self.fields = fields
        except (struct.error, ValueError, StopIteration):
            raise _damaged() from None
        self._dictionaries: dict[int, Values] = {}
        self._room = _Room(_MAX_CHARACTERS)

    def columns(self) -> tuple[int, list[Values]]:
        """Read all batches; only while no field is of another kind.

        Returns:
            The number of rows, and for each field float64 with NaN for null, or str objects with "" for null.

        Raises:
            InvalidInput: if the stream is damaged or compressed, or holds too much.
        """
        rows = 0
        parts: list[list[Values]] = [[] for _ in self.fields]
        try:
            for kind, header, body, _ in self._messages:
                if kind == DICTIONARY:
                    self._learn(header, body)
                elif kind == BATCH:
                    batch = _Batch(header, body, self._room)
                    rows += batch.rows
                    check_rows(max(rows, 1))
                    for field, part in zip(self.fields, parts, strict=True):
                        part.append(self._read(field, batch))
        except (struct.error, ValueError, KeyError, IndexError, OverflowError):
            raise _damaged() from None
        check_rows(rows)
        return rows, [part[0] if len(part) == 1 else np.concatenate(part) for part in parts]

    def _learn(self, header: Table, body: memoryview) -> None:
        """Take a dictionary."""
        number, data = header.scalar(0, "q"), header.table(1)
        field = next((field for field in self.fields if field.dictionary == number), None)
        if data is None or field is None or field.kind == "null":
            raise _damaged()
        batch = _Batch(data, body, self._room)
        known = self._dictionaries.get(number) if header.scalar(2, "B") else None  # more of one that is known
        if batch.rows + (0 if known is None else len(known)) > _MAX_DICTIONARY:
            raise InvalidInput(f"A dictionary of the stream has more than {_MAX_DICTIONARY:,} values. Send the values.")
        values = _values(field, batch)
        self._dictionaries[number] = values if known is None else np.concatenate([known, values])

    def _read(self, field: Field, batch: _Batch) -> Values:
        if field.dictionary is None:
            return _values(field, batch)
        missing = batch.missing()
        places = batch.numbers(field.index).astype(np.int64)
        known = self._dictionaries[field.dictionary]
        if missing is not None:
            places[missing] = len(known)
        if len(places) and not 0 <= places.min() <= places.max() <= len(known) - (missing is None):
            raise _damaged()
        values = np.append(known, np.array([np.nan if field.kind != "text" else ""], known.dtype))[places]
        if field.kind == "text":
            self._room.take(sum(map(len, values)))
        return values


class _Room:
    """How many characters rows may still share."""

    def __init__(self, characters: int) -> None:
        self._left = characters

    def take(self, characters: int) -> None:
        """Use some of it up."""
        self._left -= characters
        if self._left < 0:
            raise InvalidInput("The texts are too long together. Send fewer rows in a request.")


class _Batch:
    """The columns of one record batch, taken one after the other."""

    def __init__(self, header: Table, body: memoryview, room: _Room) -> None:
        self._room = room
        self.rows = header.scalar(0, "q")
        if self.rows < 0:
            raise _damaged()
        if header.table(3) is not None:
            raise InvalidInput("The stream is compressed. Write it without compression, or compress the whole request.")
        self._body = body
        self._nodes = iter(header.integers(1, 2).tolist())
        self._buffers = iter(header.integers(2, 2).tolist())
        self._views = iter(header.integers(4).ravel().tolist())

    def buffer(self) -> memoryview:
        """Take the next buffer."""
        offset, size = next(self._buffers, (-1, -1))
        if offset < 0 or size < 0 or offset + size > len(self._body):
            raise _damaged()
        return self._body[offset : offset + size]

    def node(self) -> None:
        """Begin with the next column."""
        if next(self._nodes, (-1,))[0] != self.rows:
            raise _damaged()

    def missing(self) -> npt.NDArray[np.bool_] | None:
        """Begin with the next column and return which of its values are null, None if none is."""
        self.node()
        bits = self.buffer()
        return ~self._bits(bits) if len(bits) else None

    def numbers(self, dtype: str) -> Values:
        """Take a buffer of numbers, or of bits (``?``)."""
        return self._bits(self.buffer()) if dtype == "?" else np.frombuffer(self.buffer(), dtype, self.rows)

    def texts(self, offset: str) -> list[bytes]:
        """Take a buffer of offsets and one of texts."""
        ends, data = self.buffer(), self.buffer()
        at = np.frombuffer(ends, offset, self.rows + 1) if len(ends) else np.zeros(1, np.int64)
        if len(at) != self.rows + 1 or at[0] < 0 or at[-1] > len(data) or (at[1:] < at[:-1]).any():
            raise _damaged()
        places = at.tolist()
        return [bytes(data[start:stop]) for start, stop in pairwise(places)]

    def views(self) -> list[bytes]:
        """Take a buffer of views and those they look at."""
        views = bytes(self.buffer())
        if len(views) < 16 * self.rows:
            raise _damaged()
        data = [self.buffer() for _ in range(next(self._views, -1))]
        sizes = np.frombuffer(views, "<i4", 4 * self.rows)[::4]
        if (sizes < 0).any():
            raise _damaged()
        self._room.take(int(sizes.sum(dtype=np.int64)))
        texts = []
        for row, size in enumerate(sizes.tolist()):
            if size <= 12:
                texts.append(views[16 * row + 4 : 16 * row + 4 + size])
                continue
            which, at = struct.unpack_from("<ii", views, 16 * row + 8)
            if which < 0 or at < 0 or at + size > len(data[which]):
                raise _damaged()
            texts.append(bytes(data[which][at : at + size]))
        return texts

    def _bits(self, data: memoryview) -> npt.NDArray[np.bool_]:
        if 8 * len(data) < self.rows:
            raise _damaged()
        return np.unpackbits(np.frombuffer(data, np.uint8), count=self.rows, bitorder="little").astype(bool)


def _messages(body: memoryview) -> Iterator[tuple[int, Table, memoryview, bytes]]:
    """Yield the kind, the header, the body and all but the body of each message."""
    at = count = 0
    while at + 4 <= len(body):
        size = int.from_bytes(body[at : at + 4], "little")
        at += 4
        if size == 0xFFFFFFFF:
            size = int.from_bytes(body[at : at + 4], "little")
            at += 4
        if size == 0:
            return
        count += 1
        if count > _MAX_MESSAGES:
            raise InvalidInput(f"The stream has more than {_MAX_MESSAGES} messages. Write all rows as one batch.")
        metadata = bytes(body[at : at + size])
        message = Table.root(memoryview(metadata))
        start = at + size
        at = start + message.scalar(3, "q")
        header = message.table(2)
        if header is None or not start <= at <= len(body):
            raise _damaged()
        yield message.scalar(1, "B"), header, body[start:at], metadata


def _field(field: Table) -> Field:
    name, number, details, dictionary = field.text(0), field.scalar(2, "B"), field.table(3), field.table(4)
    kind, dtype = "other", ""
    if number == INT and details is not None:
        kind, dtype = "number", _int(details)
    elif number == FLOAT and details is not None:
        kind, dtype = "number", _FLOATS[details.scalar(0, "h") % 3]
    elif number in (UTF8, LARGE_UTF8, UTF8_VIEW):
        kind = "text"
    elif number == BOOL:
        kind, dtype = "boolean", "?"
    elif number == NULL:
        kind = "null"
    if dictionary is None:
        return Field(name, kind, number, dtype)
    index = dictionary.table(1)
    return Field(name, kind, number, dtype, dictionary.scalar(0, "q"), "<i4" if index is None else _int(index))


def _int(details: Table) -> str:
    bits = details.scalar(0, "i")
    if bits not in (8, 16, 32, 64):
        raise _damaged()
    return f"<{'i' if details.scalar(1, 'B') else 'u'}{bits // 8}"


def _values(field: Field, batch: _Batch) -> Values:
    """Take the next column of a batch."""
    if field.kind == "null":
        batch.node()
        return np.full(batch.rows, np.nan)
    missing = batch.missing()
    if field.kind != "text":
        numbers = batch.numbers(field.dtype).astype(np.float64)
        return numbers if missing is None else np.where(missing, np.nan, numbers)
    encoded = batch.views() if field.type == UTF8_VIEW else batch.texts("<i4" if field.type == UTF8 else "<i8")
    values = np.empty(batch.rows, dtype=object)
    values[:] = [text.decode() for text in encoded]
    if missing is not None:
        values[missing] = ""
    return values


def _damaged() -> InvalidInput:
    return InvalidInput("The body is no Arrow IPC stream. Write one with, for example, pyarrow.ipc.new_stream.")
