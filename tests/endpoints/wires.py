"""A server of `wire` in a thread, and clients that say bytes to it."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import ssl
import struct
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import uvloop

from lepton.endpoints.replica.exchange import Request, Shared
from lepton.endpoints.replica.heads import Heads
from lepton.endpoints.replica.limits import Limits
from lepton.endpoints.replica.server import Server
from lepton.endpoints.replica.wire import Connection

T = TypeVar("T")
NEVER_S = 3600.0
"""Sweeps come when a test calls for one."""
PATIENCE_S = 10.0


class Echo:
    """Says what it was asked; paths under /hold wait for the test, others misbehave as they are called."""

    def __init__(self) -> None:
        self.seen: list[Request] = []
        self.held: dict[bytes, Request] = {}

    def admit(self, request: Request) -> None:
        if request.path == b"/deny":
            request.respond(401, b"denied", b"text/plain", b"WWW-Authenticate: Bearer\r\n")
        if request.path == b"/admit-fails":
            raise ZeroDivisionError("secret")

    def answer(self, request: Request) -> None:
        self.seen.append(request)
        if request.path.startswith(b"/hold"):
            self.held[request.path] = request
        elif request.path == b"/fails":
            raise ZeroDivisionError("secret")
        elif request.path == b"/twice":
            request.respond(200, b"once")
            request.respond(200, b"twice")
        elif request.path == b"/large":
            request.respond(200, [memoryview(bytes(1 << 20))] * int(request.query or b"4"), b"application/octet-stream")
        elif request.path == b"/empty":
            request.respond(204, b"")
        else:
            request.respond(200, said(request))

    def refuse(self, _path: bytes, status: int, sentence: str) -> tuple[bytes, bytes]:
        return json.dumps({"error": {"status": status, "message": sentence}}).encode(), b"X-Refused: yes\r\n"


def said(request: Request) -> bytes:
    """What Echo answers."""
    return json.dumps(
        {
            "method": request.method.decode(),
            "path": request.path.decode(),
            "query": request.query.decode(),
            "headers": {k.decode(): v.decode("latin-1") for k, v in request.headers.items()},
            "body": request.body.decode("latin-1"),
        }
    ).encode()


@dataclass
class FakeSeconds:
    """A monotonic clock that tests set."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@dataclass
class Answer:
    """One answer as it came over the socket."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def refused(self) -> str:
        """The sentence of a refusal of the protocol itself; the connection is closed after it."""
        assert self.headers["x-refused"] == "yes"
        assert self.headers["connection"] == "close"
        error = self.json["error"]
        assert error["status"] == self.status
        return str(error["message"])


def answers(data: bytes, methods: list[str] | None = None) -> list[Answer]:
    """Read answers out of bytes, strictly: nothing may be left over.

    Args:
        methods: What was asked; "HEAD?" for a request that may have been one. None: no HEAD.
    """
    found = []
    while data:
        head, end, data = data.partition(b"\r\n\r\n")
        assert end, head
        first, *lines = head.decode().split("\r\n")
        version, status, _ = first.split(" ", 2)
        assert version == "HTTP/1.1"
        headers = {}
        for line in lines:
            name, _, value = line.partition(": ")
            assert name.lower() not in headers, f"{name} twice"
            headers[name.lower()] = value
        final = sum(answer.status != 100 for answer in found)
        method = "GET" if methods is None else methods[min(final, len(methods) - 1)]
        bodiless = status in {"100", "204", "304"} or method == "HEAD" or (method == "HEAD?" and not data)
        size = 0 if bodiless else int(headers["content-length"])
        assert status == "100" or re.fullmatch(r"\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT", headers["date"])
        found.append(Answer(int(status), headers, data[:size]))
        assert len(data) >= size, "an answer is cut off"
        data = data[size:]
    return found


class Client:
    """A socket to the server."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.left = bytearray()

    def send(self, data: bytes) -> Client:
        self.sock.sendall(data)
        return self

    def read(self, method: str = "GET") -> Answer:
        """Read one answer."""
        while b"\r\n\r\n" not in self.left:
            self._more()
        head, _, _ = self.left.partition(b"\r\n\r\n")
        size = re.search(rb"content-length: (\d+)", head, re.IGNORECASE)
        end = len(head) + 4 + (int(size[1]) if size and method != "HEAD" else 0)
        while len(self.left) < end:
            self._more()
        answer, self.left = bytes(self.left[:end]), self.left[end:]
        return answers(answer, [method])[0]

    def _more(self) -> None:
        part = self.sock.recv(1 << 18)
        assert part, f"closed after {bytes(self.left)!r}"
        self.left += part

    def rest(self) -> list[Answer]:
        """Read until the server closes."""
        while part := self.sock.recv(1 << 16):
            self.left += part
        data, self.left = bytes(self.left), bytearray()
        return answers(data)

    @property
    def open(self) -> bool:
        """Whether the server answers another request here."""
        try:
            self.send(b"GET /still-there HTTP/1.1\r\nHost: a\r\n\r\n")
            return self.read().status == 200
        except (AssertionError, OSError):
            return False

    def reset(self) -> None:
        """Vanish without a farewell."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def close(self) -> None:
        self.sock.close()


@dataclass
class Wire:
    """The server, seen from the test's thread."""

    app: Echo
    server: Server
    clock: FakeSeconds
    loop: asyncio.AbstractEventLoop
    port: int
    clients: list[Client] = field(default_factory=list)

    def connect(self, receive_bytes: int | None = None) -> Client:
        sock = socket.socket()
        sock.settimeout(PATIENCE_S)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if receive_bytes is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.clients.append(Client(sock))
        sock.connect(("127.0.0.1", self.port))
        return self.clients[-1]

    def ask(self, data: bytes) -> list[Answer]:
        """Say something on a connection of its own, stop sending, and read until it is closed."""
        client = self.connect()
        client.send(data)
        client.sock.shutdown(socket.SHUT_WR)
        found = client.rest()
        client.close()
        return found

    def tell(self, data: bytes) -> list[Answer]:
        """Say something and read until the server closes of itself."""
        client = self.connect().send(data)
        found = client.rest()
        client.close()
        return found

    def do(self, function: Callable[[], T]) -> T:
        """Run a function in the server's loop."""

        async def run() -> T:
            return function()

        return self.run(run())

    def run(self, awaitable: Awaitable[T]) -> T:
        async def run() -> T:
            return await awaitable

        return asyncio.run_coroutine_threadsafe(run(), self.loop).result(PATIENCE_S)

    def after(self, seconds: float) -> None:
        """Let the time pass: what is there is seen by a sweep, then comes the next one."""
        self.do(self.server.sweep)
        self.clock.now += seconds
        self.do(self.server.sweep)

    def until(self, condition: Callable[[], bool]) -> None:
        """Wait until the server has come so far."""
        end = time.monotonic() + PATIENCE_S
        while not self.do(condition):
            assert time.monotonic() < end, "the server did not come so far"
            threading.Event().wait(0.001)

    def rest(self) -> None:
        """Close all clients and forget what was seen, for the next test."""
        for client in self.clients:
            client.close()
        self.clients.clear()
        for path in list(self.app.held):
            self.release(path)
        self.until(lambda: self.server.counts.connections == 0)
        self.app.seen.clear()
        self.app.held.clear()

    def release(self, path: bytes, body: bytes = b"released") -> None:
        """Answer a held request."""
        self.do(lambda: self.app.held.pop(path).respond(200, body))


@contextmanager
def serving(limits: Limits | None = None, context: ssl.SSLContext | None = None) -> Iterator[Wire]:
    """Run a server in a thread."""
    loop = uvloop.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    app, clock = Echo(), FakeSeconds()
    listener = socket.create_server(("127.0.0.1", 0))

    async def start() -> Server:
        server = Server(app, limits=limits or Limits(sweep_s=NEVER_S), clock=clock)
        server.start()
        await server.listen({0: listener}, ssl=context)
        return server

    server = asyncio.run_coroutine_threadsafe(start(), loop).result(PATIENCE_S)
    wire = Wire(app, server, clock, loop, listener.getsockname()[1])
    listener.close()  # the server has its own
    errors: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: errors.append(context))
    try:
        yield wire
        assert not errors, errors
    finally:
        for client in wire.clients:
            client.close()
        wire.run(server.close())
        loop.call_soon_threadsafe(loop.stop)
        thread.join(PATIENCE_S)
        loop.close()


class FakeTransport:
    """Takes what a connection writes; everything is taken at once."""

    def __init__(self) -> None:
        self.written = bytearray()
        self.closed = False
        self.reading = True

    def get_extra_info(self, name: str) -> None:
        return None

    def set_write_buffer_limits(self, high: int) -> None:
        pass

    def get_write_buffer_size(self) -> int:
        return 0

    def write(self, data: bytes) -> None:
        self.written += data

    def writelines(self, parts: list[bytes]) -> None:
        for part in parts:
            self.write(part)

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def write_eof(self) -> None:
        self.closed = True

    def close(self) -> None:
        self.closed = True

    abort = close

    def is_closing(self) -> bool:
        return self.closed


def fed(packets: list[bytes], limits: Limits | None = None) -> tuple[Echo, FakeTransport]:
    """Give packets to a connection without sockets, so that they arrive exactly as they were cut."""
    app, transport = Echo(), FakeTransport()
    connection = Connection(Shared(app, limits or Limits(), Heads(lambda: 0.0)))
    connection.connection_made(transport)
    for packet in packets:
        if not transport.closed:
            connection.data_received(packet)
    connection.connection_lost(None)
    return app, transport
