"""``lepton runs``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lepton.cli.door import Detach, Door, group, verb

if TYPE_CHECKING:
    from lepton.client.runs import LogLine

RUNS = group("runs", "Slow work: what is going on, what came of it.")
GROUPS = (RUNS,)

RunId = Annotated[str, typer.Argument(help="Id of the run.", metavar="RUN")]


@verb(
    RUNS,
    "lepton runs list",
    "lepton runs list --state failed",
    "lepton runs list --filter 'metrics.loss < 0.1' --order-by metrics.loss",
    name="list",
)
def list_(
    door: Door,
    state: Annotated[
        str | None, typer.Option(help="Only those that are queued, running, succeeded, failed or cancelled.")
    ] = None,
    filter: Annotated[  # noqa: A002 - the word of the interface
        str | None,
        typer.Option(help="Only those of which this holds: \"metrics.loss < 0.1 and params.model = 'mlp'\"."),
    ] = None,
    order_by: Annotated[str | None, typer.Option(help="What to sort by: 'metrics.loss desc'.")] = None,
    limit: Annotated[int, typer.Option(help="At most so many.", min=1, max=1000)] = 20,
    offset: Annotated[int | None, typer.Option(help="How many to pass over.", min=0)] = None,
) -> None:
    """List runs, the newest first."""
    from lepton.cli import tables

    items = door.client.runs.list(state=state, filter=filter, order_by=order_by, limit=limit, offset=offset)
    door.answer(items.body, tables.runs(items))


@verb(RUNS, "lepton runs get 01J8ZQ4T6W")
def get(door: Door, run_id: RunId) -> None:
    """Show one run and the curves of what it measured."""
    from lepton.cli import model_pages

    run = door.client.runs.get(run_id)
    door.answer(run.body, *([] if door.json else model_pages.run(run, door.client.runs.metrics(run_id))))


@verb(RUNS, "lepton runs logs 01J8ZQ4T6W", "lepton runs logs --follow 01J8ZQ4T6W")
def logs(
    door: Door,
    run_id: RunId,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Wait for more lines until the run ends.")] = False,
) -> None:
    """Show what the workers of a run wrote."""
    if not follow:
        page = door.client.runs.logs(run_id)
        door.answer(page.body, *(_line(line) for line in page.lines))
        return
    for line in door.client.runs.logs(run_id, follow=True):
        door.answer(line.body, _line(line))


@verb(RUNS, "lepton runs artifacts 01J8ZQ4T6W")
def artifacts(door: Door, run_id: RunId) -> None:
    """List the files that a run has left."""
    from lepton.cli import tables

    items = door.client.runs.artifacts(run_id)
    door.answer(items.body, tables.artifacts(items))


@verb(RUNS, "lepton runs download 01J8ZQ4T6W", "lepton runs download 01J8ZQ4T6W plots/loss.png --to .")
def download(
    door: Door,
    run_id: RunId,
    path: Annotated[str | None, typer.Argument(help="One file; all of them if absent.", metavar="PATH")] = None,
    to: Annotated[Path, typer.Option(help="Folder to write into.", metavar="DIR")] = Path(),
) -> None:
    """Download the files that a run has left, each under its path."""
    from lepton.cli.words import size

    items = door.client.runs.artifacts(run_id)
    wanted = [item.path for item in items] if path is None else [path]
    for name in wanted:
        written = door.client.runs.download(run_id, name, to / name)
        door.say(f"Wrote {to / name} ({size(written.size_bytes)}).")
    door.answer(items.body)


@verb(RUNS, "lepton runs cancel 01J8ZQ4T6W")
def cancel(door: Door, run_id: RunId) -> None:
    """Ask a run to stop."""
    run = door.client.runs.cancel(run_id)
    door.answer(run.body, f"Run {run.id} is {run.state}." if run.ended else f"Run {run.id} was asked to stop.")


@verb(RUNS, "lepton runs retry 01J8ZQ4T6W")
def retry(door: Door, run_id: RunId, detach: Detach = False) -> None:
    """Start a new run with what an ended one was given."""
    from lepton.cli import model_pages, waiting

    run = door.client.runs.retry(run_id)
    if ended := waiting.finish(door, run, detach=detach):
        door.answer(ended.body, *([] if door.json else [model_pages.outputs(ended)]))


@verb(RUNS, "lepton runs sync", takes=())
def sync(door: Door) -> None:
    """Send what programs that were killed, or that found no platform, have left of the runs they recorded."""
    from lepton.client.recording import sync as send

    count = send()
    door.say(f"Sent {count} {'run' if count == 1 else 'runs'}." if count else "Nothing is left to send.")


def _line(line: LogLine) -> str:
    return f"{line.time.astimezone():%H:%M:%S} {line.rank} {line.text}"
