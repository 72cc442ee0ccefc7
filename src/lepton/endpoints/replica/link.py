"""What a supervisor and its workers say to each other: one JSON object a line, over a socket pair.

Down go the deployments with their keys (never in arguments, environment or a file), the listening sockets and whose
turn it is to accept on which, who may predict, and when to end. Up go whether the models are loaded, and the load.
"""

from __future__ import annotations

import json
import socket
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from lepton.endpoints.replica.config import Deployment
from lepton.endpoints.replica.metrics import LATENCY_BOUNDS_S

_READ_BYTES = 1 << 16
_MOST_FDS = 250
_MOST_LINE_BYTES = 256 << 20


@dataclass(frozen=True)
class Start:
    """Down, first: what to answer for.

    Attributes:
        host: Where gRPC listens, if it does.
        tls: Files of the certificate chain and of its key; empty for plain text.
        grpc_port: TCP port of gRPC, shared by all workers; 0 for none.
    """

    deployments: tuple[Deployment, ...]
    host: str = ""
    grpc_port: int = 0
    tls: tuple[str, ...] = ()


@dataclass(frozen=True)
class Listen:
    """Down: accept connections on exactly these sockets from now on.

    Attributes:
        sockets: Their numbers; a socket that is not among them is left to another worker, with what waits in it.
        attached: Numbers of the sockets that come with this message, one descriptor each, in this order.
        share: Part of all sockets that these are, and so of what the endpoint's limits allow.
    """

    sockets: tuple[int, ...]
    attached: tuple[int, ...] = ()
    share: float = 1.0


@dataclass(frozen=True)
class SignedTokens:
    """Down: who may predict; a signed document that only a worker understands."""

    document: str


@dataclass(frozen=True)
class Drain:
    """Down: accept nothing more, answer what is asked with ``Connection: close``, then end.

    SIGTERM means the same with no linger and the default grace.

    Attributes:
        grace_s: When to end at the latest.
        linger_s: How long connections on which nothing is asked stay open. Closing one just as its client asks again
            fails that request, so a worker that has a successor waits for clients to come by.
    """

    grace_s: float
    linger_s: float


@dataclass(frozen=True)
class Ready:
    """Up: the models are loaded; `Listen` may come."""


@dataclass(frozen=True)
class Failed:
    """Up, last: why the models cannot be loaded, in a public sentence."""

    message: str


@dataclass(frozen=True)
class Closed:
    """Up, after `Drain`: it accepts nothing more; whoever connects from now on meets its successors."""


@dataclass(frozen=True)
class Load:
    """Up, twice a second: counts since the worker started, and what is going on now.

    Attributes:
        in_flight: Requests that were read and are not answered yet, queued ones included.
        queued: Those among them whose prediction has not begun.
        requests: Requests answered.
        errors: Those among them that were answered with 500 or more.
        cpu_s: Processor seconds used since it was ready.
        latency: Requests answered by how long it took, one count for each of `LATENCY_BOUNDS_S` and one above.
    """

    in_flight: int = 0
    queued: int = 0
    requests: int = 0
    errors: int = 0
    cpu_s: float = 0.0
    latency: tuple[int, ...] = (0,) * (len(LATENCY_BOUNDS_S) + 1)


@dataclass(frozen=True)
class Told:
    """Up, once a second: how each deployment does; a document that only the control plane reads, see `reports`."""

    document: str


Message = Start | Listen | SignedTokens | Drain | Ready | Failed | Closed | Load | Told
_KINDS: dict[str, type[Message]] = {
    kind.__name__.lower(): kind for kind in (Start, Listen, SignedTokens, Drain, Ready, Failed, Closed, Load, Told)
}


def encode(message: Message) -> bytes:
    """Write a message as one line."""
    return json.dumps({"kind": type(message).__name__.lower()} | asdict(message)).encode() + b"\n"


def decode(line: bytes) -> Message:
    """Read what `encode` wrote."""
    values: dict[str, Any] = json.loads(line)
    kind: Callable[..., Message] = _KINDS[values.pop("kind")]
    if kind is Start:
        values["deployments"] = [Deployment.from_values(deployment) for deployment in values["deployments"]]
    return kind(**{name: tuple(value) if isinstance(value, list) else value for name, value in values.items()})


class Link:
    """One end of the socket pair. Never waits, except in `wait`; what cannot be sent now is kept for `flush`."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self._socket = connection
        self._unsent: deque[tuple[memoryview, Sequence[int]]] = deque()
        self._unread = bytearray()
        self._fds: deque[int] = deque()

    def fileno(self) -> int:
        """Return the descriptor, for a selector or an event loop."""
        return self._socket.fileno()

    def send(self, message: Message, fds: Sequence[int] = ()) -> None:
        """Send a message and the descriptors that belong to it, or keep them until `flush`."""
        self._unsent.append((memoryview(encode(message)), fds))
        self.flush()

    def flush(self) -> bool:
        """Send what is kept; False if some of it still has to wait."""
        while self._unsent:
            data, fds = self._unsent[0]
            try:
                sent = socket.send_fds(self._socket, [data], fds) if fds else self._socket.send(data)
            except BlockingIOError:
                return False
            except OSError:  # the other side has ended, which its own end of the link tells
                self._unsent.clear()
                return True
            if sent == len(data):
                self._unsent.popleft()
            else:
                self._unsent[0] = (data[sent:], ())  # descriptors go with the first byte
        return True

    def receive(self) -> list[Message] | None:
        """Return the messages that have arrived, or None when the other side has ended."""
        messages: list[Message] = []
        while True:
            try:
                data, fds, _, _ = socket.recv_fds(self._socket, _READ_BYTES, _MOST_FDS)
            except BlockingIOError:
                return messages
            except OSError:
                data, fds = b"", []
            self._fds.extend(fds)
            if not data:
                return messages or None
            *lines, rest = data.split(b"\n")
            for line in lines:
                messages.append(decode(bytes(self._unread + line)))
                self._unread.clear()
            self._unread += rest
            if len(self._unread) > _MOST_LINE_BYTES:
                return None

    def take_fds(self, count: int) -> list[int]:
        """Return the descriptors that came with a message."""
        return [self._fds.popleft() for _ in range(count)]

    def wait(self) -> list[Message] | None:
        """Return the next messages, waiting for at least one; None when the other side has ended."""
        while True:
            self._socket.setblocking(True)
            self._socket.recv(1, socket.MSG_PEEK)
            self._socket.setblocking(False)
            messages = self.receive()
            if messages is None or messages:
                return messages

    def close(self) -> None:
        """Let go of it; the other side sees the end."""
        self._socket.close()
        for fd in self._fds:
            socket.close(fd)
        self._fds.clear()
