"""The SQL of what a run tells: its artifacts. Its own row is in ``rows.py``."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from lepton.runs.records import Artifact
from lepton.runs.rows import runs
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


def project_of(tx: sa.Connection, run_id: str) -> str | None:
    """Return where a run is, or None if there is none."""
    return tx.execute(sa.select(runs.c.project).where(runs.c.id == run_id)).scalar_one_or_none()


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
