"""Heads that are, but for their length, the one before: what a client repeats need not be parsed again.

Only a head that llhttp and `wire` have accepted on the same connection is remembered, so nothing is believed that they
would refuse, and nothing passes from one client to another.
"""

from __future__ import annotations

import re

from lepton.endpoints.replica.exchange import Request

_LENGTH = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)\r\n", re.IGNORECASE)
_SPECIAL = frozenset({b"expect", b"content-encoding", b"transfer-encoding"})


class Repeated:
    """One accepted head, cut open where the digits of its length are."""

    __slots__ = ("after", "before", "digits_at", "headers", "method", "path", "query")

    def __init__(self, before: bytes, after: bytes, request: Request) -> None:
        self.before = before
        self.digits_at = len(before)
        self.after = after
        self.method = request.method
        self.path = request.path
        self.query = request.query
        self.headers = request.headers.copy()


def learn(packet: bytes, request: Request) -> Repeated | None:
    """Return what to compare the next packet with.

    None if this packet is not exactly one request with a length and nothing special: then it is not known where the
    parser stands, and the connection has to go on without.
    """
    if request._line or not _SPECIAL.isdisjoint(request.headers):
        return None
    end = packet.find(b"\r\n\r\n") + 4
    length = _LENGTH.search(packet, 0, end)
    if length is None or end + int(length[1]) != len(packet):
        return None
    return Repeated(packet[: length.start(1)], packet[length.end(1) : end], request)
