"""The only SQL of runs. Sentences that may name a column (messages, errors, params) are sealed before they get here."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from lepton.runs.records import TRANSITIONS, RunState
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
    sa.Column("sealed_arguments", sa.LargeBinary, nullable=False),
    sa.Column("sealed_params", sa.LargeBinary, nullable=False),
    sa.Column("sealed_message", sa.LargeBinary),
    sa.Column("sealed_error", sa.LargeBinary),
    sa.Index("ix_runs_project_created_at", "project", "created_at"),
    sa.Index("ix_runs_state", "state"),
)

OUTSIDE = "runs.create"
"""The task of a run whose work is done elsewhere: no engine has it."""


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
    return None if row is None else row_of(row)


def latest(tx: sa.Connection, project: str, *, state: RunState | None, limit: int) -> list[RunRow]:
    """Return the newest runs of a project, newest first."""
    query = sa.select(runs).where(runs.c.project == project)
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


def unended(tx: sa.Connection) -> list[RunRow]:
    """Return the queued and running runs of all projects that an engine works on, first submitted first."""
    states = [state.value for state in RunState if not state.has_ended]
    query = (
        sa.select(runs).where(runs.c.state.in_(states), runs.c.task != OUTSIDE).order_by(runs.c.created_at, runs.c.id)
    )
    return [row_of(row) for row in tx.execute(query)]


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


def row_of(row: sa.Row[Any]) -> RunRow:
    """Return what the database gave as a row of ours."""
    values = dict(row._mapping)
    values |= {"state": RunState(row.state), "inputs": _texts(row.inputs), "outputs": _texts(row.outputs)}
    values["scopes"] = None if row.scopes is None else frozenset(row.scopes)
    return RunRow(**values)


def _texts(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(values)
