"""The engine of a Ray cluster: each run is a Ray job, see `ray_dashboard`.

Ray places a job and notices when it is gone; that is all it is trusted with. What a run is, its secrets and its log go
over TLS between this engine and an `agent` on the machine.
"""

from __future__ import annotations

import base64
import json
import os
import shlex
import signal
import sys
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lepton import __version__
from lepton.core import conversation
from lepton.core.conversation import CALLER, Hello
from lepton.core.errors import Internal, LeptonError, Unavailable
from lepton.core.tls import Identity
from lepton.runs.engines import folder
from lepton.runs.engines.agent import KIND
from lepton.runs.engines.journal import MAX_LOG_BYTES, SUPERVISOR_RANK, JournalError, JournalReader, JournalWriter
from lepton.runs.engines.local import GRACE_S
from lepton.runs.engines.port import EnginePhase, EngineSpec, EngineStatus, Exit
from lepton.runs.engines.ray_dashboard import OVER, Dashboard, Job, Refused
from lepton.runs.engines.ray_room import Scouts
from lepton.runs.records import LogLine, Resources

AGENT_TIMEOUT_S = 5.0
_SUBMITTED, _TOLD, _LOST = "submitted", "told", "lost"
_CANNOT_START = 127
_NOT_STARTED = (
    "[nothing could be started on the machine that Ray chose: Lepton {} must be installed there, under {}; "
    "Ray's dashboard says more of the job {}]"
)
_OTHER_VERSION = "[the machine {} has Lepton {}, and this is {}: install the same on every machine of the cluster]"


class RayEngine:
    """Runs workers on the machines of a Ray cluster, all workers of a run on one of them.

    Args:
        address: ``HOST`` or ``HOST:PORT`` of the dashboard.
        root: Folder in which each run has one of its own: what must be found again, and its encrypted log.
        grace_s: How long a worker that was told to end may take.
        max_log_bytes: How much of a run's log is kept.
        cpus: Processors of what Ray hands out that count as one.
        environment: Where the token is looked for; None takes this process's variables.
    """

    def __init__(
        self, address: str, root: Path, *, grace_s: float = GRACE_S, max_log_bytes: int = MAX_LOG_BYTES,
        cpus: float = 1.0, environment: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        self._root = root
        self._grace_s = grace_s
        self._max_log_bytes = max_log_bytes
        self._cpus = cpus
        self._dashboard = Dashboard(address, os.environ if environment is None else environment)
        self._identity = _identity(root)
        self._untold: dict[str, folder.Config] = {}
        self._hellos: dict[str, Hello] = {}
        self._readers: dict[str, JournalReader] = {}
        self._over: set[str] = set()
        self._scouts = Scouts(self._dashboard, cpus, self._over.add)
        self._placing = threading.Lock()
        self._locks: dict[str, threading.RLock] = {}

    def submit(self, spec: EngineSpec) -> None:
        """Ask Ray for a place, unless that has been done for this run id before; what runs there is told later.

        Raises:
            Unavailable: if the dashboard does not answer, or refuses.
            StorageFull: if there is no space for the run's folder.
        """
        with self._placing, self._locked(spec.run_id):
            if self.status(spec.run_id).phase is not EnginePhase.UNKNOWN:
                return
            self._hellos.pop(spec.run_id, None)  # of an agent that waited in vain
            self._untold[spec.run_id] = folder.Config.of(spec, grace_s=self._grace_s, max_log_bytes=self._max_log_bytes)
            try:
                self._note(spec, self._number(spec.run_id))
                while not self._dashboard.submit(self._job_of(spec)):  # it has ended: what it started waited in vain
                    self._over.add(self._job(spec.run_id))
                    self._note(spec, self._number(spec.run_id) + 1)
            except LeptonError:
                del self._untold[spec.run_id]  # with its key
                self._over.add(self._job(spec.run_id))  # it may be there all the same
                raise
        self._forget_jobs()

    def status(self, run_id: str) -> EngineStatus:
        """Say how the run stands.

        Raises:
            Unavailable: if neither the run's machine nor the dashboard answers.
        """
        path = self._path(run_id)
        with self._locked(run_id):
            known = self._kept(run_id)
            if known is not None:
                return known
            with suppress(Unavailable):
                found = self._talk(run_id, "status", None)
                if found is not None:
                    return self._said(run_id, found)
            if folder.read_exits(path) is not None:  # what is there has been refused
                return self.status(run_id)
            if run_id not in self._untold and not (path / _TOLD).exists():
                # A control plane died before it told; only who knows the run can, and submits it again.
                return EngineStatus(EnginePhase.UNKNOWN)
            return self._asked_of_ray(run_id)

    def logs(self, run_id: str, log_key: bytes, *, after: int = 0, limit: int = 1000) -> list[LogLine]:
        """Return at most `limit` lines with a `seq` above `after`, oldest first.

        Raises:
            Internal: if the log is not what was written.
        """
        path = self._path(run_id)
        with self._locked(run_id):
            if (path / _SUBMITTED).exists() and folder.read_exits(path) is None:
                with suppress(Unavailable, OSError):  # what is here is shown
                    self._fetch_log(run_id)
            reader = self._readers.setdefault(run_id, JournalReader(path / folder.LOG, run_id))
        try:
            return reader.read(log_key, after=after, limit=limit)
        except JournalError:
            raise Internal(f"The log of run {run_id} is damaged or was changed outside of Lepton.") from None

    def cancel(self, run_id: str) -> None:
        """Tell the workers to end; returns at once."""
        with self._locked(run_id):
            if self.status(run_id).phase is not EnginePhase.RUNNING:
                return
            if self._talk(run_id, "cancel", None) is None and run_id not in self._hellos:
                self._dashboard.stop(self._job(run_id))

    def machines(self) -> tuple[Resources, ...]:
        """Return what each machine has that is there now and runs anything; a head often does not."""
        nodes = self._dashboard.nodes()
        return tuple(Resources(node.cpus / self._cpus, node.memory_mb, node.gpus) for node in nodes if node.cpus)

    def want(self, waiting: Mapping[str, Resources]) -> None:
        """Ask Ray for room for runs that wait, as an autoscaler may make some.

        Raises:
            Unavailable: if the dashboard does not answer.
        """
        self._scouts.want(waiting)
        if not waiting:
            self._forget_jobs()

    def _number(self, run_id: str) -> int:
        """Return which job of a run is the one that counts, from 0: one that was never told anything is replaced."""
        try:
            return int((self._path(run_id) / _SUBMITTED).read_text() or 0)
        except FileNotFoundError:
            return 0

    def _job(self, run_id: str) -> str:
        number = self._number(run_id)
        return f"lepton-{run_id}-{number}" if number else f"lepton-{run_id}"

    def _job_of(self, spec: EngineSpec) -> Job:
        return Job(
            id=self._job(spec.run_id),
            # exec: the agent watches its parent, which is to be Ray and not a shell.
            entrypoint=shlex.join(["exec", sys.executable, "-P", "-m", "lepton.launch.agent"]),
            cpus=self._cpus * spec.resources.cpus * spec.workers,
            memory_bytes=(spec.resources.memory_mb << 20) * spec.workers,
            gpus=spec.resources.gpus * spec.workers,
            environment={CALLER: self._identity.certificate},
            apart=spec.apart,
        )

    def _locked(self, run_id: str) -> threading.RLock:
        return self._locks.setdefault(run_id, threading.RLock())

    def _talk(self, run_id: str, verb: str, body: object) -> Any:
        """Ask the agent of a run; None while it has not said where it is."""
        hello = self._hellos.get(run_id) or self._hear(run_id)
        if hello is None:
            return None
        context = self._identity.client(hello.certificate)
        config = self._untold.get(run_id)
        if config is not None:
            if hello.version != __version__:
                with suppress(LeptonError):
                    self._dashboard.stop(self._job(run_id))
                why = _OTHER_VERSION.format(hello.address, hello.version, __version__)
                self._refuse(config, why)
                raise Unavailable(why)
            told = self._path(run_id) / _TOLD
            told.touch()  # before: without it, nothing was started
            start = json.loads(config.to_json())
            try:
                conversation.ask(hello, context, "start", start, timeout_s=AGENT_TIMEOUT_S)
            except Unavailable:
                self._hellos.pop(run_id, None)
                raise
            del self._untold[run_id]
            with suppress(OSError):  # where it is, for when Ray forgets; with a full disk Ray alone knows
                told.write_text(hello.to_line())
        return conversation.ask(hello, context, verb, body, timeout_s=AGENT_TIMEOUT_S)

    def _hear(self, run_id: str) -> Hello | None:
        told = self._path(run_id) / _TOLD
        hello = Hello.from_line(told.read_text(), KIND) if told.exists() else None
        if hello is None:
            lines = self._dashboard.log(self._job(run_id)).splitlines()
            hello = next((found for line in reversed(lines) if (found := Hello.from_line(line, KIND))), None)
        if hello is not None:
            self._hellos[run_id] = hello
        return hello

    def _fetch_log(self, run_id: str) -> None:
        """Bring home what was added to the log since; it stays encrypted."""
        path = self._path(run_id) / folder.LOG
        while True:
            offset = path.stat().st_size if path.exists() else 0
            data = base64.b64decode(self._talk(run_id, "log", offset) or "")
            if not data:
                return
            with path.open("ab") as file:
                file.write(data)

    def _said(self, run_id: str, found: dict[str, Any]) -> EngineStatus:
        """Understand an agent; how a run ended is kept here, and then the agent is not needed any more."""
        if found["exits"] is None:
            return EngineStatus(EnginePhase.RUNNING if found["told"] else EnginePhase.UNKNOWN)
        exits = tuple(Exit(**exit_) for exit_ in found["exits"])
        path = self._path(run_id)
        with suppress(OSError):  # a disk that is full cuts the log; the end is told all the same
            self._fetch_log(run_id)
        folder.write_exits(path, exits)
        with suppress(LeptonError):
            self._talk(run_id, "bye", None)
        self._hellos.pop(run_id, None)
        self._over.add(self._job(run_id))
        return EngineStatus(EnginePhase.EXITED, exits)

    def _kept(self, run_id: str) -> EngineStatus | None:
        """Say what is known here for good, without asking anybody."""
        path = self._path(run_id)
        exits = folder.read_exits(path)
        if exits is not None:
            return EngineStatus(EnginePhase.EXITED, exits)
        if (path / _LOST).exists():
            return EngineStatus(EnginePhase.LOST)
        return None if (path / _SUBMITTED).exists() else EngineStatus(EnginePhase.UNKNOWN)

    def _asked_of_ray(self, run_id: str) -> EngineStatus:
        """Say how a run stands whose agent does not answer."""
        found = self._dashboard.status(self._job(run_id))
        if found is not None and found not in OVER:
            return EngineStatus(EnginePhase.RUNNING)
        config = self._untold.get(run_id)
        if config is None or found is None:
            (self._path(run_id) / _LOST).touch()
            self._over.add(self._job(run_id))
            return EngineStatus(EnginePhase.LOST)
        if found == "STOPPED":  # `cancel`, before there was anybody to tell
            stopped = [Exit(rank, None, signal.SIGTERM, stopped=True) for rank in range(config.workers)]
            return self._refuse(config, "[the run was cancelled before it had begun]", *stopped)
        return self._refuse(config, _NOT_STARTED.format(__version__, sys.executable, self._job(run_id)))

    def _refuse(self, config: folder.Config, why: str, *exits: Exit) -> EngineStatus:
        """End a run of which nothing was started, with a line in its log."""
        path = self._path(config.run_id)
        exits = exits or (Exit(0, _CANNOT_START, None),)
        with suppress(OSError):
            journal = JournalWriter(path / folder.LOG, config.run_id, config.log_key)
            journal.write(SUPERVISOR_RANK, time.time(), why)
            journal.close()
        folder.write_exits(path, exits)
        del self._untold[config.run_id]
        self._hellos.pop(config.run_id, None)
        self._over.add(self._job(config.run_id))
        return EngineStatus(EnginePhase.EXITED, exits)

    def _note(self, spec: EngineSpec, number: int) -> None:
        path = self._path(spec.run_id)
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.make_room(path, spec.workers)  # now, so that a disk that fills up does not silence the end
            (path / _SUBMITTED).write_text(str(number))
        except OSError as error:
            raise folder.refusal(full=folder.is_full(error)) from error

    def _forget_jobs(self) -> None:
        """Have Ray forget jobs whose end is kept here; it keeps them for ever, and lists them all when it is asked."""
        for job in list(self._over):
            try:
                self._dashboard.forget(job)
            except Refused:  # it is just ending, and is tried again
                continue
            except Unavailable:
                return
            self._over.discard(job)

    def _path(self, run_id: str) -> Path:
        if not run_id.isalnum():
            raise ValueError(f"{run_id!r} is not the id of a run.")
        return self._root / run_id


def _identity(root: Path) -> Identity:
    """Return what this engine proves itself with, the same for all its life: runs of before know no other."""
    path = root / "identity.json"
    try:
        return Identity(**json.loads(path.read_text()))
    except (OSError, ValueError, TypeError):
        made = Identity.new()
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        json.dump(asdict(made), file)
    return made
