"""The words of runs: states and what may follow them, the run, its metrics and its log lines."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Any

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


TRANSITIONS: Mapping[RunState, frozenset[RunState]] = {
    RunState.QUEUED: frozenset({RunState.RUNNING, RunState.FAILED, RunState.CANCELLED}),
    RunState.RUNNING: frozenset({RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED}),
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
