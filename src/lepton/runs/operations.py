"""The verbs of runs: for people (through the guard) and for the worker of a run.

A run is submitted inside the transaction of the verb that wants it, and succeeds inside the transaction that commits
what it made. Everything in between is told by the worker; what a worker cannot tell, `dispatch` finds out.
"""

from __future__ import annotations

import builtins
import json
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime

import sqlalchemy as sa

from lepton.access.guard import Guard
from lepton.access.records import DEFAULT_PROJECT, Actor, RunHolder
from lepton.core.clock import Clock
from lepton.core.errors import Conflict, Forbidden, LeptonError, NotFound
from lepton.core.ids import new_id
from lepton.core.settings import Settings
from lepton.runs import rows, tokens, track_rows
from lepton.runs.cron import next_time
from lepton.runs.dispatch import (
    Dispatch,
    attempt_id,
    copy_of,
    cpu_seconds,
    engine_id,
    log_key,
    month_of,
    sealing,
)  # fmt: skip
from lepton.runs.engines.port import Engine, EnginePhase
from lepton.runs.filters import Search
from lepton.runs.queue import DEPTH, used_by_project
from lepton.runs.records import (
    AS_USUAL,
    Arguments,
    Assignment,
    LogLine,
    LogPage,
    Look,
    MetricPoint,
    Param,
    ProjectUse,
    Queue,
    QueuedRun,
    Quota,
    Resources,
    Run,
    RunState,
    Schedule,
    Scheduling,
    Use,
)  # fmt: skip
from lepton.runs.rows import RunRow, ScheduleRow
from lepton.runs.scheduling import check, check_quota, fingerprint
from lepton.runs.thinning import Window
from lepton.runs.tracking import Tracking, place_of
from lepton.store.blobs import BlobStore
from lepton.store.database import Database
from lepton.store.keys import Keyring

_LINES_PER_ATTEMPT = 1 << 32
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
        environment = {
            "LEPTON_HOME": str(settings.home),
            "LEPTON_CATALOG": settings.catalog,
            "LEPTON_MAX_UPLOAD_MB": str(settings.max_upload_bytes >> 20),
        }
        self._dispatch = Dispatch(
            database, keyring, engine, clock, environment,
            chores=[self.give_up_silent],
            note=lambda tx, action, project, target: guard.note_own(tx, action, project=project, target=target),
        )  # fmt: skip
        self.changed = self._dispatch.changed
        """Set when there is, or is about to be, something for the controller to do."""
        self._pending: dict[str, builtins.list[MetricPoint]] = {}
        self._lock = threading.Lock()

    @property
    def dispatch(self) -> Dispatch:
        """What starts runs and notices their ends."""
        return self._dispatch

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
        scheduling: Scheduling = AS_USUAL,
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
            scheduling: How it is queued.

        Returns:
            The run; if one was submitted under the same key before, that one.

        Raises:
            InvalidInput: if `workers` or a part of `scheduling` is out of range.
            NotFound: if there is no run of the project that it is to start after.
        """
        check(workers, scheduling)
        if scheduling.key and (there := rows.find_key(tx, project, actor.user_id, scheduling.key)) is not None:
            return self._run(there)
        before = [_found(tx, run_id, project) for run_id in scheduling.after]
        run_id = new_id()
        self._keyring.create(project, f"run/{run_id}")
        seal = sealing(self._keyring, project, run_id)
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
            resources=scheduling.resources,
            priority=scheduling.priority,
            preemptible=scheduling.preemptible,
            retries=scheduling.retries,
            timeout_s=scheduling.timeout_s,
            after=scheduling.after,
            is_held=bool(scheduling.after),
            key=scheduling.key,
            fingerprint=fingerprint(scheduling.reuse, [one.fingerprint for one in before]),
            bundle=arguments.get("bundle"),
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
        told: Mapping[str, Mapping[str, Param]] = {}
        with self._guard.allow(actor, "runs.list", project=project) as tx:
            if search is None:
                found = rows.latest(tx, project, state=state, limit=max(0, limit))
            else:
                found = track_rows.search(tx, project, search)
                told = track_rows.columns(tx, [row.id for row in found], search.columns)
        return [replace(self._run(row), columns=told.get(row.id, {})) for row in found]

    def reading(
        self, actor: Actor, ref: str, *, task: str, project: str = DEFAULT_PROJECT, limit: int = 20
    ) -> builtins.list[Run]:
        """Return the newest runs of one task that have read a ref and ended well, such as ``model:cancer@1``."""
        with self._guard.allow(actor, "runs.list", project=project) as tx:
            found = rows.reading(tx, project, ref, task=task, limit=limit)
        return [self._run(row) for row in found]

    def submitted(self, actor: Actor, key: str, *, project: str = DEFAULT_PROJECT) -> Run | None:
        """Return the run that the actor has submitted with a key, or None."""
        with self._guard.allow(actor, "runs.get", project=project) as tx:
            row = rows.find_key(tx, project, actor.user_id, key)
        return None if row is None else self._run(row)

    def has_key(self, tx: sa.Connection, actor: Actor, key: str | None, *, project: str) -> bool:
        """Whether the actor has submitted a run with a key."""
        return key is not None and rows.find_key(tx, project, actor.user_id, key) is not None

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

    def metrics(
        self, actor: Actor, run_id: str, keys: Sequence[str] = (), window: Window | None = None
    ) -> builtins.list[MetricPoint]:
        """Return the points of a run's curves (all if no key is given), those of each in the order in which they came.

        With a window they are in the order of their steps, and no more than fit into it.
        """
        project = self._project_of(actor, run_id)
        with self._guard.allow(actor, "runs.get", project=project, target=f"run:{run_id}") as tx:
            _found(tx, run_id, project)
            return track_rows.metrics(tx, run_id, keys, window)

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
            self._may_repeat(actor, row)
            again = copy_of(row, new_id(), self._keyring, self._clock())
            again = replace(again, user_id=actor.user_id, submitted_by=actor.name, scopes=actor.scopes, retry_of=run_id)
            rows.insert(tx, again)
        self.changed.set()
        return self._run(again)

    def queue(self, actor: Actor, *, project: str = DEFAULT_PROJECT) -> Queue:
        """Return what there is to compute with, what the actor's projects use of it, and why their runs wait."""
        now, mine = self._clock(), sorted(actor.roles)
        with self._guard.allow(actor, "runs.queue", project=project) as tx:
            running, first, held = rows.running(tx), rows.first(tx, now, DEPTH), rows.held(tx)
            counts, quotas = rows.count_unended(tx), rows.quotas(tx)
            hours = rows.cpu_hours(tx, [p for p in mine if quotas.get(p, Quota()).hours is not None], month_of(now))
            later = rows.waiting_for_a_time(tx, now)
        uses = used_by_project((row.project, row.needs) for row in running)
        projects = (
            ProjectUse(
                name, uses.get(name, Use()), counts.get((name, RunState.QUEUED), 0), quotas.get(name, Quota()),
                hours.get(name, 0.0),
            )
            for name in mine
        )  # fmt: skip
        others = [use for name, use in uses.items() if name not in actor.roles]
        waiting = tuple(self._waiting(row) for row in (*first, *held, *later) if row.project in actor.roles)
        total = Use(sum((use.resources for use in others), Resources.NONE), sum(use.running for use in others))
        machines = tuple(machine.has for machine in self._dispatch.machines())
        return Queue(machines, tuple(projects), total, waiting)

    def quota(self, actor: Actor, *, project: str = DEFAULT_PROJECT) -> Quota:
        """Return what a project may use at most."""
        with self._guard.allow(actor, "runs.quota", project=project) as tx:
            return rows.quotas(tx).get(project, Quota())

    def limit(self, actor: Actor, quota: Quota, *, project: str = DEFAULT_PROJECT) -> Quota:
        """Replace what a project may use at most; what runs already goes on.

        Raises:
            InvalidInput: if a part of it is negative.
        """
        check_quota(quota)
        with self._guard.allow(actor, "runs.limit", project=project, target=f"project:{project}") as tx:
            if not actor.is_admin:
                raise Forbidden("A quota is set by who owns the platform: an owner of the project 'default'. Ask one.")
            rows.set_quota(tx, project, quota)
        self.changed.set()
        return quota

    def schedule(self, actor: Actor, run_id: str, cron: str, *, timezone: str = "UTC") -> Schedule:
        """Repeat a run again and again, with what it was given, in the name of the one who asks.

        Args:
            actor: Who asks.
            run_id: The run.
            cron: Minute, hour, day of the month, month and day of the week, or a word such as ``@daily``.
            timezone: In which they are meant, such as ``Europe/Berlin``.

        Raises:
            InvalidInput: if `cron` or `timezone` cannot be understood.
            Forbidden: if the actor may not do what the run does.
        """
        now = self._clock()
        next_at = next_time(cron, timezone, now)
        project = self._project_of(actor, run_id)
        with self._guard.allow(actor, "runs.schedule", project=project, target=f"run:{run_id}") as tx:
            row = _found(tx, run_id, project)
            self._may_repeat(actor, row)
            made = ScheduleRow(
                new_id(), project, run_id, cron, timezone, now, actor.name, actor.user_id, actor.scopes, next_at
            )
            rows.add_schedule(tx, made)
        self.changed.set()
        return _schedule(made)

    def schedules(self, actor: Actor, *, project: str = DEFAULT_PROJECT) -> builtins.list[Schedule]:
        """Return the schedules of a project, oldest first."""
        with self._guard.allow(actor, "runs.schedules", project=project) as tx:
            return [_schedule(row) for row in rows.schedules(tx, project)]

    def unschedule(self, actor: Actor, schedule_id: str, *, project: str = DEFAULT_PROJECT) -> None:
        """Remove a schedule; runs that came of it stay.

        Raises:
            NotFound: if there is no such schedule in the project.
        """
        with self._guard.allow(actor, "runs.unschedule", project=project, target=f"schedule:{schedule_id[:40]}") as tx:
            if not rows.remove_schedule(tx, project, schedule_id):
                raise NotFound(
                    f"There is no schedule {schedule_id[:40]!r} in project {project!r}. See: lepton runs schedules"
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
        arguments = json.loads(sealing(self._keyring, row.project, run_id).open("arguments", row.sealed_arguments))
        return Assignment(self._run(row), row.user_id, row.scopes, arguments)

    def record_metrics(self, run_id: str, points: Sequence[MetricPoint]) -> None:
        """Keep points in memory; they are written with the next progress, or with the end of the run."""
        with self._lock:
            self._pending.setdefault(run_id, []).extend(points)

    def record_progress(self, run_id: str, fraction: float, message: str) -> None:
        """Write how far a run is, and all metrics that wait."""
        with self._database.read() as tx:
            sealed = sealing(self._keyring, _found(tx, run_id).project, run_id).close("message", message)
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
        now = self._clock()
        moved = rows.move(
            tx, run_id, RunState.SUCCEEDED, only_from=RunState.RUNNING, ended_at=now, progress=1.0,
            outputs=list(outputs), sealed_message=None, cpu_seconds=cpu_seconds(_found(tx, run_id), now),
        )  # fmt: skip
        if not moved:
            raise Conflict(f"Run {run_id} has ended meanwhile, so nothing of it is kept. See: lepton runs get {run_id}")
        track_rows.add_metrics(tx, run_id, self._take(run_id))

    def made(self, tx: sa.Connection, run_id: str, outputs: Sequence[str]) -> None:
        """Note what a run that goes on has made, as `succeed` does of one that ends."""
        if not rows.set_outputs(tx, run_id, outputs):
            raise Conflict(f"Run {run_id} has ended meanwhile, so nothing of it is kept. See: lepton runs get {run_id}")

    def fail(self, run_id: str, error: LeptonError) -> None:
        """End a run badly, with a public sentence; does nothing if it has ended already."""
        with self._database.read() as tx:
            row = _found(tx, run_id)
        self._end(row, RunState.FAILED, error.code, error.message)

    def holder(self, token: str) -> RunHolder | None:
        """Return whom the token of a run speaks for; None unless that run is running, and was started with it."""
        with self._database.read() as tx:
            row = rows.find(tx, tokens.run_of(token))
        if row is None or row.state is not RunState.RUNNING or row.started_at is None:
            return None
        try:
            key = self._keyring.get(row.project, f"run/{row.id}")
        except NotFound:  # it has been shredded
            return None
        if not tokens.is_right(token, key, row.id, row.started_at):
            return None
        return RunHolder(row.id, row.project, row.user_id, row.scopes)

    # For the platform

    def bundles(self, tx: sa.Connection) -> set[str]:
        """Return the ids of the folders that runs were submitted with."""
        return rows.bundles(tx)

    def working(self, tx: sa.Connection) -> bool:
        """Whether any run has workers, or may have."""
        return bool(rows.running(tx))

    def unsuccessful(self, tx: sa.Connection, task: str, since: datetime) -> builtins.list[Arguments]:
        """Return what those runs of a task were given that have not ended, or have ended badly since a moment."""
        found = []
        for row in rows.unsuccessful(tx, task, since):
            with suppress(NotFound):  # its key has been shredded
                sealed = sealing(self._keyring, row.project, row.id).open("arguments", row.sealed_arguments)
                found.append(json.loads(sealed))
        return found

    # Shared by them

    def _end(self, row: RunRow, state: RunState, code: str | None, message: str | None) -> None:
        sealed, now = None, self._clock()
        if message is not None:
            with suppress(NotFound):  # without its key the code alone has to do
                sealed = sealing(self._keyring, row.project, row.id).close("error", message)
        with self._database.begin() as tx:
            moved = rows.move(
                tx, row.id, state, ended_at=now, error_code=code, sealed_error=sealed, sealed_message=None,
                cpu_seconds=cpu_seconds(row, now),
            )  # fmt: skip
            if moved:
                track_rows.add_metrics(tx, row.id, self._take(row.id))

    def _may_repeat(self, actor: Actor, row: RunRow) -> None:
        if not self._guard.may(actor, row.task, project=row.project):
            raise Forbidden(f"To repeat this run you must be allowed {row.task}. Ask an owner of the project.")

    def _waiting(self, row: RunRow) -> QueuedRun:
        return QueuedRun(
            row.id, row.project, row.task, row.submitted_by, row.created_at, row.needs, row.priority,
            self._dispatch.reason(row) or _STATE_MESSAGES[RunState.QUEUED],
        )  # fmt: skip

    def _look(self, run_id: str) -> tuple[Run, LogPage]:
        with self._database.read() as tx:
            row = _found(tx, run_id)
        return self._run(row), LogPage((), 0, ended=row.state.has_ended)

    def _look_at_log(self, run_id: str, after: int, limit: int) -> tuple[Run, LogPage]:
        with self._database.read() as tx:
            row = _found(tx, run_id)
        # Asked before the lines are read: what was written until the workers had ended is then in them.
        engine = self._dispatch.engine_of(row)
        gone = row.state.has_ended and engine.status(engine_id(row)).phase is not EnginePhase.RUNNING
        lines: builtins.list[LogLine] = []
        attempt, seq = divmod(after, _LINES_PER_ATTEMPT)
        key = log_key(self._keyring, row.project, row.id)
        while attempt <= row.attempt and len(lines) < limit:
            found = engine.logs(attempt_id(run_id, attempt), key, after=seq, limit=limit - len(lines))
            lines += [replace(line, seq=attempt * _LINES_PER_ATTEMPT + line.seq) for line in found]
            attempt, seq = attempt + 1, 0
        cursor = lines[-1].seq if lines else after
        return self._run(row), LogPage(tuple(lines), cursor, ended=gone and len(lines) < limit)

    def _run(self, row: RunRow) -> Run:
        seal = sealing(self._keyring, row.project, row.id)
        try:
            params = json.loads(seal.open("params", row.sealed_params)) if row.sealed_params else {}
            message = seal.open("message", row.sealed_message) if row.sealed_message else self._message(row)
            error = seal.open("error", row.sealed_error) if row.sealed_error else None
        except NotFound:  # its key has been shredded; that it ran stays known
            params, message, error = {}, self._message(row), None
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
            resources=row.resources,
            priority=row.priority,
            attempt=row.attempt,
            retries=row.retries,
            timeout_s=row.timeout_s,
            after=row.after,
            reused_from=row.reused_from,
        )

    def _message(self, row: RunRow) -> str:
        if row.state is RunState.QUEUED and (reason := self._dispatch.reason(row)) is not None:
            return reason
        if row.reused_from is not None:
            return f"reused what run {row.reused_from} made: same code, same inputs"
        return _STATE_MESSAGES[row.state]

    def _project_of(self, actor: Actor, run_id: str) -> str:
        with self._database.read() as tx:
            return place_of(actor, rows.project_of(tx, run_id))

    def _take(self, run_id: str) -> builtins.list[MetricPoint]:
        with self._lock:
            return self._pending.pop(run_id, [])

    def _put_back(self, run_id: str, points: Sequence[MetricPoint]) -> None:
        with self._lock:
            self._pending[run_id] = [*points, *self._pending.get(run_id, [])]


def _found(tx: sa.Connection, run_id: str, project: str | None = None) -> RunRow:
    row = rows.find(tx, run_id)
    if row is None or project not in (None, row.project):
        raise NotFound(f"There is no run {run_id[:40]!r}. See the runs there are with: lepton runs list")
    return row


def _schedule(row: ScheduleRow) -> Schedule:
    return Schedule(
        row.id, row.run_id, row.cron, row.timezone, row.created_at, row.created_by, row.next_at, row.last_run_id,
        row.skipped,
    )  # fmt: skip
