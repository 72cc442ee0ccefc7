"""The one gate in front of every operation: check the permission and write the audit line in one transaction."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import sqlalchemy as sa

from lepton.access import audit
from lepton.access.actions import ACTIONS, READ_ACTIONS, holds
from lepton.access.records import DEFAULT_PROJECT, Actor, AuditEntry, Outcome
from lepton.core.clock import Clock
from lepton.core.columns import ColumnClass
from lepton.core.errors import Forbidden, LeptonError, NotFound
from lepton.store.database import Database

ITSELF = "(lepton)"


class Guard:
    """Lets an actor act, or not, and writes down which."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    @contextmanager
    def allow(
        self, actor: Actor, action: str, *, project: str = "default", target: str = ""
    ) -> Iterator[sa.Connection]:
        """Open a write transaction for `action`, commit it at the end, and audit the attempt.

        The audit line is part of the same transaction: what is not written down did not happen. A body that raises is
        rolled back and its failure written down. Nothing slow belongs inside: SQLite has one writer.

        Args:
            actor: Who asks.
            action: One of `lepton.access.actions.ACTIONS`.
            project: Where.
            target: What it is about, such as ``dataset:cancer@1``: a name or an id, never data.

        Raises:
            NotFound: if the actor has no role in the project at all.
            Forbidden: if its role, or its token, is not good for the action.
        """
        self.require(actor, action, project=project, target=target)
        attempt = AuditEntry(self._clock(), actor.name, action, project, target, "allowed", "")
        try:
            with self._database.begin() as tx:
                tx.execute(audit.ADD, audit.line(actor.user_id, attempt))
                yield tx
        except Exception as error:  # whatever went wrong is written down, and goes on
            code = error.code if isinstance(error, LeptonError) else "internal"
            self._record(actor.user_id, replace(attempt, outcome="failed", code=code))
            raise

    def require(self, actor: Actor, action: str, *, project: str = "default", target: str = "") -> None:
        """Refuse, and write that down, before anything else is looked at; `allow` follows when there is work to do.

        Raises:
            NotFound: if the actor has no role in the project at all.
            Forbidden: if its role, or its token, is not good for the action.
        """
        refusal = _refusal(actor, action, project)
        if refusal is not None:
            attempt = AuditEntry(self._clock(), actor.name, action, project, target, "denied", refusal.code)
            self._record(actor.user_id, attempt)
            raise refusal

    def may(self, actor: Actor, action: str, *, project: str = "default") -> bool:
        """Whether the actor may, without asking for it: for masking, not for gating."""
        return holds(actor, action, project)

    def readable(self, actor: Actor, *, project: str = "default") -> frozenset[ColumnClass]:
        """The classes of columns whose values the actor may see: for masking."""
        hidden = {kind for kind, action in READ_ACTIONS.items() if not self.may(actor, action, project=project)}
        return frozenset(ColumnClass) - hidden

    def note(self, name: str, action: str, *, allowed: bool, user_id: str = "") -> None:
        """Write down what happened before there was an actor: a sign-in, or a failed one."""
        outcome: Outcome = "allowed" if allowed else "denied"
        self._record(user_id, AuditEntry(self._clock(), name, action, DEFAULT_PROJECT, "", outcome, ""))

    def note_own(self, tx: sa.Connection, action: str, *, project: str, target: str) -> None:
        """Write down what the platform does by itself, in the transaction that does it; no user has its name."""
        entry = AuditEntry(self._clock(), ITSELF, action, project, target, "allowed", "")
        tx.execute(audit.ADD, audit.line("", entry))

    def _record(self, user_id: str, entry: AuditEntry) -> None:
        with self._database.begin() as tx:
            tx.execute(audit.ADD, audit.line(user_id, entry))


def _refusal(actor: Actor, action: str, project: str) -> LeptonError | None:
    allowed_roles = ACTIONS[action]
    role = actor.roles.get(project)
    if role is None:
        return NotFound(
            f"There is no project {project[:64]!r}, or you have no role in it. See yours with: lepton projects list"
        )
    if actor.scopes is not None and action not in actor.scopes:
        return Forbidden(
            f"This token is not good for {action}. Make one that is with: lepton tokens create --scope {action}"
        )
    if role not in allowed_roles:
        holders = ", ".join(sorted(allowed_roles))
        return Forbidden(
            f"Your role in project {project!r} is {role}, and {action} needs one of: {holders}. "
            "Ask an owner of the project."
        )
    return None
