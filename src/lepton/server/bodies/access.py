"""The JSON of projects, users, tokens, sign-in and the audit log."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from lepton.access.records import DEFAULT_PROJECT, AuditFilter, Outcome, Role
from lepton.server.wire import Answer, Body


class PersonAnswer(Answer):
    """Somebody."""

    id: str
    name: str


class MembershipAnswer(Answer):
    """A project one is in, and what one may do there."""

    name: str
    role: Role
    actions: list[str]


class MeAnswer(Answer):
    """Who a token or a session speaks for."""

    user: PersonAnswer
    projects: list[MembershipAnswer]
    is_admin: bool


class SignInBody(Body):
    """A one-time code, or a name and a password."""

    code: str | None = None
    name: str | None = None
    password: str | None = None


class SignInLinkAnswer(Answer):
    """A link that signs a browser in once."""

    url: str
    expires_at: datetime


class ProjectAnswer(Answer):
    """A project."""

    name: str
    created_at: datetime
    created_by: str


class ProjectBody(Body):
    """A project to make."""

    name: str


class UserAnswer(Answer):
    """Somebody's role in a project."""

    id: str
    name: str
    project: str
    role: Role
    has_password: bool
    created_at: datetime


class NewUserAnswer(UserAnswer):
    """Somebody new, with a link to hand over that signs them in once."""

    sign_in_url: str
    sign_in_expires_at: datetime


class UserBody(Body):
    """Somebody to add."""

    name: str
    role: Role
    project: str = DEFAULT_PROJECT
    password: str | None = None


class UserChangeBody(Body):
    """What to change; what is null stays."""

    role: Role | None = None
    project: str = DEFAULT_PROJECT
    password: str | None = None


class TokenAnswer(Answer):
    """A token without its secret."""

    id: str
    user: str
    name: str
    prefix: str
    scopes: list[str] | None
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None


class NewTokenAnswer(TokenAnswer):
    """A new token with its secret, which is never shown again."""

    secret: str


class TokenBody(Body):
    """A token to make."""

    name: str
    scopes: list[str] | None = None
    expires_in_s: int | None = None


class AuditQuery(Body):
    """Which lines of the audit log are wanted; ``action`` is one action or a noun, ``changes`` leaves out looking."""

    project: str = DEFAULT_PROJECT
    limit: Annotated[int, Field(ge=1, le=1000)] = 100
    actor: str | None = None
    action: str | None = None
    outcome: str | None = None
    changes: bool = False

    def wanted(self) -> AuditFilter:
        """What the operation takes."""
        return AuditFilter(self.actor, self.action, self.outcome, self.changes)


class AuditAnswer(Answer):
    """A line of the audit log."""

    time: datetime
    actor: str
    action: str
    project: str
    target: str
    outcome: Outcome
    code: str
