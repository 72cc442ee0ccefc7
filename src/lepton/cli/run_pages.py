"""The queue, quotas and schedules of runs for the terminal."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from rich.console import RenderableType

from lepton.cli import tables
from lepton.cli.words import ago, when
from lepton.client.runs import Queue, Quota, Resources, Schedule


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
    return [*parts, tables.table(["run", "project", "since", "needs", ">priority", "why it waits"], waiting)]


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
