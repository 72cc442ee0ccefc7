"""What a worker and a sandbox say to each other: frames of raw arrays over a socket pair, never objects.

A frame is a head of 24 bytes, little-endian, and a body: ``LPF1``, kind (1 byte, 3 of padding), rows (4), columns (4),
bytes of the body (8). The body of a batch: float64 [N, k] row after row; then for each column of text its N lengths in
bytes (4 each) and the texts in UTF-8 one after the other. An answer: float64 [N, columns], or [N] if columns is 0.
"""

from __future__ import annotations

import json
import socket
import struct
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

_HEAD = struct.Struct("<4sB3xIIQ")
_MAGIC = b"LPF1"
MAX_BODY_BYTES = 256 << 20
"""Nothing larger is read, in either direction."""


class Kind(IntEnum):
    """What a frame is."""

    CONFINED = 1  # up, first: what of the confinement this machine does not allow, as text
    BEGIN = 2  # down: the files and the columns
    READY = 3  # up: the model is loaded
    BATCH = 4  # down
    ANSWER = 5  # up
    FAILED = 6  # up: the code raised; rows is the line of model.py, the body the name of the exception's class


class Garbled(Exception):
    """What came is no frame, or not the one that was due."""


class Ended(Exception):
    """The other side is gone."""


@dataclass(frozen=True)
class Frame:
    """One frame as it was received."""

    kind: Kind
    rows: int
    columns: int
    body: memoryview


class Channel:
    """One end of the socket pair; both ends take turns, so each call moves one whole frame."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection

    def send(
        self, kind: Kind, parts: Sequence[bytes | memoryview] = (), *, rows: int = 0, columns: int = 0,
        within_s: float | None = None,
    ) -> None:  # fmt: skip
        """Send a frame.

        Raises:
            Ended: if nobody is there to take it.
            TimeoutError: if it is not taken in time.
        """
        self._socket.settimeout(within_s)
        size = sum(map(len, parts))
        try:
            self._socket.sendall(b"".join((_HEAD.pack(_MAGIC, kind, rows, columns, size), *parts)))
        except TimeoutError:
            raise
        except OSError:
            raise Ended from None

    def receive(self, *, within_s: float | None = None, most_bytes: int = MAX_BODY_BYTES) -> Frame:
        """Return the next frame.

        Raises:
            Garbled: if it is not one, or larger than `most_bytes`; nothing may be read after that.
            Ended: if the other side has closed.
            TimeoutError: if it is not complete in time.
        """
        deadline = None if within_s is None else time.monotonic() + within_s
        magic, kind, rows, columns, size = _HEAD.unpack(self._exactly(_HEAD.size, deadline))
        if magic != _MAGIC or kind not in Kind._value2member_map_ or size > most_bytes:
            raise Garbled
        return Frame(Kind(kind), rows, columns, self._exactly(size, deadline))

    def close(self) -> None:
        """Let go of it; the other side sees the end."""
        self._socket.close()

    def _exactly(self, size: int, deadline: float | None) -> memoryview:
        view = memoryview(bytearray(size))
        done = 0
        while done < size:
            self._socket.settimeout(None if deadline is None else max(deadline - time.monotonic(), 1e-6))
            try:
                count = self._socket.recv_into(view[done:])
            except TimeoutError:
                raise
            except OSError:
                raise Ended from None
            if not count:
                raise Ended
            done += count
        return view


def pack_batch(numbers: Array | None, texts: Sequence[Array]) -> list[bytes]:
    """Write the rows of a batch.

    Args:
        numbers: float64 [N, k], or None if there is no column of numbers.
        texts: str objects [N] for each column of text.
    """
    parts = [] if numbers is None else [np.ascontiguousarray(numbers, dtype="<f8").tobytes()]
    for column in texts:
        encoded = [text.encode() for text in column.tolist()]
        parts += [np.array([len(text) for text in encoded], dtype="<u4").tobytes(), b"".join(encoded)]
    return parts


def unpack_batch(body: memoryview, *, rows: int, width: int, texts: int) -> tuple[Array, list[Array]]:
    """Read what `pack_batch` wrote.

    Raises:
        Garbled: if the body is not `rows` of `width` numbers and `texts` texts.
    """
    at = 8 * rows * width
    if at > len(body):
        raise Garbled
    numbers = np.frombuffer(body[:at], dtype="<f8").reshape(rows, width)
    columns = []
    for _ in range(texts):
        lengths = body[at : at + 4 * rows]
        if len(lengths) != 4 * rows:
            raise Garbled
        at += 4 * rows
        values = np.empty(rows, dtype=object)
        for index, length in enumerate(np.frombuffer(lengths, dtype="<u4").tolist()):
            values[index] = _text(body[at : at + length], length)
            at += length
        columns.append(values)
    if at != len(body):
        raise Garbled
    return numbers, columns


def _text(piece: memoryview, length: int) -> str:
    if len(piece) != length:
        raise Garbled
    try:
        return str(piece, "utf-8")
    except UnicodeDecodeError:
        raise Garbled from None


def pack_begin(files: Mapping[str, bytes], *, numbers: Sequence[str], texts: Sequence[str]) -> list[bytes]:
    """Write what a sandbox begins with: the length of a JSON head (4 bytes), the head, the files."""
    head = json.dumps(
        {"files": [[name, len(data)] for name, data in files.items()], "numbers": [*numbers], "texts": [*texts]}
    ).encode()
    return [struct.pack("<I", len(head)), head, *files.values()]


def unpack_begin(body: memoryview) -> tuple[dict[str, bytes], list[str], list[str]]:
    """Read what `pack_begin` wrote: files by name, the columns of numbers, the columns of text."""
    (size,) = struct.unpack_from("<I", body)
    head = json.loads(bytes(body[4 : 4 + size]))
    at, files = 4 + size, {}
    for name, length in head["files"]:
        files[name] = bytes(body[at : at + length])
        at += length
    return files, head["numbers"], head["texts"]


def read_answer(frame: Frame) -> Array:
    """Return the array of an answer: float64 [N] or [N, columns].

    Raises:
        Garbled: if its size is not what its head says.
    """
    if len(frame.body) != 8 * frame.rows * max(frame.columns, 1):
        raise Garbled
    array = np.frombuffer(frame.body, dtype="<f8")
    return array.reshape(frame.rows, frame.columns) if frame.columns else array
