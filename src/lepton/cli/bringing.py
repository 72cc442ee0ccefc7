"""What the terminal shows while runs are brought over from elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from lepton.cli.door import Door
from lepton.client.mlflow.bring import Brought, bring, open_store
from lepton.client.transport import encode

_SHOWN = 10


def bring_mlflow(door: Door, source: str, *, artifacts: Path | None, unfinished: bool) -> None:
    """Bring a store of MLflow's over and say what came of it."""
    with closing(open_store(source, artifacts)) as store, _bar(door, store.count()) as on_run:
        client = door.client
        done = bring(
            store, client.runs, transport=client.transport, project=door.project, unfinished=unfinished, on_run=on_run
        )
    if door.json:
        sys.stdout.write(encode(asdict(done)).decode() + "\n")
        return
    door.say(f"Brought {_count(done.runs, 'run')} with {_count(done.files, 'file')} over.")
    if done.versions:
        door.say(f"{_count(done.versions, 'version')} of registered models came too. See: lepton models list")
    if done.known:
        door.say(f"{_count(done.known, 'run')} had come before.")
    if done.unfinished:
        door.say(f"{_count(done.unfinished, 'run')} did not come, not having ended. Bring them too with --unfinished.")
    for sentence in done.missing[:_SHOWN]:
        door.say(sentence)
    if len(done.missing) > _SHOWN:
        door.say(f"… and {len(done.missing) - _SHOWN} more like it. See all with --json.")
    if done.runs:
        door.say("See them: lepton runs list --order-by 'started_at desc'")


@contextmanager
def _bar(door: Door, total: int | None) -> Iterator[Callable[[Brought], None]]:
    if door.json or not door.err.is_terminal:
        yield lambda _: None
        return
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=door.err, transient=True) as progress:
        task = progress.add_task("Runs", total=total)
        yield lambda done: progress.update(task, completed=done.seen)


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
