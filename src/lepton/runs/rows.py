"""The only SQL of runs. Sentences that may name a column (messages, errors, params) are sealed before they get here."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from lepton.runs.records import TRANSITIONS, MetricPoint, RunState
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
    sa.Column("submit_key", sa.String(128)),
    sa.Column("bundle", sa.String(26)),
    sa.Column("sealed_arguments", sa.LargeBinary, nullable=False),
    sa.Column("sealed_params", sa.LargeBinary, nullable=False),
    sa.Column("sealed_message", sa.LargeBinary),
    sa.Column("sealed_error", sa.LargeBinary),
    sa.Index("ix_runs_project_created_at", "project", "created_at"),
    sa.Index("ix_runs_state", "state"),
    sa.Index("ix_runs_submit_key", "project", "user_id", "submit_key", unique=True),
)

run_metrics = sa.Table(
    "run_metrics",
    metadata,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("run_id", sa.String(26), sa.ForeignKey("runs.id", ondelete="CASCADE"), nullable=False),
    sa.Column("key", sa.String(64), nullable=False),
    sa.Column("step", sa.BigInteger, nullable=False),
    sa.Column("time", UtcDateTime, nullable=False),
    sa.Column("value", sa.Float),
    sa.Index("ix_run_metrics_run_id", "run_id", "id"),
)


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
    submit_key: str | None = None
    bundle: str | None = None
    started_at: datetime | None = None
    ended_at: datetime | None = None
    cancel_asked: bool = False
    progress: float = 0.0
    error_code: str | None = None
    outputs: tuple[str, ...] = ()
    sealed_message: bytes | None = None
    sealed_error: bytes | None = None


def insert(tx: sa.Connection, row: RunRow) -> None:
    """Add a run."""
    values = {column.name: getattr(row, column.name) for column in runs.columns}
    values |= {"state": row.state.value, "inputs": list(row.inputs), "outputs": list(row.outputs)}
    values["scopes"] = None if row.scopes is None else sorted(row.scopes)
    tx.execute(runs.insert().values(values))


def find(tx: sa.Connection, run_id: str) -> RunRow | None:
    """Return one run, or None."""
    row = tx.execute(sa.select(runs).where(runs.c.id == run_id)).one_or_none()
    return None if row is None else _row(row)


def latest(tx: sa.Connection, project: str, *, state: RunState | None, limit: int) -> list[RunRow]:
    """Return the newest runs of a project, newest first."""
    query = sa.select(runs).where(runs.c.project == project)
    if state is not None:
        query = query.where(runs.c.state == state.value)
    return [_row(row) for row in tx.execute(query.order_by(runs.c.created_at.desc(), runs.c.id.desc()).limit(limit))]


def reading(tx: sa.Connection, project: str, ref: str, *, task: str, limit: int) -> list[RunRow]:
    """Return the newest runs of one task that have read a ref and succeeded, newest first."""
    inputs = sa.cast(runs.c.inputs, sa.Text)  # the list as it is written in JSON; a ref needs no escapes there
    query = sa.select(runs).where(
        runs.c.project == project,
        runs.c.task == task,
        runs.c.state == RunState.SUCCEEDED.value,
        inputs.contains(f'"{ref}"', autoescape=True),
    )
    return [_row(row) for row in tx.execute(query.order_by(runs.c.created_at.desc(), runs.c.id.desc()).limit(limit))]


def submitted(tx: sa.Connection, project: str, user_id: str, key: str) -> RunRow | None:
    """Return the run that a user has submitted with a key, or None."""
    query = sa.select(runs).where(runs.c.project == project, runs.c.user_id == user_id, runs.c.submit_key == key)
    row = tx.execute(query).one_or_none()
    return None if row is None else _row(row)


def bundles(tx: sa.Connection) -> set[str]:
    """Return the ids of all folders that runs were submitted with."""
    return set(tx.execute(sa.select(runs.c.bundle).where(runs.c.bundle.is_not(None))).scalars())


def unended(tx: sa.Connection) -> list[RunRow]:
    """Return the queued and running runs of all projects, first submitted first."""
    states = [state.value for state in RunState if not state.has_ended]
    query = sa.select(runs).where(runs.c.state.in_(states)).order_by(runs.c.created_at, runs.c.id)
    return [_row(row) for row in tx.execute(query)]


def unsuccessful(tx: sa.Connection, task: str, since: datetime) -> list[RunRow]:
    """Return the runs of a task that have not ended, or that have failed or were cancelled since a moment."""
    late = sa.or_(runs.c.ended_at.is_(None), runs.c.ended_at > since)
    query = sa.select(runs).where(runs.c.task == task, runs.c.state != RunState.SUCCEEDED.value, late)
    return [_row(row) for row in tx.execute(query)]


def move(tx: sa.Connection, run_id: str, to: RunState, *, only_from: RunState | None = None, **values: Any) -> bool:
    """Change the state, if what it is now allows that; False if it does not, and nothing has changed."""
    allowed = [
        state.value for state, following in TRANSITIONS.items() if to in following and only_from in (None, state)
    ]
    query = runs.update().where(runs.c.id == run_id, runs.c.state.in_(allowed))
    return tx.execute(query.values(state=to.value, **values)).rowcount == 1


def set_progress(tx: sa.Connection, run_id: str, *, progress: float, sealed_message: bytes) -> None:
    """Record how far a run is, unless it has ended."""
    query = runs.update().where(runs.c.id == run_id, runs.c.state == RunState.RUNNING.value)
    tx.execute(query.values(progress=progress, sealed_message=sealed_message))


def set_message(tx: sa.Connection, run_id: str, state: RunState, sealed_message: bytes) -> None:
    """Record why a run is where it is, if it still is there."""
    query = runs.update().where(runs.c.id == run_id, runs.c.state == state.value)
    tx.execute(query.values(sealed_message=sealed_message))


def ask_cancel(tx: sa.Connection, run_id: str) -> None:
    """Note that a run is to end."""
    tx.execute(runs.update().where(runs.c.id == run_id).values(cancel_asked=True))


def add_metrics(tx: sa.Connection, run_id: str, points: Sequence[MetricPoint]) -> None:
    """Add points; one whose value is not finite is kept without a value."""
    if points:
        tx.execute(
            run_metrics.insert(),
            [
                {"run_id": run_id, "key": p.key, "step": p.step, "time": p.time, "value": _finite(p.value)}
                for p in points
            ],
        )


def metrics(tx: sa.Connection, run_id: str) -> list[MetricPoint]:
    """Return all points of a run in the order in which they were added."""
    query = sa.select(run_metrics).where(run_metrics.c.run_id == run_id).order_by(run_metrics.c.id)
    nan = float("nan")
    return [MetricPoint(r.key, r.step, r.time, nan if r.value is None else r.value) for r in tx.execute(query)]


def _finite(value: float) -> float | None:
    return value if value - value == 0 else None


def _row(row: sa.Row[Any]) -> RunRow:
    values = dict(row._mapping)
    values |= {"state": RunState(row.state), "inputs": _texts(row.inputs), "outputs": _texts(row.outputs)}
    values["scopes"] = None if row.scopes is None else frozenset(row.scopes)
    return RunRow(**values)


def _texts(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(values)
