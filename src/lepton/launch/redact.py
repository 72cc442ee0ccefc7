"""Keeps secrets out of what a command writes. Pure.

A secret is found as it is, and as base64, JSON and addresses write it; a command that wants to tell it in another way
can, as it can send it anywhere.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote

MASK = b"***"
MAX_LINE_BYTES = 1 << 16
_SHORTEST_PART = 4


class Redactor:
    """Cuts a stream into lines and masks secrets in them.

    Args:
        secrets: What must not be seen.
    """

    def __init__(self, secrets: Iterable[str]) -> None:
        forms = sorted({form for secret in secrets for form in _forms(secret)}, key=len, reverse=True)
        self._pattern = re.compile(b"|".join(map(re.escape, forms))) if forms else None
        self._longest = max(map(len, forms), default=1)
        self._rest = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take more of the stream; return the lines that are whole now, with their ends."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            yield self.mask(line) + b"\n"
        if len(self._rest) > MAX_LINE_BYTES + self._longest:
            # What may be the beginning of a secret waits for its end.
            masked = self.mask(self._rest)
            head, self._rest = masked[: -self._longest], masked[-self._longest :]
            yield head

    def finish(self) -> bytes:
        """Return what is left when the stream has ended."""
        rest, self._rest = self._rest, b""
        return self.mask(rest) + b"\n" if rest else b""

    def mask(self, line: bytes) -> bytes:
        """Return a line without secrets."""
        return line if self._pattern is None else self._pattern.sub(MASK, line)


def _forms(secret: str) -> Iterator[bytes]:
    for part in {secret, secret.strip(), *secret.splitlines()}:
        if len(part) >= _SHORTEST_PART:
            yield part.encode()
            yield json.dumps(part)[1:-1].encode()
            yield repr(part)[1:-1].encode()
            yield quote(part, safe="").encode()
    # Of base64, the part that does not depend on what follows.
    encoded = base64.b64encode(secret.encode()).rstrip(b"=")
    yield encoded[: len(secret.encode()) * 4 // 3]
