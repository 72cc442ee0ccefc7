"""The audit log: its table, and the only SQL that adds to it or reads it. Nothing changes or removes a line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

import sqlalchemy as sa

from lepton.access.actions import ACTIONS, LOOKING_ACTIONS
from lepton.access.records import AuditEntry, AuditFilter, Outcome
from lepton.core.errors import InvalidInput
from lepton.store.database import UtcDateTime, metadata

_OUTCOMES: tuple[str, ...] = get_args(Outcome)
_KNOWN = {"sign_in", *ACTIONS, *(action.partition(".")[0] for action in ACTIONS)}

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

ADD = audit.insert()
"""Adds a line; the guard runs it in the transaction of what it is about. Made once, as every operation adds one."""


def line(actor_id: str, entry: AuditEntry) -> dict[str, object]:
    """Return the values of one line."""
    return {
        "time": entry.time,
        "actor_id": actor_id,
        "actor": entry.actor,
        "action": entry.action,
        "project": entry.project[:64],
        "target": entry.target[:200],
        "outcome": entry.outcome,
        "code": entry.code,
    }


def latest(tx: sa.Connection, project: str, limit: int, wanted: AuditFilter | None = None) -> list[AuditEntry]:
    """The newest lines of a project, newest first."""
    query = sa.select(audit).where(audit.c.project == project)
    if wanted is not None:
        query = query.where(*_conditions(wanted))
    rows = tx.execute(query.order_by(audit.c.id.desc()).limit(limit))
    return [AuditEntry(r.time, r.actor, r.action, r.project, r.target, r.outcome, r.code) for r in rows]


def check_filter(wanted: AuditFilter) -> None:
    """Check that lines of this kind can be there at all.

    Raises:
        InvalidInput: if there is no such action or outcome.
    """
    if wanted.action is not None and wanted.action not in _KNOWN:
        raise InvalidInput(
            f"There is no action {wanted.action[:60]!r}. Name one such as 'runs.cancel', a noun such as 'runs', or "
            "'sign_in'."
        )
    if wanted.outcome is not None and wanted.outcome not in _OUTCOMES:
        raise InvalidInput(f"There is no outcome {wanted.outcome[:60]!r}. Choose one of: {', '.join(_OUTCOMES)}.")


def _conditions(wanted: AuditFilter) -> Iterator[sa.ColumnElement[bool]]:
    if wanted.actor is not None:
        yield audit.c.actor == wanted.actor
    if wanted.action is not None:
        of_noun = audit.c.action.startswith(f"{wanted.action}.", autoescape=True)
        yield sa.or_(audit.c.action == wanted.action, of_noun)
    if wanted.outcome is not None:
        yield audit.c.outcome == wanted.outcome
    if wanted.changes:
        yield audit.c.action.not_in(sorted(LOOKING_ACTIONS))
