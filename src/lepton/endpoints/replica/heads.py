"""Heads of answers, made once a second for each status, content type and length instead of once a request."""

from __future__ import annotations

from collections.abc import Callable
from email.utils import formatdate
from http.client import responses

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
CLOSE = b"Connection: close\r\n"
KEEP = b"Connection: keep-alive\r\n"
_MOST_WHOLE = 2048
"""Complete heads that are kept at a time: lengths may all differ."""
BODILESS = frozenset({204, 304})
"""Statuses whose answers have neither a body nor a length (RFC 9110, section 8.6)."""


class Heads:
    """Beginnings of answers, up to where the length of the body is written, and complete ones."""

    def __init__(self, unix_time: Callable[[], float]) -> None:
        self._unix_time = unix_time
        self.made: dict[tuple[int, bytes], bytes] = {}  # looked into before `make` is called
        self.whole: dict[tuple[int, bytes, int], bytes] = {}  # with the length; looked into before `complete`
        self.renew()

    def renew(self) -> None:
        """Take the date of now; called once a second."""
        self._date = formatdate(self._unix_time(), usegmt=True).encode()
        self.made.clear()
        self.whole.clear()

    def make(self, status: int, content_type: bytes) -> bytes:
        """Return status line, date and content type; what follows is the number of the length."""
        phrase = responses.get(status, "").encode()
        head = b"HTTP/1.1 %d %b\r\nDate: %b\r\n" % (status, phrase, self._date)
        if status not in BODILESS:
            head += b"Content-Type: %b\r\nContent-Length: " % content_type
        self.made[status, content_type] = head
        return head

    def complete(self, status: int, content_type: bytes, length: int) -> bytes:
        """Return everything in front of a body, where nothing more is to be said of it."""
        head = b"%b%d\r\n\r\n" % (self.made.get((status, content_type)) or self.make(status, content_type), length)
        if len(self.whole) < _MOST_WHOLE:
            self.whole[status, content_type, length] = head
        return head
