"""How the control plane speaks to a supervisor: a Unix socket, one JSON object a line each way, a shared secret.

The socket has mode 0600 and takes only processes of the same user. It is reached through the descriptor of its folder,
as its own path may be longer than the kernel allows (107 bytes). On other machines the same lines go over TLS, see
`endpoints.balanced.wire`.
"""

from __future__ import annotations

import os
import socket
import struct
from _operator import _compare_digest  # hmac would load a whole cryptographic library for this one function
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from lepton.core import lines
from lepton.core.lines import Dial
from lepton.endpoints.replica.config import ReplicaConfig, Workers

TIMEOUT_S = 5.0
WATCH_TIMEOUT_S = 1.0
_READ_BYTES = 1 << 16
_MOST_BYTES = 256 << 20
_PEER = struct.Struct("iII")
_SILENT = "The endpoint's replica does not answer on its control socket. Try again in a moment."


@dataclass(frozen=True)
class WorkerStatus:
    """One worker of a replica.

    Attributes:
        slot: Its place; a successor takes the same.
        restarts: How often the worker in this place ended by itself and was started again.
        machine: Address of the machine it runs on; empty for the platform's own.
    """

    slot: int
    pid: int
    state: str
    generation: int
    restarts: int
    in_flight: int
    queued: int
    requests: int
    errors: int
    machine: str = ""


@dataclass(frozen=True)
class MachineStatus:
    """One replica of an endpoint that has them on several machines.

    Attributes:
        slot: Its place; a successor takes the same.
        machine: Address of the machine; empty while it has none.
        state: ``waiting`` for a machine, ``starting``, ``ready``, ``silent`` or ``leaving``.
        message: Why there is none, in a public sentence; empty when there is nothing to say.
    """

    slot: int
    machine: str
    state: str
    message: str


@dataclass(frozen=True)
class ReplicaStatus:
    """How a replica stands.

    Attributes:
        pid: The supervisor.
        told: The last generation that it was told to answer for.
        serving: The one that it answers for; 0 before the first is ready.
        coming: Whether the last one told is still being started, or an older one may still accept a connection.
        message: Why workers of the last generation told could not be started; empty if they could.
        wanted: How many workers there should be now.
        requests: Requests answered, by workers that have ended too.
        errors: Those among them that were answered with 500 or more.
        machines: The replicas behind a load balancer; none for a replica on the platform's own machine.
        replicas: How many there should be.
    """

    pid: int
    told: int
    serving: int
    coming: bool
    message: str
    host: str
    port: int
    grpc_port: int
    min: int
    max: int
    wanted: int
    requests: int
    errors: int
    workers: tuple[WorkerStatus, ...]
    machines: tuple[MachineStatus, ...] = ()
    replicas: int = 1

    def to_values(self) -> dict[str, Any]:
        """Return what JSON can hold; `from_values` reads it back."""
        return asdict(self)

    @classmethod
    def from_values(cls, values: dict[str, Any]) -> ReplicaStatus:
        """Read what `to_values` returned."""
        workers = tuple(WorkerStatus(**worker) for worker in values["workers"])
        machines = tuple(MachineStatus(**machine) for machine in values["machines"])
        return cls(**(values | {"workers": workers, "machines": machines}))


@dataclass(frozen=True)
class Words:
    """What workers tell, as `reports` writes it, by a name that no other worker of this replica has.

    Attributes:
        alive: Of those that live: since they started.
        ended: Of those that have ended since this was last asked for.
    """

    alive: Mapping[str, str]
    ended: Mapping[str, str]


@dataclass(frozen=True)
class Control:
    """The control plane's end.

    Every method raises `Unavailable` if the supervisor does not answer in time, and what it answered with instead.

    Attributes:
        dial: Connects to the supervisor.
        secret: What the supervisor was told when it started.
    """

    dial: Dial
    secret: str = field(repr=False)

    @classmethod
    def at(cls, path: Path, secret: str) -> Control:
        """Return the end for a supervisor on this machine, by its socket."""
        return cls(lambda timeout_s: _connected(path, timeout_s), secret)

    def status(self, *, timeout_s: float = TIMEOUT_S) -> ReplicaStatus:
        """Return how the replica stands."""
        return self._ask("status", None, timeout_s)

    def deploy(self, config: ReplicaConfig) -> ReplicaStatus:
        """Let it answer for something else as soon as that is ready; returns at once."""
        return self._ask("deploy", asdict(config))

    def scale(self, workers: Workers) -> ReplicaStatus:
        """Change how many workers it may have."""
        return self._ask("scale", asdict(workers))

    def tokens(self, document: str) -> ReplicaStatus:
        """Hand a signed list of tokens to all of its workers, now and later."""
        return self._ask("tokens", document)

    def stop(self) -> ReplicaStatus:
        """Let it finish what it is answering, and end; returns at once."""
        return self._ask("stop", None)

    def watch(self) -> Words:
        """Return what its workers tell; what ended ones told is given out once."""
        found = self.exchange("watch", None, WATCH_TIMEOUT_S)
        return Words(*(dict(found[which]) for which in ("alive", "ended")))

    def _ask(self, verb: str, body: object, timeout_s: float = TIMEOUT_S) -> ReplicaStatus:
        return ReplicaStatus.from_values(self.exchange(verb, body, timeout_s))

    def exchange(self, verb: str, body: object, timeout_s: float = TIMEOUT_S) -> Any:
        """Ask anything and return the body of the answer."""
        question = {"secret": self.secret, "verb": verb, "body": body}
        return lines.exchange(self.dial, question, timeout_s=timeout_s, silent=_SILENT)


class ControlSocket:
    """The supervisor's end: accepts, checks who asks, and answers with what a function returns.

    Args:
        answer: Takes a verb and its body; a `LeptonError` that it raises is passed on.
    """

    def __init__(self, path: Path, secret: str, answer: Callable[[str, Any], object]) -> None:
        self._path = path
        self._secret = secret.encode()
        self._answer = answer
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        with _short(path) as short:
            with suppress(FileNotFoundError):
                os.unlink(short)
            before = os.umask(0o177)
            try:
                self._listener.bind(short)
            finally:
                os.umask(before)
        self._listener.listen(16)
        self._listener.setblocking(False)

    def fileno(self) -> int:
        """Return the descriptor of the listener."""
        return self._listener.fileno()

    def accept(self) -> Conversation | None:
        """Return the next conversation, or None if it is with another user or gone."""
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return None
        peer = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size)
        if _PEER.unpack(peer)[1] != os.getuid():
            connection.close()
            return None
        return Conversation(connection, self._answered)

    def close(self) -> None:
        """Stop, and remove the socket's file."""
        self._listener.close()
        self._path.unlink(missing_ok=True)

    def _answered(self, line: bytes) -> bytes:
        return lines.answered(line, self._checked)

    def _checked(self, question: Any) -> object:
        if not _compare_digest(str(question["secret"]).encode(), self._secret):
            raise LookupError
        return self._answer(question["verb"], question["body"])


class Conversation:
    """One connection to the control socket."""

    def __init__(self, connection: socket.socket, answered: Callable[[bytes], bytes]) -> None:
        connection.setblocking(False)
        self._connection = connection
        self._answered = answered
        self._unread = bytearray()

    def fileno(self) -> int:
        """Return the descriptor."""
        return self._connection.fileno()

    def hear(self) -> bool:
        """Read and answer what has arrived; False when it is over."""
        try:
            data = self._connection.recv(_READ_BYTES)
        except BlockingIOError:
            return True
        except OSError:
            return False
        if not data or len(self._unread) + len(data) > _MOST_BYTES:
            return False
        self._unread += data
        while (end := self._unread.find(b"\n")) >= 0:
            line = bytes(self._unread[:end])
            del self._unread[: end + 1]
            try:
                self._connection.settimeout(1.0)  # an answer is small; who does not take it is not waited for
                self._connection.sendall(self._answered(line))
                self._connection.setblocking(False)
            except OSError:
                return False
        return True

    def close(self) -> None:
        """End it."""
        self._connection.close()


@contextmanager
def _connected(path: Path, timeout_s: float) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection, _short(path) as short:
        connection.settimeout(timeout_s)
        connection.connect(short)
        yield connection


@contextmanager
def _short(path: Path) -> Iterator[str]:
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)
