"""Images and tables of other libraries as bytes and rows; none of those libraries is imported here."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

from lepton.core.errors import InvalidInput


def image(picture: Any) -> tuple[str, bytes]:
    """Return the suffix and the bytes of a picture.

    Args:
        picture: Bytes of a PNG or JPEG; a PIL image; or an array, shape (height, width) or (height, width, 3 or 4
            channels), of uint8 from 0 to 255 or of floats from 0 to 1.

    Raises:
        InvalidInput: if it is none of these.
    """
    if isinstance(picture, bytes):
        return (".jpg" if picture.startswith(b"\xff\xd8") else ".png"), picture
    if hasattr(picture, "save"):
        written = io.BytesIO()
        picture.save(written, format="PNG")
        return ".png", written.getvalue()
    shape = tuple(getattr(picture, "shape", ()))
    if len(shape) not in (2, 3) or (len(shape) == 3 and shape[2] not in (1, 3, 4)):
        raise InvalidInput(
            f"A {type(picture).__name__} of shape {shape} is no image. Give an array of height, width and 1, 3 or 4 "
            "channels, a PIL image, or the bytes of a PNG or JPEG."
        )
    if picture.dtype.kind == "f":
        picture = (picture.clip(0, 1) * 255 + 0.5).astype("uint8")
    return ".png", _png(shape, picture.astype("uint8").tobytes())


def _png(shape: tuple[int, ...], data: bytes) -> bytes:
    """Write a PNG (https://www.w3.org/TR/png-3/): 8 bits a channel, no filter."""
    height, width = shape[:2]
    channels = shape[2] if len(shape) == 3 else 1
    line = width * channels
    raw = b"".join(b"\0" + data[at : at + line] for at in range(0, height * line, line))
    header = struct.pack(">IIBBBBB", width, height, 8, {1: 0, 3: 2, 4: 6}[channels], 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(raw)), (b"IEND", b""))
    chunks = (struct.pack(">I", len(c)) + n + c + struct.pack(">I", zlib.crc32(n + c)) for n, c in parts)
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def table(frame: Any) -> tuple[list[str], list[list[object]]]:
    """Return the columns and the rows of a table.

    Args:
        frame: A Polars or pandas frame, an Arrow table, or a list of dicts.

    Raises:
        InvalidInput: if it is none of these.
    """
    if isinstance(frame, list) and all(isinstance(row, dict) for row in frame):
        keys = list(dict.fromkeys(key for row in frame for key in row))
        return [str(key) for key in keys], [[row.get(key) for key in keys] for row in frame]
    if hasattr(frame, "to_pylist") and hasattr(frame, "column_names"):
        return list(frame.column_names), [list(row.values()) for row in frame.to_pylist()]
    if hasattr(frame, "iter_rows"):
        return list(frame.columns), [list(row) for row in frame.iter_rows()]
    if hasattr(frame, "itertuples"):
        return [str(name) for name in frame.columns], [list(row) for row in frame.itertuples(index=False)]
    raise InvalidInput(
        f"A {type(frame).__name__} is no table. Give a Polars or pandas frame, an Arrow table, or a list of dicts."
    )
