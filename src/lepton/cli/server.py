"""``lepton up``, ``down``, ``status``, ``demo`` and ``version``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from lepton.cli.door import Door, verb
from lepton.core.errors import Unavailable
from lepton.core.settings import Settings


def add_to(app: typer.Typer) -> None:
    """Add the commands that are about the platform itself."""
    verb(app, "lepton up", "LEPTON_PORT=8080 lepton up", takes=["json"])(up)
    verb(app, "lepton down", takes=[])(down)
    verb(app, "lepton status", takes=["json"])(status)
    verb(app, "lepton demo", "lepton demo --csv houses.csv --target price", takes=["project"])(demo)
    verb(app, "lepton version", takes=["json"])(version)


def up(door: Door) -> None:
    """Start the platform on this machine in the background and print a link to sign in with."""
    from lepton import local

    settings = Settings.from_environment()
    if door.json or not sys.stderr.isatty():
        started = local.up(settings)
    else:
        with door.err.status("Starting …"):
            started = local.up(settings)
    with local.client_of(settings) as client:
        link = client.create_sign_in_link()
    door.answer(
        link.body,
        f"Lepton {'runs already' if started.already else 'runs'} at {started.server.url} "
        f"(files in {settings.home}; stop it with: lepton down)",
        "Sign in once, within the hour:",
    )
    door.say(link.url)


def down(door: Door) -> None:
    """Stop the platform that runs on this machine. Runs go on by themselves; the next `up` finds them."""
    from lepton import local

    settings = Settings.from_environment()
    stopped = local.down(settings)
    if stopped is None:
        door.say(f"No platform runs over {settings.home}.")
    else:
        door.say(f"Stopped the platform at {stopped.url}.")


def status(door: Door) -> None:
    """Show whether the platform runs on this machine, and where."""
    from datetime import UTC, datetime

    from lepton import local
    from lepton.cli.words import duration

    settings = Settings.from_environment()
    server = local.status(settings)
    if server is None:
        raise Unavailable(f"No platform runs over {settings.home}. Start it with: lepton up")
    with local.client_of(settings) as client:
        health = client.health()
    age = duration((datetime.now(UTC) - server.started_at).total_seconds())
    catalog = "SQLite" if settings.catalog == "sqlite" else "PostgreSQL"
    door.answer(
        health.body,
        f"Lepton {health.version} runs at {server.url} for {age} "
        f"(process {server.pid}, catalog in {catalog}, files in {settings.home}).",
    )


def demo(
    door: Door,
    csv: Annotated[Path | None, typer.Option(help="Your own file instead of the built-in one.", metavar="FILE")] = None,
    target: Annotated[str | None, typer.Option(help="The column of it to predict.", metavar="COLUMN")] = None,
) -> None:
    """Walk the whole road on real data: from a raw file to a secured prediction."""
    from lepton.cli.demo import walk

    walk(door.out, csv=csv, target=target, project=door.project)


def version(door: Door) -> None:
    """Show the version of this program."""
    from lepton import __version__

    door.answer(b'{"version":"%s"}' % __version__.encode(), __version__)
