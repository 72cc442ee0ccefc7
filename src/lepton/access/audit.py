"""The audit log: its table, and the only SQL that adds to it or reads it. Nothing changes or removes a line."""

from __future__ import annotations

import sqlalchemy as sa

from lepton.access.records import AuditEntry
from lepton.store.database import UtcDateTime, metadata

audit = sa.Table(
    "audit",
    metadata,
    sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, autoincrement=True),
    sa.Column("time", UtcDateTime, nullable=False),
    sa.Column("actor_id", sa.String(26), nullable=False),
    sa.Column("actor", sa.String(64), nullable=False),
    sa.Column("action", sa.String(64), nullable=False),
    sa.Column("project", sa.String(64), nullable=False),
    sa.Column("target", sa.String(200), nullable=False),
    sa.Column("outcome", sa.String(16), nullable=False),
    sa.Column("code", sa.String(32), nullable=False),
    sa.Index("ix_audit_project", "project", "id"),
)


def line(actor_id: str, entry: AuditEntry) -> sa.Insert:
    """The statement that adds one line; the guard runs it in the transaction of what it is about."""
    return audit.insert().values(
        time=entry.time,
        actor_id=actor_id,
        actor=entry.actor,
        action=entry.action,
        project=entry.project[:64],
        target=entry.target[:200],
        outcome=entry.outcome,
        code=entry.code,
    )


def latest(tx: sa.Connection, project: str, limit: int) -> list[AuditEntry]:
    """The newest lines of a project, newest first."""
    rows = tx.execute(sa.select(audit).where(audit.c.project == project).order_by(audit.c.id.desc()).limit(limit))
    return [AuditEntry(r.time, r.actor, r.action, r.project, r.target, r.outcome, r.code) for r in rows]
