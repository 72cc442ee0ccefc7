"""What the terminal shows while something takes its time, and what Ctrl-C means then."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TypeVar

import typer
from rich.console import Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, DownloadColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from lepton.cli.door import Door
from lepton.cli.tables import name_of
from lepton.client.answers import Answer
from lepton.client.datasets import OnUpload
from lepton.client.runs import LogLine, OnProgress, Run
from lepton.core.errors import RunFailed

T = TypeVar("T", bound=Answer)


@contextmanager
def upload_bar(door: Door, name: str) -> Iterator[OnUpload | None]:
    """Show how much of a file was sent; nothing where nobody looks."""
    if door.json or not door.err.is_terminal:
        yield None
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn())
    with Progress(*columns, console=door.err, transient=True) as progress:
        task = progress.add_task(f"Sending {name}", total=None)
        yield lambda sent, total: progress.update(task, completed=sent, total=total)


@contextmanager
def run_bar(door: Door, run: Run) -> Iterator[OnProgress]:
    """Show how far a run is: a bar on a terminal, a line for each new message elsewhere."""
    if door.json:
        yield lambda _: None
    elif door.err.is_terminal:
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f}%"),
            TimeElapsedColumn(),
        )
        with Progress(*columns, console=door.err, transient=True) as progress:
            task = progress.add_task(_doing(run), total=1.0)
            yield lambda now: progress.update(task, completed=now.progress, description=_doing(now))
    else:
        yield _Lines(door)


class _Lines:
    """Prints what a run is doing whenever that changes."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._last = ""

    def __call__(self, run: Run) -> None:
        if (text := _doing(run)) != self._last:
            self._last = text
            self._door.err.print(text, markup=False, soft_wrap=True)


def _doing(run: Run) -> str:
    return f"{name_of(run)}: {run.message or run.state}"


def finish(door: Door, run: Run, *, detach: bool) -> Run | None:
    """See a run through to its end.

    Args:
        door: The door of the command.
        run: The run that was just submitted.
        detach: Whether to leave it alone instead.

    Returns:
        The run when it has succeeded, or None if it was left alone, which has been said then.

    Raises:
        RunFailed: if it failed, was cancelled, or is no longer waited for.
    """
    if detach:
        door.answer(run.body, f"Run {run.id} goes on by itself. See: lepton runs logs --follow {run.id}")
        return None
    try:
        with run_bar(door, run) as on_progress:
            return door.client.runs.wait(run.id, on_progress=on_progress)
    except KeyboardInterrupt:
        raise _interrupted(door, run) from None


def follow(door: Door, run: Run, line: Callable[[LogLine], str], *, detach: bool) -> Run | None:
    """Show what the workers of a run write, to its end; returns and raises what `finish` does.

    Args:
        door: The door of the command.
        run: The run that was just submitted.
        line: Writes a line of its log.
        detach: Whether to leave it alone instead.
    """
    if detach:
        return finish(door, run, detach=True)
    try:
        if not door.json:
            door.err.print(f"Run {run.id} is {run.state}.", markup=False)
        for one in door.client.runs.logs(run.id, follow=True):
            door.say(line(one))
        return door.client.runs.wait(run.id)
    except KeyboardInterrupt:
        raise _interrupted(door, run) from None


def _interrupted(door: Door, run: Run) -> RunFailed:
    if sys.stdin.isatty() and door.err.is_terminal:
        question = "\nLet the run go on by itself, or cancel it? (d)etach, (c)ancel"
        if typer.prompt(question, default="d", err=True).strip().lower().startswith("c"):
            door.client.runs.cancel(run.id)
            return RunFailed(f"Run {run.id} was asked to stop.")
    return RunFailed(f"Run {run.id} goes on by itself. See: lepton runs logs --follow {run.id}")


def redraw(door: Door, found: Iterable[T], draw: Callable[[T], Sequence[RenderableType]]) -> None:
    """Show something as it changes until Ctrl-C; where nobody looks, one answer after the other."""
    with suppress(KeyboardInterrupt):
        if door.json or not door.out.is_terminal:
            for one in found:
                door.answer(one.body, *draw(one))
            return
        with Live(console=door.out, auto_refresh=False) as live:
            for one in found:
                live.update(Group(*draw(one)), refresh=True)
