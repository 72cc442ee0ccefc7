"""HTTP/1.1 of the inference data plane: one connection. Knows no models, no JSON and no tokens.

`reading` is its incoming half, `exchange` the outgoing one; here is what the transport and the server tell it: that
bytes came, that the client does not read, that time has passed. `server` opens the sockets.
"""

from __future__ import annotations

import asyncio
from typing import Any

import httptools

from lepton.endpoints.replica.exchange import Shared
from lepton.endpoints.replica.reading import Reading, Refused

_TOLD = 64
"""Connections above the limit that are told so at the same time; more are just closed."""


class Connection(Reading):
    """One client. The transport calls it with bytes, llhttp with what they mean, the server's sweep once a second."""

    __slots__ = ("_mark", "_since", "_stalled", "_unsent")

    def __init__(self, shared: Shared) -> None:
        super().__init__(shared)
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
        beyond = len(shared.connections) - shared.most_connections
        if beyond > _TOLD:
            self._deaf = True
            transport.abort()
            return
        if shared.draining or beyond > 0:
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
            repeated = self._repeated
            if repeated is None or not data.startswith(repeated.before) or not self._repeat(repeated, data):
                self._parse(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade, Refused) as error:
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
            self._shared.held_bytes -= self._request._held
            self._request = None
        for request in self._waiting:
            if request.on_lost is not None:
                request.on_lost()
        return bool(self._waiting)

    def pause_writing(self) -> None:
        """Read nothing more from a client that does not read."""
        self._choked = True
        if not self._deaf:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on reading."""
        self._choked = False
        if self._waiting and self._waiting[0]._stream is not None:
            self._waiting[0]._stream.wake()
        asyncio.get_running_loop().call_soon(self._resume)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the transport's signature
        """Forget everything: answers that are still to come have nowhere to go."""
        self._shared.connections.discard(self)
        for request in self._waiting:
            request._connection = None
            self._shared.held_bytes -= request._held
            if request._stream is not None:
                request._stream.lost()
            if request.on_lost is not None:
                request.on_lost()
        self._waiting.clear()
        self._out.clear()
        self._pieces.clear()
        self._deaf = True
        self._rest = b""
        self._request = self._example = self._parser = self._transport = None
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
        if not self._waiting and self._head_bytes == 0 and not self._deaf:
            self._transport.close()

    def abort(self) -> None:
        """End now, whatever is in flight."""
        if self._transport is not None:
            self._transport.abort()
