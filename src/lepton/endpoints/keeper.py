"""Keeps replicas as they should be: starts them, tells them what is new, sees how they stand. No catalog in here."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from lepton.core.errors import LeptonError, Unavailable
from lepton.endpoints import processes
from lepton.endpoints.records import Endpoint, EndpointState, ReplicaProcess
from lepton.endpoints.replica.config import ReplicaConfig
from lepton.endpoints.replica.control import Control, ReplicaStatus
from lepton.endpoints.restarts import RestartDelays
from lepton.runs.engines.processes import ProcessMark

SILENT_S = 30.0
"""A replica that lives but has not answered on its control socket for this long is replaced."""


@dataclass(frozen=True)
class Found:
    """How an endpoint stands after a look.

    Attributes:
        replica: The last that was started; it may have died.
        state: None: as before.
        goes_on: Whether what answered before is still answering, while something else is starting or has failed to.
        busy: Whether something is on its way, so that another look soon is worth it.
        restarts: How often workers of this deployment ended by themselves and were started again.
    """

    replica: ReplicaProcess | None
    state: EndpointState | None
    message: str
    busy: bool
    goes_on: bool = False
    restarts: int = 0


class Keeper:
    """Looks after one endpoint at a time, again and again; remembers attempts, and who did not answer."""

    def __init__(self) -> None:
        self._restarts = RestartDelays()
        self._silent_since_s: dict[str, float] = {}

    def look_after(self, endpoint: Endpoint, control: Control, config: Callable[[], ReplicaConfig]) -> Found:
        """Do what is to be done for an endpoint now, without waiting for it to be ready.

        Args:
            endpoint: As the catalog has it.
            control: Where its replica is spoken to.
            config: Gives what a replica is told; opens keys, so it is asked for only when one is told.
        """
        replica = endpoint.replica
        if replica is None or not processes.alive(replica):
            return self._start(endpoint, control, config)
        try:
            return self._compare(endpoint, replica, control, config)
        except Unavailable:
            return self._put_up_with(endpoint, replica)

    def _compare(
        self, endpoint: Endpoint, replica: ReplicaProcess, control: Control, config: Callable[[], ReplicaConfig],
    ) -> Found:  # fmt: skip
        """Tell a replica what it does not know yet, and find out how it stands."""
        seen = control.status()
        self._silent_since_s.pop(endpoint.id, None)
        if seen.host != endpoint.host:  # its sockets stay where they are
            processes.stop(replica)
            return _on_its_way(replica)
        is_new = seen.told != endpoint.generation
        has_failed = bool(seen.message) and seen.serving != seen.told
        if is_new or (has_failed and self._may_start(endpoint)):
            self._note(endpoint)
            seen = control.deploy(config())
            replica = replace(replica, generation=endpoint.generation)
        elif (seen.min, seen.max, seen.replicas) != _range(endpoint):
            seen = control.scale(endpoint.workers)
        if seen.coming:
            return _on_its_way(replica, goes_on=seen.serving != 0)
        restarts = sum(worker.restarts for worker in seen.workers)
        goes_on = seen.serving not in (0, seen.told)
        return Found(replica, *_state(seen), busy=False, goes_on=goes_on, restarts=restarts)

    def _put_up_with(self, endpoint: Endpoint, replica: ReplicaProcess) -> Found:
        """Give a replica that lives but says nothing some time, then end it; the next look starts another."""
        now_s = time.monotonic()
        if now_s - self._silent_since_s.setdefault(endpoint.id, now_s) > SILENT_S:
            del self._silent_since_s[endpoint.id]
            processes.stop(replica)
        return _on_its_way(replica)

    def _start(self, endpoint: Endpoint, control: Control, config: Callable[[], ReplicaConfig]) -> Found:
        if not self._may_start(endpoint):
            return Found(endpoint.replica, None, "", busy=False)
        self._note(endpoint)
        try:
            replica = _orphan(control) or processes.start(config())
        except LeptonError as error:
            return Found(endpoint.replica, EndpointState.FAILED, error.message, busy=False)
        return _on_its_way(replica)

    def _may_start(self, endpoint: Endpoint) -> bool:
        return self._restarts.due(_attempt(endpoint), time.monotonic())

    def _note(self, endpoint: Endpoint) -> None:
        self._restarts.note(_attempt(endpoint), time.monotonic())


def _range(endpoint: Endpoint) -> tuple[int, int, int]:
    return endpoint.workers.min, endpoint.workers.max, endpoint.workers.replicas


def _attempt(endpoint: Endpoint) -> str:
    return f"{endpoint.id}/{endpoint.generation}"


def _on_its_way(replica: ReplicaProcess, *, goes_on: bool = False) -> Found:
    return Found(replica, EndpointState.STARTING, "", busy=True, goes_on=goes_on)


def _orphan(control: Control) -> ReplicaProcess | None:
    """Find the replica that a control plane started and was killed before it could write that down."""
    try:
        seen = control.status(timeout_s=1.0)
    except Unavailable:
        return None
    mark = ProcessMark.of(seen.pid)
    return None if mark is None else ReplicaProcess(mark, seen.port, seen.told)


def _state(seen: ReplicaStatus) -> tuple[EndpointState, str]:
    answers = any(worker.state == "ready" and worker.generation == seen.told for worker in seen.workers)
    return (EndpointState.FAILED, seen.message) if seen.message and not answers else (EndpointState.READY, "")
