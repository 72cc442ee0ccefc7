"""HTTP/1.1 of the inference data plane: the incoming half of a connection, over llhttp. Knows no models, JSON, tokens.

llhttp (through httptools) decides where a request ends; what it is lenient about is refused here, and everything is
bounded by `Limits`. `exchange` is the outgoing half, `serving` opens the sockets. Source: RFC 9110, RFC 9112.
"""

from __future__ import annotations

import asyncio
from typing import Any

import httptools

from lepton.endpoints.replica.exchange import Answers, Request, Shared, log
from lepton.endpoints.replica.heads import CLOSE, CONTINUE, KEEP
from lepton.endpoints.replica.inflate import Bomb, Damaged, UnknownEncoding, inflate

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


class _Refused(Exception):
    """Stops the parser; carries what the client is told."""

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence


class _Enough(Exception):
    """Stops the parser: nothing more is wanted from this client."""


class Connection(Answers):
    """One client. The transport calls it with bytes, llhttp with what they mean, the server's sweep once a second."""

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
        self._mark = ("", 0)  # what the last sweep saw, and since when
        self._since = 0.0
        self._unsent = 0
        self._stalled = 0.0

    # Called by the transport.

    def connection_made(self, transport: Any) -> None:
        """Begin, or say that there are too many."""
        shared = self._shared
        limits = shared.limits
        self._transport = transport
        self._tls = transport.get_extra_info("sslcontext") is not None
        transport.set_write_buffer_limits(limits.unsent_bytes)
        shared.connections.add(self)
        if shared.draining or len(shared.connections) > limits.connections:
            self._corked = True
            self.refuse(None, 503, "This replica has as many connections as it can hold. Try again soon.")
            self._corked = False
            self._flush()
            return
        self._parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        """Parse; what is answered meanwhile leaves in one write."""
        if self._deaf:
            return
        if self._rest:
            self._rest += data
            return
        self._corked = True
        try:
            if len(data) <= _SLICE:
                self._feed(data)
            else:
                self._feed_slices(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade, _Refused) as error:
            self._stopped(error)
        self._corked = False
        if self._out or self._leaving:
            self._flush()

    def eof_received(self) -> bool:
        """Keep a half-open connection while complete requests wait for their answers."""
        self._eof = True
        if self._tls or (self._deaf and not self._waiting):
            return False
        if self._request is not None and self._waiting and self._waiting[-1] is self._request:
            self._waiting.pop()._connection = None  # its body will never be complete
            self._request = None
        return bool(self._waiting)

    def pause_writing(self) -> None:
        """Read nothing more from a client that does not read."""
        self._choked = True
        if not self._deaf:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on reading."""
        self._choked = False
        asyncio.get_running_loop().call_soon(self._resume)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the transport's signature
        """Forget everything: answers that are still to come have nowhere to go."""
        self._shared.connections.discard(self)
        for request in self._waiting:
            request._connection = None
        self._waiting.clear()
        self._out.clear()
        self._pieces.clear()
        self._deaf = True
        self._rest = b""
        self._request = self._parser = self._transport = None
        if self._shared.draining and not self._shared.connections:
            self._shared.emptied.set()

    # Called by the server.

    @property
    def unanswered(self) -> int:
        """Requests that have no answer yet."""
        return len(self._waiting)

    def sweep(self, now: float) -> None:
        """End this connection, or the request that it sends, if it has taken too long.

        Nothing is noted while requests run: a phase lasts from the first sweep that sees it.
        """
        limits = self._shared.limits
        unsent = self._transport.get_write_buffer_size()
        if self._unsent == 0 or unsent < self._unsent:
            self._stalled = now
        self._unsent = unsent
        mark = (self._phase(), self._served)
        if mark != self._mark or self._full or self._choked:
            self._mark = mark
            self._since = now
        elapsed = now - self._since
        match mark[0]:
            case _ if now - self._stalled > limits.stall_s:
                self.abort()
            case "leaving" if elapsed > limits.linger_s:
                self.abort()
            case "idle" if elapsed > limits.idle_s:
                self._transport.close()
            case "silent" if elapsed > limits.head_s:
                self._transport.close()
            case "head" if elapsed > limits.head_s:
                self.refuse(None, 408, "The head of the request took too long.")
            case "body" if elapsed > limits.body_s and self._received < limits.body_bytes_per_s * elapsed:
                self.refuse(self._request, 408, "The body of the request came too slowly.")

    def _phase(self) -> str:
        if self._deaf:
            return "answering" if self._waiting else "leaving"
        if self._request is not None:
            return "body"
        if self._head_bytes:
            return "head"
        if self._waiting:
            return "answering"
        return "idle" if self._served else "silent"

    def drain(self) -> None:
        """End now if nothing is in flight; else the last answer ends it."""
        if not self._waiting and self._head_bytes == 0:
            self._transport.close()

    def abort(self) -> None:
        """End now, whatever is in flight."""
        if self._transport is not None:
            self._transport.abort()

    # Parsing.

    def _feed(self, data: bytes | memoryview) -> None:
        served = self._served
        self._packet = size = len(data)
        self._parser.feed_data(data)
        if self._request is not None:
            self._settle(size)
        elif served == self._served:
            self._head_bytes += size
            if self._head_bytes > self._shared.limits.head_bytes:
                self._too_long(self._target)

    def _feed_slices(self, data: bytes) -> None:
        view = memoryview(data)
        at = 0
        while at < len(data) and not self._deaf:
            if self._full or self._choked:
                self._full = True
                self._rest = data[at:]
                return
            # Nothing but body until its length is reached.
            step = _SLICE if self._request is None else max(_SLICE, self._length - self._received)
            self._feed(view[at : at + step])
            at += step
            if self._out:
                self._flush()  # a client that does not read is noticed here

    def _settle(self, size: int) -> None:
        """Bound what an unfinished body costs: few pieces, little framing."""
        self._wire_bytes += size
        if self._length == 0 and self._wire_bytes > _FRAMING_BYTES + 9 * self._received:
            raise _Refused(400, "The chunks of the body carry more framing than data.")
        pieces = self._pieces
        if len(pieces) - self._settled > _SETTLED:
            pieces[self._settled :] = [b"".join(pieces[self._settled :])]
            self._settled += 1

    def _stopped(self, error: Exception) -> None:
        """Tell the client why its bytes are not parsed further."""
        cause = error.__context__ if isinstance(error, httptools.HttpParserCallbackError) else None
        request, self._request = self._request, None
        if isinstance(cause, _Enough) or self._deaf:
            return
        if isinstance(error, _Refused):
            cause = error
        if isinstance(cause, _Refused):
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
            raise _Refused(414, f"The path with its query may have {limits.target_bytes} bytes.")
        raise _Refused(431, f"A head may have {limits.head_bytes} bytes and {limits.headers} header lines.")

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
                raise _Refused(400, "A header that may come once came twice.")
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
        waiting = self._waiting
        waiting.append(request)
        self._request = request
        if not parser.should_keep_alive() or b"connection" in headers or b"host" not in headers:
            self._check_version(request)
        if request.method not in METHODS or b"upgrade" in headers:
            raise _Refused(501, "This server speaks HTTP/1.1 only, without CONNECT and Upgrade.")
        if not target.startswith(b"/") or b"#" in target:
            raise _Refused(400, "The target of a request must be a path that begins with '/'.")
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
        if len(waiting) > limits.pipelined:
            self._full = True
            self._transport.pause_reading()

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
            raise _Refused(413, f"A body may have {most} bytes. Send less in one request.")
        if request._expects and self._waiting[0] is request:
            request._expects = False
            self._out.append(CONTINUE)

    def on_body(self, piece: bytes) -> None:
        """Take a piece of the body: a packet's part, or a chunk's."""
        self._received += len(piece)
        if self._received > self._shared.limits.body_bytes:
            raise _Refused(413, f"A body may have {self._shared.limits.body_bytes} bytes. Send less in one request.")
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
            raise _Refused(505, "This server speaks HTTP/1.1 and HTTP/1.0.")
        if version == "1.1" and b"host" not in request.headers:
            raise _Refused(400, "A request of HTTP/1.1 must have the header 'Host'.")
        if version == "1.0" and b"transfer-encoding" in request.headers:
            raise _Refused(400, "A request of HTTP/1.0 has no transfer encoding.")
        if not self._parser.should_keep_alive():
            request._line = CLOSE
        elif version == "1.0":
            request._line = KEEP

    @staticmethod
    def _check_coding(request: Request) -> None:
        if request.headers[b"transfer-encoding"].lower() != b"chunked":
            raise _Refused(501, "The one transfer encoding that is read here is 'chunked'.")

    def _check_expect(self, request: Request) -> None:
        if self._parser.get_http_version() == "1.0":
            return
        if request.headers[b"expect"].lower() != b"100-continue":
            raise _Refused(417, "The one expectation that is met here is '100-continue'.")
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
            raise _Refused(415, "A body may be encoded with gzip or deflate, or not at all.") from None
        except Bomb:
            sentence = f"A body may have {limits.body_bytes} bytes, and {limits.inflate_ratio} times what was sent."
            raise _Refused(413, sentence) from None
        except Damaged:
            raise _Refused(400, "The body is not what its Content-Encoding says.") from None
