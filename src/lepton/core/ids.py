"""Ids: ULIDs, sortable by the time they were made (https://github.com/ulid/spec)."""

from __future__ import annotations

import secrets
import time
from datetime import datetime

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def new_id() -> str:
    """Return a new ULID: 26 characters, 48 bits of milliseconds and 80 random bits."""
    return _written((time.time_ns() // 1_000_000) << 80 | secrets.randbits(80))


def id_from(made_at: datetime, rest: bytes) -> str:
    """Return the ULID of a moment and 10 bytes that are not random, such as those of a digest."""
    milliseconds = min(max(int(made_at.timestamp() * 1000), 0), (1 << 48) - 1)
    return _written(milliseconds << 80 | int.from_bytes(rest[:10]))


def _written(value: int) -> str:
    return "".join(_ALPHABET[value >> shift & 31] for shift in range(125, -1, -5))


def is_id(text: str) -> bool:
    """Whether a text can be a ULID, written as `new_id` writes them."""
    return len(text) == 26 and set(text) <= set(_ALPHABET) and text[0] < "8"
