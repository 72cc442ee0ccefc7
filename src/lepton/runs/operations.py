"""The verbs of runs: for people (through the guard), for the worker of a run, and for the controller.

A run is submitted inside the transaction of the verb that wants it, and succeeds inside the transaction that commits
what it made. Everything in between is told by the worker; what a worker cannot tell, `Runs.tick` finds out.
"""

from __future__ import annotations

import builtins
import json
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from lepton.access.guard import Guard
from lepton.access.records import DEFAULT_PROJECT, Actor
from lepton.core.clock import Clock
from lepton.core.errors import Conflict, Forbidden, InvalidInput, LeptonError, NotFound
from lepton.core.ids import new_id
from lepton.core.settings import Settings
from lepton.runs import rows, track_rows
from lepton.runs.engines.port import Engine, EnginePhase, EngineSpec
from lepton.runs.filters import Search
from lepton.runs.records import Arguments, Assignment, LogPage, Look, MetricPoint, Param, Run, RunState
from lepton.runs.rows import RunRow
from lepton.runs.tracking import Tracking
from lepton.runs.verdict import judge, startable
from lepton.store.blobs import BlobStore
from lepton.store.ciphers import derive
from lepton.store.database import Database
from lepton.store.keys import Keyring

MAX_WORKERS = 64
_STATE_MESSAGES = {
    RunState.QUEUED: "waiting for free workers",
    RunState.RUNNING: "starting",
    RunState.SUCCEEDED: "done",
    RunState.FAILED: "failed",
    RunState.CANCELLED: "cancelled",
}


class Runs(Tracking):
    """Slow work: who asked for it, how it goes, how it ended."""

    def __init__(
        self,
        *,
        database: Database,
        guard: Guard,
        keyring: Keyring,
        blobs: BlobStore,
        engine: Engine,
        settings: Settings,
        clock: Clock,
    ) -> None:
        super().__init__(database=database, guard=guard, keyring=keyring, blobs=blobs, settings=settings, clock=clock)
        self._engine = engine
        self._environment = {
            "LEPTON_HOME": str(settings.home),
            "LEPTON_CATALOG": settings.catalog,
            "LEPTON_MAX_UPLOAD_MB": str(settings.max_upload_bytes >> 20),
        }
        self._pending: dict[str, builtins.list[MetricPoint]] = {}
        self._lock = threading.Lock()
        self.changed = threading.Event()
        """Set when there is, or is about to be, something for the controller to do."""
        self.command: tuple[str, ...] = (sys.executable, "-m", "lepton.worker")

    # For people

    def submit(  # noqa: PLR0913 - one call, with everything a run is
        self,
        actor: Actor,
        tx: sa.Connection,
        *,
        project: str,
        task: str,
        arguments: Arguments,
        workers: int = 1,
        inputs: Sequence[str] = (),
        params: Mapping[str, Param] | None = None,
        retry_of: str | None = None,
    ) -> Run:
        """Queue a run inside the caller's guard transaction; it starts after the commit.

        Args:
            actor: In whose name it runs.
            tx: The transaction of the verb that wants it.
            project: Where it belongs.
            task: A key of the table of tasks; the same word as the action that allowed it.
            arguments: JSON object for the task; kept encrypted.
            workers: Number of worker processes.
            inputs: Refs it reads, such as ``dataset:cancer@1``.
            params: Settings to show with it; kept encrypted.
            retry_of: Id of the run it repeats.

        Raises:
            InvalidInput: if `workers` is out of range.
        """
        if not 1 <= workers <= MAX_WORKERS:
            raise InvalidInput(f"A run can have 1 to {MAX_WORKERS} workers, not {workers}. Ask for fewer.")
        run_id = new_id()
        self._keyring.create(project, f"run/{run_id}")
        seal = _Seal(self._keyring, project, run_id)
        row = RunRow(
            id=run_id,
            project=project,
            task=task,
            state=RunState.QUEUED,
            workers=workers,
            user_id=actor.user_id,
            submitted_by=actor.name,
            scopes=actor.scopes,
            created_at=self._clock(),
            sealed_arguments=seal.close("arguments", json.dumps(dict(arguments))),
            sealed_params=seal.close("params", json.dumps(dict(params or {}))),
            inputs=tuple(inputs),
            retry_of=retry_of,
        )
        rows.insert(tx, row)
        self.changed.set()
        return self._run(row)

    def list(
        self,
        actor: Actor,
        *,
        project: str = DEFAULT_PROJECT,
        state: RunState | None = None,
        limit: int = 100,
        search: Search | None = None,
    ) -> builtins.list[Run]:
        """Return the newest runs of a project, newest first; or those that a search wants, as it wants them."""
        with self._guard.allow(actor, "runs.list", project=project) as tx:
            if search is None:
                found = rows.latest(tx, project, state=state, limit=max(0, limit))
            else:
                found = track_rows.search(tx, project, search)
        return [self._run(row) for row in found]

    def reading(
        self, actor: Actor, ref: str, *, task: str, project: str = DEFAULT_PROJECT, limit: int = 20
    ) -> builtins.list[Run]:
        """Return the newest runs of one task that have read a ref and ended well, such as ``model:cancer@1``."""
        with self._guard.allow(actor, "runs.list", project=project) as tx:
            found = rows.reading(tx, project, ref, task=task, limit=limit)
        return [self._run(row) for row in found]

    def get(self, actor: Actor, run_id: str) -> Run:
        """Return one run.

        Raises:
            NotFound: if there is none of that id that the actor may see.
        """
        project = self._project_of(actor, run_id)
        with self._guard.allow(actor, "runs.get", project=project, target=f"run:{run_id}") as tx:
            row = _found(tx, run_id, project)
        return self._run(row)

    def logs(self, actor: Actor, run_id: str, *, after: int = 0, limit: int = 1000) -> LogPage:
        """Return the lines after a cursor, oldest first; 0 is the beginning."""
        return self.watch_log(actor, run_id, limit=limit)(max(0, after))[1]

    def watch(self, actor: Actor, run_id: str) -> Look:
        """Follow a run to its end, without its log; permission is asked here, once, and each look costs one row."""
        project = self._project_of(actor, run_id)
        with self._guard.allow(actor, "runs.get", project=project, target=f"run:{run_id}") as tx:
            _found(tx, run_id, project)
        return lambda _: self._look(run_id)

    def watch_log(self, actor: Actor, run_id: str, *, limit: int = 1000) -> Look:
        """Follow a run and its log; permission is asked here, once."""
        project = self._project_of(actor, run_id)
        with self._guard.allow(actor, "runs.logs", project=project, target=f"run:{run_id}") as tx:
            _found(tx, run_id, project)
        return lambda after: self._look_at_log(run_id, after, limit)

    def metrics(self, actor: Actor, run_id: str, key: str | None = None) -> builtins.list[MetricPoint]:
        """Return the points of all curves of a run, or of one, those of each in the order in which they came."""
        project = self._project_of(actor, run_id)
        with self._guard.allow(actor, "runs.get", project=project, target=f"run:{run_id}") as tx:
            _found(tx, run_id, project)
            return track_rows.metrics(tx, run_id, key)

    def cancel(self, actor: Actor, run_id: str) -> Run:
        """Ask for the end of a run; one that waits ends at once, one that runs when its workers have ended.

        Raises:
            Conflict: if it has ended already.
        """
        project = self._project_of(actor, run_id)
        with self._guard.allow(actor, "runs.cancel", project=project, target=f"run:{run_id}") as tx:
            row = _found(tx, run_id, project)
            if row.state.has_ended:
                raise Conflict(f"Run {run_id} has already {row.state.value}; there is nothing to cancel.")
            rows.ask_cancel(tx, run_id)
            waiting = None if row.task == rows.OUTSIDE else RunState.QUEUED  # from outside, its client is told
            rows.move(tx, run_id, RunState.CANCELLED, only_from=waiting, ended_at=self._clock())
            row = _found(tx, run_id)
        return self._run(row)

    def retry(self, actor: Actor, run_id: str) -> Run:
        """Submit a failed or cancelled run again, with the same arguments and in the name of the one who asks.

        Raises:
            Conflict: if it is not failed or cancelled.
            Forbidden: if the actor may not do what the run does.
        """
        project = self._project_of(actor, run_id)
        with self._guard.allow(actor, "runs.retry", project=project, target=f"run:{run_id}") as tx:
            row = _found(tx, run_id, project)
            if row.state not in (RunState.FAILED, RunState.CANCELLED):
                raise Conflict(f"Run {run_id} is {row.state.value}; only failed and cancelled runs can be retried.")
            if row.task == rows.OUTSIDE:
                raise Conflict(f"Run {run_id} was recorded from outside. Repeat it where it was started.")
            if not self._guard.may(actor, row.task, project=row.project):
                raise Forbidden(f"To retry this run you must be allowed {row.task}. Ask an owner of the project.")
            seal = _Seal(self._keyring, row.project, run_id)
            return self.submit(
                actor,
                tx,
                project=row.project,
                task=row.task,
                arguments=json.loads(seal.open("arguments", row.sealed_arguments)),
                workers=row.workers,
                inputs=row.inputs,
                params=json.loads(seal.open("params", row.sealed_params)),
                retry_of=run_id,
            )

    # For the worker of a run

    def assignment(self, run_id: str) -> Assignment:
        """Return what a worker that has been started for a run needs to know.

        Raises:
            Conflict: if the run is not running, because it has been cancelled meanwhile.
        """
        with self._database.read() as tx:
            row = _found(tx, run_id)
        if row.state is not RunState.RUNNING:
            raise Conflict(f"Run {run_id} is {row.state.value}; there is nothing to work on.")
        arguments = json.loads(_Seal(self._keyring, row.project, run_id).open("arguments", row.sealed_arguments))
        return Assignment(self._run(row), row.user_id, row.scopes, arguments)

    def record_metrics(self, run_id: str, points: Sequence[MetricPoint]) -> None:
        """Keep points in memory; they are written with the next progress, or with the end of the run."""
        with self._lock:
            self._pending.setdefault(run_id, []).extend(points)

    def record_progress(self, run_id: str, fraction: float, message: str) -> None:
        """Write how far a run is, and all metrics that wait."""
        with self._database.read() as tx:
            sealed = _Seal(self._keyring, _found(tx, run_id).project, run_id).close("message", message)
        points: builtins.list[MetricPoint] = []
        try:
            with self._database.begin() as tx:
                # This locks the row, so points that are taken here are committed before a success can be.
                rows.set_progress(tx, run_id, progress=fraction, sealed_message=sealed)
                points = self._take(run_id)
                track_rows.add_metrics(tx, run_id, points)
        except Exception:
            self._put_back(run_id, points)
            raise

    def succeed(self, tx: sa.Connection, run_id: str, outputs: Sequence[str]) -> None:
        """End a run well, inside the transaction that commits what it made, so that both are one commit.

        Args:
            tx: That transaction.
            run_id: The run.
            outputs: Refs it made, such as ``dataset:cancer@2``.

        Raises:
            Conflict: if it has been cancelled or given up meanwhile; the transaction must not be committed.
        """
        moved = rows.move(
            tx,
            run_id,
            RunState.SUCCEEDED,
            ended_at=self._clock(),
            progress=1.0,
            outputs=list(outputs),
            sealed_message=None,
        )
        if not moved:
            raise Conflict(f"Run {run_id} has ended meanwhile, so nothing of it is kept. See: lepton runs get {run_id}")
        track_rows.add_metrics(tx, run_id, self._take(run_id))

    def fail(self, run_id: str, error: LeptonError) -> None:
        """End a run badly, with a public sentence; does nothing if it has ended already."""
        with self._database.read() as tx:
            row = _found(tx, run_id)
        self._end(row, RunState.FAILED, error.code, error.message)

    # For the controller

    def working(self, tx: sa.Connection) -> bool:
        """Whether any run has workers, or may have."""
        return any(row.state is RunState.RUNNING for row in rows.unended(tx))

    def unsuccessful(self, tx: sa.Connection, task: str, since: datetime) -> builtins.list[Arguments]:
        """Return what those runs of a task were given that have not ended, or have ended badly since a moment."""
        found = []
        for row in rows.unsuccessful(tx, task, since):
            with suppress(NotFound):  # its key has been shredded
                sealed = _Seal(self._keyring, row.project, row.id).open("arguments", row.sealed_arguments)
                found.append(json.loads(sealed))
        return found

    def tick(self) -> bool:
        """Bring the catalog and the engine together: note what ended, end what is cancelled, start what can be.

        Returns:
            Whether a run is queued or running.

        Safe to call from several processes at once: every change of state is a compare-and-set, and an engine starts
        a run once however often it is submitted.
        """
        self.give_up_silent()
        with self._database.read() as tx:
            unended = rows.unended(tx)
        running = [row for row in unended if row.state is RunState.RUNNING]
        queued = [row for row in unended if row.state is RunState.QUEUED]
        still = [row.workers for row in running if not self._reconcile(row)]
        count = startable([row.workers for row in queued], still, self._engine.capacity())
        for row in queued[:count]:
            self._start(row)
        return bool(unended)

    def _reconcile(self, row: RunRow) -> bool:
        """Bring a running run up to date; True if it has ended."""
        status = self._engine.status(row.id)
        if status.phase is EnginePhase.RUNNING:
            if row.cancel_asked:
                self._engine.cancel(row.id)
            return False
        if status.phase is EnginePhase.UNKNOWN and not row.cancel_asked:
            # A control plane died between the commit and the start of the workers.
            return not self._submit(row)
        verdict = judge(row.id, row.workers, status, cancel_asked=row.cancel_asked)
        self._end(row, verdict.state, verdict.code, verdict.message)
        return True

    def _start(self, row: RunRow) -> None:
        text = f"starting {row.workers} workers" if row.workers > 1 else "starting a worker"
        if row.workers > self._engine.capacity():
            text += f", more than this machine has room for at a time ({self._engine.capacity()})"
        try:
            sealed = _Seal(self._keyring, row.project, row.id).close("message", text)
        except NotFound as error:  # its key has been shredded, and with it what it was to do
            self._end(row, RunState.FAILED, error.code, None)
            return
        with self._database.begin() as tx:
            moved = rows.move(tx, row.id, RunState.RUNNING, started_at=self._clock(), sealed_message=sealed)
        if moved:
            self._submit(row)

    def _submit(self, row: RunRow) -> bool:
        try:
            spec = EngineSpec(
                run_id=row.id,
                workers=row.workers,
                argv=(*self.command, row.id),
                environment=self._environment,
                log_key=self._log_key(row),
            )
            self._engine.submit(spec)
        except LeptonError as error:
            self._end(row, RunState.FAILED, error.code, error.message)
            return False
        return True

    # Shared by them

    def _end(self, row: RunRow, state: RunState, code: str | None, message: str | None) -> None:
        sealed = None
        if message is not None:
            with suppress(NotFound):  # without its key the code alone has to do
                sealed = _Seal(self._keyring, row.project, row.id).close("error", message)
        with self._database.begin() as tx:
            moved = rows.move(
                tx,
                row.id,
                state,
                ended_at=self._clock(),
                error_code=code,
                sealed_error=sealed,
                sealed_message=None,
            )
            if moved:
                track_rows.add_metrics(tx, row.id, self._take(row.id))

    def _look(self, run_id: str) -> tuple[Run, LogPage]:
        with self._database.read() as tx:
            row = _found(tx, run_id)
        return self._run(row), LogPage((), 0, ended=row.state.has_ended)

    def _look_at_log(self, run_id: str, after: int, limit: int) -> tuple[Run, LogPage]:
        with self._database.read() as tx:
            row = _found(tx, run_id)
        # Asked before the lines are read: what was written until the workers had ended is then in them.
        gone = row.state.has_ended and self._engine.status(run_id).phase is not EnginePhase.RUNNING
        lines = self._engine.logs(run_id, self._log_key(row), after=after, limit=limit)
        cursor = lines[-1].seq if lines else after
        return self._run(row), LogPage(tuple(lines), cursor, ended=gone and len(lines) < limit)

    def _log_key(self, row: RunRow) -> bytes:
        return derive(self._keyring.get(row.project, f"run/{row.id}"), b"lepton/run-log/1")

    def _run(self, row: RunRow) -> Run:
        seal = _Seal(self._keyring, row.project, row.id)
        try:
            params = json.loads(seal.open("params", row.sealed_params)) if row.sealed_params else {}
            message = seal.open("message", row.sealed_message) if row.sealed_message else _STATE_MESSAGES[row.state]
            error = seal.open("error", row.sealed_error) if row.sealed_error else None
        except NotFound:  # its key has been shredded; that it ran stays known
            params, message, error = {}, _STATE_MESSAGES[row.state], None
        return Run(
            id=row.id,
            project=row.project,
            task=row.task,
            state=row.state,
            workers=row.workers,
            submitted_by=row.submitted_by,
            created_at=row.created_at,
            started_at=row.started_at,
            ended_at=row.ended_at,
            error_code=row.error_code,
            error_message=error,
            progress=row.progress,
            message=message,
            params=params,
            inputs=row.inputs,
            outputs=row.outputs,
            retry_of=row.retry_of,
            cancel_asked=row.cancel_asked,
        )

    def _project_of(self, actor: Actor, run_id: str) -> str:
        """The project of a run, or of the actor: a run it has no business with looks like one that does not exist."""
        with self._database.read() as tx:
            row = rows.find(tx, run_id)
        if row is not None and row.project in actor.roles:
            return row.project
        return DEFAULT_PROJECT if DEFAULT_PROJECT in actor.roles else min(actor.roles, default=DEFAULT_PROJECT)

    def _take(self, run_id: str) -> builtins.list[MetricPoint]:
        with self._lock:
            return self._pending.pop(run_id, [])

    def _put_back(self, run_id: str, points: Sequence[MetricPoint]) -> None:
        with self._lock:
            self._pending[run_id] = [*points, *self._pending.get(run_id, [])]


@dataclass(frozen=True)
class _Seal:
    """Encrypts the texts of one run under its own key, each for its own place."""

    keyring: Keyring
    project: str
    run_id: str

    def close(self, place: str, text: str) -> bytes:
        scope = f"run/{self.run_id}"
        self.keyring.get(self.project, scope)  # sealing alone would replace a key that was shredded on purpose
        return self.keyring.seal(self.project, scope, text.encode(), label=f"{scope}/{place}")

    def open(self, place: str, sealed: bytes) -> str:
        scope = f"run/{self.run_id}"
        return self.keyring.unseal(self.project, scope, sealed, label=f"{scope}/{place}").decode()


def _found(tx: sa.Connection, run_id: str, project: str | None = None) -> RunRow:
    row = rows.find(tx, run_id)
    if row is None or project not in (None, row.project):
        raise NotFound(f"There is no run {run_id[:40]!r}. See the runs there are with: lepton runs list")
    return row
