"""The process that is a replica: it owns the listening sockets and keeps the workers that accept on them.

It belongs to nobody: the control plane can be killed and this goes on. If it is killed itself, the kernel ends its
workers. Standard library only, so that it starts at once and stays small.
"""

from __future__ import annotations

import os
import resource
import selectors
import signal
import socket
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

from lepton.core.errors import InvalidInput
from lepton.endpoints.replica.config import ReplicaConfig, Workers
from lepton.endpoints.replica.control import ControlSocket, ReplicaStatus
from lepton.endpoints.replica.fleet import Fleet

LOOK_EVERY_S = 0.5
MOST_FILES = 65_536


class Answers(Protocol):
    """What answers predictions and is supervised: workers on this machine (`Fleet`), or replicas on several ones."""

    @property
    def over(self) -> bool:
        """Whether it was told to stop, and has."""

    @property
    def quiet(self) -> bool:
        """Whether nothing has to be done until something happens."""

    @property
    def waiting(self) -> Sequence[socket.socket]:
        """Sockets on which somebody may wait while nobody is there to accept, on purpose; `wake` is called then."""

    @property
    def port(self) -> int:
        """TCP port of predictions."""

    def settle(self, now_s: float) -> None:
        """Bring what is closer to what should be. To be called after every event, and twice a second."""

    def deploy(self, config: ReplicaConfig) -> None:
        """Answer for something else as soon as that is ready."""

    def scale(self, wanted: Workers, now_s: float) -> None:
        """Change how many workers there may be."""

    def tokens(self, document: str) -> None:
        """Keep a signed list of tokens."""

    def wake(self, now_s: float) -> None:
        """Have somebody who accepts."""

    def stop(self, now_s: float) -> None:
        """Finish what is being answered, and end."""

    def status(self) -> ReplicaStatus:
        """Say how everything stands."""

    def watch(self) -> dict[str, list[tuple[str, str]]]:
        """Hand over what workers tell the control plane."""


StartsAnswers = Callable[[ReplicaConfig, selectors.BaseSelector, float], Answers]
"""Makes it from a configuration, a selector to be woken by, and the seconds now; raises OSError, or a `LeptonError`."""


class Supervisor:
    """Keeps the workers of one replica until it is told to stop.

    Raises:
        OSError: if the address, or the control socket, cannot be listened on.
    """

    def __init__(self, config: ReplicaConfig, begin: StartsAnswers = Fleet) -> None:
        self._selector = selectors.DefaultSelector()
        self._fleet = begin(config, self._selector, time.monotonic())
        self._control = ControlSocket(Path(config.control_path), config.control_secret, self._answer)
        self._selector.register(self._control, selectors.EVENT_READ, self._accept)
        self._watched: list[socket.socket] = []
        self._told_to_end = False
        self._wake, self._ear = socket.socketpair()
        for end in (self._wake, self._ear):
            end.setblocking(False)
        self._selector.register(self._ear, selectors.EVENT_READ, lambda: self._ear.recv(4096))
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGCHLD, signal.SIGINT, signal.SIGHUP):
            # Not SIG_IGN, which the workers would inherit.
            signal.signal(number, self._heard)

    @property
    def port(self) -> int:
        """TCP port that it answers on."""
        return self._fleet.port

    def run(self) -> None:
        """Keep the workers until told to stop and the last has ended."""
        self._fleet.settle(time.monotonic())
        while not self._fleet.over:
            for key, _ in self._selector.select(None if self._fleet.quiet else LOOK_EVERY_S):
                key.data()
            if self._told_to_end:
                self._told_to_end = False
                self._stop()
            self._fleet.settle(time.monotonic())
            self._watch_sockets()
        self._control.close()

    def _heard(self, number: int, _frame: object) -> None:
        self._told_to_end |= number == signal.SIGTERM

    def _watch_sockets(self) -> None:
        wanted = self._fleet.waiting
        if wanted and not self._watched:
            self._watched = [*wanted]
            for listener in self._watched:
                self._selector.register(listener, selectors.EVENT_READ, self._knocked)
        elif not wanted:
            self._stop_watching()

    def _knocked(self) -> None:
        """Somebody waits in a socket: the connection is held there until a worker accepts it."""
        self._stop_watching()
        self._fleet.wake(time.monotonic())

    def _stop_watching(self) -> None:
        for listener in self._watched:
            self._selector.unregister(listener)
        self._watched = []

    def _stop(self) -> None:
        self._stop_watching()
        self._fleet.stop(time.monotonic())

    def _accept(self) -> None:
        conversation = self._control.accept()
        if conversation is None:
            return

        def hear() -> None:
            if not conversation.hear():
                self._selector.unregister(conversation)
                conversation.close()

        self._selector.register(conversation, selectors.EVENT_READ, hear)

    def _answer(self, verb: str, body: Any) -> object:
        now_s = time.monotonic()
        if verb == "deploy":
            self._fleet.deploy(ReplicaConfig.from_values(body))
        elif verb == "tokens":
            self._fleet.tokens(str(body))
        elif verb == "scale":
            self._fleet.scale(Workers(**body), now_s)
        elif verb == "stop":
            self._stop()
        elif verb == "watch":
            return self._fleet.watch()
        elif verb != "status":
            raise InvalidInput("A replica can be asked to deploy, scale, stop, take tokens, and for its status.")
        return self._fleet.status().to_values()


def prepare() -> None:
    """Set what this process and its workers live under: private files, no core dumps, room for many connections."""
    os.umask(0o077)
    # A core dump would be a copy of keys and data in plain text.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # The usual 1024 is a limit for programs that call select(); each connection is a descriptor.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, MOST_FILES), most))
