"""The SQL of what a run tells: curves, params, tags, artifacts. Its own row is in ``rows.py``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from lepton.runs.batch import Batch
from lepton.runs.filters import Column, Condition, Order, Search
from lepton.runs.points import CHUNK_POINTS, POINT_BYTES, Curve, Points, by_key, extended, pack, unpack
from lepton.runs.records import Artifact, MetricPoint, Param, RunState
from lepton.runs.rows import OUTSIDE, RunRow, row_of, runs
from lepton.runs.thinning import Window, thinned
from lepton.store.database import UtcDateTime, metadata

run_artifacts = sa.Table(
    "run_artifacts",
    metadata,
    sa.Column("id", sa.String(26), primary_key=True),  # of its file in the store
    sa.Column("run_id", sa.String(26), sa.ForeignKey("runs.id", ondelete="CASCADE"), nullable=False),
    # None while the file is being written, and when another has taken its place: what a crash leaves is found by it.
    sa.Column("path", sa.String(512)),
    sa.Column("size_bytes", sa.BigInteger),
    sa.Column("sha256", sa.String(64)),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Index("uq_run_artifacts_run_id_path", "run_id", "path", unique=True),
)

run_curves = sa.Table(
    "run_curves",
    metadata,
    sa.Column("run_id", sa.String(26), sa.ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("key", sa.String(250), primary_key=True),
    sa.Column("last_step", sa.BigInteger, nullable=False),
    sa.Column("last_time_us", sa.BigInteger, nullable=False),
    sa.Column("last_value", sa.Float),
    sa.Column("min_value", sa.Float),
    sa.Column("max_value", sa.Float),
    sa.Column("points", sa.BigInteger, nullable=False),
    sa.Column("tail", sa.LargeBinary, nullable=False),  # the points behind the last chunk
    sa.Index("ix_run_curves_key_last_value", "key", "last_value", "run_id"),
)

run_chunks = sa.Table(
    "run_chunks",
    metadata,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("run_id", sa.String(26), sa.ForeignKey("runs.id", ondelete="CASCADE"), nullable=False),
    sa.Column("key", sa.String(250), nullable=False),
    sa.Column("data", sa.LargeBinary, nullable=False),
    sa.Index("ix_run_chunks_run_id_key", "run_id", "key", "id"),
)

run_fields = sa.Table(
    "run_fields",
    metadata,
    sa.Column("run_id", sa.String(26), sa.ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("kind", sa.String(8), primary_key=True),  # param or tag
    sa.Column("key", sa.String(250), primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
    sa.Column("head", sa.String(64), nullable=False),  # of the value, as an index takes no long ones
    sa.Column("number", sa.Float),  # the value, if it reads as one
    sa.Index("ix_run_fields_kind_key_head", "kind", "key", "head", "run_id"),
    sa.Index("ix_run_fields_kind_key_number", "kind", "key", "number", "run_id"),
)

run_clients = sa.Table(
    "run_clients",
    metadata,
    sa.Column("run_id", sa.String(26), sa.ForeignKey("runs.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("client", sa.String(64), primary_key=True),
    sa.Column("user_id", sa.String(26), nullable=False),
    sa.Column("batch", sa.BigInteger, nullable=False),  # the highest number that is kept
    sa.Column("heard_at", UtcDateTime, nullable=False),
)

TABLES = (run_artifacts, run_curves, run_chunks, run_fields, run_clients)


@dataclass(frozen=True)
class Heard:
    """What is known of one who sends batches.

    Attributes:
        project: Of the run; None if there is no such run.
        user_id: For whom it sent its last one, None if it never did.
        batch: Number of the last one that is kept.
    """

    project: str | None
    user_id: str | None
    batch: int


def heard(tx: sa.Connection, run_id: str, client: str) -> Heard:
    """Return what is known of a client of a run."""
    mine = (run_clients.c.run_id == runs.c.id) & (run_clients.c.client == client)
    query = sa.select(runs.c.project, run_clients.c.user_id, run_clients.c.batch)
    row = tx.execute(query.select_from(runs.outerjoin(run_clients, mine)).where(runs.c.id == run_id)).one_or_none()
    return Heard(None, None, 0) if row is None else Heard(row.project, row.user_id, row.batch or 0)


def hear(tx: sa.Connection, run_id: str, batch: Batch, user_id: str, now: datetime) -> tuple[RunState, bool, int]:
    """Take note of a batch; whoever else writes to the run waits from here on.

    Returns:
        The state of the run, whether the batch is to be kept, and the highest number of the client that then is.
    """
    state = tx.execute(sa.select(runs.c.state).where(runs.c.id == run_id).with_for_update()).scalar_one()
    here = (run_clients.c.run_id == run_id) & (run_clients.c.client == batch.client)
    known = tx.execute(sa.select(run_clients.c.batch).where(here)).scalar_one_or_none()
    number = batch.batch or (known or 0) + 1
    is_new = number > (known or 0) and batch.after in (None, known or 0)
    kept = number if is_new else known or 0
    values = {"user_id": user_id, "batch": kept, "heard_at": now}
    if known is None:
        tx.execute(run_clients.insert().values(run_id=run_id, client=batch.client, **values))
    else:
        tx.execute(run_clients.update().where(here).values(values))
    return RunState(state), is_new, kept


def silent(tx: sa.Connection, since: datetime) -> list[str]:
    """Return the running runs from outside of which nothing was heard since a moment."""
    heard_of = sa.select(run_clients.c.run_id).where(run_clients.c.run_id == runs.c.id, run_clients.c.heard_at >= since)
    query = sa.select(runs.c.id).where(
        runs.c.state == RunState.RUNNING.value, runs.c.task == OUTSIDE, runs.c.started_at < since, ~heard_of.exists()
    )
    return list(tx.execute(query).scalars())


def add_points(tx: sa.Connection, run_id: str, curves: Sequence[Points]) -> None:
    """Add points to the curves of a run; whoever calls holds the run, so that no two do it at once."""
    if not curves:
        return
    keys = [curve.key for curve in curves]
    query = sa.select(run_curves).where(run_curves.c.run_id == run_id, run_curves.c.key.in_(keys))
    known: dict[str, tuple[Curve, bytes]] = {row.key: (_curve(row), row.tail) for row in tx.execute(query)}
    there, chunks = set(known), []
    for points in curves:
        curve, tail = known.get(points.key, (None, b""))
        data = tail + pack(points)
        if len(data) >= CHUNK_POINTS * POINT_BYTES:
            chunks.append({"run_id": run_id, "key": points.key, "data": data})
            data = b""
        known[points.key] = (extended(curve, points), data)
    rows = {key: {**asdict(curve), "tail": tail} for key, (curve, tail) in known.items()}
    if new := [{"run_id": run_id, "key": key, **row} for key, row in rows.items() if key not in there]:
        tx.execute(run_curves.insert(), new)
    if old := [{"b_run": run_id, "b_key": key, **row} for key, row in rows.items() if key in there]:
        here = (run_curves.c.run_id == sa.bindparam("b_run")) & (run_curves.c.key == sa.bindparam("b_key"))
        tx.execute(run_curves.update().where(here), old)
    if chunks:
        tx.execute(run_chunks.insert(), chunks)


def add_metrics(tx: sa.Connection, run_id: str, points: Sequence[MetricPoint]) -> None:
    """Add points one by one; one whose value is not finite is kept without a value."""
    add_points(tx, run_id, by_key(points))


def metrics(
    tx: sa.Connection, run_id: str, keys: Sequence[str] = (), window: Window | None = None
) -> list[MetricPoint]:
    """Return the points of a run by curve, those of each in the order in which they were added, or thinned."""
    chunk = sa.select(run_chunks.c.key, run_chunks.c.data).where(run_chunks.c.run_id == run_id)
    tail = sa.select(run_curves.c.key, run_curves.c.tail).where(run_curves.c.run_id == run_id)
    if keys:
        chunk, tail = chunk.where(run_chunks.c.key.in_(keys)), tail.where(run_curves.c.key.in_(keys))
    data: dict[str, list[bytes]] = {}
    for name, part in (*tx.execute(chunk.order_by(run_chunks.c.id)), *tx.execute(tail)):
        data.setdefault(name, []).append(part)
    whole = {name: b"".join(parts) for name, parts in sorted(data.items())}
    if window is not None:
        whole = {name: thinned(points, window) for name, points in whole.items()}
    return [point for name, points in whole.items() for point in unpack(name, points)]


def set_fields(tx: sa.Connection, run_id: str, kind: str, fields: Mapping[str, str]) -> None:
    """Set params or tags of a run; those it has already get the new value."""
    if not fields:
        return
    here = (run_fields.c.run_id == run_id) & (run_fields.c.kind == kind)
    tx.execute(run_fields.delete().where(here, run_fields.c.key.in_(list(fields))))
    tx.execute(
        run_fields.insert(),
        [
            {"run_id": run_id, "kind": kind, "key": k, "value": v, "head": v[:64], "number": number_of(v)}
            for k, v in fields.items()
        ],
    )


def differing(tx: sa.Connection, run_id: str, kind: str, fields: Mapping[str, str]) -> list[str]:
    """Return those of some params or tags that a run has already, with another value."""
    if not fields:
        return []
    here = (run_fields.c.run_id == run_id) & (run_fields.c.kind == kind) & run_fields.c.key.in_(list(fields))
    found = tx.execute(sa.select(run_fields.c.key, run_fields.c.value).where(here))
    return sorted(key for key, value in found if value != fields[key])


def fields(tx: sa.Connection, run_ids: Sequence[str]) -> dict[str, dict[str, dict[str, str]]]:
    """Return params and tags of runs: by run, then by kind, then by key."""
    found: dict[str, dict[str, dict[str, str]]] = {}
    query = sa.select(run_fields.c.run_id, run_fields.c.kind, run_fields.c.key, run_fields.c.value)
    for run_id, kind, key, value in tx.execute(query.where(run_fields.c.run_id.in_(run_ids))):
        found.setdefault(run_id, {}).setdefault(kind, {})[key] = value
    return found


def curves(tx: sa.Connection, run_ids: Sequence[str]) -> dict[str, dict[str, Curve]]:
    """Return what is known of the curves of runs: by run, then by key."""
    found: dict[str, dict[str, Curve]] = {}
    query = sa.select(*(c for c in run_curves.columns if c.name != "tail")).where(run_curves.c.run_id.in_(run_ids))
    for row in tx.execute(query.order_by(run_curves.c.key)):
        found.setdefault(row.run_id, {})[row.key] = _curve(row)
    return found


def columns(tx: sa.Connection, run_ids: Sequence[str], wanted: Sequence[Column]) -> dict[str, dict[str, Param]]:
    """Return what runs have told under some names: by run, then by name, such as ``metrics.loss``."""
    found: dict[str, dict[str, Param]] = {}
    for kind in sorted({column.kind for column in wanted}) if run_ids else ():
        table, value = (run_curves, "last_value") if kind == "metric" else (run_fields, "value")
        query = sa.select(table.c.run_id, table.c.key, table.c[value].label("value")).where(table.c.run_id.in_(run_ids))
        if kind != "metric":
            query = query.where(run_fields.c.kind == kind)
        keys = {column.key for column in wanted if column.kind == kind}
        if "*" not in keys:  # of an expression, or SQLite would walk all runs that have the name
            query = query.where((table.c.key + "").in_(sorted(keys)))
        for row in tx.execute(query.order_by(table.c.run_id, table.c.key)):
            found.setdefault(row.run_id, {})[f"{kind}s.{row.key}"] = row.value
    return found


def search(tx: sa.Connection, project: str, wanted: Search) -> list[RunRow]:
    """Return the runs of a project that fulfil all conditions, in the order that is wanted."""
    order, source = wanted.order, runs
    query = sa.select(runs.c.id).where(runs.c.project == project)  # whole rows make sorting slow, so they come after
    if order.kind == "run":
        columns: list[sa.ColumnElement[Any]] = [runs.c[order.key]]
        query = query.where(columns[0].is_not(None))
    else:
        sorted_by, columns = _sorting(order)
        source = sorted_by.join(runs, runs.c.id == sorted_by.c.run_id)  # type: ignore[assignment]
        query = query.select_from(source)
    query = query.where(runs.c.deleted_at.is_(None), *(holds(condition) for condition in wanted.conditions))
    if wanted.ids:
        query = query.where(runs.c.id.in_(wanted.ids))
    columns = [*columns, runs.c.id]
    direction = [column.desc() for column in columns] if order.descending else columns
    ids = list(tx.execute(query.order_by(*direction).limit(wanted.limit).offset(wanted.offset)).scalars())
    found = {row.id: row_of(row) for row in tx.execute(sa.select(runs).where(runs.c.id.in_(ids)))}
    return [found[run_id] for run_id in ids]


def _sorting(order: Order) -> tuple[sa.Subquery, list[sa.ColumnElement[Any]]]:
    """What to sort by as a table of runs and values; walked in order by its index."""
    if order.kind == "metric":
        query = sa.select(run_curves.c.run_id, run_curves.c.last_value.label("value")).where(
            run_curves.c.key == order.key, run_curves.c.last_value.is_not(None)
        )
    else:
        query = sa.select(run_fields.c.run_id, run_fields.c.number, run_fields.c.head).where(
            run_fields.c.kind == order.kind, run_fields.c.key == order.key
        )
    table = query.subquery()
    return table, [column for column in table.c if column.name != "run_id"]


def holds(condition: Condition) -> sa.ColumnElement[bool]:
    """Return a condition on the table of runs as SQL."""
    if condition.kind == "run":
        return _compared(runs.c[condition.key], condition)
    if condition.kind == "metric":
        here = sa.select(run_curves.c.run_id).where(run_curves.c.key == condition.key)
        return runs.c.id.in_(here.where(_compared(run_curves.c.last_value, condition)))
    here = sa.select(run_fields.c.run_id).where(run_fields.c.kind == condition.kind, run_fields.c.key == condition.key)
    if condition.operator in ("is null", "is not null"):
        return runs.c.id.in_(here) if condition.operator == "is not null" else runs.c.id.not_in(here)
    if isinstance(condition.value, float):
        return runs.c.id.in_(here.where(_compared(run_fields.c.number, condition)))
    if condition.operator == "=" and isinstance(condition.value, str):  # the index has its beginning only
        here = here.where(run_fields.c.head == condition.value[:64])
        if len(condition.value) < 64:  # and that is all of it: the row need not be read
            return runs.c.id.in_(here)
    return runs.c.id.in_(here.where(_compared(run_fields.c.value, condition)))


def _compared(column: sa.ColumnElement[Any], condition: Condition) -> sa.ColumnElement[bool]:
    value = condition.value
    compared: dict[str, Callable[[], sa.ColumnElement[bool]]] = {
        "=": lambda: column == value,
        "!=": lambda: column != value,
        "<": lambda: column < value,
        "<=": lambda: column <= value,
        ">": lambda: column > value,
        ">=": lambda: column >= value,
        "like": lambda: column.ilike(str(value)),
        "like exactly": lambda: _ExactlyLike(column, str(value), str(value).translate(_GLOB)),
        "in": lambda: column.in_(_texts(value)),
        "not in": lambda: column.not_in(_texts(value)),
        "is null": lambda: column.is_(None),
        "is not null": lambda: column.is_not(None),
    }
    return compared[condition.operator]()


def _texts(value: object) -> tuple[str, ...]:
    return value if isinstance(value, tuple) else (str(value),)


_GLOB = str.maketrans({"%": "*", "_": "?", "*": "[*]", "?": "[?]", "[": "[[]"})
"""A pattern of LIKE as one of GLOB, which in SQLite is the comparison that tells capitals from small letters."""


class _ExactlyLike(FunctionElement[bool]):
    """A column, a pattern of LIKE, and the same as one of GLOB."""

    inherit_cache = True
    type = sa.Boolean()


@compiles(_ExactlyLike)
def _like(element: _ExactlyLike, compiler: SQLCompiler, **options: Any) -> str:
    column, pattern, _ = element.clauses
    return f"{compiler.process(column, **options)} LIKE {compiler.process(pattern, **options)} ESCAPE ''"


@compiles(_ExactlyLike, "sqlite")
def _glob(element: _ExactlyLike, compiler: SQLCompiler, **options: Any) -> str:
    column, _, pattern = element.clauses
    return f"{compiler.process(column, **options)} GLOB {compiler.process(pattern, **options)}"


def number_of(text: str) -> float | None:
    """Return the finite number that a text reads as, or None."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if number - number == 0 else None


def _curve(row: sa.Row[Any]) -> Curve:
    return Curve(row.last_step, row.last_time_us, row.last_value, row.min_value, row.max_value, row.points)


def unname_artifacts(tx: sa.Connection, run_id: str, path: str) -> list[str]:
    """Take their path from an artifact, or from all below it; return the ids of their files."""
    below = run_artifacts.c.path.startswith(f"{path}/", autoescape=True)
    named = (run_artifacts.c.path == path) | below if path else run_artifacts.c.path.is_not(None)
    here = (run_artifacts.c.run_id == run_id) & named
    found = list(tx.execute(sa.select(run_artifacts.c.id).where(here)).scalars())
    tx.execute(run_artifacts.update().where(run_artifacts.c.id.in_(found)).values(path=None))
    return found


def begin_artifact(tx: sa.Connection, blob_id: str, run_id: str, now: datetime) -> None:
    """Note that a file is about to be written for a run."""
    tx.execute(run_artifacts.insert().values(id=blob_id, run_id=run_id, created_at=now))


def finish_artifact(tx: sa.Connection, blob_id: str, run_id: str, artifact: Artifact) -> list[str] | None:
    """Give a written file its path and return the ids of the files that had it; None if it was swept meanwhile."""
    # Two writers of one path wait for each other here; in SQLite there is only one anyway.
    mine = sa.select(run_artifacts.c.id).where(run_artifacts.c.run_id == run_id)
    tx.execute(mine.order_by(run_artifacts.c.id).limit(1).with_for_update())
    here = (run_artifacts.c.run_id == run_id) & (run_artifacts.c.path == artifact.path)
    replaced = list(tx.execute(sa.select(run_artifacts.c.id).where(here)).scalars())
    tx.execute(run_artifacts.update().where(here).values(path=None))
    made = run_artifacts.update().where(run_artifacts.c.id == blob_id)
    values = {"path": artifact.path, "size_bytes": artifact.size_bytes, "sha256": artifact.sha256}
    written = tx.execute(made.values(created_at=artifact.created_at, **values)).rowcount
    return replaced if written else None


def forget_artifacts(tx: sa.Connection, blob_ids: list[str]) -> None:
    """Remove the rows of files that are gone, or were never finished."""
    unnamed = run_artifacts.c.path.is_(None)
    tx.execute(run_artifacts.delete().where(run_artifacts.c.id.in_(blob_ids), unnamed))


def unnamed_artifacts(tx: sa.Connection, before: datetime) -> list[str]:
    """Return the ids of files that were begun before a moment and have no path."""
    query = sa.select(run_artifacts.c.id)
    old = run_artifacts.c.created_at < before
    return list(tx.execute(query.where(run_artifacts.c.path.is_(None), old)).scalars())


def artifacts(tx: sa.Connection, run_id: str) -> list[Artifact]:
    """Return the artifacts of a run by path."""
    query = sa.select(run_artifacts).where(run_artifacts.c.run_id == run_id, run_artifacts.c.path.is_not(None))
    found = tx.execute(query.order_by(run_artifacts.c.path))
    return [Artifact(row.path, row.size_bytes, row.sha256, row.created_at) for row in found]


def find_artifact(tx: sa.Connection, run_id: str, path: str) -> tuple[str, Artifact] | None:
    """Return the id of an artifact's file and the artifact, or None."""
    query = sa.select(run_artifacts).where(run_artifacts.c.run_id == run_id, run_artifacts.c.path == path)
    row = tx.execute(query).one_or_none()
    return None if row is None else (row.id, Artifact(row.path, row.size_bytes, row.sha256, row.created_at))
