"""The verbs of access: who comes in and how, users, projects, tokens, and the audit log.

Coming in (`authenticate`, `session`, `sign_in`) has no actor yet; everything after that goes through the guard.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Literal

import sqlalchemy as sa

from lepton.access import audit, limits, passwords, rows, secrets
from lepton.access.actions import ACTIONS, RUN_ACTIONS
from lepton.access.attempts import Attempts
from lepton.access.guard import Guard
from lepton.access.records import (
    DEFAULT_PROJECT,
    Actor,
    AuditEntry,
    AuditFilter,
    Holder,
    Project,
    Role,
    RunHolder,
    Session,
    SignInCode,
    Token,
    User,
)
from lepton.core.clock import Clock
from lepton.core.errors import Conflict, Forbidden, InvalidInput, NotFound, Unauthenticated
from lepton.core.ids import new_id
from lepton.core.refs import check_name
from lepton.store.database import Database

FIRST_OWNER = "owner"
SESSION_LIFE = timedelta(days=7)
CODE_LIFE = timedelta(hours=1)
_TOUCH_EVERY = timedelta(minutes=1)
_UNKNOWN_TOKEN = "This token is unknown or was deleted. Make a new one with: lepton tokens create"  # noqa: S105
_NO_SESSION = "Your session has ended. Sign in again."


class Access:
    """People, programs and their credentials."""

    def __init__(self, *, database: Database, guard: Guard, clock: Clock) -> None:
        self._database = database
        self._guard = guard
        self._clock = clock
        self._attempts = Attempts()
        self.changed: Callable[[], None] = lambda: None
        """Called when a token or a role has changed; who tells replicas of it sets this."""
        self.find_run: Callable[[str], RunHolder | None] = lambda _: None
        """Says whom the token of a run speaks for; who knows the runs sets this."""

    # Coming in

    def bootstrap(self) -> User:
        """Make the default project and its first owner if there is none; return the platform's oldest owner."""
        with self._database.begin() as tx:
            owner_id = rows.oldest_owner(tx)
            if owner_id is None:
                owner_id = new_id()
                rows.add_project(tx, Project(DEFAULT_PROJECT, self._clock(), FIRST_OWNER))
                rows.add_user(tx, owner_id, FIRST_OWNER, None, self._clock())
                rows.set_role(tx, owner_id, DEFAULT_PROJECT, Role.OWNER)
            return next(user for user in rows.list_users(tx, DEFAULT_PROJECT) if user.id == owner_id)

    def mint_local_token(self) -> str:
        """Return a new owner token for programs on the platform's own machine; the one before stops working."""
        owner = self.bootstrap()
        secret = secrets.mint(secrets.TOKEN)
        prefix = secret[: secrets.SHOWN_CHARACTERS]
        token = Token(new_id(), owner.name, "local", prefix, None, self._clock(), expires_at=None, last_used_at=None)
        with self._database.begin() as tx:
            rows.remove_local_tokens(tx)
            rows.add_token(tx, owner.id, token, secrets.digest(secret), local=True)
        return secret

    def authenticate(self, secret: str) -> Actor:
        """Return who a token speaks for.

        Raises:
            Unauthenticated: if it is unknown, deleted or expired.
        """
        if secret.startswith(secrets.RUN):
            return self._of_run(secret)
        if not secret.startswith(secrets.TOKEN):
            raise Unauthenticated(_UNKNOWN_TOKEN)
        return self._of_token(secrets.digest(secret))

    def session(self, secret: str) -> Actor:
        """Return who a session cookie speaks for.

        Raises:
            Unauthenticated: if there is no such session or it has ended.
        """
        if not secret.startswith(secrets.SESSION):
            raise Unauthenticated(_NO_SESSION)
        return self._of_session(secrets.digest(secret))

    def renew(self, known: Actor) -> Actor:
        """Return who came in earlier as it is by now: it may have been locked out or given another role.

        Raises:
            Unauthenticated: if its token or session was deleted or has ended.
        """
        find = {"session": self._of_session, "run": self._of_run, "token": self._of_token}[known.via]
        return find(known.credential)

    def _of_run(self, secret: str) -> Actor:
        holder = self.find_run(secret)
        if holder is None:
            raise Unauthenticated("This token is of a run that has ended. Start the run again with: lepton runs retry")
        try:
            actor = self.actor_for_run(holder.user_id, holder.scopes)
        except NotFound as error:
            raise Unauthenticated(error.message) from None
        roles = {project: role for project, role in actor.roles.items() if project == holder.project}
        return replace(actor, roles=roles, is_admin=False, credential=secret, run_id=holder.run_id)

    def _of_token(self, digest: str) -> Actor:
        now = self._clock()
        with self._database.read() as tx:
            proof = rows.find_token(tx, digest)
            person = rows.person(tx, user_id=proof.user_id) if proof else None
        if proof is None or person is None:
            raise Unauthenticated(_UNKNOWN_TOKEN)
        if proof.expires_at is not None and proof.expires_at <= now:
            raise Unauthenticated(
                f"This token expired on {proof.expires_at:%Y-%m-%d}. Make a new one with: lepton tokens create"
            )
        if proof.last_used_at is None or now - proof.last_used_at >= _TOUCH_EVERY:
            with self._database.begin() as tx:
                rows.touch_token(tx, proof.id, now)
        return _actor(person, proof, "token", digest)

    def _of_session(self, digest: str) -> Actor:
        with self._database.read() as tx:
            proof = rows.find_session(tx, digest)
            person = rows.person(tx, user_id=proof.user_id) if proof else None
        if proof is None or person is None or (proof.expires_at is not None and proof.expires_at <= self._clock()):
            raise Unauthenticated(_NO_SESSION)
        return _actor(person, proof, "session", digest)

    def sign_in(self, code: str) -> Session:
        """Open a session with a one-time code.

        Raises:
            Unauthenticated: if the code is unknown, was used, or is too old.
        """
        now = self._clock()
        with self._database.begin() as tx:
            proof = rows.take_code(tx, secrets.digest(code)) if code.startswith(secrets.CODE) else None
        if proof is None or (proof.expires_at is not None and proof.expires_at <= now):
            self._guard.note("", "sign_in", allowed=False)
            raise Unauthenticated(
                "This sign-in link was used already or is over an hour old. Get a new one with: lepton up"
            )
        return self._open_session(proof)

    def sign_in_with_password(self, name: str, password: str) -> Session:
        """Open a session with a name and a password.

        Raises:
            Unauthenticated: if they do not belong together, or after too many wrong guesses.
        """
        wait = self._attempts.begin(name, self._clock())
        if wait:
            raise Unauthenticated(
                f"Too many wrong passwords for this name. Wait {int(wait.total_seconds()) + 1} seconds and try again, "
                "or sign in with a link."
            )
        with self._database.read() as tx:
            person = rows.person(tx, name=name)
        if not passwords.check_password(person.password_hash if person else None, password) or person is None:
            # What was typed is not kept: people type passwords into the wrong field.
            self._guard.note(person.name if person else "", "sign_in", allowed=False)
            raise Unauthenticated("The name and the password do not belong together. Try again, or ask an owner.")
        self._attempts.succeeded(name)
        return self._open_session(rows.Credential("", person.id, scopes=None, expires_at=None))

    def sign_out(self, secret: str) -> None:
        """End a session."""
        with self._database.begin() as tx:
            rows.remove_session(tx, secrets.digest(secret))

    def actor_for_run(self, user_id: str, scopes: frozenset[str] | None) -> Actor:
        """Return the actor a run acts as: its submitter as of now, without a say over people or credentials.

        Raises:
            NotFound: if the submitter is no longer a user.
        """
        with self._database.read() as tx:
            person = rows.person(tx, user_id=user_id)
        if person is None:
            raise NotFound("The user who submitted this run was removed. Submit it again as somebody else.")
        held = RUN_ACTIONS if scopes is None else RUN_ACTIONS & scopes
        return Actor(person.id, person.name, person.roles, person.is_admin, held, via="run")

    def holders(self, action: str, *, project: str) -> list[Holder]:
        """Return every token of a project's members, for a replica that has to know them without asking.

        Args:
            action: What they want to do there.
            project: Where.
        """
        with self._database.read() as tx:
            found = rows.token_roles(tx, project)
        return [
            Holder(digest, role in ACTIONS[action] and (scopes is None or action in scopes), expires_at)
            for digest, scopes, expires_at, role in found
        ]

    # Tokens and sign-in links: everybody's own

    def create_sign_in_link(self, actor: Actor) -> SignInCode:
        """Make a code that signs the actor in once, good for an hour; the session can do what the actor can."""
        now = self._clock()
        code = SignInCode(secrets.mint(secrets.CODE), now + CODE_LIFE)
        with self._guard.allow(actor, "tokens.create", project=_home(actor), target="sign-in-link") as tx:
            proof = rows.Credential("", actor.user_id, actor.scopes, code.expires_at, limit_at=actor.expires_at)
            rows.add_code(tx, secrets.digest(code.code), proof)
        return code

    def create_token(
        self, actor: Actor, name: str, *, scopes: Iterable[str] | None = None, expires_in_s: int | None = None
    ) -> tuple[Token, str]:
        """Make a token that speaks for the actor.

        Args:
            actor: Whom it will speak for.
            name: What its owner calls it.
            scopes: The only actions it is good for; None means all that the actor may do, now and later.
            expires_in_s: Life in seconds; None means as long as the actor's own credential, or until it is deleted.

        Returns:
            The token and its secret, which is kept nowhere and cannot be shown again.

        Raises:
            InvalidInput: if the name, a scope or the life makes no sense.
            Forbidden: if a scope is one that the actor's own token lacks.
        """
        check_name(name, "token")
        now = self._clock()
        secret = secrets.mint(secrets.TOKEN)
        token = Token(
            id=new_id(),
            user=actor.name,
            name=name,
            prefix=secret[: secrets.SHOWN_CHARACTERS],
            scopes=limits.narrowed(actor, scopes),
            created_at=now,
            expires_at=limits.end(actor, now, expires_in_s),
            last_used_at=None,
        )
        with self._guard.allow(actor, "tokens.create", project=_home(actor), target=name) as tx:
            rows.add_token(tx, actor.user_id, token, secrets.digest(secret))
        self.changed()
        return token, secret

    def list_tokens(self, actor: Actor) -> list[Token]:
        """Return the actor's tokens, or everybody's for a platform owner, newest first."""
        with self._guard.allow(actor, "tokens.list", project=_home(actor)) as tx:
            return rows.list_tokens(tx, None if actor.is_admin else actor.user_id)

    def delete_token(self, actor: Actor, token_id: str) -> None:
        """Make a token stop working: one's own, or anybody's for a platform owner.

        Raises:
            NotFound: if there is no such token.
        """
        with self._guard.allow(actor, "tokens.delete", project=_home(actor), target=token_id) as tx:
            if not rows.remove_token(tx, token_id, None if actor.is_admin else actor.user_id):
                raise NotFound(f"You have no token {token_id[:26]!r}. See: lepton tokens list")
        self.changed()

    # Projects and people

    def list_projects(self, actor: Actor) -> list[Project]:
        """Return the projects the actor has a role in."""
        with self._guard.allow(actor, "projects.list", project=_home(actor)) as tx:
            return [project for project in rows.list_projects(tx) if project.name in actor.roles]

    def create_project(self, actor: Actor, name: str) -> Project:
        """Make a project and its first owner, the actor. Only owners of the default project may.

        Raises:
            InvalidInput: if the name cannot name a project.
            Conflict: if it is taken.
        """
        check_name(name, "project")
        project = Project(name, self._clock(), actor.name)
        with self._guard.allow(actor, "projects.create", target=name) as tx:
            rows.add_project(tx, project)
            rows.set_role(tx, actor.user_id, name, Role.OWNER)
        return project

    def list_users(self, actor: Actor, *, project: str = DEFAULT_PROJECT) -> list[User]:
        """Return the members of a project."""
        with self._guard.allow(actor, "users.list", project=project) as tx:
            return rows.list_users(tx, project)

    def create_user(
        self, actor: Actor, name: str, role: Role, *, project: str = DEFAULT_PROJECT, password: str | None = None
    ) -> tuple[User, SignInCode]:
        """Make a user with a role in a project.

        Returns:
            The user, and a code that signs it in once, for the person who made it to hand over.

        Raises:
            InvalidInput: if the name cannot name a user or the password is too short.
            Conflict: if the name is taken.
        """
        check_name(name, "user")
        kept = None if password is None else passwords.hash_password(password)
        now = self._clock()
        user = User(new_id(), name, project, role, has_password=kept is not None, created_at=now)
        code = SignInCode(secrets.mint(secrets.CODE), now + CODE_LIFE)
        with self._guard.allow(actor, "users.create", project=project, target=name) as tx:
            rows.add_user(tx, user.id, name, kept, now)
            rows.set_role(tx, user.id, project, role)
            rows.add_code(tx, secrets.digest(code.code), rows.Credential("", user.id, None, code.expires_at))
        return user, code

    def update_user(
        self,
        actor: Actor,
        name: str,
        *,
        project: str = DEFAULT_PROJECT,
        role: Role | None = None,
        password: str | None = None,
    ) -> User:
        """Give a user a role in a project, which makes it a member, or a new password, which ends its sessions.

        Raises:
            InvalidInput: if nothing is to be changed, or the password is too short.
            NotFound: if there is no such user.
            Conflict: if it would leave the project without an owner.
            Forbidden: if the password is of somebody who is also in projects that the actor does not own.
        """
        if role is None and password is None:
            raise InvalidInput("Say what to change of the user: the role in the project, the password, or both.")
        kept = None if password is None else passwords.hash_password(password)
        with self._guard.allow(actor, "users.update", project=project, target=name) as tx:
            person = _existing(tx, name)
            if role is not None:
                if role is not Role.OWNER:
                    _keep_an_owner(tx, person, project)
                rows.set_role(tx, person.id, project, role)
            if kept is not None:
                if any(actor.roles.get(other) is not Role.OWNER for other in person.memberships):
                    raise Forbidden(
                        f"User {name!r} is also in projects that you do not own. Ask an owner of the platform."
                    )
                rows.set_password(tx, person.id, kept)
            found = [user for user in rows.list_users(tx, project) if user.id == person.id]
            if not found:
                raise NotFound(_no_user(name, project))
        self.changed()
        return found[0]

    def delete_user(self, actor: Actor, name: str, *, project: str = DEFAULT_PROJECT) -> None:
        """Take a user out of a project; out of the platform if it was in no other or if a platform owner asks.

        Raises:
            NotFound: if there is no such user in the project.
            Conflict: if it would leave a project without an owner.
        """
        with self._guard.allow(actor, "users.delete", project=project, target=name) as tx:
            person = _existing(tx, name)
            leaving = set(person.memberships) if actor.is_admin else {project} & set(person.memberships)
            if not leaving:
                raise NotFound(_no_user(name, project))
            for each in sorted(leaving):
                _keep_an_owner(tx, person, each)
                rows.remove_role(tx, person.id, each)
            if leaving == set(person.memberships):
                rows.remove_user(tx, person.id)
        self.changed()

    def list_audit(
        self,
        actor: Actor,
        *,
        project: str = DEFAULT_PROJECT,
        limit: int = 100,
        wanted: AuditFilter | None = None,
    ) -> list[AuditEntry]:
        """Return who did what in a project, newest first, all of it or the lines that are wanted.

        Raises:
            InvalidInput: if there is no such action or outcome, or the limit is out of range.
        """
        if not 1 <= limit <= 1000:
            raise InvalidInput("The limit of audit lines must be from 1 to 1000. Leave it out to get 100.")
        if wanted is not None:
            audit.check_filter(wanted)
        with self._guard.allow(actor, "audit.list", project=project):
            pass
        with self._database.read() as tx:  # what is rare is looked for long, and nobody else could write meanwhile
            return audit.latest(tx, project, limit, wanted)

    def _open_session(self, proof: rows.Credential) -> Session:
        now = self._clock()
        ends = min(now + SESSION_LIFE, proof.limit_at or now + SESSION_LIFE)
        secret = secrets.mint(secrets.SESSION)
        with self._database.begin() as tx:
            rows.sweep(tx, now)
            person = rows.person(tx, user_id=proof.user_id)
            if person is None:
                raise Unauthenticated("This user was removed. Ask an owner.")
            rows.add_session(tx, secrets.digest(secret), replace(proof, expires_at=ends))
        self._guard.note(person.name, "sign_in", allowed=True, user_id=person.id)
        return Session(secret, ends, _actor(person, proof, "session", secrets.digest(secret)))


def _actor(person: rows.Person, proof: rows.Credential, via: Literal["token", "session"], digest: str) -> Actor:
    return Actor(person.id, person.name, person.roles, person.is_admin, proof.scopes, via, proof.limit_at, digest)


def _home(actor: Actor) -> str:
    """The project under which an actor looks after its own things: any will do, as every role may."""
    return DEFAULT_PROJECT if DEFAULT_PROJECT in actor.roles else min(actor.roles, default=DEFAULT_PROJECT)


def _existing(tx: sa.Connection, name: str) -> rows.Person:
    person = rows.person(tx, name=name)
    if person is None:
        raise NotFound(f"There is no user {name[:64]!r}. See: lepton users list")
    return person


def _no_user(name: str, project: str) -> str:
    return f"There is no user {name[:64]!r} in project {project!r}. See: lepton users list"


def _keep_an_owner(tx: sa.Connection, person: rows.Person, project: str) -> None:
    if rows.owners(tx, project) == {person.id}:
        raise Conflict(
            f"User {person.name!r} is the last owner of project {project!r}. Make somebody else an owner first."
        )
