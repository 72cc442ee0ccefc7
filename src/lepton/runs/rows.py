"""The only SQL of runs. Sentences that may name a column (messages, errors, params) are sealed before they get here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from lepton.runs.records import ONE_CPU, TRANSITIONS, Quota, Resources, RunState, Stopping
from lepton.store.database import UtcDateTime, metadata

runs = sa.Table(
    "runs",
    metadata,
    sa.Column("id", sa.String(26), primary_key=True),
    sa.Column("project", sa.String(64), nullable=False),
    sa.Column("task", sa.String(64), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("workers", sa.Integer, nullable=False),
    sa.Column("user_id", sa.String(26), nullable=False),
    sa.Column("submitted_by", sa.String(64), nullable=False),
    sa.Column("scopes", sa.JSON(none_as_null=True)),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("started_at", UtcDateTime),
    sa.Column("ended_at", UtcDateTime),
    sa.Column("cancel_asked", sa.Boolean, nullable=False),
    sa.Column("progress", sa.Float, nullable=False),
    sa.Column("error_code", sa.String(32)),
    sa.Column("inputs", sa.JSON, nullable=False),
    sa.Column("outputs", sa.JSON, nullable=False),
    sa.Column("retry_of", sa.String(26)),
    sa.Column("bundle", sa.String(26)),
    sa.Column("sealed_arguments", sa.LargeBinary, nullable=False),
    sa.Column("sealed_params", sa.LargeBinary, nullable=False),
    sa.Column("sealed_message", sa.LargeBinary),
    sa.Column("sealed_error", sa.LargeBinary),
    sa.Column("cpus", sa.Float),
    sa.Column("memory_mb", sa.Integer),
    sa.Column("gpus", sa.Integer),
    sa.Column("priority", sa.Integer),
    sa.Column("preemptible", sa.Boolean),
    sa.Column("retries", sa.Integer),
    sa.Column("timeout_s", sa.Float),
    sa.Column("after", sa.JSON(none_as_null=True)),
    sa.Column("is_held", sa.Boolean),
    sa.Column("not_before", UtcDateTime),
    sa.Column("attempt", sa.Integer),
    sa.Column("failures", sa.Integer),
    sa.Column("stopping", sa.String(16)),
    sa.Column("cpu_seconds", sa.Float),
    sa.Column("key", sa.String(128)),
    sa.Column("fingerprint", sa.String(64)),
    sa.Column("reused_from", sa.String(26)),
    sa.Column("deleted_at", UtcDateTime),
    sa.Index("ix_runs_project_created_at", "project", "created_at"),
    sa.Index("ix_runs_state", "state"),
    sa.Index("ix_runs_project_fingerprint", "project", "fingerprint"),
    sa.Index("ix_runs_project_user_id_key", "project", "user_id", "key", unique=True),
)

run_quotas = sa.Table(
    "run_quotas",
    metadata,
    sa.Column("project", sa.String(64), primary_key=True),
    sa.Column("cpus", sa.Float),
    sa.Column("memory_mb", sa.Integer),
    sa.Column("gpus", sa.Integer),
    sa.Column("running", sa.Integer),
    sa.Column("hours", sa.Float),
)

run_schedules = sa.Table(
    "run_schedules",
    metadata,
    sa.Column("id", sa.String(26), primary_key=True),
    sa.Column("project", sa.String(64), nullable=False, index=True),
    sa.Column("run_id", sa.String(26), sa.ForeignKey("runs.id"), nullable=False),
    sa.Column("cron", sa.String(100), nullable=False),
    sa.Column("timezone", sa.String(64), nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("created_by", sa.String(64), nullable=False),
    sa.Column("user_id", sa.String(26), nullable=False),
    sa.Column("scopes", sa.JSON(none_as_null=True)),
    sa.Column("next_at", UtcDateTime, nullable=False, index=True),
    sa.Column("last_run_id", sa.String(26)),
    sa.Column("skipped", sa.Integer, nullable=False),
)

OUTSIDE = "runs.create"
"""The task of a run whose work is done elsewhere: no engine has it."""


def _first(*about: sa.Column[Any]) -> sa.Select[Any]:
    order = (sa.func.coalesce(runs.c.priority, 0).desc(), runs.c.created_at, runs.c.id)
    number = sa.func.row_number().over(partition_by=runs.c.project, order_by=order)
    waiting = sa.select(runs.c.id, number.label("number")).where(
        runs.c.state == RunState.QUEUED.value,
        runs.c.is_held.isnot(True),
        sa.or_(runs.c.not_before.is_(None), runs.c.not_before <= sa.bindparam("now", type_=UtcDateTime())),
    )
    numbered = waiting.subquery()
    query = sa.select(*about).join(numbered, runs.c.id == numbered.c.id)
    return query.where(numbered.c.number <= sa.bindparam("depth")).order_by(*order)


# Made once: to put such a statement together takes several times as long as SQLite takes to answer it.
_FIND = sa.select(runs).where(runs.c.id == sa.bindparam("run_id"))
_FIND_KEY = sa.select(runs).where(
    runs.c.project == sa.bindparam("in_project"),
    runs.c.user_id == sa.bindparam("of_user"),
    runs.c.key == sa.bindparam("under_key"),
)
_BY_AGE = (runs.c.created_at, runs.c.id)
_RUNNING = sa.select(runs).where(runs.c.state == RunState.RUNNING.value, runs.c.task != OUTSIDE).order_by(*_BY_AGE)
_HELD = sa.select(runs).where(runs.c.state == RunState.QUEUED.value, runs.c.is_held.is_(True)).order_by(*_BY_AGE)
_FIRST = _first(*runs.c)
_CANDIDATES = _first(
    runs.c.id, runs.c.project, runs.c.task, runs.c.created_at, runs.c.not_before, runs.c.priority, runs.c.workers,
    runs.c.cpus, runs.c.memory_mb, runs.c.gpus,
)  # fmt: skip
_COUNT_UNENDED = (
    sa.select(runs.c.project, runs.c.state, sa.func.count())
    .where(runs.c.state.in_([state.value for state in RunState if not state.has_ended]), runs.c.task != OUTSIDE)
    .group_by(runs.c.project, runs.c.state)
)
_DUE = (
    sa.select(run_schedules)
    .where(run_schedules.c.next_at <= sa.bindparam("now", type_=UtcDateTime()))
    .order_by(run_schedules.c.id)
)
_MOVE = runs.update().where(
    runs.c.id == sa.bindparam("run_id"), runs.c.state.in_(sa.bindparam("allowed", expanding=True))
)
_QUOTAS = sa.select(run_quotas)


@dataclass(frozen=True)
class RunRow:
    """A row of the catalog, with its sealed parts still sealed."""

    id: str
    project: str
    task: str
    state: RunState
    workers: int
    user_id: str
    submitted_by: str
    scopes: frozenset[str] | None
    created_at: datetime
    sealed_arguments: bytes
    sealed_params: bytes
    inputs: tuple[str, ...] = ()
    retry_of: str | None = None
    bundle: str | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    cancel_asked: bool = False
    progress: float = 0.0
    error_code: str | None = None
    outputs: tuple[str, ...] = ()
    sealed_message: bytes | None = None
    sealed_error: bytes | None = None
    resources: Resources = ONE_CPU
    priority: int = 0
    preemptible: bool = False
    retries: int = 0
    timeout_s: float | None = None
    after: tuple[str, ...] = ()
    is_held: bool = False
    not_before: datetime | None = None
    attempt: int = 0
    failures: int = 0
    stopping: Stopping | None = None
    cpu_seconds: float = 0.0
    key: str | None = None
    fingerprint: str | None = None
    reused_from: str | None = None
    deleted_at: datetime | None = None

    @property
    def needs(self) -> Resources:
        """What all of its workers take together."""
        return self.resources.times(self.workers)


@dataclass(frozen=True, slots=True)
class QueuedRow:
    """As much of a run that may start as it takes to decide whether it does: many are read, and few start."""

    id: str
    project: str
    task: str
    created_at: datetime
    not_before: datetime | None
    priority: int
    needs: Resources
    workers: int = 1


@dataclass(frozen=True)
class ScheduleRow:
    """A schedule, with everything that its runs need.

    Attributes:
        run_id: The run that is repeated.
        timezone: In which the times of `cron` are meant.
        skipped: How many times in a row it was passed over, as the run before had not ended.
    """

    id: str
    project: str
    run_id: str
    cron: str
    timezone: str
    created_at: datetime
    created_by: str
    user_id: str
    scopes: frozenset[str] | None
    next_at: datetime
    last_run_id: str | None = None
    skipped: int = 0


def insert(tx: sa.Connection, row: RunRow) -> None:
    """Add a run."""
    values = {name: getattr(row, name) for name in map(str, runs.columns.keys()) if hasattr(row, name)}
    values |= {"state": row.state.value, "inputs": list(row.inputs), "outputs": list(row.outputs)}
    values |= {"cpus": row.resources.cpus, "memory_mb": row.resources.memory_mb, "gpus": row.resources.gpus}
    values |= {"after": list(row.after) or None, "scopes": None if row.scopes is None else sorted(row.scopes)}
    tx.execute(runs.insert(), values)


def insert_new(tx: sa.Connection, row: RunRow) -> RunRow | None:
    """Add a run unless there is one of its id, which is returned then."""
    try:
        with tx.begin_nested():  # so that the transaction outlasts a refusal
            insert(tx, row)
    except sa.exc.IntegrityError:
        return find(tx, row.id)
    return None


def find(tx: sa.Connection, run_id: str) -> RunRow | None:
    """Return one run, or None."""
    row = tx.execute(_FIND, {"run_id": run_id}).one_or_none()
    return None if row is None else row_of(row)


def project_of(tx: sa.Connection, run_id: str) -> str | None:
    """Return where a run is, or None if there is none."""
    return tx.execute(sa.select(runs.c.project).where(runs.c.id == run_id)).scalar_one_or_none()


def latest(tx: sa.Connection, project: str, *, state: RunState | None, limit: int) -> list[RunRow]:
    """Return the newest runs of a project, newest first."""
    query = sa.select(runs).where(runs.c.project == project, runs.c.deleted_at.is_(None))
    if state is not None:
        query = query.where(runs.c.state == state.value)
    return [row_of(row) for row in tx.execute(query.order_by(runs.c.created_at.desc(), runs.c.id.desc()).limit(limit))]


def reading(tx: sa.Connection, project: str, ref: str, *, task: str, limit: int) -> list[RunRow]:
    """Return the newest runs of one task that have read a ref and succeeded, newest first."""
    inputs = sa.cast(runs.c.inputs, sa.Text)  # the list as it is written in JSON; a ref needs no escapes there
    query = sa.select(runs).where(
        runs.c.project == project,
        runs.c.task == task,
        runs.c.state == RunState.SUCCEEDED.value,
        inputs.contains(f'"{ref}"', autoescape=True),
    )
    return [row_of(row) for row in tx.execute(query.order_by(runs.c.created_at.desc(), runs.c.id.desc()).limit(limit))]


def find_key(tx: sa.Connection, project: str, user_id: str, key: str) -> RunRow | None:
    """Return the run that a user submitted under a key, or None."""
    row = tx.execute(_FIND_KEY, {"in_project": project, "of_user": user_id, "under_key": key}).one_or_none()
    return None if row is None else row_of(row)


def same(tx: sa.Connection, project: str, fingerprint: str) -> RunRow | None:
    """Return the newest run with a fingerprint that has succeeded by itself, or None."""
    query = sa.select(runs).where(
        runs.c.project == project,
        runs.c.fingerprint == fingerprint,
        runs.c.state == RunState.SUCCEEDED.value,
        runs.c.reused_from.is_(None),
    )
    row = tx.execute(query.order_by(runs.c.created_at.desc()).limit(1)).one_or_none()
    return None if row is None else row_of(row)


def several(tx: sa.Connection, ids: Iterable[str]) -> list[RunRow]:
    """Return those of some runs that there are, in any order."""
    wanted = sorted(set(ids))
    parts = [wanted[i : i + 500] for i in range(0, len(wanted), 500)]  # SQLite takes 32,766 of them at most
    return [row_of(row) for part in parts for row in tx.execute(sa.select(runs).where(runs.c.id.in_(part)))]


def running(tx: sa.Connection) -> list[RunRow]:
    """Return the running runs of all projects that an engine works on, first submitted first."""
    return [row_of(row) for row in tx.execute(_RUNNING)]


def held(tx: sa.Connection) -> list[RunRow]:
    """Return the runs that wait for others to succeed, of all projects, first submitted first."""
    return [row_of(row) for row in tx.execute(_HELD)]


def waiting_for_a_time(tx: sa.Connection, now: datetime) -> list[RunRow]:
    """Return the runs that are tried again later, first to be tried first."""
    query = sa.select(runs).where(
        runs.c.state == RunState.QUEUED.value, runs.c.is_held.isnot(True), runs.c.not_before > now
    )
    return [row_of(row) for row in tx.execute(query.order_by(runs.c.not_before, runs.c.id))]


def first(tx: sa.Connection, now: datetime, depth: int) -> list[RunRow]:
    """Return the runs that may start, at most `depth` of each project, first to start first."""
    return [row_of(row) for row in tx.execute(_FIRST, {"now": now, "depth": depth})]


def candidates(tx: sa.Connection, now: datetime, depth: int) -> list[QueuedRow]:
    """Return the same, with what is decided by alone."""
    found = []
    rows = tx.execute(_CANDIDATES, {"now": now, "depth": depth})
    for run_id, project, task, made, later, priority, workers, *needs in rows:
        cpus, memory_mb, gpus = needs
        each = Resources(1.0 if cpus is None else cpus, memory_mb or 0, gpus or 0)
        found.append(QueuedRow(run_id, project, task, made, later, priority or 0, each.times(workers), workers))
    return found


def count_unended(tx: sa.Connection) -> dict[tuple[str, RunState], int]:
    """Return how many runs each project has that wait and that run."""
    return {(project, RunState(state)): count for project, state, count in tx.execute(_COUNT_UNENDED)}


def bundles(tx: sa.Connection) -> set[str]:
    """Return the ids of all folders that runs were submitted with."""
    return set(tx.execute(sa.select(runs.c.bundle).where(runs.c.bundle.is_not(None))).scalars())


def cpu_hours(tx: sa.Connection, projects: Iterable[str], since: datetime) -> dict[str, float]:
    """Return the processor hours of the runs of some projects that have ended since a moment, without what runs."""
    query = sa.select(runs.c.project, sa.func.sum(runs.c.cpu_seconds)).where(
        runs.c.project.in_(list(projects)), runs.c.ended_at >= since
    )
    return {project: (seconds or 0.0) / 3600 for project, seconds in tx.execute(query.group_by(runs.c.project))}


def quotas(tx: sa.Connection) -> dict[str, Quota]:
    """Return the quotas of the projects that have one."""
    found = tx.execute(_QUOTAS)
    return {row.project: Quota(row.cpus, row.memory_mb, row.gpus, row.running, row.hours) for row in found}


def set_quota(tx: sa.Connection, project: str, quota: Quota) -> None:
    """Replace the quota of a project."""
    tx.execute(run_quotas.delete().where(run_quotas.c.project == project))
    if quota != Quota():
        tx.execute(run_quotas.insert().values(project=project, **asdict(quota)))


def add_schedule(tx: sa.Connection, row: ScheduleRow) -> None:
    """Add a schedule."""
    values = vars(row) | {"scopes": None if row.scopes is None else sorted(row.scopes)}
    tx.execute(run_schedules.insert().values(values))


def schedules(tx: sa.Connection, project: str) -> list[ScheduleRow]:
    """Return the schedules of a project, oldest first."""
    query = sa.select(run_schedules).where(run_schedules.c.project == project)
    return [_schedule(row) for row in tx.execute(query.order_by(run_schedules.c.id))]


def due(tx: sa.Connection, now: datetime) -> list[ScheduleRow]:
    """Return the schedules whose moment has come."""
    return [_schedule(row) for row in tx.execute(_DUE, {"now": now})]


def go_on(tx: sa.Connection, row: ScheduleRow, next_at: datetime, last_run_id: str | None, *, skipped: int) -> bool:
    """Set when a schedule is due next; False if another has, or it is gone."""
    query = run_schedules.update().where(run_schedules.c.id == row.id, run_schedules.c.next_at == row.next_at)
    return tx.execute(query.values(next_at=next_at, last_run_id=last_run_id, skipped=skipped)).rowcount == 1


def remove_schedule(tx: sa.Connection, project: str, schedule_id: str) -> bool:
    """Remove a schedule; False if there is none."""
    query = run_schedules.delete().where(run_schedules.c.project == project, run_schedules.c.id == schedule_id)
    return tx.execute(query).rowcount == 1


def unsuccessful(tx: sa.Connection, task: str, since: datetime) -> list[RunRow]:
    """Return the runs of a task that have not ended, or that have failed or were cancelled since a moment."""
    late = sa.or_(runs.c.ended_at.is_(None), runs.c.ended_at > since)
    query = sa.select(runs).where(runs.c.task == task, runs.c.state != RunState.SUCCEEDED.value, late)
    return [row_of(row) for row in tx.execute(query)]


def move(tx: sa.Connection, run_id: str, to: RunState, *, only_from: RunState | None = None, **values: Any) -> bool:
    """Change the state, if what it is now allows that; False if it does not, and nothing has changed."""
    allowed = [
        state.value for state, following in TRANSITIONS.items() if to in following and only_from in (None, state)
    ]
    return tx.execute(_MOVE, {"run_id": run_id, "allowed": allowed, "state": to.value, **values}).rowcount == 1


def set_progress(tx: sa.Connection, run_id: str, *, progress: float, sealed_message: bytes) -> None:
    """Record how far a run is, unless it has ended."""
    query = runs.update().where(runs.c.id == run_id, runs.c.state == RunState.RUNNING.value)
    tx.execute(query.values(progress=progress, sealed_message=sealed_message))


def set_outputs(tx: sa.Connection, run_id: str, outputs: Iterable[str]) -> bool:
    """Note what a run has made, unless it has ended."""
    query = runs.update().where(runs.c.id == run_id, runs.c.state == RunState.RUNNING.value)
    return tx.execute(query.values(outputs=list(outputs))).rowcount == 1


def ask_cancel(tx: sa.Connection, run_id: str) -> None:
    """Note that a run is to end."""
    tx.execute(runs.update().where(runs.c.id == run_id).values(cancel_asked=True))


def stop(tx: sa.Connection, run_id: str, why: Stopping) -> None:
    """Note that a running run is to end, unless it has been told for another reason."""
    query = runs.update().where(runs.c.id == run_id, runs.c.state == RunState.RUNNING.value, runs.c.stopping.is_(None))
    tx.execute(query.values(stopping=why.value))


def release(tx: sa.Connection, run_id: str, now: datetime) -> None:
    """Let a run start that has waited for others; its wait for room begins now."""
    query = runs.update().where(runs.c.id == run_id, runs.c.state == RunState.QUEUED.value)
    tx.execute(query.values(is_held=False, not_before=now))


def row_of(row: sa.Row[Any]) -> RunRow:
    """Return what the database gave as a row of ours."""
    # What is None in a row of an earlier version is what it has always been.
    values = {name: value for name, value in row._mapping.items() if value is not None}
    values["resources"] = Resources(values.pop("cpus", 1.0), values.pop("memory_mb", 0), values.pop("gpus", 0))
    values |= {"state": RunState(row.state), "inputs": _texts(row.inputs), "outputs": _texts(row.outputs)}
    values |= {"after": _texts(row.after or ()), "stopping": row.stopping and Stopping(row.stopping)}
    values["scopes"] = None if row.scopes is None else frozenset(row.scopes)
    return RunRow(**values)


def _schedule(row: sa.Row[Any]) -> ScheduleRow:
    scopes = None if row.scopes is None else frozenset(row.scopes)
    return ScheduleRow(**(dict(row._mapping) | {"scopes": scopes}))


def _texts(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(values)
