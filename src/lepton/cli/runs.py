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

_DRAWN = 400
"""Points of a curve that are asked for: more than a line of a terminal shows."""
RunId = Annotated[str, typer.Argument(help="Id of the run.", metavar="RUN")]


@verb(
    RUNS,
    "lepton runs list",
    "lepton runs list --state failed",
    "lepton runs list --filter 'metrics.loss < 0.1' --order-by metrics.loss --column metrics.loss",
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
    column: Annotated[
        list[str] | None, typer.Option(help="What to show of each: metrics.loss, params.lr, tags.name.", metavar="NAME")
    ] = None,
) -> None:
    """List runs, the newest first."""
    from lepton.cli import tables

    columns = column or []
    asked = columns if door.json else [*columns, "tags.name"]
    items = door.client.runs.list(
        state=state, filter=filter, order_by=order_by, limit=limit, offset=offset, columns=asked
    )
    door.answer(items.body, tables.runs(items, columns))


@verb(
    RUNS,
    "lepton runs submit -- python train.py --epochs 3",
    "lepton runs submit --workers 4 --memory 2G --env requirements.txt --output 'plots/*.png' -- python train.py",
    "HF_TOKEN=… lepton runs submit --secret HF_TOKEN --detach -- python download.py",
    "lepton runs submit --like 01J8ZQ4T6W --memory 4G -- python train.py --epochs 10",
)
def submit(  # noqa: PLR0913, PLR0917 - a command has many options
    door: Door,
    command: Annotated[list[str] | None, typer.Argument(help="The command, behind '--'.", metavar="-- CMD…")] = None,
    folder: Annotated[Path, typer.Option(help="Folder that goes along; the command starts in it.")] = Path(),
    like: Annotated[
        str | None, typer.Option(help="A run whose folder, and what is not said here, is taken.", metavar="RUN")
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Processes, each with the variables of torchrun.")] = None,
    cpus: Annotated[float | None, typer.Option(help="Processors of each.")] = None,
    memory: Annotated[str | None, typer.Option(help="The most memory of each, such as 512M or 2G.")] = None,
    gpus: Annotated[int | None, typer.Option(help="GPUs of each.")] = None,
    timeout: Annotated[str | None, typer.Option(help="How long it may take, such as 90s, 30m or 2h.")] = None,
    hang_timeout: Annotated[
        str | None, typer.Option(help="End it as hung when it does nothing for so long, such as 60s.")
    ] = None,
    env: Annotated[
        str | None, typer.Option(help="requirements.txt, uv.lock or pyproject.toml in the folder.", metavar="FILE")
    ] = None,
    output: Annotated[
        list[str] | None, typer.Option(help="Files to keep, beside those in $LEPTON_OUTPUTS.", metavar="PATTERN")
    ] = None,
    secret: Annotated[
        list[str] | None, typer.Option(help="Variable of this shell that goes along and no log shows.", metavar="NAME")
    ] = None,
    name: Annotated[str | None, typer.Option(help="What you call it.")] = None,
    key: Annotated[str | None, typer.Option(help="Submitting twice with one key runs once.")] = None,
    priority: Annotated[int | None, typer.Option(help="From -100 to 100; the highest of a project is next.")] = None,
    preemptible: Annotated[
        bool | None,
        typer.Option(
            "--preemptible/--not-preemptible", help="It may be ended to make room, and is started again later."
        ),
    ] = None,
    retries: Annotated[
        int | None, typer.Option(help="How often it is tried again when its workers fail or are lost.")
    ] = None,
    after: Annotated[
        list[str] | None, typer.Option(help="A run that must have succeeded before.", metavar="RUN")
    ] = None,
    reuse: Annotated[
        bool,
        typer.Option("--reuse", help="Take the results of a run with the same code and settings."),
    ] = False,
    detach: Detach = False,
) -> None:
    """Send a folder, run a command in it on the platform's machines, and show what it writes."""
    from lepton.cli import waiting
    from lepton.cli.values import seconds

    with waiting.upload_bar(door, like or str(folder)) as on_upload:
        run = door.client.runs.submit(
            command,
            folder=folder,
            like=like,
            workers=workers,
            cpus=cpus,
            memory=memory,
            gpus=gpus,
            timeout_s=None if timeout is None else seconds(timeout),
            hang_timeout_s=None if hang_timeout is None else seconds(hang_timeout),
            environment=env,
            outputs=output,
            secrets=secret or (),
            name=name,
            key=key,
            priority=priority,
            preemptible=preemptible,
            retries=retries,
            after=after or (),
            reuse=reuse,
            on_upload=on_upload,
        )
    if ended := waiting.follow(door, run, _line, detach=detach):
        door.answer(ended.body, f"Run {ended.id} has succeeded.")


@verb(RUNS, "lepton runs get 01J8ZQ4T6W")
def get(door: Door, run_id: RunId) -> None:
    """Show one run, its params and tags, and the curves of what it measured."""
    from lepton.cli import run_pages

    runs = door.client.runs
    run = runs.get(run_id)
    if door.json:
        door.print_body(run.body)
    else:
        door.answer(run.body, *run_pages.run(run, runs.metrics(run_id, points=_DRAWN), runs.tracked(run_id)))


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


@verb(RUNS, "lepton runs sync", takes=())
def sync(door: Door) -> None:
    """Send what programs that were killed, or that found no platform, have left of the runs they recorded."""
    from lepton.client.recording import sync as send

    count = send()
    door.say(f"Sent {count} {'run' if count == 1 else 'runs'}." if count else "Nothing is left to send.")


@verb(
    RUNS,
    "lepton runs import-mlflow ./mlruns",
    "lepton runs import-mlflow sqlite:///mlflow.db --project churn",
    "MLFLOW_TRACKING_TOKEN=… lepton runs import-mlflow https://mlflow.example.org",
    name="import-mlflow",
)
def import_mlflow(
    door: Door,
    source: Annotated[str, typer.Argument(help="MLflow's folder 'mlruns', its SQLite file, or its server's address.")],
    artifacts: Annotated[
        Path | None, typer.Option(help="Where its server kept files, if SOURCE is a SQLite file.", metavar="FOLDER")
    ] = None,
    unfinished: Annotated[
        bool, typer.Option("--unfinished", help="Bring runs that have not ended too, as failed ones.")
    ] = False,
) -> None:
    """Bring over what MLflow has recorded: runs with their params, metrics, tags, times and files.

    Nothing of it is executed, and models are kept as files. Doing it again brings what is new.
    """
    from lepton.cli.bringing import bring_mlflow

    bring_mlflow(door, source, artifacts=artifacts, unfinished=unfinished)


def _line(line: LogLine) -> str:
    return f"{line.time.astimezone():%H:%M:%S} {line.rank} {line.text}"
