"""The only SQL of models. Whatever tells of data (target, signature, plots) is sealed before it gets here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from lepton.core.refs import Ref
from lepton.store.database import UtcDateTime, metadata

models = sa.Table(
    "models",
    metadata,
    sa.Column("project", sa.String(64), primary_key=True),
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("last_version", sa.Integer, nullable=False),  # goes on after a deletion: a ref never changes its meaning
)

model_versions = sa.Table(
    "model_versions",
    metadata,
    sa.Column("id", sa.String(26), primary_key=True),
    sa.Column("project", sa.String(64), nullable=False),
    sa.Column("name", sa.String(64), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("task", sa.String(32), nullable=False),
    sa.Column("recipe", sa.String(64), nullable=False),
    sa.Column("dataset", sa.String(80), nullable=False),
    sa.Column("run_id", sa.String(26), nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("created_by", sa.String(64), nullable=False),
    sa.Column("blob_id", sa.String(64), nullable=False),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("metrics", sa.JSON, nullable=False),
    sa.Column("sealed_card", sa.LargeBinary, nullable=False),
    sa.Column("sealed_signature", sa.LargeBinary, nullable=False),
    sa.Column("sealed_plots", sa.LargeBinary, nullable=False),
    sa.Column("sealed_profile", sa.LargeBinary),
    sa.UniqueConstraint("project", "name", "version"),
)

model_evaluations = sa.Table(
    "model_evaluations",
    metadata,
    sa.Column("id", sa.String(26), primary_key=True),
    sa.Column("model_version_id", sa.ForeignKey("model_versions.id", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("dataset", sa.String(80), nullable=False),
    sa.Column("run_id", sa.String(26), nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("metrics", sa.JSON, nullable=False),
    sa.Column("sealed_plots", sa.LargeBinary, nullable=False),
)


@dataclass(frozen=True)
class ModelRow:
    """A version as the catalog holds it, its sealed parts still sealed."""

    id: str
    project: str
    name: str
    version: int
    task: str
    recipe: str
    dataset: str
    run_id: str
    created_at: datetime
    created_by: str
    blob_id: str
    size_bytes: int
    sha256: str
    metrics: Mapping[str, float]
    sealed_card: bytes
    sealed_signature: bytes
    sealed_plots: bytes
    sealed_profile: bytes | None = None


@dataclass(frozen=True)
class EvaluationRow:
    """One evaluation as the catalog holds it."""

    id: str
    model_version_id: str
    dataset: str
    run_id: str
    created_at: datetime
    metrics: Mapping[str, float]
    sealed_plots: bytes


def next_version(tx: sa.Connection, project: str, name: str) -> int:
    """Take the next number of a model; two transactions never get the same one."""
    insert = (postgresql if tx.dialect.name == "postgresql" else sqlite).insert
    statement = (
        insert(models)
        .values(project=project, name=name, last_version=1)
        .on_conflict_do_update(index_elements=["project", "name"], set_={"last_version": models.c.last_version + 1})
        .returning(models.c.last_version)
    )
    return int(tx.execute(statement).scalar_one())


def insert_version(tx: sa.Connection, row: ModelRow) -> None:
    """Add a version."""
    tx.execute(sa.insert(model_versions).values(**vars(row)))


def insert_evaluation(tx: sa.Connection, row: EvaluationRow) -> None:
    """Add an evaluation."""
    tx.execute(sa.insert(model_evaluations).values(**vars(row)))


def find(tx: sa.Connection, project: str, ref: Ref) -> ModelRow | None:
    """Return a version, the latest when the ref names none; None if there is none."""
    query = _of(project, ref).order_by(model_versions.c.version.desc()).limit(1)
    row = tx.execute(query).one_or_none()
    return None if row is None else _row(row)


def versions(tx: sa.Connection, project: str, ref: Ref | None = None) -> list[ModelRow]:
    """Return the versions a ref names (all of a model without a number), or all of a project; newest first."""
    query = _of(project, ref).order_by(model_versions.c.name, model_versions.c.version.desc())
    return [_row(row) for row in tx.execute(query)]


def ids(tx: sa.Connection) -> set[str]:
    """Return the ids of all versions that are there, of all projects."""
    return set(tx.execute(sa.select(model_versions.c.id)).scalars())


def evaluations(tx: sa.Connection, version_id: str) -> list[EvaluationRow]:
    """Return the evaluations of a version, oldest first."""
    query = (
        sa.select(model_evaluations)
        .where(model_evaluations.c.model_version_id == version_id)
        .order_by(model_evaluations.c.created_at, model_evaluations.c.id)
    )
    return [EvaluationRow(**row._mapping) for row in tx.execute(query)]


def delete(tx: sa.Connection, ids: Iterable[str]) -> None:
    """Remove versions with their evaluations."""
    tx.execute(sa.delete(model_versions).where(model_versions.c.id.in_(list(ids))))


def _of(project: str, ref: Ref | None) -> sa.Select[*tuple[object, ...]]:
    query = sa.select(model_versions).where(model_versions.c.project == project)
    if ref is not None:
        query = query.where(model_versions.c.name == ref.name)
        if ref.version is not None:
            query = query.where(model_versions.c.version == ref.version)
    return query


def _row(row: sa.Row[*tuple[object, ...]]) -> ModelRow:
    return ModelRow(**row._mapping)
