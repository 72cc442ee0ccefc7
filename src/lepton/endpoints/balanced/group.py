"""All replicas of one endpoint, and the load balancer in front of those that answer.

It stands where `replica.fleet` stands for workers of one machine, and is asked the same things by the same supervisor:
it keeps answering while the control plane is away, and starts a lost replica elsewhere by itself.
"""

from __future__ import annotations

import os
import selectors
import shutil
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from lepton.core.errors import Unavailable
from lepton.endpoints import processes
from lepton.endpoints.balanced import haproxy, standing
from lepton.endpoints.balanced.configuration import Front, Server
from lepton.endpoints.balanced.place import Place
from lepton.endpoints.balanced.state import State
from lepton.endpoints.replica import sockets
from lepton.endpoints.replica.config import ReplicaConfig, Workers
from lepton.endpoints.replica.control import ReplicaStatus
from lepton.endpoints.restarts import RestartDelays
from lepton.runs.engines.choose import open_engine

FRONT = "front.pem"


class Group:
    """The replicas of one endpoint.

    Args:
        config: What to answer for first.
        selector: Where it is woken by.

    Raises:
        OSError: if the address cannot be listened on.
        Unavailable: if there is no HAProxy on this machine.
        InvalidInput: if there is no such engine.
    """

    def __init__(self, config: ReplicaConfig, selector: selectors.BaseSelector, _now_s: float) -> None:
        haproxy.program()
        self._folder = Path(f"{config.control_path}.d")
        self._state = State(self._folder, processes.environment())
        self._engine = open_engine(config.engine, self._folder / "engine")
        self._sockets = sockets.Sockets(config.host, config.port)
        self._grpc = sockets.Sockets(config.host, self.port + 1) if config.grpc else None
        certificate = self._certificate(config.tls)
        front = Front(self._sockets[0].fileno(), self._grpc[0].fileno() if self._grpc else None, certificate)
        self._balancer = haproxy.Balancer(self._folder, front)
        self._restarts = RestartDelays()
        self._config = replace(config, grpc_port=self._grpc.port if self._grpc else 0)
        self._document = self._message = ""
        self._servers: list[Server] | None = None
        self._stopping = False
        self._ear, self._mouth = socket.socketpair()
        for end in (self._ear, self._mouth):
            end.setblocking(False)
        selector.register(self._ear, selectors.EVENT_READ, lambda: self._ear.recv(4096))
        self._places: dict[int, Place] = {}
        for slot in self._state.slots:  # of one before us that was killed: they answer still
            self._open(slot)

    @property
    def port(self) -> int:
        """TCP port of predictions."""
        return self._sockets.port

    @property
    def over(self) -> bool:
        """Whether it was told to stop, and has."""
        return self._stopping and not self._places and self._balancer.over

    @property
    def quiet(self) -> bool:
        """Never: machines are watched."""
        return False

    @property
    def waiting(self) -> Sequence[socket.socket]:
        """None: where nobody is kept, a replica's own supervisor waits."""
        return ()

    def wake(self, now_s: float) -> None:
        """Not needed."""

    def deploy(self, config: ReplicaConfig) -> None:
        """Let every replica answer for something else; each moves over without a failed request."""
        self._config = replace(config, grpc_port=self._config.grpc_port)

    def scale(self, wanted: Workers, now_s: float) -> None:  # noqa: ARG002 - a fleet's clock
        """Change how many replicas there are, and how many workers each may have."""
        self._config = replace(self._config, workers=wanted)

    def tokens(self, document: str) -> None:
        """Hand a signed list of tokens to every replica, also to later ones."""
        self._document = document
        self._tell_places()

    def stop(self, now_s: float) -> None:  # noqa: ARG002 - a fleet's clock
        """Let every replica finish what it is answering, and end."""
        self._stopping = True
        self._sockets.close()
        if self._grpc:
            self._grpc.close()
        self._balancer.stop()
        for place in self._places.values():
            place.stop()

    def settle(self, now_s: float) -> None:
        """Bring what is closer to what should be. To be called after every event, and twice a second."""
        self._places = {slot: place for slot, place in self._places.items() if not place.standing.over}
        if self._stopping:
            if not self._places:
                self._balancer.kill()
                shutil.rmtree(self._folder, ignore_errors=True)
            return
        for slot in range(self._config.workers.replicas):
            if slot not in self._places:
                self._open(slot)
        self._tell_places()
        self._balance(now_s)

    def status(self) -> ReplicaStatus:
        """Say how everything stands."""
        standings = {slot: place.standing for slot, place in self._places.items()}
        found = standing.summary(self._config, standings, message=self._message)
        return replace(found, pid=os.getpid(), port=self.port)

    def watch(self) -> dict[str, list[tuple[str, str]]]:
        """Hand over what the workers of all replicas tell; what ended ones told is given out once."""
        told: dict[str, list[tuple[str, str]]] = {"alive": [], "ended": []}
        for slot, place in self._places.items():
            words = place.words()
            told["alive"] += _named(slot, place.standing.run_id, words.alive)
            told["ended"] += _named(slot, place.standing.run_id, words.ended)
        return told

    def _open(self, slot: int) -> None:
        apart = Path(self._config.control_path).name
        self._places[slot] = Place(slot, engine=self._engine, state=self._state, apart=apart, changed=self._changed)

    def _changed(self) -> None:
        with suppress(BlockingIOError):
            self._mouth.send(b".")

    def _tell_places(self) -> None:
        share = standing.share_of(self._config)
        for slot, place in self._places.items():
            if slot < self._config.workers.replicas:
                place.want(share, self._document)

    def _balance(self, now_s: float) -> None:
        """Send requests to who answers, and only then end those that are not wanted any more."""
        wanted = {slot: place.standing for slot, place in self._places.items() if slot < self._config.workers.replicas}
        answering = standing.answering(wanted)
        if not answering and self._servers is None:
            return  # nobody ever answered: connections are refused until somebody does
        servers = [self._server(slot) for slot in answering]
        if servers != self._servers or self._balancer.over:
            if not self._restarts.due(repr(servers), now_s):
                return
            self._restarts.note(repr(servers), now_s)
            try:
                self._balancer.tell(servers, checked=self._config.workers.min > 0)
            except Unavailable as error:
                self._message = error.message
                return
            self._servers, self._message = servers, ""
            self._forget_certificates_but({server.trusted for server in servers})
            self._restarts = RestartDelays()
        for slot, place in self._places.items():
            if slot not in wanted and not place.stopping:
                place.stop()

    def _server(self, slot: int) -> Server:
        found = self._places[slot].standing
        assert found.hello is not None
        assert found.status is not None
        trusted = self._folder / f"{found.run_id}.pem"
        if not trusted.exists():
            trusted.write_text(found.hello.certificate)
        host = found.hello.address
        grpc = f"{host}:{found.status.grpc_port}" if found.status.grpc_port else ""
        return Server(f"replica{slot}", f"{host}:{found.status.port}", grpc, trusted)

    def _forget_certificates_but(self, used: set[Path]) -> None:
        for path in self._folder.glob("*.pem"):
            if path not in used and path.name != FRONT:
                path.unlink(missing_ok=True)

    def _certificate(self, tls: tuple[str, ...]) -> Path | None:
        """Put chain and key in the one file that HAProxy reads."""
        if not tls:
            return None
        path = self._folder / FRONT
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write("".join(Path(name).read_text() for name in tls))
        return path


def _named(slot: int, run_id: str, words: Mapping[str, str]) -> list[tuple[str, str]]:
    return [(f"{slot}/{run_id}/{name}", document) for name, document in words.items()]
