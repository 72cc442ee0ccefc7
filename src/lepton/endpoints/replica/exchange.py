"""Requests and the outgoing half of a connection: answers leave in the order of their requests, few writes, no copies.

`wire` is the incoming half. `App` is the seam to everything above HTTP.
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from lepton.endpoints.replica.heads import BODILESS, CLOSE, CONTINUE, Heads
from lepton.endpoints.replica.limits import Limits
from lepton.endpoints.replica.streams import Stream

log = logging.getLogger("lepton.replica")

Buffer = bytes | bytearray | memoryview
Body = Buffer | Sequence[Buffer]

_COPIED = 64 << 10
"""Answers up to this size are joined: one buffer is sent faster than two. Larger ones are not copied."""


class Request:
    """One request. What is not listed is for the connection only.

    Attributes:
        method: Like ``b"POST"``.
        path: The target before ``?``, still percent-encoded.
        query: The target after ``?``.
        headers: Names in lower case; repeated ones joined by ``", "``. Trailers are dropped.
        body: Complete, without its transfer and content encodings; empty while the app admits.
        on_lost: Called if the client goes, or only closes its half, before the answer is complete; for whoever can
            save work then.
    """

    __slots__ = (
        "_answer", "_connection", "_expects", "_held", "_line", "_stream", "body", "headers", "method", "on_lost",
        "path", "query",
    )  # fmt: skip

    def __init__(
        self, connection: Answers, method: bytes, path: bytes, query: bytes, headers: dict[bytes, bytes]
    ) -> None:
        self._connection: Answers | None = connection
        self._answer: list[Buffer] | None = None
        self._stream: Stream | None = None
        self.on_lost: Callable[[], object] | None = None
        self._line = b""  # the Connection header of the answer
        self._expects = False  # waits for 100 Continue
        self._held = 0  # what its body counts in Shared.held_bytes
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.body = b""

    def respond(self, status: int, body: Body, content_type: bytes = b"application/json", extra: bytes = b"") -> None:
        """Answer, at once or later from the loop. A second answer, or one to a client that has gone, is dropped.

        Args:
            status: A final one, from 200 on.
            body: Large parts are not copied: do not change them afterwards.
            content_type: Of the body; from a small set, as a head is kept for each.
            extra: Further header lines, each with its CRLF.
        """
        connection = self._connection
        if connection is not None:
            self._connection = None
            connection.answered(self, status, body, content_type, extra)

    def stream(self, status: int, content_type: bytes, extra: bytes = b"") -> Stream | None:
        """Begin an answer whose pieces come later; None if the client has gone or was answered already."""
        connection, self._connection = self._connection, None
        return None if connection is None else connection.streamed(self, status, content_type, extra)


class App(Protocol):
    """What answers requests. Called from the loop, so it must not block."""

    def admit(self, request: Request) -> None:
        """Look at a head before its body is read; respond to refuse it."""

    def answer(self, request: Request) -> None:
        """Respond to a complete request, now or later."""

    def refuse(self, path: bytes, status: int, sentence: str) -> tuple[bytes, bytes]:
        """Return JSON body and extra header lines for what the protocol itself refuses; the path may be unknown."""
        ...


class Shared:
    """What all connections of a server have in common."""

    def __init__(self, app: App, limits: Limits, heads: Heads) -> None:
        self.app = app
        self.limits = limits
        self.most_connections = limits.connections  # or fewer, where the system allows fewer
        self.heads = heads
        self.made_heads = heads.made
        self.whole_heads = heads.whole
        self.connections: set[Any] = set()
        self.held_bytes = 0
        self.ending = False  # every answer is the last of its connection
        self.draining = False  # and whoever connects is told to go elsewhere
        self.emptied = asyncio.Event()  # no connection is left, while draining


class Answers(asyncio.Protocol, ABC):
    """The outgoing half of a connection."""

    __slots__ = (
        "_choked", "_corked", "_deaf", "_eof", "_full", "_leaving", "_out", "_shared", "_tls", "_transport", "_waiting",
    )  # fmt: skip

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._transport: Any = None
        self._waiting: deque[Request] = deque()  # unanswered, and answered behind an unanswered one
        self._out: list[Buffer] = []
        self._corked = False  # whoever set it flushes
        self._choked = False  # the transport has enough to send
        self._full = False  # too much is unanswered
        self._deaf = False  # nothing more is read
        self._leaving = False  # ends when nothing is waiting
        self._eof = False  # the client sends nothing more
        self._tls = False

    def answered(self, request: Request, status: int, body: Body, content_type: bytes, extra: bytes) -> None:
        """Take the answer of one of the waiting requests; `Request.respond` calls this once for each."""
        waiting = self._waiting
        shared = self._shared
        if request._held:
            shared.held_bytes -= request._held
            request._held = 0
        if shared.ending and waiting[-1] is request:
            request._line = CLOSE
        if type(body) is bytes and len(body) <= _COPIED and status not in BODILESS and request.method != b"HEAD":
            if extra or request._line:
                head = shared.made_heads.get((status, content_type)) or shared.heads.make(status, content_type)
                answer: list[Buffer] = [b"%b%d\r\n%b%b\r\n%b" % (head, len(body), request._line, extra, body)]
            else:
                length = len(body)
                whole = shared.whole_heads.get((status, content_type, length))
                answer = [(whole or shared.heads.complete(status, content_type, length)) + body]
        else:
            head = shared.made_heads.get((status, content_type)) or shared.heads.make(status, content_type)
            answer = _large(request, status, head, body, extra)
        if waiting[0] is not request:
            request._answer = answer
            return
        waiting.popleft()
        self._out += answer
        if request._line is CLOSE:
            self._deaf = self._leaving = True
        if waiting:
            self._release()
            if not self._corked:
                # Who answered this one may be about to answer the next: one write for both.
                asyncio.get_running_loop().call_soon(self._flush)
        elif not self._corked:
            self._flush()

    def streamed(self, request: Request, status: int, content_type: bytes, extra: bytes) -> Stream:
        """Take the beginning of a streamed answer; `Request.stream` calls this once at most."""
        shared = self._shared
        shared.held_bytes -= request._held
        request._held = 0
        # The length is not known: chunks say where it ends, or the end of the connection if that is wanted anyway.
        chunked = not request._line and not (shared.ending and self._waiting[-1] is request)
        if not chunked:
            request._line = CLOSE
        head = shared.made_heads.get((status, content_type)) or shared.heads.make(status, content_type)
        lines = b"Transfer-Encoding: chunked\r\n" if chunked else CLOSE
        begin = b"%b%b%b\r\n" % (head.removesuffix(b"Content-Length: "), lines, extra)
        request._stream = Stream(self, begin, chunked=chunked)
        return request._stream

    def stream_may_write(self, stream: Stream) -> bool:
        """Whether it is the turn of a streamed answer and the client reads."""
        return not self._choked and bool(self._waiting) and self._waiting[0]._stream is stream

    def stream_wrote(self, data: bytes) -> None:
        """Send a piece of a streamed answer, behind the answers before it."""
        self._out.append(data)
        if not self._corked:
            self._flush()

    def stream_ended(self, *, broken: bool) -> None:
        """Let out what was answered behind a streamed answer, or end the connection if it is not complete."""
        if broken:
            if self._transport is not None:
                self._transport.abort()
            return
        request = self._waiting.popleft()
        if request._line is CLOSE or (self._shared.ending and not self._waiting):
            self._deaf = self._leaving = True
        self._release()
        if not self._corked:
            self._flush()

    def _release(self) -> None:
        """Let out what was answered before its turn."""
        waiting = self._waiting
        while waiting:
            request = waiting[0]
            if request._stream is not None:
                request._stream.wake()
                return
            if request._answer is None:
                if request._expects:
                    request._expects = False
                    self._out.append(CONTINUE)
                return
            waiting.popleft()
            self._out += request._answer
            if request._line is CLOSE or (self._shared.ending and not waiting):
                self._deaf = self._leaving = True

    def _flush(self) -> None:
        out = self._out
        transport = self._transport
        if transport is None:
            return
        if out:
            if len(out) == 1:
                transport.write(out[0])
            elif sum(map(len, out)) <= _COPIED:
                transport.write(b"".join(out))
            else:
                transport.writelines(out)
            self._out = []
        if self._leaving and not self._waiting:
            self._leave()
        elif self._eof and not self._waiting:
            transport.close()
        elif self._full:
            asyncio.get_running_loop().call_soon(self._resume)  # not from here: the parser may be what called

    @abstractmethod
    def _resume(self) -> None:
        """Read on, if there is room again."""

    def _leave(self) -> None:
        """Say that nothing more follows and wait for the client to close: closing at once could destroy the answer."""
        self._deaf = True
        transport = self._transport
        if transport.is_closing():
            return
        if self._eof or self._tls:
            transport.close()
        else:
            transport.write_eof()
            transport.resume_reading()

    def refuse(self, request: Request | None, status: int, sentence: str) -> None:
        """Answer what cannot be served and end the connection after it.

        Args:
            request: The one that is refused; None for one that could not be read.
            status: 400 or above.
            sentence: Never quotes what the client sent.
        """
        self._deaf = self._leaving = True
        if request is None:
            request = Request(self, b"", b"", b"", {})
            self._waiting.append(request)
        if request._connection is None:  # answered before its body was there
            if not self._corked:
                self._flush()
            return
        try:
            body, extra = self._shared.app.refuse(request.path, status, sentence)
        except Exception as error:  # noqa: BLE001 - an edge
            log.error("An answer could not be written (%s).", type(error).__name__)
            body, extra = b"", b""
        request._line = CLOSE
        if status == 503:
            extra += b"Retry-After: %d\r\n" % self._shared.limits.retry_after_s
        request.respond(status, body, b"application/json", extra)


def _large(request: Request, status: int, head: bytes, body: Body, extra: bytes) -> list[Buffer]:
    """Return an answer that has no body or one that is not copied."""
    if status in BODILESS:
        return [b"%b%b%b\r\n" % (head, request._line, extra)]
    parts = [body] if isinstance(body, Buffer) else list(body)
    views = [part if type(part) is bytes else memoryview(part).cast("B") for part in parts]
    begin = b"%b%d\r\n%b%b\r\n" % (head, sum(map(len, views)), request._line, extra)
    return [begin] if request.method == b"HEAD" else [begin, *views]
