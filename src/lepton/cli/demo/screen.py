"""How the demo looks: numbered steps that tick off, each with its time and what it found."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn
from rich.text import Text

from lepton.client.runs import Run


class Step:
    """One step while it is being done."""

    def __init__(self, progress: Progress, task: TaskID, title: str) -> None:
        self._progress = progress
        self._task = task
        self._title = title
        self.found: list[RenderableType] = []

    def on_progress(self, run: Run) -> None:
        """Show how far a run is."""
        doing = run.message or run.state
        self._progress.update(self._task, description=f"{self._title}: {doing}", completed=run.progress)

    def say(self, *parts: RenderableType) -> None:
        """Remember what to show below the step once it is done; strings are no markup."""
        self.found += [Text(part) if isinstance(part, str) else part for part in parts]


class Screen:
    """Shows steps one after the other."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._steps = 0

    @contextmanager
    def step(self, title: str) -> Iterator[Step]:
        """Do one step: a moving bar meanwhile, then a tick (or a cross), the time, and what was found."""
        self._steps += 1
        head = f"{self._steps:>2}  {title}"
        began = time.monotonic()
        bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            console=self.console,
            transient=True,
            disable=not self.console.is_terminal,
        )
        try:
            with bar:
                step = Step(bar, bar.add_task(head, total=1.0), head)
                yield step
        except BaseException:
            self.console.print(Text.assemble(("✗ ", "bold red"), (head, "bold")))
            raise
        took = time.monotonic() - began
        self.console.print(Text.assemble(("✓ ", "bold green"), (head, "bold"), (f"  {took:.1f} s", "dim")))
        for part in step.found:
            self.console.print(Padding(part, (0, 0, 0, 6), expand=False))
        self.console.print()
