"""The only SQL of datasets. Column names and whatever tells of values are sealed before they get here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from lepton.core.columns import ColumnClass
from lepton.core.refs import Ref
from lepton.store.database import UtcDateTime, metadata

datasets = sa.Table(
    "datasets",
    metadata,
    sa.Column("project", sa.String(64), primary_key=True),
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("last_version", sa.Integer, nullable=False),  # goes on after a deletion: a ref never changes its meaning
)

dataset_versions = sa.Table(
    "dataset_versions",
    metadata,
    sa.Column("id", sa.String(26), primary_key=True),
    sa.Column("project", sa.String(64), nullable=False),
    sa.Column("name", sa.String(64), nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("row_count", sa.BigInteger, nullable=False),
    sa.Column("column_count", sa.Integer, nullable=False),
    sa.Column("size_bytes", sa.BigInteger, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("created_by", sa.String(64), nullable=False),
    sa.Column("run_id", sa.String(26), nullable=False),
    sa.Column("parent", sa.String(80)),
    sa.Column("made_by", sa.String(16), nullable=False),
    sa.Column("upload_id", sa.String(26)),
    sa.Column("upload_blob_id", sa.String(64)),
    sa.Column("deleted_at", UtcDateTime),
    sa.UniqueConstraint("project", "name", "version"),
)

dataset_documents = sa.Table(
    "dataset_documents",
    metadata,
    sa.Column("version_id", sa.ForeignKey("dataset_versions.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("kind", sa.String(16), primary_key=True),
    sa.Column("column_class", sa.String(16), primary_key=True),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
)

Sealed = Mapping[tuple[str, ColumnClass], bytes]
"""Sealed documents by kind and by the class whose key opens them."""


@dataclass(frozen=True)
class VersionRow:
    """A version as the catalog holds it."""

    id: str
    project: str
    name: str
    version: int
    row_count: int
    column_count: int
    size_bytes: int
    created_at: datetime
    created_by: str
    run_id: str
    parent: str | None
    made_by: str
    upload_id: str | None = None
    upload_blob_id: str | None = None
    deleted_at: datetime | None = None


def next_version(tx: sa.Connection, project: str, name: str) -> int:
    """Take the next number of a dataset; two transactions never get the same one."""
    insert = (postgresql if tx.dialect.name == "postgresql" else sqlite).insert
    statement = (
        insert(datasets)
        .values(project=project, name=name, last_version=1)
        .on_conflict_do_update(index_elements=["project", "name"], set_={"last_version": datasets.c.last_version + 1})
        .returning(datasets.c.last_version)
    )
    return int(tx.execute(statement).scalar_one())


def insert(tx: sa.Connection, row: VersionRow, documents: Sealed) -> None:
    """Add a version with its sealed documents."""
    tx.execute(sa.insert(dataset_versions).values(**vars(row)))
    tx.execute(
        sa.insert(dataset_documents),
        [
            {"version_id": row.id, "kind": kind, "column_class": group.value, "sealed": sealed}
            for (kind, group), sealed in documents.items()
        ],
    )


def find(tx: sa.Connection, project: str, ref: Ref) -> VersionRow | None:
    """Return a version, also a deleted one if the ref names it; without a number the latest that is there."""
    query = sa.select(dataset_versions).where(
        dataset_versions.c.project == project, dataset_versions.c.name == ref.name
    )
    if ref.version is None:
        query = query.where(dataset_versions.c.deleted_at.is_(None)).order_by(dataset_versions.c.version.desc())
    else:
        query = query.where(dataset_versions.c.version == ref.version)
    row = tx.execute(query.limit(1)).one_or_none()
    return None if row is None else VersionRow(**row._mapping)


def versions(tx: sa.Connection, project: str, name: str | None = None) -> list[VersionRow]:
    """Return the versions of a dataset, or of all datasets of a project, that are there; newest first."""
    query = sa.select(dataset_versions).where(
        dataset_versions.c.project == project, dataset_versions.c.deleted_at.is_(None)
    )
    if name is not None:
        query = query.where(dataset_versions.c.name == name)
    query = query.order_by(dataset_versions.c.name, dataset_versions.c.version.desc())
    return [VersionRow(**row._mapping) for row in tx.execute(query)]


def ids(tx: sa.Connection) -> set[str]:
    """Return the ids of all versions that are there, of all projects."""
    return set(tx.execute(sa.select(dataset_versions.c.id).where(dataset_versions.c.deleted_at.is_(None))).scalars())


def upload_ids(tx: sa.Connection) -> set[str]:
    """Return the ids of the files that versions were made of, of all versions that are there."""
    query = sa.select(dataset_versions.c.upload_id).where(dataset_versions.c.deleted_at.is_(None))
    return {upload_id for upload_id in tx.execute(query).scalars() if upload_id is not None}


def documents(tx: sa.Connection, version_id: str, kinds: Iterable[str]) -> Sealed:
    """Return the sealed documents of a version of some kinds."""
    query = sa.select(dataset_documents).where(
        dataset_documents.c.version_id == version_id, dataset_documents.c.kind.in_(list(kinds))
    )
    return {(row.kind, ColumnClass(row.column_class)): row.sealed for row in tx.execute(query)}


def delete(tx: sa.Connection, ids: Iterable[str], when: datetime) -> None:
    """Remove the documents of versions and mark them deleted; their numbers stay taken."""
    chosen = list(ids)
    tx.execute(sa.delete(dataset_documents).where(dataset_documents.c.version_id.in_(chosen)))
    tx.execute(sa.update(dataset_versions).where(dataset_versions.c.id.in_(chosen)).values(deleted_at=when))
