"""A worker process as its supervisor sees it: started with one end of a link, told to drain, killed if it does not."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from lepton.endpoints.replica.config import ReplicaConfig
from lepton.endpoints.replica.link import Drain, Link, Listen, Load, Start
from lepton.endpoints.replica.sockets import Sockets
from lepton.runs.engines.processes import worker_of

GRACE_S = 10.0
"""How long a worker that was told to end may go on with what it is answering."""
LINGER_S = 5.0
"""How long one that has a successor keeps quiet connections open."""


class WorkerState(StrEnum):
    """Where a worker stands."""

    STARTING = "starting"
    READY = "ready"
    DRAINING = "draining"


class Process(Protocol):
    """What is needed of a process; `subprocess.Popen` has it."""

    pid: int
    returncode: int | None

    def poll(self) -> int | None:
        """Return how it ended, or None while it runs."""

    def kill(self) -> None:
        """End it now."""


class StartsWorkers(Protocol):
    """Starts a worker and tells it what to answer for; `start` does."""

    def __call__(self, config: ReplicaConfig, *, slot: int, epoch: int, deadline_s: float) -> Worker:
        """Raises OSError if no process can be made."""


@dataclass
class Worker:
    """A worker.

    Attributes:
        slot: Its place among the workers of its deployment, from 0; its successor takes the same.
        epoch: Which deployment it serves, by the supervisor's own count.
        deadline_s: When it is killed unless it is ready, has spoken again, or has ended by then; None means never.
        spoke: Whether it has reported since that was looked at.
        sockets: On which it was told to accept.
        share: Part of all sockets that those are.
        closed: Whether it has said that it accepts on none any more.
        message: Why it could not get ready, by its own account.
        told: The last document it had for the control plane.
    """

    slot: int
    epoch: int
    generation: int
    process: Process
    link: Link
    deadline_s: float | None
    state: WorkerState = WorkerState.STARTING
    load: Load = field(default_factory=Load)
    sockets: tuple[int, ...] = ()
    spoke: bool = False
    share: float = 0.0
    closed: bool = False
    message: str = ""
    told: str = ""
    _has: set[int] = field(default_factory=set)

    def listen(self, numbers: tuple[int, ...], sockets: Sockets) -> None:
        """Tell it on which sockets to accept, unless it does already."""
        share = len(numbers) / len(sockets)
        if numbers == self.sockets and share == self.share:
            return
        new = tuple(number for number in numbers if number not in self._has)
        self.link.send(Listen(numbers, new, share), [sockets[number].fileno() for number in new])
        self._has.update(new)
        self.sockets, self.share = numbers, share

    def drain(self, now_s: float, *, linger_s: float = LINGER_S) -> None:
        """Tell it to finish and end."""
        self.state = WorkerState.DRAINING
        self.deadline_s = now_s + GRACE_S + 2.0
        self.link.send(Drain(GRACE_S, linger_s))

    def give_up(self) -> None:
        """End it now; it is not missed."""
        self.state = WorkerState.DRAINING
        self.process.kill()


def start(config: ReplicaConfig, *, slot: int, epoch: int, deadline_s: float) -> Worker:
    """Start a worker and tell it what to answer for.

    Raises:
        OSError: if no process can be made.
    """
    ours, theirs = socket.socketpair()
    try:
        with theirs:
            process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                [sys.executable, "-P", "-m", "lepton.endpoints.replica.worker", str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                preexec_fn=worker_of(os.getpid()),  # noqa: PLW1509 - this process has one thread
            )
    except BaseException:
        ours.close()
        raise
    worker = Worker(slot, epoch, config.generation, process, Link(ours), deadline_s)
    worker.link.send(Start(config.deployments, config.host, config.grpc_port, config.tls))
    return worker
