"""Runs on several machines: a Ray job on each, and what they do together. Each part is to `ray_jobs` a run of its own.

They have their places all of them, or none begins: an agent that has one waits until all have, and is told then. The
workers begin together in any case, as they meet before (`launch.meeting`). What ends one part ends all.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from lepton.core.errors import Internal, LeptonError
from lepton.runs.engines import folder
from lepton.runs.engines.journal import JournalError
from lepton.runs.engines.merged_log import MergedLog
from lepton.runs.engines.port import EnginePhase, EngineSpec, EngineStatus
from lepton.runs.engines.ray_jobs import RayJobs, Seat
from lepton.runs.records import LogLine, Part

_LOST = "lost"
_HUNG = "hung"


class Gang:
    """One run.

    Args:
        jobs: Keeps each part.
        path: The folder of the run.
        run_id: The run.
        parts: How it is cut up.
        max_log_bytes: How much of its log is kept.
    """

    def __init__(self, jobs: RayJobs, path: Path, run_id: str, parts: Sequence[Part], *, max_log_bytes: int) -> None:
        self._jobs = jobs
        self._path = path
        self._run_id = run_id
        self._parts = tuple(parts)
        self._names = [f"{run_id}p{number}" for number in range(len(parts))]
        self._log = MergedLog(path / folder.LOG, run_id, parts, max_bytes=max_log_bytes)
        self._lock = threading.RLock()

    def submit(self, spec: EngineSpec) -> None:
        """Ask Ray for a place for each part that has none.

        Raises:
            Unavailable: if the dashboard does not answer, or refuses; no part begins then.
            StorageFull: if there is no space for what is to be kept of it.
        """
        first = 0
        with self._lock:
            try:
                folder.make_room(self._path, spec.workers)
                for name, part in zip(self._names, self._parts, strict=True):
                    seat = Seat(part.machine, first, spec.workers)
                    self._jobs.submit(replace(spec, run_id=name, workers=part.workers, parts=()), seat)
                    first += part.workers
            except OSError as error:
                raise folder.refusal(full=folder.is_full(error)) from error
            except LeptonError:
                for name in self._names:
                    self._jobs.abandon(name)
                raise

    def status(self) -> EngineStatus:
        """Say how the run stands.

        Raises:
            Unavailable: if neither a part's machine nor the dashboard answers.
        """
        with self._lock:
            exits = folder.read_exits(self._path)
            if exits is not None:
                return EngineStatus(EnginePhase.EXITED, exits)
            if (self._path / _LOST).exists():
                return EngineStatus(EnginePhase.LOST, hung=(self._path / _LOST).read_text() == _HUNG)
            found = [self._jobs.status(name) for name in self._names]
            phases = {one.phase for one in found}
            if not phases & {EnginePhase.EXITED, EnginePhase.LOST}:
                if EnginePhase.UNKNOWN in phases:  # a platform died before it had told all; see `RayJobs.status`
                    return EngineStatus(EnginePhase.UNKNOWN)
                self._begin()
                return EngineStatus(EnginePhase.RUNNING, waits_s=max(one.waits_s for one in found))
            if any(_is_broken(one) for one in found):
                self._end_all()
            if EnginePhase.RUNNING in phases:
                return EngineStatus(EnginePhase.RUNNING)
            return self._ended(found)

    def cancel(self) -> None:
        """Tell all workers to end; none begins any more. Returns at once."""
        with self._lock:
            self._end_all()

    def logs(self, key: bytes, *, after: int, limit: int) -> list[LogLine]:
        """Return at most `limit` lines with a `seq` above `after`, of all parts.

        Raises:
            Internal: if the log is not what was written.
        """
        ended = folder.read_exits(self._path) is not None or (self._path / _LOST).exists()

        def read(number: int, after: int, limit: int) -> list[LogLine]:
            return self._jobs.logs(self._names[number], key, after=after, limit=limit)

        try:
            with suppress(OSError):  # a full disk; what is here is shown
                self._log.bring(key, read, ended=ended)
            return self._log.read(key, after=after, limit=limit)
        except JournalError:
            raise Internal(f"The log of run {self._run_id} is damaged or was changed outside of Lepton.") from None

    def waiting(self) -> list[str]:
        """Return the machines on which parts have no place yet."""
        return [
            part.machine
            for name, part in zip(self._names, self._parts, strict=True)
            if self._jobs.is_held(name) and not self._jobs.ready(name)
        ]

    def _begin(self) -> None:
        """Let all parts begin once each has its place."""
        held = [name for name in self._names if self._jobs.is_held(name)]
        if held and all(self._jobs.ready(name) for name in held):
            with suppress(LeptonError):  # it is tried again
                master, secret = self._jobs.gang(self._names[0])
                for name in held:
                    self._jobs.release(name, master, secret)

    def _end_all(self) -> None:
        for name in self._names:
            with suppress(LeptonError):  # a machine that is lost; the others are told all the same
                self._jobs.cancel(name)
            self._jobs.abandon(name)

    def _ended(self, found: Sequence[EngineStatus]) -> EngineStatus:
        """Put together how the parts ended, first to end first."""
        if any(one.phase is not EnginePhase.EXITED for one in found):
            hung = any(one.hung for one in found)
            (self._path / _LOST).write_text(_HUNG if hung else "")
            return EngineStatus(EnginePhase.LOST, hung=hung)
        exits = sorted((exit_ for one in found for exit_ in one.exits), key=lambda exit_: exit_.time)
        folder.write_exits(self._path, exits)
        return EngineStatus(EnginePhase.EXITED, tuple(exits))


def _is_broken(status: EngineStatus) -> bool:
    """Whether a part has not ended as well as it should, so that the others wait in vain."""
    if status.phase is EnginePhase.EXITED:
        return any(exit_.code != 0 for exit_ in status.exits)
    return status.phase is not EnginePhase.RUNNING
