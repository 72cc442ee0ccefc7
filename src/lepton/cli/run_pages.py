"""A run, and the queue, quotas and schedules of runs, for the terminal."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from rich.console import RenderableType
from rich.text import Text

from lepton.cli import tables
from lepton.cli.tables import facts, name_of, state
from lepton.cli.words import ago, curve, duration, number, share, when
from lepton.client.runs import Metrics, Queue, Quota, Resources, Run, Schedule, Tracked

_LONGEST = 100
"""Of a value that is shown; all of it is in the files and the JSON."""


def queue(found: Queue) -> list[RenderableType]:
    """Return the machines, the projects and the runs that wait."""
    total = [sum(getattr(m, name) for m in found.machines) for name in ("cpus", "memory_mb", "gpus")]
    machines = len(found.machines)
    has = resources(Resources(cpus=total[0], memory_mb=total[1], gpus=total[2]))
    parts: list[RenderableType] = [f"{machines} machine{'s' if machines != 1 else ''}: {has}"]
    projects = [
        [one.project, str(one.use.running), str(one.queued), resources(one.use.resources), limits(one.quota)]
        for one in found.projects
    ]
    if found.others.running:
        projects.append(["(others)", str(found.others.running), "", resources(found.others.resources), ""])
    parts.append(tables.table(["project", ">running", ">waiting", "in use", "at most"], projects))
    if not found.waiting:
        return [*parts, "No run waits."]
    now = datetime.now(UTC)
    waiting = [
        [
            one.run_id,
            one.project,
            one.task,
            ago(one.created_at, now),
            resources(one.needs),
            str(one.priority),
            one.reason,
        ]
        for one in found.waiting
    ]
    return [*parts, tables.table(["run", "project", "what", "since", "needs", ">priority", "why it waits"], waiting)]


def quota(found: Quota) -> str:
    """Return a quota in one line."""
    return limits(found) or "No limit: the project may use as much as there is."


def schedules(found: Iterable[Schedule]) -> RenderableType:
    """Return the runs that are repeated."""
    rows = [
        [one.id, one.run_id, one.cron, one.timezone, when(one.next_at), one.last_run_id or "", one.created_by]
        for one in found
    ]
    if not rows:
        return "Nothing is repeated. Repeat a run: lepton runs schedule RUN @daily"
    return tables.table(["schedule", "run", "when", "in", "next", "last run", "by"], rows)


def resources(found: Resources) -> str:
    """Return resources in words, such as ``2 processors, 512 MB, 1 GPU``."""
    parts = [f"{found.cpus:g} processor{'' if found.cpus == 1 else 's'}"]
    if found.memory_mb:
        parts.append(memory(found.memory_mb))
    if found.gpus:
        parts.append(f"{found.gpus} GPU{'' if found.gpus == 1 else 's'}")
    return ", ".join(parts)


def limits(found: Quota) -> str:
    """Return the parts of a quota that are limited."""
    parts = (
        (found.cpus, lambda v: f"{v:g} processors"),
        (found.memory_mb, memory),
        (found.gpus, lambda v: f"{v:g} GPUs"),
        (found.running, lambda v: f"{v:g} runs"),
        (found.hours, lambda v: f"{v:g} processor hours a month"),
    )
    return ", ".join(say(value) for value, say in parts if value is not None)


def memory(megabytes: float) -> str:
    """Return an amount of memory, such as ``1.5 GB``; counted by 1024."""
    return f"{megabytes / 1024:.3g} GB" if megabytes >= 1024 else f"{megabytes:g} MB"


def run(found: Run, measured: Metrics, told: Tracked) -> list[RenderableType]:
    """Show a run, what it has told of itself, and the curves of what it measured."""
    head = Text.assemble(f"{found.id}  {name_of(found, told.tags.get('name'))}  ", state(found.state))
    if found.message and not found.ended:
        head.append(f"  {share(round(found.progress * 100), 100)} {found.message}")
    tags = {key: value for key, value in told.tags.items() if key != "name" and not key.startswith("mlflow.")}
    about = [
        ("by", f"{found.submitted_by} at {when(found.created_at)}"),
        ("workers", str(found.workers)),
        ("took", _took(found)),
        ("from", ", ".join(found.inputs)),
        ("made", ", ".join(found.outputs)),
        ("retry of", found.retry_of or ""),
        *((key, number(value)) for key, value in found.params.items() if key != "name"),
        *((key, _short(value)) for key, value in (*told.params.items(), *tags.items())),
    ]
    parts: list[RenderableType] = [head, facts(about)]
    if found.error is not None:
        parts.append(Text(found.error.message, "red"))
    widest = max((len(metric.key) for metric in measured.metrics), default=0)
    for metric in measured.metrics:
        if values := measured.values(metric.key):
            drawn = (f"{metric.key:<{widest}}  ", (curve(values), "cyan"))
            parts.append(Text.assemble(*drawn, f" {number(values[0])} → {number(values[-1])}"))
    return parts


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 1]}…"


def _took(found: Run) -> str:
    if found.started_at is None or found.ended_at is None:
        return ""
    return duration((found.ended_at - found.started_at).total_seconds())
