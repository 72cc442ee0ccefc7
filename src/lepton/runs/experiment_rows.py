"""The SQL of experiments: their own rows, and the search over the runs that bear their names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import sqlalchemy as sa

from lepton.core.errors import RunFailed
from lepton.runs.filters import Condition, Order
from lepton.runs.records import Experiment, RunState
from lepton.runs.rows import OUTSIDE, RunRow, row_of, runs
from lepton.runs.track_rows import holds, run_curves, run_fields
from lepton.store.database import UtcDateTime, metadata

run_experiments = sa.Table(
    "run_experiments",
    metadata,
    sa.Column("project", sa.String(64), primary_key=True),
    sa.Column("id", sa.String(26), primary_key=True),
    sa.Column("name", sa.String(250), nullable=False),
    sa.Column("tags", sa.JSON, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("changed_at", UtcDateTime, nullable=False),
    sa.Column("deleted_at", UtcDateTime),
    sa.Index("uq_run_experiments_project_name", "project", "name", unique=True),
)
TAG = "experiment"
"""The tag by which a run belongs to an experiment: its value is the name."""


def add(tx: sa.Connection, project: str, experiment: Experiment) -> bool:
    """Add an experiment; False if there is one of its name or its id."""
    values = vars(experiment) | {"project": project, "tags": dict(experiment.tags)}
    try:
        with tx.begin_nested():  # so that the transaction outlasts a refusal
            tx.execute(run_experiments.insert().values(values))
    except sa.exc.IntegrityError:
        return False
    return True


def find(
    tx: sa.Connection, project: str, experiment_id: str | None = None, *, name: str | None = None, lock: bool = False
) -> Experiment | None:
    """Return the experiment of an id or a name, or None."""
    query = sa.select(run_experiments).where(run_experiments.c.project == project)
    named = run_experiments.c.name == name
    query = query.where(named if experiment_id is None else run_experiments.c.id == experiment_id)
    row = tx.execute(query.with_for_update() if lock else query).one_or_none()
    return None if row is None else _experiment(row)


def experiments(tx: sa.Connection, project: str) -> list[Experiment]:
    """Return the experiments of a project, newest first."""
    query = sa.select(run_experiments).where(run_experiments.c.project == project)
    return [_experiment(row) for row in tx.execute(query.order_by(run_experiments.c.created_at.desc()))]


def change(tx: sa.Connection, project: str, experiment: Experiment) -> None:
    """Write an experiment that is there."""
    here = (run_experiments.c.project == project) & (run_experiments.c.id == experiment.id)
    values = {name: value for name, value in vars(experiment).items() if name != "id"}
    tx.execute(run_experiments.update().where(here).values(values | {"tags": dict(experiment.tags)}))


def rename(tx: sa.Connection, project: str, old: str, new: str) -> None:
    """Let the runs of an experiment bear its new name."""
    mine = sa.select(runs.c.id).where(runs.c.project == project)
    here = (run_fields.c.kind == "tag") & (run_fields.c.key == TAG) & (run_fields.c.value == old)
    statement = run_fields.update().where(here, run_fields.c.run_id.in_(mine))
    tx.execute(statement.values(value=new, head=new[:64], number=None))


def search(  # noqa: PLR0913 - what is wanted, word for word
    tx: sa.Connection,
    project: str,
    names: Sequence[str],
    *,
    conditions: Sequence[Condition],
    orders: Sequence[Order],
    deleted: bool | None,
    limit: int,
    offset: int,
) -> list[RunRow]:
    """Return runs of some experiments that fulfil all conditions; a run that lacks what is sorted by comes last.

    Args:
        tx: A transaction.
        project: Where.
        names: Of the experiments.
        conditions: What must hold.
        orders: What is sorted by; at the end, the newest first.
        deleted: Whether the deleted runs are wanted, or the others; None: both.
        limit: How many at most.
        offset: How many are passed over.
    """
    belongs = sa.select(run_fields.c.run_id).where(
        run_fields.c.kind == "tag", run_fields.c.key == TAG, run_fields.c.value.in_(list(names))
    )
    source: sa.FromClause = runs
    columns: list[sa.ColumnElement[object]] = []
    for order in orders:
        column: sa.ColumnElement[object]
        if order.kind == "run":
            column = runs.c[order.key]
        elif order.kind == "metric":
            curve = run_curves.alias()
            source = source.outerjoin(curve, (curve.c.run_id == runs.c.id) & (curve.c.key == order.key))
            column = curve.c.last_value
        else:
            field = run_fields.alias()
            mine = (field.c.run_id == runs.c.id) & (field.c.kind == order.kind) & (field.c.key == order.key)
            source = source.outerjoin(field, mine)
            column = field.c.value
        columns.append((column.desc() if order.descending else column.asc()).nulls_last())
    query = sa.select(runs).select_from(source).where(runs.c.project == project, runs.c.id.in_(belongs))
    if deleted is not None:
        query = query.where(runs.c.deleted_at.is_not(None) if deleted else runs.c.deleted_at.is_(None))
    query = query.where(*(holds(condition) for condition in conditions))
    query = query.order_by(*columns, runs.c.started_at.desc(), runs.c.id)
    return [row_of(row) for row in tx.execute(query.limit(limit).offset(offset))]


def hold(tx: sa.Connection, run_id: str) -> None:
    """Let whoever else writes to a run wait from here on."""
    tx.execute(sa.select(runs.c.id).where(runs.c.id == run_id).with_for_update())


def set_deleted(tx: sa.Connection, run_id: str, moment: datetime | None) -> None:
    """Mark a run as deleted, or as not."""
    tx.execute(runs.update().where(runs.c.id == run_id).values(deleted_at=moment))


def set_state(tx: sa.Connection, run_id: str, state: RunState, ended_at: datetime | None) -> None:
    """Let a run that is recorded from outside be in any state, as whoever records it says."""
    here = (runs.c.id == run_id) & (runs.c.task == OUTSIDE)
    code = RunFailed.code if state is RunState.FAILED else None
    done = 1.0 if state is RunState.SUCCEEDED else 0.0
    tx.execute(runs.update().where(here).values(state=state.value, ended_at=ended_at, error_code=code, progress=done))


def remove_field(tx: sa.Connection, run_id: str, kind: str, key: str) -> bool:
    """Remove a tag, or another word about a run; False if there is none."""
    here = (run_fields.c.run_id == run_id) & (run_fields.c.kind == kind) & (run_fields.c.key == key)
    return tx.execute(run_fields.delete().where(here)).rowcount == 1


def of_kind(
    tx: sa.Connection, project: str, kind: str, *, key: str | None = None, names: Sequence[str] | None = None
) -> list[tuple[str, str, str]]:
    """Return run, key and value of all words of a kind, newest runs first.

    Args:
        tx: A transaction.
        project: Where.
        kind: Of what kind.
        key: Only this one.
        names: Only of runs of these experiments.
    """
    query = sa.select(run_fields.c.run_id, run_fields.c.key, run_fields.c.value).where(run_fields.c.kind == kind)
    query = query.join(runs, runs.c.id == run_fields.c.run_id).where(runs.c.project == project)
    if key is not None:
        query = query.where(run_fields.c.key == key)
    if names is not None:
        tag = run_fields.alias()
        of_names = (tag.c.kind == "tag") & (tag.c.key == TAG) & tag.c.value.in_(list(names))
        query = query.join(tag, (tag.c.run_id == runs.c.id) & of_names)
    return [(row.run_id, row.key, row.value) for row in tx.execute(query.order_by(runs.c.id.desc(), run_fields.c.key))]


def _experiment(row: sa.Row[tuple[object, ...]]) -> Experiment:
    values: Mapping[str, object] = {name: value for name, value in row._mapping.items() if name != "project"}
    return Experiment(**values)  # type: ignore[arg-type]
