"""A server of `wire` connections: its sockets, one sweep over all connections, and its end."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
import ssl as tls
import time
from collections.abc import Callable, Mapping
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
        self._listeners: dict[int, asyncio.Server] = {}
        self._wanted: Mapping[int, socket.socket] = {}
        self._one_at_a_time = asyncio.Lock()
        self._opening: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def counts(self) -> Counts:
        """Connections and unanswered requests of now."""
        connections = self._shared.connections
        return Counts(len(connections), sum(connection.unanswered for connection in connections))

    def start(self) -> None:
        """Begin to look after connections; must run in the loop."""
        self._shared.most_connections = _room_for(self._shared.limits.connections)
        self._tick()

    def listen(self, sockets: Mapping[int, socket.socket], *, ssl: tls.SSLContext | None = None) -> asyncio.Task[None]:
        """Accept connections on exactly these sockets from now on, with TLS if there is a context.

        Args:
            sockets: By any number that names them; one that was listened on before is left alone.
            ssl: For new sockets.

        Returns:
            What ends when new sockets are listened on; those that are no longer wanted are let go of at once.
        """
        self._wanted = sockets
        for number in self._listeners.keys() - sockets.keys():
            self._listeners.pop(number).close()
        task = asyncio.get_running_loop().create_task(self._open(ssl))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)
        return task

    async def _open(self, ssl: tls.SSLContext | None) -> None:
        timeout_s = self._shared.limits.head_s if ssl is not None else None
        async with self._one_at_a_time:
            for number, each in list(self._wanted.items()):
                if number in self._listeners or number not in self._wanted:
                    continue
                # A duplicate, as closing the server closes it, and the socket may come back.
                listener = await asyncio.get_running_loop().create_server(
                    partial(Connection, self._shared), sock=each.dup(), ssl=ssl, backlog=2048,
                    ssl_handshake_timeout=timeout_s,
                )  # fmt: skip
                if number in self._wanted:
                    self._listeners[number] = listener
                else:
                    listener.close()

    def _tick(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._shared.limits.sweep_s, self._tick)
        self.sweep()

    def sweep(self) -> None:
        """Renew the date and end what has taken too long; called by a timer of its own."""
        self._shared.heads.renew()
        now = self._clock()
        for connection in list(self._shared.connections):
            connection.sweep(now)

    async def begin_drain(self, *, linger_s: float = 0.0, grace_s: float | None = None) -> None:
        """Accept nothing more, answer what is asked with ``Connection: close``, and return when all has ended.

        Args:
            linger_s: How long idle connections stay open. Closing one just as its client asks again fails that
                request, so a server that has a successor waits for clients to come by.
            grace_s: When to end at the latest; None means `Limits.drain_s`.
        """
        loop = asyncio.get_running_loop()
        grace_s = self._shared.limits.drain_s if grace_s is None else grace_s
        ends = loop.time() + grace_s
        self._shared.ending = True
        self._stop_listening()
        await asyncio.sleep(0)  # what lies in the sockets is read first: it may be a request
        await asyncio.sleep(0)
        self._shared.draining = True
        await self._emptied(min(linger_s, grace_s))
        for connection in list(self._shared.connections):
            connection.drain()
        await self._emptied(ends - loop.time())
        await self.close()

    async def _emptied(self, patience_s: float) -> None:
        """Wait until no connection is left, for some time."""
        if self._shared.connections and patience_s > 0:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._shared.emptied.wait(), patience_s)

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
        self._wanted = {}
        for listener in self._listeners.values():
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
