"""A stored file sent piece by piece, and closed however the answer ends."""

from __future__ import annotations

from functools import partial
from typing import BinaryIO
from urllib.parse import quote

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

_PIECE = 1 << 20


class FileAnswer(StreamingResponse):
    """An open file as a download; never shown in a browser, whatever it holds.

    Args:
        file: Opened for reading; closed here.
        name: What the browser shall call it.
        size_bytes: Its size.
    """

    def __init__(self, file: BinaryIO, *, name: str, size_bytes: int) -> None:
        headers = {
            "Content-Disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}",
            "Content-Length": str(size_bytes),
            "X-Content-Type-Options": "nosniff",
        }
        super().__init__(iter(partial(file.read, _PIECE), b""), media_type="application/octet-stream", headers=headers)
        self._file = file

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._file.close()
