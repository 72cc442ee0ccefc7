"""What a worker says to clients: today's ASGI application on uvicorn, on sockets that come and go."""

from __future__ import annotations

import asyncio
import socket
import time
from bisect import bisect_left
from collections.abc import Mapping

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from lepton.endpoints.replica.http import Message, Receive, Replica, Send
from lepton.endpoints.replica.link import LATENCY_BOUNDS_S, Load, Start
from lepton.endpoints.replica.sockets import BACKLOG

_LOOK_EVERY_S = 0.02


class Serving:
    """Answers for the deployments of one worker.

    Raises:
        LeptonError: if a model cannot be loaded.
    """

    def __init__(self, start: Start) -> None:
        self._replica = Replica(start.deployments[0], start.control_url)
        self._settings = uvicorn.Config(
            self._answer, interface="asgi3", lifespan="off", ws="none", access_log=False, log_config=None,
            server_header=False, date_header=False, proxy_headers=False, timeout_keep_alive=75,
        )  # fmt: skip
        self._settings.load()
        self._connections = ServerState()
        self._accepting: dict[int, asyncio.Server] = {}
        self._wanted: Mapping[int, socket.socket] = {}
        self._opening: set[asyncio.Task[None]] = set()
        self._one_at_a_time = asyncio.Lock()
        self._draining = False
        self._in_flight = self._requests = self._errors = 0
        self._latency = [0] * (len(LATENCY_BOUNDS_S) + 1)
        self._cpu_to_start_s = time.process_time()  # loading is no load: it must not call for more workers

    def listen(self, sockets: Mapping[int, socket.socket]) -> None:
        """Accept connections on exactly these sockets from now on."""
        self._wanted = sockets
        for number in self._accepting.keys() - sockets.keys():
            self._accepting.pop(number).close()
        task = asyncio.get_running_loop().create_task(self._open())
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    def grants(self, document: str) -> None:
        """Take a new document of grants; today's grants are asked for instead."""

    def load(self) -> Load:
        """Return the counts since the start."""
        return Load(
            in_flight=self._in_flight, requests=self._requests, errors=self._errors,
            cpu_s=time.process_time() - self._cpu_to_start_s, latency=tuple(self._latency),
        )  # fmt: skip

    async def drain(self, grace_s: float, linger_s: float) -> None:
        """Answer what is asked with ``Connection: close``; return when nobody is connected, or the grace is over."""
        self._draining = True
        began = time.monotonic()
        while self._connections.connections and time.monotonic() < began + min(linger_s, grace_s):
            await asyncio.sleep(_LOOK_EVERY_S)
        for connection in list(self._connections.connections):
            connection.shutdown()  # one that is answering goes on until it has
        while self._connections.connections and time.monotonic() < began + grace_s:
            await asyncio.sleep(_LOOK_EVERY_S)

    async def _open(self) -> None:
        loop = asyncio.get_running_loop()
        async with self._one_at_a_time:
            for number, listener in list(self._wanted.items()):
                if number in self._accepting or number not in self._wanted:
                    continue
                # A duplicate, as closing the server closes it, and the socket may come back to this worker.
                server = await loop.create_server(self._protocol, sock=listener.dup(), backlog=BACKLOG)
                if number in self._wanted:
                    self._accepting[number] = server
                else:
                    server.close()

    def _protocol(self) -> HttpToolsProtocol:
        return HttpToolsProtocol(config=self._settings, server_state=self._connections, app_state={})

    async def _answer(self, scope: Message, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        self._in_flight += 1

        async def counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._errors += message["status"] >= 500
                if self._draining:
                    message["headers"] = [*message["headers"], (b"connection", b"close")]
            await send(message)

        try:
            await self._replica(scope, receive, counted)
        finally:
            self._in_flight -= 1
            self._requests += 1
            self._latency[bisect_left(LATENCY_BOUNDS_S, time.perf_counter() - started)] += 1
