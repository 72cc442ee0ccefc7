"""Compressed request bodies, opened within bounds. Knows no HTTP beyond the names of the encodings."""

from __future__ import annotations

import zlib

ALWAYS_ALLOWED_BYTES = 64 << 10
"""A short body may grow to this size whatever its ratio."""
_WINDOW_BITS = {b"gzip": 31, b"x-gzip": 31, b"deflate": 15}


class UnknownEncoding(Exception):
    """The encoding is none of gzip, deflate and identity."""


class Damaged(Exception):
    """The body is not what its encoding says: damaged, cut off, or with something after its end."""


class Bomb(Exception):
    """The body would be larger than is allowed."""


def inflate(body: bytes, encoding: bytes, *, most_bytes: int, ratio: int) -> bytes:
    """Return a body as it was before ``Content-Encoding``.

    Args:
        body: As it was sent.
        encoding: Value of the header, one encoding.
        most_bytes: Largest result.
        ratio: Largest result as a multiple of ``body``.

    Raises:
        UnknownEncoding, Damaged, Bomb: as they say; none of them quotes the body.

    Source: RFC 9110, section 8.4.1; ``deflate`` is the zlib format there. Several gzip members are one body.
    """
    name = encoding.strip().lower()
    if name in {b"", b"identity"}:
        return body
    bits = _WINDOW_BITS.get(name)
    if bits is None:
        raise UnknownEncoding
    left = min(most_bytes, max(ALWAYS_ALLOWED_BYTES, ratio * len(body)))
    parts = []
    while True:
        stream = zlib.decompressobj(bits)
        try:
            part = stream.decompress(body, left + 1)
        except zlib.error:
            raise Damaged from None
        left -= len(part)
        if left < 0:
            raise Bomb
        if not stream.eof:
            raise Damaged
        parts.append(part)
        body = stream.unused_data
        if not body:
            return parts[0] if len(parts) == 1 else b"".join(parts)
        if bits != _WINDOW_BITS[b"gzip"] or len(parts) == 16:
            raise Damaged
