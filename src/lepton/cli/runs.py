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


@verb(RUNS, "lepton runs list", "lepton runs list --state failed", name="list")
def list_(
    door: Door,
    state: Annotated[
        str | None, typer.Option(help="Only those that are queued, running, succeeded, failed or cancelled.")
    ] = None,
    limit: Annotated[int, typer.Option(help="At most so many.", min=1, max=1000)] = 20,
) -> None:
    """List runs, the newest first."""
    from lepton.cli import tables

    items = door.client.runs.list(state=state, limit=limit)
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


@verb(RUNS, "lepton runs queue", "lepton runs queue --json")
def queue(door: Door) -> None:
    """Show what there is to compute with, who uses it, and why runs wait."""
    from lepton.cli import run_pages

    found = door.client.runs.queue()
    door.answer(found.body, *([] if door.json else run_pages.queue(found)))


@verb(RUNS, "lepton runs quota", "lepton runs quota --project research")
def quota(door: Door) -> None:
    """Show what a project may use at most."""
    from lepton.cli import run_pages

    found = door.client.runs.quota()
    door.answer(found.body, run_pages.quota(found))


@verb(
    RUNS, "lepton runs limit --project research --cpus 4 --running 10", "lepton runs limit --project research",
)  # fmt: skip
def limit(
    door: Door,
    cpus: Annotated[float | None, typer.Option(help="Processors at a time.")] = None,
    memory: Annotated[str | None, typer.Option(help="Memory at a time, such as 512M or 16G.")] = None,
    gpus: Annotated[int | None, typer.Option(help="GPUs at a time.")] = None,
    running: Annotated[int | None, typer.Option(help="Runs at a time.")] = None,
    hours: Annotated[float | None, typer.Option(help="Processor hours in a calendar month (UTC).")] = None,
) -> None:
    """Set what a project may use at most; what is left out is not limited any more."""
    from lepton.cli import run_pages, values

    memory_mb = None if memory is None else values.megabytes(memory)
    found = door.client.runs.limit(cpus=cpus, memory_mb=memory_mb, gpus=gpus, running=running, hours=hours)
    door.answer(found.body, run_pages.quota(found))


@verb(
    RUNS, "lepton runs schedule 01J8ZQ4T6W '30 6 * * 1-5' --timezone Europe/Berlin",
    "lepton runs schedule 01J8ZQ4T6W @daily",
)  # fmt: skip
def schedule(
    door: Door,
    run_id: RunId,
    cron: Annotated[
        str,
        typer.Argument(
            help="Minute, hour, day of the month, month and day of the week; or @hourly, @daily, @weekly, @monthly."
        ),
    ],
    timezone: Annotated[str, typer.Option(help="In which they are meant.")] = "UTC",
) -> None:
    """Repeat a run again and again, with what it was given."""
    from lepton.cli.words import when

    made = door.client.runs.schedule(run_id, cron, timezone=timezone)
    door.answer(
        made.body, f"Run {run_id} comes again on {when(made.next_at)}. End it: lepton runs unschedule {made.id}"
    )


@verb(RUNS, "lepton runs schedules")
def schedules(door: Door) -> None:
    """List the runs that are repeated."""
    from lepton.cli import run_pages

    found = door.client.runs.schedules()
    door.answer(found.body, run_pages.schedules(found))


@verb(RUNS, "lepton runs unschedule 01J8ZQ4T6W")
def unschedule(
    door: Door, schedule_id: Annotated[str, typer.Argument(help="Id of the schedule.", metavar="SCHEDULE")]
) -> None:
    """Repeat a run no more; the runs there were stay."""
    door.client.runs.unschedule(schedule_id)
    door.say(f"Schedule {schedule_id} is gone.")


def _line(line: LogLine) -> str:
    return f"{line.time.astimezone():%H:%M:%S} {line.rank} {line.text}"
