"""The SQL of users, projects, memberships, tokens, sessions and sign-in codes. The audit log has a file of its own."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from lepton.access.records import DEFAULT_PROJECT, Project, Role, Token, User
from lepton.core.errors import Conflict
from lepton.store.database import UtcDateTime, metadata

users = sa.Table(
    "users",
    metadata,
    sa.Column("id", sa.String(26), primary_key=True),
    sa.Column("name", sa.String(64), nullable=False, unique=True),
    sa.Column("password_hash", sa.String(200)),
    sa.Column("created_at", UtcDateTime, nullable=False),
)

projects = sa.Table(
    "projects",
    metadata,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("created_by", sa.String(64), nullable=False),
)

memberships = sa.Table(
    "memberships",
    metadata,
    sa.Column("user_id", sa.ForeignKey("users.id", ondelete="CASCADE"), primary_key=True),
    sa.Column("project", sa.ForeignKey("projects.name"), primary_key=True, index=True),
    sa.Column("role", sa.String(16), nullable=False),
)

tokens = sa.Table(
    "tokens",
    metadata,
    sa.Column("id", sa.String(26), primary_key=True),
    sa.Column("user_id", sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("name", sa.String(64), nullable=False),
    sa.Column("prefix", sa.String(16), nullable=False),
    sa.Column("hash", sa.String(64), nullable=False, unique=True),
    sa.Column("scopes", sa.Text),
    sa.Column("local", sa.Boolean, nullable=False),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("expires_at", UtcDateTime),
    sa.Column("last_used_at", UtcDateTime),
)

sessions = sa.Table(
    "sessions",
    metadata,
    sa.Column("hash", sa.String(64), primary_key=True),
    sa.Column("user_id", sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("scopes", sa.Text),
    sa.Column("expires_at", UtcDateTime, nullable=False),
    sa.Column("limit_at", UtcDateTime),
)

sign_in_codes = sa.Table(
    "sign_in_codes",
    metadata,
    sa.Column("hash", sa.String(64), primary_key=True),
    sa.Column("user_id", sa.ForeignKey("users.id", ondelete="CASCADE"), nullable=False, index=True),
    sa.Column("scopes", sa.Text),
    sa.Column("expires_at", UtcDateTime, nullable=False),
    sa.Column("limit_at", UtcDateTime),
)


@dataclass(frozen=True)
class Person:
    """A user with every role it has; a platform owner is an owner everywhere."""

    id: str
    name: str
    password_hash: str | None
    memberships: dict[str, Role]
    roles: dict[str, Role]
    is_admin: bool


@dataclass(frozen=True)
class Credential:
    """What a token, a session or a sign-in code proves, and until when; nothing made with it outlives `limit_at`."""

    id: str
    user_id: str
    scopes: frozenset[str] | None
    expires_at: datetime | None
    limit_at: datetime | None = None
    last_used_at: datetime | None = None


# Made once, as every request asks who sent it.
_TOKEN = tokens.select().where(tokens.c.hash == sa.bindparam("of_hash"))
_USER = users.select().where(users.c.id == sa.bindparam("wanted"))
_USER_NAMED = users.select().where(users.c.name == sa.bindparam("wanted"))
_ROLES = sa.select(memberships.c.project, memberships.c.role).where(memberships.c.user_id == sa.bindparam("of_user"))
_PROJECTS = sa.select(projects.c.name)


# Users, projects and who is what in which


def add_user(tx: sa.Connection, user_id: str, name: str, password_hash: str | None, now: datetime) -> None:
    """Add a user.

    Raises:
        Conflict: if the name is taken.
    """
    try:
        tx.execute(users.insert().values(id=user_id, name=name, password_hash=password_hash, created_at=now))
    except sa.exc.IntegrityError:
        raise Conflict(
            f"There is a user {name!r} already. Choose another name, or give it a role with: lepton users update {name}"
        ) from None


def add_project(tx: sa.Connection, project: Project) -> None:
    """Add a project.

    Raises:
        Conflict: if the name is taken.
    """
    try:
        tx.execute(
            projects.insert().values(name=project.name, created_at=project.created_at, created_by=project.created_by)
        )
    except sa.exc.IntegrityError:
        raise Conflict(f"There is a project {project.name!r} already. Choose another name.") from None


def list_projects(tx: sa.Connection) -> list[Project]:
    """All projects by name."""
    return [Project(r.name, r.created_at, r.created_by) for r in tx.execute(projects.select().order_by("name"))]


def person(tx: sa.Connection, *, user_id: str | None = None, name: str | None = None) -> Person | None:
    """A user by id or by name, with its roles; None if there is none."""
    query, wanted = (_USER_NAMED, name) if user_id is None else (_USER, user_id)
    user = tx.execute(query, {"wanted": wanted}).one_or_none()
    if user is None:
        return None
    own = {r.project: Role(r.role) for r in tx.execute(_ROLES, {"of_user": user.id})}
    is_admin = own.get(DEFAULT_PROJECT) is Role.OWNER
    roles = dict.fromkeys(tx.execute(_PROJECTS).scalars(), Role.OWNER) if is_admin else own
    return Person(user.id, user.name, user.password_hash, own, roles, is_admin)


def oldest_owner(tx: sa.Connection) -> str | None:
    """Id of the user who has owned the platform the longest."""
    query = (
        sa.select(users.c.id)
        .join(memberships, memberships.c.user_id == users.c.id)
        .where(memberships.c.project == DEFAULT_PROJECT, memberships.c.role == Role.OWNER)
        .order_by(users.c.created_at, users.c.id)
    )
    return tx.execute(query).scalars().first()


def list_users(tx: sa.Connection, project: str) -> list[User]:
    """The members of a project by name."""
    query = (
        sa.select(users, memberships.c.role)
        .join(memberships, memberships.c.user_id == users.c.id)
        .where(memberships.c.project == project)
        .order_by(users.c.name)
    )
    return [
        User(r.id, r.name, project, Role(r.role), r.password_hash is not None, r.created_at) for r in tx.execute(query)
    ]


def owners(tx: sa.Connection, project: str) -> set[str]:
    """Ids of the owners of a project; nobody else changes who they are until this transaction ends."""
    query = memberships.select().where(memberships.c.project == project).with_for_update()
    return {r.user_id for r in tx.execute(query) if r.role == Role.OWNER}


def set_role(tx: sa.Connection, user_id: str, project: str, role: Role) -> None:
    """Make a user a member of a project, or change what it is there."""
    remove_role(tx, user_id, project)
    tx.execute(memberships.insert().values(user_id=user_id, project=project, role=role))


def remove_role(tx: sa.Connection, user_id: str, project: str) -> None:
    """Take a user out of a project."""
    tx.execute(memberships.delete().where(memberships.c.user_id == user_id, memberships.c.project == project))


def set_password(tx: sa.Connection, user_id: str, password_hash: str) -> None:
    """Change a password and end every session that was opened before."""
    tx.execute(users.update().where(users.c.id == user_id).values(password_hash=password_hash))
    tx.execute(sessions.delete().where(sessions.c.user_id == user_id))
    tx.execute(sign_in_codes.delete().where(sign_in_codes.c.user_id == user_id))


def remove_user(tx: sa.Connection, user_id: str) -> None:
    """Remove a user with its roles, tokens, sessions and codes."""
    tx.execute(users.delete().where(users.c.id == user_id))


# Tokens, sessions and codes, found by their hashes


def add_token(tx: sa.Connection, user_id: str, token: Token, token_hash: str, *, local: bool = False) -> None:
    """Add a token."""
    tx.execute(
        tokens.insert().values(
            id=token.id,
            user_id=user_id,
            name=token.name,
            prefix=token.prefix,
            hash=token_hash,
            scopes=_scopes_to_text(token.scopes),
            local=local,
            created_at=token.created_at,
            expires_at=token.expires_at,
        )
    )


def find_token(tx: sa.Connection, token_hash: str) -> Credential | None:
    """A token by its hash."""
    row = tx.execute(_TOKEN, {"of_hash": token_hash}).one_or_none()
    if row is None:
        return None
    return Credential(
        row.id, row.user_id, _scopes(row.scopes), row.expires_at, limit_at=row.expires_at, last_used_at=row.last_used_at
    )


def list_tokens(tx: sa.Connection, user_id: str | None) -> list[Token]:
    """Tokens of a user, or of everybody, the newest first."""
    query = sa.select(tokens, users.c.name.label("user")).join(users, users.c.id == tokens.c.user_id)
    if user_id is not None:
        query = query.where(tokens.c.user_id == user_id)
    return [
        Token(
            id=r.id,
            user=r.user,
            name=r.name,
            prefix=r.prefix,
            scopes=None if r.scopes is None else tuple(json.loads(r.scopes)),
            created_at=r.created_at,
            expires_at=r.expires_at,
            last_used_at=r.last_used_at,
        )
        for r in tx.execute(query.order_by(tokens.c.id.desc()))
    ]


def token_roles(tx: sa.Connection, project: str) -> list[tuple[str, frozenset[str] | None, datetime | None, Role]]:
    """The hash, scopes and end of every token whose user has a role in a project, and that role."""
    query = (
        sa.select(tokens.c.hash, tokens.c.scopes, tokens.c.expires_at, memberships.c.project, memberships.c.role)
        .join(memberships, memberships.c.user_id == tokens.c.user_id)
        .where(memberships.c.project.in_((project, DEFAULT_PROJECT)))
        .order_by(tokens.c.hash)
    )
    found: dict[str, tuple[str, frozenset[str] | None, datetime | None, Role]] = {}
    for row in tx.execute(query):
        role = Role(row.role)
        if row.project == DEFAULT_PROJECT and role is Role.OWNER:  # who owns the platform owns every project
            found[row.hash] = (row.hash, _scopes(row.scopes), row.expires_at, role)
        elif row.project == project:
            found.setdefault(row.hash, (row.hash, _scopes(row.scopes), row.expires_at, role))
    return list(found.values())


def touch_token(tx: sa.Connection, token_id: str, now: datetime) -> None:
    """Remember when a token was last used."""
    tx.execute(tokens.update().where(tokens.c.id == token_id).values(last_used_at=now))


def remove_token(tx: sa.Connection, token_id: str, user_id: str | None) -> bool:
    """Remove a token, of one user only or of anybody; whether there was one."""
    query = tokens.delete().where(tokens.c.id == token_id)
    if user_id is not None:
        query = query.where(tokens.c.user_id == user_id)
    return tx.execute(query).rowcount > 0


def remove_local_tokens(tx: sa.Connection) -> None:
    """Remove the tokens that earlier starts of this platform left for its own machine."""
    tx.execute(tokens.delete().where(tokens.c.local.is_(True)))


def add_session(tx: sa.Connection, session_hash: str, proof: Credential) -> None:
    """Open a session."""
    tx.execute(
        sessions.insert().values(
            hash=session_hash,
            user_id=proof.user_id,
            scopes=_scopes_to_text(proof.scopes),
            expires_at=proof.expires_at,
            limit_at=proof.limit_at,
        )
    )


def find_session(tx: sa.Connection, session_hash: str) -> Credential | None:
    """A session by its hash."""
    row = tx.execute(sessions.select().where(sessions.c.hash == session_hash)).one_or_none()
    if row is None:
        return None
    return Credential("", row.user_id, _scopes(row.scopes), row.expires_at, row.limit_at)


def remove_session(tx: sa.Connection, session_hash: str) -> None:
    """Close a session."""
    tx.execute(sessions.delete().where(sessions.c.hash == session_hash))


def add_code(tx: sa.Connection, code_hash: str, proof: Credential) -> None:
    """Add a sign-in code."""
    tx.execute(
        sign_in_codes.insert().values(
            hash=code_hash,
            user_id=proof.user_id,
            scopes=_scopes_to_text(proof.scopes),
            expires_at=proof.expires_at,
            limit_at=proof.limit_at,
        )
    )


def take_code(tx: sa.Connection, code_hash: str) -> Credential | None:
    """Use up a sign-in code; of two who try at once, one gets it."""
    query = sign_in_codes.delete().where(sign_in_codes.c.hash == code_hash).returning(*sign_in_codes.c)
    row = tx.execute(query).one_or_none()
    if row is None:
        return None
    return Credential("", row.user_id, _scopes(row.scopes), row.expires_at, row.limit_at)


def sweep(tx: sa.Connection, now: datetime) -> None:
    """Forget sessions and codes that have ended. Expired tokens stay, so that their users are told why."""
    tx.execute(sessions.delete().where(sessions.c.expires_at <= now))
    tx.execute(sign_in_codes.delete().where(sign_in_codes.c.expires_at <= now - timedelta(days=1)))


def _scopes(text: str | None) -> frozenset[str] | None:
    return None if text is None else frozenset(json.loads(text))


def _scopes_to_text(scopes: frozenset[str] | tuple[str, ...] | None) -> str | None:
    return None if scopes is None else json.dumps(sorted(scopes))
