"""An answer that is written piece by piece, as it comes into being; waits while its client does not read.

In chunks (RFC 9112, section 7.1), or up to the end of the connection for clients that close it anyway. Its turn among
the answers of a connection, and the transport, are `exchange`'s.
"""

from __future__ import annotations

import asyncio
from typing import Protocol


class Gone(Exception):
    """The client has gone: nobody wants the rest."""


class Sink(Protocol):
    """What a stream writes to."""

    def stream_may_write(self, stream: Stream) -> bool:
        """Whether it is its turn and the client reads."""
        ...

    def stream_wrote(self, data: bytes) -> None:
        """Send."""
        ...

    def stream_ended(self, *, broken: bool) -> None:
        """Let the next answer out, or end the connection if this one is not complete."""
        ...


class Stream:
    """One streamed answer.

    Args:
        sink: The connection.
        head: Sent before the first piece.
        chunked: Whether pieces are framed as chunks.
    """

    __slots__ = ("_chunked", "_head", "_sink", "_waiter")

    def __init__(self, sink: Sink, head: bytes, *, chunked: bool) -> None:
        self._sink: Sink | None = sink
        self._head = head
        self._chunked = chunked
        self._waiter: asyncio.Future[None] | None = None

    async def write(self, piece: bytes) -> None:
        """Send a piece as soon as the client takes it.

        Raises:
            Gone: if the client has gone.
        """
        sink = await self._turn()
        if piece:
            sink.stream_wrote(self._framed(piece))

    async def end(self) -> None:
        """Complete the answer.

        Raises:
            Gone: if the client has gone.
        """
        sink = await self._turn()
        last = self._head + (b"0\r\n\r\n" if self._chunked else b"")
        if last:
            sink.stream_wrote(last)
        self._sink = None
        sink.stream_ended(broken=False)

    def abort(self) -> None:
        """End the connection: a client that saw a proper end would take what it has for the whole."""
        sink, self._sink = self._sink, None
        if sink is not None:
            sink.stream_ended(broken=True)

    def wake(self) -> None:
        """Look again whether anything may be written; the connection calls this."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def lost(self) -> None:
        """The client has gone; the connection calls this."""
        self._sink = None
        self.wake()

    async def _turn(self) -> Sink:
        while True:
            sink = self._sink
            if sink is None:
                raise Gone
            if sink.stream_may_write(self):
                return sink
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter

    def _framed(self, piece: bytes) -> bytes:
        head, self._head = self._head, b""
        return b"%b%x\r\n%b\r\n" % (head, len(piece), piece) if self._chunked else head + piece
