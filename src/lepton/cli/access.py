"""``lepton projects``, ``users``, ``tokens`` and ``audit``."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from lepton.cli.door import Door, Yes, group, verb
from lepton.core.errors import InvalidInput

PROJECTS = group("projects", "Rooms of their own for datasets, runs, models and endpoints.")
USERS = group("users", "Who may sign in, and what they may do.")
TOKENS = group("tokens", "Your API tokens.")
AUDIT = group("audit", "Who did what, and who was refused.")
GROUPS = (PROJECTS, USERS, TOKENS, AUDIT)

UserName = Annotated[str, typer.Argument(help="Name of the user.")]
Role = Annotated[str, typer.Option(help="owner, steward, editor, viewer or caller, in the project.")]
AskPassword = Annotated[bool, typer.Option("--password", help="Ask for a password to sign in with.")]


@verb(PROJECTS, "lepton projects list", name="list")
def list_projects(door: Door) -> None:
    """List the projects you are in."""
    from lepton.cli import tables

    items = door.client.projects.list()
    door.answer(items.body, tables.projects(items))


@verb(PROJECTS, "lepton projects create research", name="create")
def create_project(door: Door, name: Annotated[str, typer.Argument(help="Name of the project.")]) -> None:
    """Make a project."""
    made = door.client.projects.create(name)
    door.answer(made.body, f"Made project {made.name}. Work in it with: --project {made.name}")


@verb(USERS, "lepton users list", name="list")
def list_users(door: Door) -> None:
    """List the users of the project and their roles."""
    from lepton.cli import tables

    items = door.client.users.list()
    door.answer(items.body, tables.users(items))


@verb(USERS, "lepton users create ada --role editor --password", name="create")
def create_user(door: Door, name: UserName, role: Role, password: AskPassword = False) -> None:
    """Add somebody to the project."""
    made = door.client.users.create(name, role=role, password=_ask_password() if password else None)
    door.answer(made.body, f"Added {made.name} as {made.role} of project {made.project}.")
    if made.sign_in_url:
        door.say(f"Hand over this link; it signs in once, within the hour: {made.sign_in_url}")


@verb(USERS, "lepton users update ada --role steward", name="update")
def update_user(
    door: Door,
    name: UserName,
    role: Annotated[str | None, typer.Option(help="The new role in the project.")] = None,
    password: AskPassword = False,
) -> None:
    """Give somebody another role in the project, or another password."""
    made = door.client.users.update(name, role=role, password=_ask_password() if password else None)
    door.answer(made.body, f"{made.name} is {made.role} of project {made.project}.")


@verb(USERS, "lepton users delete ada", name="delete")
def delete_user(door: Door, name: UserName, yes: Yes = False) -> None:
    """Remove somebody; their tokens and sessions end at once."""
    door.confirm(f"Remove user {name}?", yes=yes)
    door.client.users.delete(name)
    door.say(f"Removed user {name}.")


@verb(TOKENS, "lepton tokens list", name="list")
def list_tokens(door: Door) -> None:
    """List your tokens, without their secrets."""
    from lepton.cli import tables

    items = door.client.tokens.list()
    door.answer(items.body, tables.tokens(items))


@verb(
    TOKENS,
    "lepton tokens create notebook",
    "lepton tokens create shop --scope endpoints.predict --expires-in 90d",
    name="create",
)
def create_token(
    door: Door,
    name: Annotated[str, typer.Argument(help="What it is for.")],
    scope: Annotated[
        list[str] | None, typer.Option(help="An action it is good for; all of yours if absent.", metavar="ACTION")
    ] = None,
    expires_in: Annotated[str | None, typer.Option(help="Such as 12h or 90d; never if absent.")] = None,
) -> None:
    """Make a token; its secret is shown only now."""
    from lepton.cli import values

    seconds = values.seconds(expires_in) if expires_in is not None else None
    made = door.client.tokens.create(name, scopes=scope, expires_in_s=seconds)
    door.answer(made.body, made.secret or "")
    if not door.json:
        door.err.print("Keep it safe: it is not shown again.")


@verb(TOKENS, "lepton tokens delete 01J8ZQ4T6W", name="delete")
def delete_token(
    door: Door, token: Annotated[str, typer.Argument(help="Id of the token, see list.")], yes: Yes = False
) -> None:
    """Revoke a token."""
    door.confirm(f"Revoke token {token}?", yes=yes)
    door.client.tokens.delete(token)
    door.say(f"Revoked token {token}.")


@verb(
    AUDIT,
    "lepton audit list --changes",
    "lepton audit list --actor ada --action runs --outcome denied",
    name="list",
)
def list_audit(
    door: Door,
    actor: Annotated[str | None, typer.Option(help="Only what this user did.", metavar="NAME")] = None,
    action: Annotated[str | None, typer.Option(help="Only runs.cancel, say, or all of runs.", metavar="ACTION")] = None,
    outcome: Annotated[str | None, typer.Option(help="Only what was allowed, denied or has failed.")] = None,
    changes: Annotated[bool, typer.Option("--changes", help="Only what changes something, no looking.")] = False,
    limit: Annotated[int, typer.Option(help="At most so many.", min=1, max=1000)] = 50,
) -> None:
    """List who did what, the newest first."""
    from lepton.cli import tables

    items = door.client.audit.list(actor=actor, action=action, outcome=outcome, changes=changes, limit=limit)
    door.answer(items.body, tables.audit(items))


def _ask_password() -> str:
    if not sys.stdin.isatty():
        raise InvalidInput("A password is typed at a terminal, and this is none. Repeat the command at one.")
    answer: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    return answer
