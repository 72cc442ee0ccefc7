"""An Arrow stream that is read while it arrives: one frame for each record batch."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from lepton.core.errors import Unavailable

if TYPE_CHECKING:
    import polars as pl

_MARK = b"\xff\xff\xff\xff"
_END = _MARK + bytes(4)
_RECORD_BATCH = 3
_HEADER_TYPE, _BODY_LENGTH = 1, 3
"""Numbers of fields of a message's header (``Message.fbs`` of the format)."""


def frames(chunks: Iterable[bytes]) -> Iterator[pl.DataFrame]:
    """Read the rows of an Arrow stream as they come.

    Args:
        chunks: The stream, cut anywhere.

    Raises:
        Unavailable: if it ends before its end.
    """
    import polars as pl

    before = b""  # the schema, and dictionaries
    for message, is_batch in _messages(chunks):
        if is_batch:
            yield pl.read_ipc_stream(b"".join((before, message, _END)))
        else:
            before += message


def _messages(chunks: Iterable[bytes]) -> Iterator[tuple[bytearray, bool]]:
    """Cut a stream into its messages; tells of each whether it holds rows.

    A message is 4 bytes of ones, the length of its header, the header, and a body whose length the header tells; the
    stream ends with a header of no length. Source: https://arrow.apache.org/docs/format/Columnar.html (encapsulated
    message format).
    """
    held = bytearray()
    for chunk in chunks:
        held += chunk
        at = 0
        while len(held) - at >= len(_END):
            header_end = at + 8 + int.from_bytes(held[at + 4 : at + 8], "little")
            if header_end == at + 8:
                return
            if len(held) < header_end:
                break
            header = bytes(held[at + 8 : header_end])
            end = header_end + _field(header, _BODY_LENGTH, 8)
            if len(held) < end:
                break
            yield held[at:end], _field(header, _HEADER_TYPE, 1) == _RECORD_BATCH
            at = end
        del held[:at]
    raise Unavailable("The connection ended in the middle of the rows.")


def _field(header: bytes, number: int, size: int) -> int:
    """Return a whole number of a flatbuffer's root table, 0 if it is not there.

    Source: https://flatbuffers.dev/internals/ (a table begins with the distance to its vtable, which has the places of
    the fields, from the third entry on).
    """
    table = int.from_bytes(header[:4], "little")
    vtable = table - int.from_bytes(header[table : table + 4], "little", signed=True)
    length = int.from_bytes(header[vtable : vtable + 2], "little")
    entry = 4 + 2 * number
    if entry >= length:
        return 0
    place = int.from_bytes(header[vtable + entry : vtable + entry + 2], "little")
    return int.from_bytes(header[table + place : table + place + size], "little") if place else 0
