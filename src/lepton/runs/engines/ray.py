"""The engine of a Ray cluster: each run is a Ray job, asked for over the REST interface of Ray's dashboard.

Ray places a job and notices when it is gone; that is all it is trusted with. What a run is, its secrets and its log go
over TLS between this engine and an `agent` on the machine. Imports nothing of Ray's: the platform needs none of it.
"""

from __future__ import annotations

import base64
import errno
import json
import os
import shlex
import signal
import sys
import threading
import time
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx2

from lepton import __version__
from lepton.core import conversation
from lepton.core.conversation import Hello
from lepton.core.errors import Internal, LeptonError, StorageFull, Unavailable
from lepton.core.tls import Identity
from lepton.runs.engines import folder
from lepton.runs.engines.agent import CALLER, KIND
from lepton.runs.engines.journal import MAX_LOG_BYTES, SUPERVISOR_RANK, JournalError, JournalReader, JournalWriter
from lepton.runs.engines.local import GRACE_S
from lepton.runs.engines.port import EnginePhase, EngineSpec, EngineStatus, Exit
from lepton.runs.records import LogLine

PORT = 8265
TIMEOUT_S = 10.0
AGENT_TIMEOUT_S = 5.0
_OVER = frozenset({"SUCCEEDED", "FAILED", "STOPPED"})
_SUBMITTED, _TOLD, _LOST = "submitted", "told", "lost"
_CANNOT_START = 127
_UNREACHABLE = (
    "The Ray dashboard at {} does not answer. Is the cluster up, and is LEPTON_ENGINE its dashboard's address?"
)
_NOT_LET_IN = (
    "The Ray cluster does not take the token it was shown. Put the cluster's token into RAY_AUTH_TOKEN, or name its "
    "file in RAY_AUTH_TOKEN_PATH, and start the platform again."
)
_NOT_STARTED = (
    "[nothing could be started on the machine that Ray chose: Lepton {} must be installed there, under {}; "
    "Ray's dashboard says more of the job {}]"
)
_OTHER_VERSION = "[the machine {} has Lepton {}, and this is {}: install the same on every machine of the cluster]"


@dataclass(frozen=True)
class _Node:
    id: str
    cpus: float


class RayEngine:
    """Runs workers on the machines of a Ray cluster, all workers of a run on one of them.

    Args:
        address: ``HOST`` or ``HOST:PORT`` of the dashboard.
        root: Folder in which each run has one of its own: what must be found again, and its encrypted log.
        grace_s: How long a worker that was told to end may take.
        max_log_bytes: How much of a run's log is kept.
        cpus: Processors that a worker takes of what Ray hands out.
        environment: Where the token is looked for; None takes this process's variables.
    """

    def __init__(
        self, address: str, root: Path, *, grace_s: float = GRACE_S, max_log_bytes: int = MAX_LOG_BYTES,
        cpus: float = 1.0, environment: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        self._url = f"http://{address if ':' in address else f'{address}:{PORT}'}"
        self._root = root
        self._grace_s = grace_s
        self._max_log_bytes = max_log_bytes
        self._cpus = cpus
        token = _token(os.environ if environment is None else environment)
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        limits = httpx2.Limits(max_keepalive_connections=0)  # it is asked now and then, and left as it was found
        self._http = httpx2.Client(
            base_url=self._url, headers=headers, timeout=TIMEOUT_S, trust_env=False, limits=limits
        )
        self._identity = _identity(root)
        self._untold: dict[str, folder.Config] = {}
        self._hellos: dict[str, Hello] = {}
        self._readers: dict[str, JournalReader] = {}
        self._over: set[str] = set()
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
            self._untold[spec.run_id] = folder.Config(
                run_id=spec.run_id,
                workers=spec.workers,
                argv=list(spec.argv),
                grace_s=self._grace_s,
                max_log_bytes=self._max_log_bytes,
                environment=dict(spec.environment),
                log_key=spec.log_key,
            )
            node = self._place(spec) if spec.apart else None
            job = {
                "submission_id": _job(spec.run_id),
                # exec: the agent watches its parent, which is to be Ray and not a shell.
                "entrypoint": shlex.join(["exec", sys.executable, "-P", "-m", "lepton.runs.engines.agent"]),
                "entrypoint_num_cpus": self._cpus * spec.workers,
                "runtime_env": {"env_vars": {CALLER: self._identity.certificate}},
                "metadata": {"lepton_apart": spec.apart, "lepton_node": node.id if node else ""},
            }
            if node is not None:
                job["entrypoint_label_selector"] = {"ray.io/node-id": node.id}
            try:
                self._note(spec)
                self._post(job)
            except LeptonError:
                del self._untold[spec.run_id]  # with its key
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
                self._ask("POST", f"/api/jobs/{_job(run_id)}/stop")

    def capacity(self) -> int:
        """Return how many workers may run at the same time: the processors of the machines that are there now."""
        return int(sum(node.cpus for node in self._nodes()) / self._cpus)

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
                    self._ask("POST", f"/api/jobs/{_job(run_id)}/stop")
                why = _OTHER_VERSION.format(hello.address, hello.version, __version__)
                self._refuse(config, why)
                raise Unavailable(why)
            (self._path(run_id) / _TOLD).touch()  # before: without it, nothing was started
            told = json.loads(config.to_json())
            try:
                conversation.ask(hello, context, "start", told, timeout_s=AGENT_TIMEOUT_S)
            except Unavailable:
                self._hellos.pop(run_id, None)  # of an agent before this one, of a job of the same name
                raise
            del self._untold[run_id]
        return conversation.ask(hello, context, verb, body, timeout_s=AGENT_TIMEOUT_S)

    def _hear(self, run_id: str) -> Hello | None:
        answer = self._ask("GET", f"/api/jobs/{_job(run_id)}/logs")
        lines = "" if answer is None else answer["logs"]
        hello = next((found for line in reversed(lines.splitlines()) if (found := Hello.from_line(line, KIND))), None)
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
        self._over.add(run_id)
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
        job = self._ask("GET", f"/api/jobs/{_job(run_id)}")
        if job is not None and job["status"] not in _OVER:
            return EngineStatus(EnginePhase.RUNNING)
        config = self._untold.get(run_id)
        if config is None or job is None:
            (self._path(run_id) / _LOST).touch()
            self._over.add(run_id)
            return EngineStatus(EnginePhase.LOST)
        if job["status"] == "STOPPED":  # `cancel`, before there was anybody to tell
            stopped = [Exit(rank, None, signal.SIGTERM, stopped=True) for rank in range(config.workers)]
            return self._refuse(config, "[the run was cancelled before it had begun]", *stopped)
        return self._refuse(config, _NOT_STARTED.format(__version__, sys.executable, _job(run_id)))

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
        self._over.add(config.run_id)
        return EngineStatus(EnginePhase.EXITED, exits)

    def _note(self, spec: EngineSpec) -> None:
        path = self._path(spec.run_id)
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.make_room(path, spec.workers)  # now, so that a disk that fills up does not silence the end
            (path / _SUBMITTED).touch()
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StorageFull("No space is left to start the workers. Free some, then retry the run.") from error
            raise Unavailable("The workers could not be started. Look at the server's log, then retry.") from error

    def _post(self, job: dict[str, Any]) -> None:
        """Submit a job, or take over the one of that name: whoever submitted it died before it was told anything."""
        try:
            self._ask("POST", "/api/jobs/", job)
        except Unavailable:
            name = f"/api/jobs/{job['submission_id']}"
            there = self._ask("GET", name)
            if there is None:
                raise
            if there["status"] in _OVER:  # its agent has waited in vain
                self._ask("DELETE", name)
                self._ask("POST", "/api/jobs/", job)

    def _forget_jobs(self) -> None:
        """Have Ray forget jobs whose end is kept here; it keeps them for ever, and lists them all when it is asked."""
        for run_id in list(self._over):
            with suppress(Unavailable):  # one that is just ending is refused, and tried again
                self._ask("DELETE", f"/api/jobs/{_job(run_id)}")
                self._over.discard(run_id)

    def _place(self, spec: EngineSpec) -> _Node | None:
        """Choose the machine with the fewest living runs of the same word, then of any of ours."""
        jobs = [job for job in self._ask("GET", "/api/jobs/") or [] if job["status"] not in _OVER]
        ours = [job["metadata"] for job in jobs if "lepton_node" in (job.get("metadata") or {})]
        used = Counter(one["lepton_node"] for one in ours)
        apart = Counter(one["lepton_node"] for one in ours if one["lepton_apart"] == spec.apart)
        wanted = self._cpus * spec.workers
        nodes = [node for node in self._nodes() if node.cpus - self._cpus * used[node.id] >= wanted] or self._nodes()
        return min(nodes, key=lambda node: (apart[node.id], used[node.id], node.id), default=None)

    def _nodes(self) -> list[_Node]:
        answer = self._ask("GET", "/api/v0/nodes?limit=10000&detail=true")
        rows = answer["data"]["result"]["result"] if answer else []
        return [
            _Node(row["node_id"], row["resources_total"].get("CPU", 0.0)) for row in rows if row["state"] == "ALIVE"
        ]

    def _ask(self, method: str, path: str, body: object = None) -> Any:
        """Ask the dashboard; None if it knows no such thing."""
        try:
            answer = self._http.request(method, path, json=body)
        except httpx2.HTTPError as error:
            raise Unavailable(_UNREACHABLE.format(self._url)) from error
        if answer.status_code in (401, 403):
            raise Unavailable(_NOT_LET_IN)
        if answer.status_code == 404:
            return None
        if answer.status_code != 200:
            raise Unavailable(f"Ray refused (status {answer.status_code}). Look at its dashboard at {self._url}.")
        return answer.json()

    def _path(self, run_id: str) -> Path:
        if not run_id.isalnum():
            raise ValueError(f"{run_id!r} is not the id of a run.")
        return self._root / run_id


def _job(run_id: str) -> str:
    return f"lepton-{run_id}"


def _token(environment: Mapping[str, str]) -> str:
    """Find the cluster's token where Ray's own tools do."""
    if token := environment.get("RAY_AUTH_TOKEN"):
        return token.strip()
    try:
        return Path(environment.get("RAY_AUTH_TOKEN_PATH", "/nowhere")).read_text().strip()
    except OSError:
        return ""


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
