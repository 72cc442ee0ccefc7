"""All commands, by their nouns. What happens around each is in ``door.py``."""

from __future__ import annotations

from functools import partial

import typer

from lepton.cli import access, datasets, door, endpoints, runs, server, tuning

_ABOUT = """
Lepton: from raw data to secured real-time predictions, on machines you own.

[dim]For example[/dim]

[cyan]lepton up[/cyan]

[cyan]lepton datasets import houses.csv[/cyan]

[cyan]lepton datasets clean houses --target price[/cyan]

[cyan]lepton models train houses --dataset houses --target price --workers 2[/cyan]

[cyan]lepton endpoints deploy houses --model houses[/cyan]

[cyan]lepton endpoints predict houses area=120 city=Paris[/cyan]
"""


app = typer.Typer(name="lepton", help=_ABOUT, no_args_is_help=True, rich_markup_mode="rich")
for nouns in (datasets, runs, tuning, endpoints, access):
    for group in nouns.GROUPS:
        app.add_typer(group)
server.add_to(app)

run = partial(door.run, app)
main = partial(door.main, app)
