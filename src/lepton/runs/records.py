"""The words of runs: states and what may follow them, the run, its metrics and its log lines."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Any, ClassVar

Param = str | float | int | bool | None
"""What a setting that is shown with a run can be."""

Arguments = Mapping[str, Any]
"""What a task is given: a JSON object, which each task reads into a record of its own."""


class RunState(StrEnum):
    """Where a run stands."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def has_ended(self) -> bool:
        """Whether nothing can follow."""
        return not TRANSITIONS[self]


class Stopping(StrEnum):
    """Why a running run has been told to end, other than by a cancel."""

    TIMED_OUT = "timed_out"
    PREEMPTED = "preempted"
    UNPLACED = "unplaced"


@dataclass(frozen=True, slots=True)
class Resources:
    """What a worker, a run or a machine has or takes.

    Attributes:
        cpus: Processors, in parts too.
        memory_mb: Memory in MiB; 0 asks for none in particular.
        gpus: Whole GPUs.
    """

    cpus: float = 1.0
    memory_mb: int = 0
    gpus: int = 0

    NONE: ClassVar[Resources]

    def __add__(self, other: Resources) -> Resources:
        return Resources(_exact(self.cpus + other.cpus), self.memory_mb + other.memory_mb, self.gpus + other.gpus)

    def __sub__(self, other: Resources) -> Resources:
        return Resources(_exact(self.cpus - other.cpus), self.memory_mb - other.memory_mb, self.gpus - other.gpus)

    def times(self, count: int) -> Resources:
        """Return what so many take together."""
        return Resources(_exact(self.cpus * count), self.memory_mb * count, self.gpus * count)

    def fits_in(self, free: Resources) -> bool:
        """Whether no part of it is more than what is free; what it does not ask for does not matter."""
        return (
            (self.cpus <= free.cpus or not self.cpus)
            and (self.memory_mb <= free.memory_mb or not self.memory_mb)
            and (self.gpus <= free.gpus or not self.gpus)
        )

    def over(self, count: int) -> Resources:
        """Return what one of so many takes that take this together."""
        return Resources(_exact(self.cpus / count), self.memory_mb // count, self.gpus // count)

    def times_in(self, free: Resources, most: int) -> int:
        """Return how many of these fit into what is free, at most `most`."""
        for asked, there in (
            (self.cpus, free.cpus + _SPECK),
            (self.memory_mb, free.memory_mb),
            (self.gpus, free.gpus),
        ):
            if asked:
                most = min(most, int(there // asked))
        return max(most, 0)

    def at_most(self, free: Resources) -> Resources:
        """Return the part of it that there is."""
        return Resources(
            max(min(self.cpus, free.cpus), 0.0),
            max(min(self.memory_mb, free.memory_mb), 0),
            max(min(self.gpus, free.gpus), 0),
        )

    def beyond(self, free: Resources) -> Resources:
        """Return the part of it that is missing."""
        return self - self.at_most(free)

    def overlaps(self, other: Resources) -> bool:
        """Whether the other has some of what this asks for."""
        return bool((self.cpus and other.cpus) or (self.memory_mb and other.memory_mb) or (self.gpus and other.gpus))


_SPECK = 1e-6
"""So little of a processor is none: numbers of processors are rounded to it."""


def _exact(cpus: float) -> float:
    """Return a number of processors without what adding up many parts leaves behind."""
    return round(cpus, 6)


Resources.NONE = Resources(0.0, 0, 0)
ONE_CPU = Resources()
"""What a worker takes that asks for nothing in particular."""


@dataclass(frozen=True)
class Machine:
    """What runs are placed on.

    Attributes:
        name: What its engine calls it; empty: the one that the platform is on, where too many processors only make a
            run slow.
        has: What it has for runs.
        taken: What of it others are known to use.
    """

    name: str
    has: Resources
    taken: Resources = Resources.NONE


@dataclass(frozen=True, slots=True)
class Part:
    """The workers of a run that are on one machine; their ranks follow those of the part before."""

    machine: str
    workers: int


@dataclass(frozen=True)
class Use:
    """What the runs of a project take together."""

    resources: Resources = Resources.NONE
    running: int = 0


@dataclass(frozen=True)
class Quota:
    """The most that a project may use at a time; None: as much as there is.

    Attributes:
        cpus: Processors.
        memory_mb: Memory in MiB, of runs that say how much they take.
        gpus: GPUs.
        running: Runs.
        hours: Processor hours in a calendar month (UTC). Runs that have started go on when they are used up.
    """

    cpus: float | None = None
    memory_mb: int | None = None
    gpus: int | None = None
    running: int | None = None
    hours: float | None = None


@dataclass(frozen=True)
class Scheduling:
    """How a run is queued, and what becomes of it when something goes wrong.

    Attributes:
        resources: What each worker takes.
        priority: From -100 to 100; within a project, the highest is next.
        preemptible: Whether it may be ended to make room for others; it goes on later, from what it has kept.
        retries: How many times it is tried again when its workers fail or are lost, each time after a longer while.
        timeout_s: How long it may run each time; None for as long as it takes.
        after: Ids of runs of the project that must have succeeded before.
        key: A word of the submitter's: what is submitted again under the same one is the same run.
        reuse: What names code and inputs; if a run with the same has succeeded, after the same runs, its results are
            taken and nothing is started. Empty: always run.
    """

    resources: Resources = ONE_CPU
    priority: int = 0
    preemptible: bool = False
    retries: int = 0
    timeout_s: float | None = None
    after: tuple[str, ...] = ()
    key: str | None = None
    reuse: str = ""


AS_USUAL = Scheduling()
"""How a run is queued for which nobody asked for anything in particular."""


@dataclass(frozen=True)
class Schedule:
    """A run that is repeated.

    Attributes:
        run_id: The run that is repeated, with the code, settings and resources that it had.
        cron: When: minute, hour, day of the month, month, day of the week.
        timezone: In which these are meant, such as ``Europe/Berlin``.
        next_at: When it comes next.
        last_run_id: The run that came of it last, or None.
        skipped: How many times in a row it was passed over, as the run before had not ended.
    """

    id: str
    run_id: str
    cron: str
    timezone: str
    created_at: datetime
    created_by: str
    next_at: datetime
    last_run_id: str | None
    skipped: int


@dataclass(frozen=True)
class ProjectUse:
    """What a project uses of the machines.

    Attributes:
        project: Its name.
        use: What its running runs take.
        queued: How many of its runs wait.
        quota: What it may use at most.
        hours: Processor hours used this month (UTC), counted only if there is a quota for them.
    """

    project: str
    use: Use
    queued: int
    quota: Quota
    hours: float


@dataclass(frozen=True)
class QueuedRun:
    """A run that waits, and why."""

    run_id: str
    project: str
    task: str
    submitted_by: str
    created_at: datetime
    needs: Resources
    priority: int
    reason: str


@dataclass(frozen=True)
class Queue:
    """What there is to compute with, who uses it, and who waits.

    Attributes:
        machines: What each machine has.
        projects: Those that the actor is in; what others use is in `others`.
        others: What all other projects use together.
        waiting: Runs of the actor's projects, first to start first within each.
    """

    machines: tuple[Resources, ...]
    projects: tuple[ProjectUse, ...]
    others: Use
    waiting: tuple[QueuedRun, ...]


TRANSITIONS: Mapping[RunState, frozenset[RunState]] = {
    # Succeeded at once: what an earlier run has made is reused.
    RunState.QUEUED: frozenset({RunState.RUNNING, RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED}),
    # Queued again: tried again after a failure, or preempted.
    RunState.RUNNING: frozenset({RunState.QUEUED, RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED}),
    RunState.SUCCEEDED: frozenset(),
    RunState.FAILED: frozenset(),
    RunState.CANCELLED: frozenset(),
}
"""What may follow each state; every change in the catalog is a compare-and-set along one of these."""


class WorkerExit(IntEnum):
    """Exit codes of a worker that say more than "it failed"; a failure itself is in the catalog by then."""

    DONE = 0
    FAILED = 1
    UNRECORDED = 70
    STORAGE_FULL = 74
    PEER_LOST = 75
    STOPPED = 76


class LaunchExit(IntEnum):
    """Exit codes with which the launcher of a user's own command says why it is not the command's own code."""

    OUT_OF_MEMORY = 241
    MACHINE_FULL = 242
    TIMED_OUT = 243
    NO_ENVIRONMENT = 244
    NOT_STARTED = 245
    UNCONFINED = 246
    ALONE = 247
    HUNG = 248
    SILENT = 249


@dataclass(frozen=True)
class Run:
    """One execution of a task.

    Attributes:
        id: ULID.
        project: Where it was submitted.
        task: What runs, by the verb that submitted it, such as ``models.train``.
        state: Where it stands.
        workers: Number of worker processes.
        submitted_by: Name of the user it acts for.
        created_at: When it was submitted.
        started_at: When its workers were started, or None.
        ended_at: When it ended, or None.
        error_code: Code of the error it failed with, or None.
        error_message: Public sentence of that error, or None.
        progress: Share done, from 0 to 1.
        message: What it is doing now.
        params: Settings to show with it.
        inputs: Refs it reads, such as ``dataset:cancer@1``.
        outputs: Refs it made, such as ``model:cancer@1``.
        retry_of: Id of the run it repeats, or None.
        cancel_asked: Whether somebody has asked for its end.
        resources: What each worker takes.
        priority: From -100 to 100.
        attempt: How many times it was started again after it had failed, or had made room for another.
        retries: How many failures it may have.
        timeout_s: How long it may run each time, or None.
        after: Ids of the runs that must have succeeded before.
        reused_from: Id of the run whose results it has taken, or None.
        columns: What it has told under the names that a list was asked for, such as ``metrics.loss``.
    """

    id: str
    project: str
    task: str
    state: RunState
    workers: int
    submitted_by: str
    created_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    error_code: str | None = None
    error_message: str | None = None
    progress: float = 0.0
    message: str = ""
    params: Mapping[str, Param] = field(default_factory=dict)
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    retry_of: str | None = None
    cancel_asked: bool = False
    resources: Resources = ONE_CPU
    priority: int = 0
    attempt: int = 0
    retries: int = 0
    timeout_s: float | None = None
    after: tuple[str, ...] = ()
    reused_from: str | None = None
    columns: Mapping[str, Param] = field(default_factory=dict)


@dataclass(frozen=True)
class MetricPoint:
    """One value of one curve; a value that is not finite reads back as NaN.

    Attributes:
        key: Name of the curve, such as ``loss``: 1 to 64 characters, never anything out of the data.
        step: Iteration, epoch or whatever the curve counts.
        time: When it was measured.
        value: The value.
    """

    key: str
    step: int
    time: datetime
    value: float


@dataclass(frozen=True)
class Artifact:
    """A file that a run has left.

    Attributes:
        path: Where it is among the run's files, such as ``plots/loss.png``.
        size_bytes: Its size.
        sha256: Its digest; hexadecimal.
        created_at: When it was stored.
    """

    path: str
    size_bytes: int
    sha256: str
    created_at: datetime


@dataclass(frozen=True)
class CurveSummary:
    """What is known of a curve without reading its points.

    Attributes:
        last_value: Value at its highest step; None if that was not finite.
        min_value: Smallest finite value, or None.
        max_value: Largest finite value, or None.
        points: How many points it has.
    """

    key: str
    last_step: int
    last_value: float | None
    min_value: float | None
    max_value: float | None
    points: int


@dataclass(frozen=True)
class Tracked:
    """What a run has told of itself: settings, words about it, and its curves in short."""

    params: Mapping[str, str]
    tags: Mapping[str, str]
    metrics: tuple[CurveSummary, ...]


@dataclass(frozen=True)
class Given:
    """What a run was given when it was submitted.

    Attributes:
        task: What runs.
        user_id: Who submitted it.
        arguments: For the task; there may be secrets in it.
        params: Settings to show with it.
        scheduling: How it was queued, without its key.
    """

    task: str
    user_id: str
    arguments: Arguments = field(repr=False)
    params: Mapping[str, Param]
    scheduling: Scheduling


@dataclass(frozen=True)
class Receipt:
    """What became of a batch.

    Attributes:
        batch: Its number.
        is_new: Whether it was kept now, and not earlier.
        kept: The highest number of its client that is kept.
        state: How the run stands.
    """

    batch: int
    is_new: bool
    kept: int
    state: RunState


@dataclass(frozen=True)
class LogLine:
    """One line a worker wrote; lines of the supervisor itself have rank -1."""

    seq: int
    rank: int
    time: datetime
    text: str


@dataclass(frozen=True)
class LogPage:
    """Lines after a cursor.

    Attributes:
        lines: The lines, oldest first.
        next: The cursor of the next page: ask with ``after=next``.
        ended: Whether no line can follow: the run has ended and this is all of its log.
    """

    lines: tuple[LogLine, ...]
    next: int
    ended: bool


Look = Callable[[int], tuple[Run, LogPage]]
"""Looks at a run that may be followed: as it is now, with the lines after a cursor if its log is followed too.

Ask again with ``page.next``; when the page has ended, all is told.
"""


@dataclass(frozen=True)
class Assignment:
    """What a worker needs to know: the run, in whose name it acts, and its arguments."""

    run: Run
    user_id: str
    scopes: frozenset[str] | None
    arguments: Arguments = field(repr=False)


@dataclass(frozen=True)
class Experiment:
    """What runs are gathered in: those with its name as their tag ``experiment``.

    Attributes:
        id: Stays when it is renamed; ``0`` is the one that every project has.
        deleted_at: When it was marked as deleted, None if it was not.
    """

    id: str
    name: str
    created_at: datetime
    changed_at: datetime
    tags: Mapping[str, str] = field(default_factory=dict)
    deleted_at: datetime | None = None
