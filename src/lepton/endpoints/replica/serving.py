"""A server of `wire` connections: its sockets, one sweep over all connections, and its end."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
import ssl as tls
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from lepton.endpoints.replica.exchange import App, Shared
from lepton.endpoints.replica.heads import Heads
from lepton.endpoints.replica.limits import Limits
from lepton.endpoints.replica.wire import Connection

_OTHER_FILES = 256
"""Open files that are left for everything but connections."""


@dataclass(frozen=True)
class Counts:
    """What a server holds: connections, and requests that have no answer yet."""

    connections: int
    in_flight: int


class Server:
    """Answers HTTP/1.1 on sockets, in the running loop.

    Args:
        app: What answers.
        limits: What clients may ask.
        clock: Monotonic seconds; deadlines are measured with it.
        unix_time: For the header ``Date``.
    """

    def __init__(
        self,
        app: App,
        *,
        limits: Limits | None = None,
        clock: Callable[[], float] = time.monotonic,
        unix_time: Callable[[], float] = time.time,
    ) -> None:
        self._shared = Shared(app, limits or Limits(), Heads(unix_time))
        self._clock = clock
        self._listeners: list[asyncio.Server] = []
        self._timer: asyncio.TimerHandle | None = None

    @property
    def counts(self) -> Counts:
        """Connections and unanswered requests of now."""
        connections = self._shared.connections
        return Counts(len(connections), sum(connection.unanswered for connection in connections))

    async def start(self, sockets: Sequence[socket.socket], *, ssl: tls.SSLContext | None = None) -> None:
        """Listen on bound sockets, with TLS if there is a context."""
        loop = asyncio.get_running_loop()
        self._shared.most_connections = _room_for(self._shared.limits.connections)
        timeout_s = self._shared.limits.head_s if ssl is not None else None
        for each in sockets:
            listener = await loop.create_server(
                partial(Connection, self._shared), sock=each, ssl=ssl, backlog=2048, ssl_handshake_timeout=timeout_s
            )
            self._listeners.append(listener)
        self._tick()

    def _tick(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._shared.limits.sweep_s, self._tick)
        self.sweep()

    def sweep(self) -> None:
        """Renew the date and end what has taken too long; called by a timer of its own."""
        self._shared.heads.renew()
        now = self._clock()
        for connection in list(self._shared.connections):
            connection.sweep(now)

    async def begin_drain(self) -> None:
        """Accept nothing more, answer what is in flight, and return when every connection has ended.

        Idle connections are closed at once, the others with their last answer or after ``Limits.drain_s``.
        """
        self._stop_listening()
        await asyncio.sleep(0)  # what lies in the sockets is read first: it may be a request
        await asyncio.sleep(0)
        self._shared.draining = True
        for connection in list(self._shared.connections):
            connection.drain()
        if self._shared.connections:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._shared.emptied.wait(), self._shared.limits.drain_s)
        await self.close()

    async def close(self) -> None:
        """End everything now, answered or not."""
        self._stop_listening()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for connection in list(self._shared.connections):
            connection.abort()
        await asyncio.sleep(0)  # transports tell their connections in the next turn

    def _stop_listening(self) -> None:
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()


def _room_for(connections: int) -> int:
    """Return how many connections the open files of this process allow, having raised that limit as far as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + _OTHER_FILES
    if soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return max(1, min(connections, soft - _OTHER_FILES))
