"""The incoming half of a connection: bytes become requests, over llhttp (through httptools).

llhttp decides where a request ends; what it is lenient about is refused here, and everything is bounded by `Limits`.
`wire` is the connection, `exchange` the outgoing half. Source: RFC 9110, RFC 9112.
"""

from __future__ import annotations

from typing import Any

import httptools

from lepton.endpoints.replica.exchange import Answers, Request, Shared, log
from lepton.endpoints.replica.heads import CLOSE, CONTINUE, KEEP
from lepton.endpoints.replica.inflate import Bomb, Damaged, UnknownEncoding, inflate
from lepton.endpoints.replica.repeats import Repeated, learn

METHODS = frozenset({b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS"})
ONCE = frozenset(
    {
        b"host",
        b"content-length",
        b"transfer-encoding",
        b"content-type",
        b"content-encoding",
        b"authorization",
        b"expect",
    }
)
"""Headers that may not be repeated; others are joined by commas (RFC 9110, section 5.3)."""
_SLICE = 8 << 10
"""What may hold many small requests is parsed in pieces of this size, so that few are read above the limit."""
_SETTLED = 64
"""Pieces of an unfinished body are joined when there are more."""
_FRAMING_BYTES = 64 << 10
"""Chunk sizes, extensions and trailers may take this much, and eight times the body."""
_LESSONS = 4
"""Different heads of one connection after which it is taken for one that does not repeat them."""


class Refused(Exception):
    """Stops the parser; carries what the client is told."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence


class _Enough(Exception):
    """Stops the parser: nothing more is wanted from this client."""


class Reading(Answers):
    """The incoming half of a connection. An exception in what llhttp calls stops it for good."""

    __slots__ = (
        "_example", "_head_bytes", "_headers", "_length", "_lessons", "_packet", "_parser", "_pieces", "_received",
        "_repeated", "_repeats", "_request", "_rest", "_served", "_settled", "_target", "_wire_bytes",
    )  # fmt: skip

    def __init__(self, shared: Shared) -> None:
        super().__init__(shared)
        self._parser: Any = None
        self._target = b""
        self._headers: dict[bytes, bytes] = {}
        self._repeats = 0
        self._head_bytes = 0  # of packets in which a head goes on without ending
        self._packet = 0  # bytes that the parser was given last
        self._served = 0  # heads so far
        self._request: Request | None = None  # its head is there, its body is not
        self._length = 0  # of its body, 0 when it is chunked
        self._received = 0  # bytes of its body
        self._wire_bytes = 0  # the same with chunk sizes, extensions, trailers
        self._pieces: list[bytes] = []
        self._settled = 0  # pieces that are joined ones
        self._rest = b""  # came before it was noticed that too much is unanswered
        self._repeated: Repeated | None = None  # the head before, while every packet was one request
        self._example: Request | None = None  # the request it would be learnt from
        self._lessons = _LESSONS

    # Parsing.

    def _parse(self, data: bytes) -> None:
        if len(data) > _SLICE:
            self._forget()
            self._parse_slices(data)
            return
        served, reading = self._served, self._request
        self._packet = size = len(data)
        self._parser.feed_data(data)
        if self._request is not None or served == self._served:
            self._unfinished(size, served, was_body=reading is not None)
        if self._lessons:
            self._learn(data, served)

    def _unfinished(self, size: int, served: int, *, was_body: bool) -> None:
        """Bound what a head or a body costs that the packet left unfinished.

        Args:
            size: Of the packet.
            served: Heads before it.
            was_body: Whether it began inside a body; what follows the end of that is counted from the next packet on.
        """
        if self._request is not None:
            self._settle(size)
        elif served == self._served and not was_body:
            self._head_bytes += size
            if self._head_bytes > self._shared.limits.head_bytes:
                self._too_long(self._target)

    def _parse_slices(self, data: bytes) -> None:
        view = memoryview(data)
        at = 0
        while at < len(data) and not self._deaf:
            if self._full or self._choked:
                self._full = True
                self._rest = data[at:]
                return
            # Nothing but body until its length is reached.
            step = _SLICE if self._request is None else max(_SLICE, self._length - self._received)
            piece = view[at : at + step]
            served, reading = self._served, self._request
            self._packet = len(piece)
            self._parser.feed_data(piece)
            self._unfinished(len(piece), served, was_body=reading is not None)
            at += step
            if self._out:
                self._flush()  # a client that does not read is noticed here

    def _settle(self, size: int) -> None:
        """Bound what an unfinished body costs: few pieces, little framing."""
        self._wire_bytes += size
        if self._request is not None:
            self._hold(self._request, size)
        if self._length == 0 and self._wire_bytes > _FRAMING_BYTES + 9 * self._received:
            raise Refused(400, "The chunks of the body carry more framing than data.")
        pieces = self._pieces
        if len(pieces) - self._settled > _SETTLED:
            pieces[self._settled :] = [b"".join(pieces[self._settled :])]
            self._settled += 1

    def _hold(self, request: Request, size: int) -> None:
        """Count what a body takes in memory until it is answered."""
        if request._connection is None:  # answered already: it is read and forgotten
            return
        shared = self._shared
        request._held += size
        shared.held_bytes += size
        if shared.held_bytes > shared.limits.held_bytes:
            raise Refused(503, "This replica holds as many bodies as it can. Try again soon.")

    def _stopped(self, error: Exception) -> None:
        """Tell the client why its bytes are not parsed further."""
        cause = error.__context__ if isinstance(error, httptools.HttpParserCallbackError) else None
        request, self._request = self._request, None
        if isinstance(cause, _Enough) or self._deaf:
            return
        if isinstance(error, Refused):
            cause = error
        if isinstance(cause, Refused):
            self.refuse(request, cause.status, cause.sentence)
        elif cause is None:
            self.refuse(request, 400, "This is not a valid HTTP/1.1 request.")
        elif isinstance(cause, Exception):
            self._failed(request, cause)
        else:
            raise cause

    def _failed(self, request: Request | None, error: Exception) -> None:
        log.error("A request failed inside the server (%s).", type(error).__name__)
        self.refuse(request, 500, f"Internal error ({type(error).__name__}).")

    def _too_long(self, target: bytes) -> None:
        limits = self._shared.limits
        if len(target) > limits.target_bytes:
            raise Refused(414, f"The path with its query may have {limits.target_bytes} bytes.")
        raise Refused(431, f"A head may have {limits.head_bytes} bytes and {limits.headers} header lines.")

    def _resume(self) -> None:
        """Go on where reading stopped, once there is room again."""
        if self._choked or self._deaf or self._transport is None:
            return
        if self._full:
            if len(self._waiting) > self._shared.limits.pipelined // 2:
                return
            self._full = False
            if self._rest:
                rest, self._rest = self._rest, b""
                self.data_received(rest)
        if not (self._full or self._choked or self._deaf or self._eof or self._transport.is_closing()):
            self._transport.resume_reading()

    # Repeated heads.

    def _learn(self, data: bytes, served: int) -> None:
        """Remember the head of a packet that was exactly one request; give up for good on the first other one."""
        example, self._example = self._example, None
        if example is None or self._request is not None or self._served != served + 1:
            self._forget()
            return
        self._repeated = learn(data, example)
        self._lessons -= 1
        if self._repeated is None or self._lessons == 0:
            self._forget()

    def _forget(self) -> None:
        self._repeated = self._example = None
        self._lessons = 0

    def _repeat(self, repeated: Repeated, data: bytes) -> bool:
        """Take a packet that is one request with the head of the one before, past the parser; False if it is not."""
        digits_at = repeated.digits_at
        end = data.find(b"\r", digits_at, digits_at + 8)
        digits = data[digits_at:end]
        if end < 0 or not digits.isdigit() or not data.startswith(repeated.after, end):
            return False
        begin = end + len(repeated.after)
        length = int(digits)
        if len(data) - begin != length or length > self._shared.limits.body_bytes:
            return False
        headers = repeated.headers.copy()
        headers[b"content-length"] = digits
        request = Request(self, repeated.method, repeated.path, repeated.query, headers)
        self._served += 1
        self._waiting.append(request)
        try:
            self._shared.app.admit(request)
            if request._connection is not None:
                request.body = data[begin:]
                self._shared.app.answer(request)
        except Exception as error:  # noqa: BLE001 - an edge: one request must not end a worker
            self._failed(request, error)
        if len(self._waiting) > self._shared.limits.pipelined:
            self._pause()
        return True

    def _pause(self) -> None:
        self._full = True
        self._transport.pause_reading()

    # Called by llhttp. An exception stops it for good.

    def on_url(self, part: bytes) -> None:
        """Take the target, or a part of one that came in several packets."""
        self._target += part

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header line, or a trailer, which is forgotten when the message ends."""
        headers = self._headers
        name = name.lower()
        if name in headers:
            if name in ONCE:
                raise Refused(400, "A header that may come once came twice.")
            self._repeats += 1
            if self._repeats > self._shared.limits.headers:
                self._too_long(b"")
            value = headers[name] + b", " + value
        headers[name] = value

    def on_headers_complete(self) -> None:
        """Check the head, ask the app whether the body is wanted."""
        if self._deaf:
            raise _Enough
        shared = self._shared
        limits = shared.limits
        parser = self._parser
        target = self._target
        headers = self._headers
        if (
            self._head_bytes + self._packet > limits.head_bytes
            or len(headers) + self._repeats > limits.headers
            or len(target) > limits.target_bytes
        ):
            self._measure(target, headers)
        self._target = b""
        self._headers = {}
        self._repeats = self._head_bytes = 0
        self._served += 1
        path, _, query = target.partition(b"?")
        request = Request(self, parser.get_method(), path, query, headers)
        self._waiting.append(request)
        self._request = request
        if self._lessons:
            self._example = request
        if not parser.should_keep_alive() or b"connection" in headers or b"host" not in headers:
            self._check_version(request)
        if request.method not in METHODS or b"upgrade" in headers:
            raise Refused(501, "This server speaks HTTP/1.1 only, without CONNECT and Upgrade.")
        if not target.startswith(b"/") or b"#" in target:
            raise Refused(400, "The target of a request must be a path that begins with '/'.")
        length = int(headers.get(b"content-length", b"0"))
        drainable = length <= limits.drained_bytes
        if b"transfer-encoding" in headers:
            self._check_coding(request)
            drainable = False
        if b"expect" in headers:
            self._check_expect(request)
            drainable &= not request._expects
        self._length, self._received, self._wire_bytes = length, 0, 0
        self._admit(request, drainable)
        if len(self._waiting) > limits.pipelined:
            self._pause()

    def _admit(self, request: Request, drainable: bool) -> None:
        line = request._line
        if not drainable:
            request._line = CLOSE  # of a refusal
        self._shared.app.admit(request)
        if request._connection is None:
            if request._line is CLOSE:
                self._deaf = self._leaving = True
                raise _Enough
            return
        request._line = line
        most = self._shared.limits.body_bytes
        if self._length > most:
            raise Refused(413, f"A body may have {most} bytes. Send less in one request.")
        if request._expects and self._waiting[0] is request:
            request._expects = False
            self._out.append(CONTINUE)

    def on_body(self, piece: bytes) -> None:
        """Take a piece of the body: a packet's part, or a chunk's."""
        self._received += len(piece)
        if self._received > self._shared.limits.body_bytes:
            raise Refused(413, f"A body may have {self._shared.limits.body_bytes} bytes. Send less in one request.")
        self._pieces.append(piece)

    def on_message_complete(self) -> None:
        """Hand the complete request to the app."""
        request = self._request
        self._request = None
        if self._headers:  # trailers
            self._headers = {}
            self._repeats = 0
        pieces = self._pieces
        if request is None:
            return
        if pieces:
            request.body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
            pieces.clear()
            self._settled = 0
            if b"content-encoding" in request.headers:
                self._request = request
                request.body = self._inflated(request)
                self._hold(request, len(request.body))
                self._request = None
        if request._line is CLOSE:
            self._deaf = True
        if request._connection is None:
            return
        try:
            self._shared.app.answer(request)
        except Exception as error:  # noqa: BLE001 - an edge: one request must not end a worker
            self._failed(request, error)
            raise _Enough from None

    # What is not on the road of an ordinary request.

    def _measure(self, target: bytes, headers: dict[bytes, bytes]) -> None:
        limits = self._shared.limits
        size = len(target) + sum(map(len, headers)) + sum(map(len, headers.values())) + 4 * len(headers)
        lines = len(headers) + self._repeats
        if size > limits.head_bytes or lines > limits.headers or len(target) > limits.target_bytes:
            self._too_long(target)

    def _check_version(self, request: Request) -> None:
        version = self._parser.get_http_version()
        if version not in {"1.1", "1.0"}:
            raise Refused(505, "This server speaks HTTP/1.1 and HTTP/1.0.")
        if version == "1.1" and b"host" not in request.headers:
            raise Refused(400, "A request of HTTP/1.1 must have the header 'Host'.")
        if version == "1.0" and b"transfer-encoding" in request.headers:
            raise Refused(400, "A request of HTTP/1.0 has no transfer encoding.")
        if not self._parser.should_keep_alive():
            request._line = CLOSE
        elif version == "1.0":
            request._line = KEEP

    @staticmethod
    def _check_coding(request: Request) -> None:
        if request.headers[b"transfer-encoding"].lower() != b"chunked":
            raise Refused(501, "The one transfer encoding that is read here is 'chunked'.")

    def _check_expect(self, request: Request) -> None:
        if self._parser.get_http_version() == "1.0":
            return
        if request.headers[b"expect"].lower() != b"100-continue":
            raise Refused(417, "The one expectation that is met here is '100-continue'.")
        request._expects = (
            b"transfer-encoding" in request.headers or int(request.headers.get(b"content-length", b"0")) > 0
        )

    def _inflated(self, request: Request) -> bytes:
        limits = self._shared.limits
        try:
            return inflate(
                request.body,
                request.headers[b"content-encoding"],
                most_bytes=limits.body_bytes,
                ratio=limits.inflate_ratio,
            )
        except UnknownEncoding:
            raise Refused(415, "A body may be encoded with gzip or deflate, or not at all.") from None
        except Bomb:
            sentence = f"A body may have {limits.body_bytes} bytes, and {limits.inflate_ratio} times what was sent."
            raise Refused(413, sentence) from None
        except Damaged:
            raise Refused(400, "The body is not what its Content-Encoding says.") from None
