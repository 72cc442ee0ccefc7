"""Ray jobs that keep workers: all of those that are on one machine are one job, see `ray_dashboard`.

What is on several machines is several jobs, which `ray_gangs` puts together. Ray places a job and notices when it is
gone; that is all it is trusted with. What a run is, its secrets and its log go over TLS between the engine and an
`agent` on the machine.
"""

from __future__ import annotations

import base64
import json
import math
import os
import shlex
import signal
import sys
import threading
import time
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from lepton import __version__
from lepton.core import conversation
from lepton.core.conversation import CALLER, Hello
from lepton.core.errors import Internal, LeptonError, Unavailable
from lepton.core.tls import Identity
from lepton.runs.engines import folder
from lepton.runs.engines.agent import HUNG, KIND, LEADS
from lepton.runs.engines.journal import SUPERVISOR_RANK, JournalError, JournalReader, JournalWriter
from lepton.runs.engines.port import EnginePhase, EngineSpec, EngineStatus, Exit
from lepton.runs.engines.ray_dashboard import OVER, Dashboard, Job, Refused
from lepton.runs.records import LogLine

AGENT_TIMEOUT_S = 5.0
_SUBMITTED, _TOLD, _LOST = "submitted", "told", "lost"
_CANNOT_START = 127
_NOT_STARTED = (
    "[nothing could be started on the machine that Ray chose: Lepton {} must be installed there, under {}; "
    "Ray's dashboard says more of the job {}]"
)
_OTHER_VERSION = "[the machine {} has Lepton {}, and this is {}: install the same on every machine of the cluster]"


@dataclass(frozen=True)
class Seat:
    """Where workers are, and which of a run's they are.

    Attributes:
        node: Id of the machine; empty: any.
        first: Rank of the first of them.
        world: How many the run has on all machines; 0: it has no others, and these begin as soon as they can. Else they
            begin when they are `release`d.
    """

    node: str = ""
    first: int = 0
    world: int = 0


ANYWHERE = Seat()


class RayJobs:
    """Keeps workers that are on one machine; what it calls a run may be a part of one.

    Args:
        dashboard: The cluster.
        root: Folder in which each run has one of its own: what must be found again, and its encrypted log.
        grace_s: How long a worker that was told to end may take.
        max_log_bytes: How much of a run's log is kept.
        cpus: Processors of what Ray hands out that count as one.
    """

    def __init__(self, dashboard: Dashboard, root: Path, *, grace_s: float, max_log_bytes: int, cpus: float) -> None:
        self._root = root
        self._grace_s = grace_s
        self._max_log_bytes = max_log_bytes
        self._cpus = cpus
        self._dashboard = dashboard
        self._identity = _identity(root)
        self._untold: dict[str, folder.Config] = {}
        self._held: set[str] = set()
        self._since_s: dict[str, float] = {}
        self._hellos: dict[str, Hello] = {}
        self._readers: dict[str, JournalReader] = {}
        self.over: set[str] = set()
        """Jobs that nobody needs any more."""
        self._placing = threading.Lock()
        self._locks: dict[str, threading.RLock] = {}

    def submit(self, spec: EngineSpec, seat: Seat = ANYWHERE) -> None:
        """Ask Ray for a place, unless that has been done for this run id before; what runs there is told later.

        Raises:
            Unavailable: if the dashboard does not answer, or refuses.
            StorageFull: if there is no space for the run's folder.
        """
        with self._placing, self._locked(spec.run_id):
            if self.status(spec.run_id).phase is not EnginePhase.UNKNOWN:
                return
            self._hellos.pop(spec.run_id, None)  # of an agent that waited in vain
            share = self._max_log_bytes * spec.workers // (seat.world or spec.workers)
            config = folder.Config.of(spec, grace_s=self._grace_s, max_log_bytes=share)
            self._untold[spec.run_id] = replace(config, first=seat.first, world=seat.world)
            self._since_s[spec.run_id] = time.monotonic()
            if seat.world:
                self._held.add(spec.run_id)
            try:
                self._note(spec, self._number(spec.run_id))
                while not self._dashboard.submit(
                    self._job_of(spec, seat)
                ):  # it has ended: what it started waited in vain
                    self.over.add(self._job(spec.run_id))
                    self._note(spec, self._number(spec.run_id) + 1)
            except LeptonError:
                self._drop(spec.run_id)
                self.over.add(self._job(spec.run_id))  # it may be there all the same
                raise
        self.forget_jobs()

    def ready(self, run_id: str) -> bool:
        """Whether workers that are held have a place and could begin now."""
        with self._locked(run_id), suppress(Unavailable):
            return self._hello(run_id) is not None
        return False

    def gang(self, run_id: str) -> tuple[str, str]:
        """Ask those among whom rank 0 is where it is called, as ``HOST PORT``, and for the secret of all workers.

        Raises:
            Unavailable: if they do not answer.
        """
        with self._locked(run_id):
            hello = self._hello(run_id)
            if hello is None:
                raise Unavailable("The first worker's machine has not said where it is yet.")
            found = conversation.ask(
                hello, self._identity.client(hello.certificate), "gang", None, timeout_s=AGENT_TIMEOUT_S
            )
            return f"{hello.address} {found['port']}", str(found["secret"])

    def release(self, run_id: str, master: str, secret: str) -> None:
        """Let workers that were held begin; does nothing for those that have.

        Raises:
            Unavailable: if they do not answer; they are told later, when they are asked for anything.
        """
        with self._locked(run_id):
            config = self._untold.get(run_id)
            if config is not None and run_id in self._held:
                self._untold[run_id] = replace(config, master=master, secret=secret)
                self._held.discard(run_id)
                self._talk(run_id, "status", None)

    def is_held(self, run_id: str) -> bool:
        """Whether workers wait to be released, by this engine."""
        return run_id in self._held

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
                    self._since_s.pop(run_id, None)
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
        """Tell the workers to end; those that have not begun have ended then, and never begin. Returns at once."""
        with self._locked(run_id):
            if self.status(run_id).phase is not EnginePhase.RUNNING:
                return
            config = self._untold.get(run_id)
            if config is None or (self._path(run_id) / _TOLD).exists():
                self._talk(run_id, "cancel", None)
                return
            self._stop_job(run_id)
            ranks = range(config.first, config.first + config.workers)
            stopped = [Exit(rank, None, signal.SIGTERM, stopped=True) for rank in ranks]
            self._refuse(config, "[the run was told to end before it had begun]", *stopped)

    def abandon(self, run_id: str) -> None:
        """Have nothing begin of what was submitted, by whoever that was, and was not told what to do."""
        with self._locked(run_id):
            if (self._path(run_id) / _SUBMITTED).exists() and not (self._path(run_id) / _TOLD).exists():
                self._stop_job(run_id)
                self._drop(run_id)

    def _stop_job(self, run_id: str) -> None:
        with suppress(LeptonError):  # without being told, it ends by itself
            self._dashboard.stop(self._job(run_id))

    def _drop(self, run_id: str) -> None:
        """Forget what was to be told, and its key."""
        self._untold.pop(run_id, None)
        self._since_s.pop(run_id, None)
        self._held.discard(run_id)
        self._hellos.pop(run_id, None)

    def _number(self, run_id: str) -> int:
        """Return which job of a run is the one that counts, from 0: one that was never told anything is replaced."""
        try:
            return int((self._path(run_id) / _SUBMITTED).read_text() or 0)
        except FileNotFoundError:
            return 0

    def _job(self, run_id: str) -> str:
        number = self._number(run_id)
        return f"lepton-{run_id}-{number}" if number else f"lepton-{run_id}"

    def _job_of(self, spec: EngineSpec, seat: Seat) -> Job:
        return Job(
            id=self._job(spec.run_id),
            # exec: the agent watches its parent, which is to be Ray and not a shell.
            entrypoint=shlex.join(["exec", sys.executable, "-P", "-m", "lepton.launch.agent"]),
            cpus=self._cpus * spec.resources.cpus * spec.workers,
            memory_bytes=(spec.resources.memory_mb << 20) * spec.workers,
            gpus=spec.resources.gpus * spec.workers,
            environment={CALLER: self._identity.certificate} | ({LEADS: "1"} if seat.world and not seat.first else {}),
            apart=spec.apart,
            node=seat.node,
        )

    def _locked(self, run_id: str) -> threading.RLock:
        return self._locks.setdefault(run_id, threading.RLock())

    def _talk(self, run_id: str, verb: str, body: object) -> Any:
        """Ask the agent of a run; None while it has not said where it is, or is held."""
        hello = self._hello(run_id)
        if hello is None or run_id in self._held:
            return None
        context = self._identity.client(hello.certificate)
        config = self._untold.get(run_id)
        if config is not None:
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

    def _hello(self, run_id: str) -> Hello | None:
        """Find the agent of a run; refuses what cannot be told to one of another version."""
        hello = self._hellos.get(run_id) or self._hear(run_id)
        config = self._untold.get(run_id)
        if hello is not None and config is not None and hello.version != __version__:
            self._stop_job(run_id)
            why = _OTHER_VERSION.format(hello.address, hello.version, __version__)
            self._refuse(config, why)
            raise Unavailable(why)
        return hello

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
        self.over.add(self._job(run_id))
        return EngineStatus(EnginePhase.EXITED, exits)

    def _kept(self, run_id: str) -> EngineStatus | None:
        """Say what is known here for good, without asking anybody."""
        path = self._path(run_id)
        exits = folder.read_exits(path)
        if exits is not None:
            return EngineStatus(EnginePhase.EXITED, exits)
        if (path / _LOST).exists():
            return EngineStatus(EnginePhase.LOST, hung=bool((path / _LOST).read_text()))
        return None if (path / _SUBMITTED).exists() else EngineStatus(EnginePhase.UNKNOWN)

    def _asked_of_ray(self, run_id: str) -> EngineStatus:
        """Say how a run stands whose agent does not answer."""
        job = self._job(run_id)
        found = self._dashboard.status(job)
        config = self._untold.get(run_id)
        told = (self._path(run_id) / _TOLD).exists()
        if found is not None and found not in OVER:
            since_s = self._since_s.get(run_id)
            waits_s = 0.0 if since_s is None or told else time.monotonic() - since_s
            return EngineStatus(EnginePhase.RUNNING, waits_s=waits_s)
        if config is None or found is None or told:
            hung = False
            with suppress(Unavailable):  # Ray has no log of a machine that is gone
                hung = found is not None and HUNG in self._dashboard.log(job)
            (self._path(run_id) / _LOST).write_text(HUNG if hung else "")
            self._drop(run_id)
            self.over.add(job)
            return EngineStatus(EnginePhase.LOST, hung=hung)
        if found == "STOPPED":  # by somebody else
            ranks = range(config.first, config.first + config.workers)
            stopped = [Exit(rank, None, signal.SIGTERM, stopped=True) for rank in ranks]
            return self._refuse(config, "[the job was stopped before it had begun]", *stopped)
        if not self._dashboard.was_placed(job):  # its machine is gone, or Ray has given up
            return EngineStatus(EnginePhase.RUNNING, waits_s=math.inf)
        return self._refuse(config, _NOT_STARTED.format(__version__, sys.executable, self._job(run_id)))

    def _refuse(self, config: folder.Config, why: str, *exits: Exit) -> EngineStatus:
        """End a run of which nothing was started, with a line in its log."""
        path = self._path(config.run_id)
        exits = exits or (Exit(config.first, _CANNOT_START, None, time=time.time()),)
        with suppress(OSError):
            journal = JournalWriter(path / folder.LOG, config.run_id, config.log_key)
            journal.write(SUPERVISOR_RANK, time.time(), why)
            journal.close()
        folder.write_exits(path, exits)
        self._drop(config.run_id)
        self.over.add(self._job(config.run_id))
        return EngineStatus(EnginePhase.EXITED, exits)

    def _note(self, spec: EngineSpec, number: int) -> None:
        path = self._path(spec.run_id)
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.make_room(path, spec.workers)  # now, so that a disk that fills up does not silence the end
            (path / _SUBMITTED).write_text(str(number))
        except OSError as error:
            raise folder.refusal(full=folder.is_full(error)) from error

    def forget_jobs(self) -> None:
        """Have Ray forget jobs whose end is kept here; it keeps them for ever, and lists them all when it is asked."""
        for job in list(self.over):
            try:
                self._dashboard.forget(job)
            except Refused:  # it is just ending, and is tried again
                continue
            except Unavailable:
                return
            self.over.discard(job)

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
