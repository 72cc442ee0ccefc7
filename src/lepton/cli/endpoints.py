"""``lepton endpoints``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from lepton.cli.door import Detach, Door, Yes, group, verb

if TYPE_CHECKING:
    from lepton.client.endpoints import Endpoint

ENDPOINTS = group("endpoints", "Models that answer: deploy, predict, roll back.")
GROUPS = (ENDPOINTS,)

Name = Annotated[str, typer.Argument(help="Name of the endpoint.")]


@verb(
    ENDPOINTS,
    "lepton endpoints deploy houses --model houses@1",
    "lepton endpoints deploy houses --model houses@1 --workers 0:4",
    "lepton endpoints deploy houses --model houses@2 --canary 10",
    "lepton endpoints deploy flats --model flats@1 --shares houses",
)
def deploy(  # noqa: PLR0913 - a command's parameters are its options
    door: Door,
    name: Name,
    *,
    model: Annotated[str, typer.Option(help="Model version, NAME or NAME@VERSION.", metavar="REF")],
    workers: Annotated[
        str | None,
        typer.Option(
            help="How many processes predict: N, or MIN:MAX for the load to decide; 0:MAX: none while nobody asks.",
            metavar="N|MIN:MAX",
        ),
    ] = None,
    replicas: Annotated[
        int | None,
        typer.Option(help="On how many machines of the cluster (LEPTON_ENGINE), so many workers on each.", min=1),
    ] = None,
    shares: Annotated[
        str,
        typer.Option(help="Answer in the replica of this endpoint, by its workers and on its port.", metavar="NAME"),
    ] = "",
    canary: Annotated[
        int | None,
        typer.Option(help="Answer this percentage of the requests beside the present version.", metavar="PERCENT"),
    ] = None,
    shadow: Annotated[
        bool, typer.Option("--shadow", help="Answer nobody, and be compared with the present version.")
    ] = False,
    max_rate: Annotated[float | None, typer.Option(help="Requests a second at most; 0: no limit.")] = None,
    max_token_rate: Annotated[
        float | None, typer.Option(help="Requests a second at most with one token; 0: no limit.")
    ] = None,
    max_concurrency: Annotated[int | None, typer.Option(help="Predictions at one time at most; 0: no limit.")] = None,
    detach: Detach = False,
) -> None:
    """Let a model version answer under a name; an endpoint that exists moves over to it without a gap."""
    from lepton.cli import values
    from lepton.client.endpoints import Limits

    count = values.workers(workers) if workers is not None else None
    limits = Limits(max_rate=max_rate, max_token_rate=max_token_rate, max_concurrency=max_concurrency)
    endpoint = door.client.endpoints.deploy(
        name, model=model, workers=count, replicas=replicas, shares=shares, canary=canary, shadow=shadow,
        wait=False, limits=None if limits == Limits() else limits,
    )  # fmt: skip
    _finish(door, endpoint, detach=detach)


@verb(ENDPOINTS, "lepton endpoints rollback houses")
def rollback(door: Door, name: Name, detach: Detach = False) -> None:
    """Drop an endpoint's canary, or, without one, let the version before answer again."""
    _finish(door, door.client.endpoints.rollback(name, wait=False), detach=detach)


@verb(
    ENDPOINTS,
    "lepton endpoints predict houses area=120 city=Paris",
    """lepton endpoints predict houses '{"area": 120, "city": "Paris"}'""",
    "lepton endpoints predict houses @rows.json",
)
def predict(
    door: Door,
    name: Name,
    row: Annotated[
        list[str], typer.Argument(help="One row as NAME=VALUE …, or rows as JSON, or @FILE (@- reads standard input).")
    ],
) -> None:
    """Ask an endpoint."""
    from lepton.cli import model_pages, values

    rows = values.rows(row, lambda: values.types_of(door.client, name))
    predictions = door.client.endpoints.predict(name, rows)
    door.answer(predictions.body, model_pages.predictions(predictions))


@verb(ENDPOINTS, "lepton endpoints list", name="list")
def list_(door: Door) -> None:
    """List the endpoints."""
    from lepton.cli import tables

    items = door.client.endpoints.list()
    door.answer(items.body, tables.endpoints(items))


@verb(ENDPOINTS, "lepton endpoints get houses")
def get(door: Door, name: Name) -> None:
    """Show one endpoint and what it takes."""
    from lepton.cli import model_pages

    endpoint = door.client.endpoints.get(name)
    door.answer(endpoint.body, *model_pages.endpoint(endpoint))


@verb(ENDPOINTS, "lepton endpoints metrics houses", "lepton endpoints metrics houses --follow")
def metrics(
    door: Door,
    name: Name,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Draw anew every two seconds, until Ctrl+C.")] = False,
) -> None:
    """Show how an endpoint does: requests, errors, latencies, now and in the last ten minutes."""
    from lepton.cli import endpoint_pages, waiting

    if follow:
        waiting.redraw(door, door.client.endpoints.metrics(name, follow=True), endpoint_pages.metrics)
        return
    found = door.client.endpoints.metrics(name)
    door.answer(found.body, *endpoint_pages.metrics(found))


@verb(ENDPOINTS, "lepton endpoints logs houses", "lepton endpoints logs houses --limit 5")
def logs(
    door: Door,
    name: Name,
    limit: Annotated[int, typer.Option(help="At most so many.", min=1, max=1000)] = 20,
) -> None:
    """Show a few of the requests that an endpoint has answered, the newest first."""
    from lepton.cli import endpoint_pages

    found = door.client.endpoints.logs(name, limit=limit)
    door.answer(found.body, endpoint_pages.logs(found))


@verb(ENDPOINTS, "lepton endpoints delete houses")
def delete(door: Door, name: Name, yes: Yes = False) -> None:
    """Stop an endpoint and forget it; its model stays."""
    door.confirm(f"Stop endpoint {name} and forget it?", yes=yes)
    door.client.endpoints.delete(name)
    door.say(f"Deleted endpoint {name}.")


def _finish(door: Door, endpoint: Endpoint, *, detach: bool) -> None:
    from lepton.cli import model_pages

    if not detach:
        with door.err.status(f"Starting {endpoint.name} …"):
            endpoint = door.client.endpoints.wait(endpoint)
    door.answer(endpoint.body, *model_pages.endpoint(endpoint))
