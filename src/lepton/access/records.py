"""The words of access: roles, the actor behind a request, and the things users look after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Literal

DEFAULT_PROJECT = "default"
"""The project that is always there. Who owns it owns the platform."""


class Role(StrEnum):
    """What a user is in a project; `lepton.access.actions` says what each role may do."""

    OWNER = "owner"
    STEWARD = "steward"
    EDITOR = "editor"
    VIEWER = "viewer"
    CALLER = "caller"


@dataclass(frozen=True)
class Actor:
    """Who asks, with everything the guard needs to decide.

    Attributes:
        user_id: Id of the user.
        name: Name of the user, for the audit log and for `created_by`.
        roles: Role by project; a platform owner has a role in every project.
        is_admin: Whether the user owns the platform.
        scopes: The only actions its token is good for; None means all that the role holds.
        via: How the actor came in.
        expires_at: When the token ends, None if it does not; what it makes cannot outlive it.
        credential: Digest of the token or session it came in with; of a run, its token.
        run_id: The run it speaks as, empty if it is none.
    """

    user_id: str
    name: str
    roles: Mapping[str, Role]
    is_admin: bool = False
    scopes: frozenset[str] | None = None
    via: Literal["token", "session", "run"] = "token"
    expires_at: datetime | None = None
    credential: str = field(default="", repr=False)
    run_id: str = ""


@dataclass(frozen=True)
class Project:
    """A room of its own for datasets, runs, models and endpoints."""

    name: str
    created_at: datetime
    created_by: str


@dataclass(frozen=True)
class User:
    """A person or a program, and the role it has in one project."""

    id: str
    name: str
    project: str
    role: Role
    has_password: bool
    created_at: datetime


@dataclass(frozen=True)
class Token:
    """An API token, without its secret; `prefix` is how its owner recognises it."""

    id: str
    user: str
    name: str
    prefix: str
    scopes: tuple[str, ...] | None
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None


@dataclass(frozen=True)
class Holder:
    """A token as somebody knows it who must recognise it without asking: by its hash.

    Attributes:
        digest: SHA-256 of the secret, hex.
        may: Whether it is good for the action in question.
        expires_at: When it ends, None if it does not.
    """

    digest: str
    may: bool
    expires_at: datetime | None


@dataclass(frozen=True)
class RunHolder:
    """Whom the token of a run speaks for.

    Attributes:
        run_id: The run.
        project: The only project it may act in.
        user_id: Its submitter.
        scopes: The only actions that its submitter's token was good for; None means all.
    """

    run_id: str
    project: str
    user_id: str
    scopes: frozenset[str] | None


@dataclass(frozen=True)
class SignInCode:
    """A secret that signs one user in once."""

    code: str
    expires_at: datetime


@dataclass(frozen=True)
class Session:
    """A signed-in browser: the secret of its cookie, when it ends and who it is."""

    secret: str
    expires_at: datetime
    actor: Actor


Outcome = Literal["allowed", "denied", "failed"]


@dataclass(frozen=True)
class AuditFilter:
    """Which lines of the audit log are wanted; what is not said is not asked for.

    Attributes:
        actor: Name of who did it.
        action: An action such as ``runs.cancel``, or a noun for all of its actions.
        outcome: How it ended.
        changes: Whether looking is left out.
    """

    actor: str | None = None
    action: str | None = None
    outcome: str | None = None
    changes: bool = False


@dataclass(frozen=True)
class AuditEntry:
    """One line of the audit log; `code` says why a failed action failed."""

    time: datetime
    actor: str
    action: str
    project: str
    target: str
    outcome: Outcome
    code: str
