"""``client.projects``, ``.users``, ``.tokens`` and ``.audit``: who may, and who did."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from lepton.client.answers import Answer, Items, decode, decode_items
from lepton.client.transport import Query, Transport, path_of


@dataclass(frozen=True, kw_only=True)
class Person:
    """Somebody, by id and name."""

    id: str
    name: str


@dataclass(frozen=True, kw_only=True)
class Membership:
    """A project one is in; `actions` are what one's role and token allow there."""

    name: str
    role: str
    actions: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Me(Answer):
    """Who a token speaks for."""

    user: Person
    projects: tuple[Membership, ...]
    is_admin: bool = False


@dataclass(frozen=True, kw_only=True)
class SignInLink(Answer):
    """A link that signs a browser in once."""

    url: str
    expires_at: datetime


@dataclass(frozen=True, kw_only=True)
class Project(Answer):
    """A fence around datasets, runs, models and endpoints."""

    name: str
    created_at: datetime | None = None
    created_by: str = ""


@dataclass(frozen=True, kw_only=True)
class User(Answer):
    """Somebody who may sign in, and what they are in one project.

    Attributes:
        sign_in_url: A link that signs them in once, there only when they were just added.
    """

    name: str
    role: str
    id: str = ""
    project: str = "default"
    has_password: bool = False
    created_at: datetime | None = None
    sign_in_url: str | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True)
class Token(Answer):
    """An API token.

    Attributes:
        prefix: Its first characters, to tell tokens apart.
        scopes: The only actions it is good for; None means all of its user's.
        secret: The token itself, there only when it was just made.
    """

    id: str
    name: str
    user: str = ""
    prefix: str = ""
    scopes: tuple[str, ...] | None = None
    created_at: datetime | None = None
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    secret: str | None = field(default=None, repr=False)


@dataclass(frozen=True, kw_only=True)
class AuditEntry:
    """One thing that somebody did or was refused; `code` says why it failed."""

    time: datetime
    actor: str
    action: str
    outcome: str
    project: str = ""
    target: str = ""
    code: str = ""


class Projects:
    """The verbs on projects."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self) -> Items[Project]:
        """List the projects you are in."""
        return decode_items(Project, self._transport.get(path_of("projects")))

    def create(self, name: str) -> Project:
        """Make a project; you become its owner."""
        return decode(Project, self._transport.send("POST", path_of("projects"), json={"name": name}))


class Users:
    """The verbs on users."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self) -> Items[User]:
        """List the users and their roles."""
        return decode_items(User, self._transport.get(path_of("users")))

    def create(self, name: str, *, role: str, password: str | None = None) -> User:
        """Add somebody with a role in the project: ``owner``, ``steward``, ``editor``, ``viewer`` or ``caller``."""
        body = {"name": name, "role": role, "project": self._transport.project, "password": password}
        return decode(User, self._transport.send("POST", path_of("users"), json=body))

    def update(self, name: str, *, role: str | None = None, password: str | None = None) -> User:
        """Give somebody another role in the project, or another password."""
        body = {"role": role, "password": password, "project": self._transport.project}
        return decode(User, self._transport.send("PATCH", path_of("users", name), json=body))

    def delete(self, name: str) -> None:
        """Remove somebody; their tokens and sessions end at once."""
        self._transport.send("DELETE", path_of("users", name))


class Tokens:
    """The verbs on your own API tokens."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self) -> Items[Token]:
        """List your tokens, without their secrets."""
        return decode_items(Token, self._transport.get(path_of("tokens")))

    def create(self, name: str, *, scopes: Sequence[str] | None = None, expires_in_s: int | None = None) -> Token:
        """Make a token, optionally limited to some actions and to some seconds; its secret is shown only now."""
        body = {"name": name, "scopes": None if scopes is None else [*scopes], "expires_in_s": expires_in_s}
        return decode(Token, self._transport.send("POST", path_of("tokens"), json=body))

    def delete(self, token_id: str) -> None:
        """Revoke a token."""
        self._transport.send("DELETE", path_of("tokens", token_id))


class Audit:
    """The verb on the audit log."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(
        self,
        *,
        actor: str | None = None,
        action: str | None = None,
        outcome: str | None = None,
        changes: bool = False,
        limit: int = 100,
    ) -> Items[AuditEntry]:
        """List who did what, the newest first.

        Args:
            actor: Only what this user did.
            action: Only this action, such as ``runs.cancel``, or all of a noun, such as ``runs``.
            outcome: Only what was ``allowed``, ``denied`` or has ``failed``.
            changes: Only what changes something, without the looking.
            limit: At most so many lines.
        """
        query: Query = {
            "actor": actor, "action": action, "outcome": outcome, "changes": changes or None, "limit": limit
        }  # fmt: skip
        return decode_items(AuditEntry, self._transport.get(path_of("audit"), query))
