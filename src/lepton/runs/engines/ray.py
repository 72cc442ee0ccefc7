"""The engine of a Ray cluster: workers on one machine are a Ray job (`ray_jobs`), on several a gang (`ray_gangs`)."""

from __future__ import annotations

import json
import math
import os
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from lepton.runs.engines import folder
from lepton.runs.engines.journal import MAX_LOG_BYTES
from lepton.runs.engines.local import GRACE_S
from lepton.runs.engines.port import EnginePhase, EngineSpec, EngineStatus
from lepton.runs.engines.ray_dashboard import Dashboard
from lepton.runs.engines.ray_gangs import Gang
from lepton.runs.engines.ray_jobs import ANYWHERE, RayJobs, Seat
from lepton.runs.engines.ray_room import Scouts
from lepton.runs.records import LogLine, Machine, Part, Resources

FULL_AFTER_S = 10.0
"""A machine on which a run found no place for so long is used by others."""
FULL_FOR_S = 60.0
"""For so long nothing more is placed on it."""
_PARTS = "parts.json"


class RayEngine:
    """Runs workers on the machines of a Ray cluster.

    Args:
        address: ``HOST`` or ``HOST:PORT`` of the dashboard.
        root: Folder in which each run has one of its own: what must be found again, and its encrypted log.
        grace_s: How long a worker that was told to end may take.
        max_log_bytes: How much of a run's log is kept.
        cpus: Processors of what Ray hands out that count as one.
        environment: Where the token is looked for; None takes this process's variables.

    Attributes:
        jobs: What it has in Ray.
    """

    def __init__(
        self, address: str, root: Path, *, grace_s: float = GRACE_S, max_log_bytes: int = MAX_LOG_BYTES,
        cpus: float = 1.0, environment: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        self._root = root
        self._max_log_bytes = max_log_bytes
        self._cpus = cpus
        self._dashboard = Dashboard(address, os.environ if environment is None else environment)
        self.jobs = RayJobs(self._dashboard, root, grace_s=grace_s, max_log_bytes=max_log_bytes, cpus=cpus)
        self._scouts = Scouts(self._dashboard, cpus, self.jobs.over.add)
        self._gangs: dict[str, Gang] = {}
        self._placed: dict[str, tuple[Part, ...]] = {}
        self._full_until_s: dict[str, float] = {}
        self._lock = threading.Lock()

    def submit(self, spec: EngineSpec) -> None:
        """Ask Ray for places, unless that has been done for this run id before; what runs there is told later.

        A run that was placed before, by a platform that died then, has the places that it had.

        Raises:
            Unavailable: if the dashboard does not answer, or refuses.
            StorageFull: if there is no space for the run's folder.
        """
        if self.status(spec.run_id).phase is not EnginePhase.UNKNOWN:
            return
        parts = self.parts(spec.run_id) or self._place(spec)
        gang = self._gang(spec.run_id)
        if gang is not None:
            gang.submit(spec)
        else:
            self.jobs.submit(spec, Seat(parts[0].machine) if parts else ANYWHERE)

    def status(self, run_id: str) -> EngineStatus:
        """Say how the run stands.

        Raises:
            Unavailable: if neither the run's machine nor the dashboard answers.
        """
        gang = self._gang(run_id)
        return self.jobs.status(run_id) if gang is None else gang.status()

    def logs(self, run_id: str, log_key: bytes, *, after: int = 0, limit: int = 1000) -> list[LogLine]:
        """Return at most `limit` lines with a `seq` above `after`, oldest first.

        Raises:
            Internal: if the log is not what was written.
        """
        gang = self._gang(run_id)
        if gang is None:
            return self.jobs.logs(run_id, log_key, after=after, limit=limit)
        return gang.logs(log_key, after=after, limit=limit)

    def cancel(self, run_id: str) -> None:
        """Tell the workers to end; those that have not begun never do. Returns at once."""
        status = self.status(run_id)
        gang = self._gang(run_id)
        if status.waits_s >= FULL_AFTER_S:
            full = [part.machine for part in self.parts(run_id)] if gang is None else gang.waiting()
            until_s = time.monotonic() + FULL_FOR_S
            self._full_until_s |= dict.fromkeys(full, until_s)
        if gang is None:
            self.jobs.cancel(run_id)
        else:
            gang.cancel()

    def machines(self) -> tuple[Machine, ...]:
        """Return the machines that are there now and run anything; a head often does not.

        One on which there was no place though our runs had left some is taken by others, for a minute.
        """
        found, now_s = [], time.monotonic()
        for node in self._dashboard.nodes():
            if node.cpus:
                has = Resources(node.cpus / self._cpus, node.memory_mb, node.gpus)
                is_full = self._full_until_s.get(node.id, -math.inf) > now_s
                found.append(Machine(node.id, has, has if is_full else Resources.NONE))
        return tuple(found)

    def parts(self, run_id: str) -> tuple[Part, ...]:
        """Return where the workers of a run are."""
        known = self._placed.get(run_id)
        if known is None:
            path = self._path(run_id) / _PARTS
            try:
                known = tuple(Part(**values) for values in json.loads(path.read_text()))
            except (OSError, ValueError):  # not placed, or only half of it was written, and so nothing submitted
                return ()
            self._placed[run_id] = known
        return known

    def want(self, waiting: Mapping[str, Sequence[Resources]]) -> None:
        """Ask Ray for room for runs that wait, as an autoscaler may make some.

        Raises:
            Unavailable: if the dashboard does not answer.
        """
        self._scouts.want(waiting)
        if not waiting:
            self.jobs.forget_jobs()

    def _place(self, spec: EngineSpec) -> tuple[Part, ...]:
        """Note where a run is to be, before anything of it is there."""
        if spec.parts:
            path = self._path(spec.run_id)
            try:
                path.mkdir(mode=0o700, parents=True, exist_ok=True)
                (path / _PARTS).write_text(json.dumps([asdict(part) for part in spec.parts]))
            except OSError as error:
                with suppress(OSError):
                    (path / _PARTS).unlink()
                raise folder.refusal(full=folder.is_full(error)) from error
            self._placed[spec.run_id] = tuple(spec.parts)
        return tuple(spec.parts)

    def _gang(self, run_id: str) -> Gang | None:
        parts = self.parts(run_id)
        if len(parts) < 2:
            return None
        with self._lock:
            known = self._gangs.get(run_id)
            if known is None:
                path = self._path(run_id)
                known = Gang(self.jobs, path, run_id, parts, max_log_bytes=self._max_log_bytes)
                self._gangs[run_id] = known
            return known

    def _path(self, run_id: str) -> Path:
        if not run_id.isalnum():
            raise ValueError(f"{run_id!r} is not the id of a run.")
        return self._root / run_id
