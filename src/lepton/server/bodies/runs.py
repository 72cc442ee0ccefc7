"""The JSON of runs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from pydantic import AwareDatetime, BaseModel, Field, model_validator

from lepton.access.records import DEFAULT_PROJECT
from lepton.runs.commands import verb_of
from lepton.runs.filters import Condition, Order, Search, parse_columns, parse_filter, parse_order
from lepton.runs.points import MAX_INT
from lepton.runs.records import Quota, Run, RunState
from lepton.runs.thinning import Window
from lepton.server.wire import Answer, Body, Scalar

MAX_IDS = 500


class ResourcesAnswer(Answer):
    """What a worker, a run or a machine takes or has."""

    cpus: float
    memory_mb: int
    gpus: int


class RunError(Answer):
    """Why a run failed."""

    code: str
    message: str


class RunAnswer(Answer):
    """A run."""

    id: str
    task: str
    verb: str = Field(description="What asked for it: models.train of a command that trains, else the task.")
    state: RunState
    workers: int
    progress: float
    message: str
    params: Mapping[str, Scalar]
    inputs: list[str]
    outputs: list[str]
    error: RunError | None
    submitted_by: str
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    retry_of: str | None
    resources: ResourcesAnswer
    priority: int
    attempt: int
    retries: int
    timeout_s: float | None
    after: list[str]
    reused_from: str | None
    columns: Mapping[str, Scalar] = Field(description="What a list was asked for, such as metrics.loss.")

    @model_validator(mode="before")
    @classmethod
    def _with_error(cls, run: object) -> object:
        if not isinstance(run, Run):
            return run
        error = None if run.error_code is None else {"code": run.error_code, "message": run.error_message or ""}
        return {**vars(run), "verb": verb_of(run.task, run.params), "error": error}


class QuotaBody(Body):
    """The most that a project may use at a time; what is left out is not limited."""

    cpus: float | None = None
    memory_mb: int | None = Field(default=None, le=1 << 40)
    gpus: int | None = Field(default=None, le=1 << 20)
    running: int | None = Field(default=None, le=1 << 30)
    hours: float | None = Field(default=None, description="Processor hours in a calendar month (UTC).")

    def to_quota(self) -> Quota:
        """Return it as a record."""
        return Quota(**vars(self))


class QuotaAnswer(Answer):
    """The most that a project may use at a time; null: as much as there is."""

    cpus: float | None
    memory_mb: int | None
    gpus: int | None
    running: int | None
    hours: float | None


class UseAnswer(Answer):
    """What some runs take together."""

    resources: ResourcesAnswer
    running: int


class ProjectUseAnswer(Answer):
    """What a project uses, and may use."""

    project: str
    use: UseAnswer
    queued: int
    quota: QuotaAnswer
    hours: float


class QueuedRunAnswer(Answer):
    """A run that waits, and why."""

    run_id: str
    project: str
    task: str
    submitted_by: str
    created_at: datetime
    needs: ResourcesAnswer
    priority: int
    reason: str


class QueueAnswer(Answer):
    """What there is to compute with, who uses it, and who waits."""

    machines: list[ResourcesAnswer]
    projects: list[ProjectUseAnswer]
    others: UseAnswer
    waiting: list[QueuedRunAnswer]


class ScheduleBody(Body):
    """When a run is to be repeated."""

    cron: str = Field(max_length=100, description="Minute, hour, day of the month, month, day of the week; or @daily.")
    timezone: str = Field(default="UTC", max_length=64)


class ScheduleAnswer(Answer):
    """A run that is repeated."""

    id: str
    run_id: str
    cron: str
    timezone: str
    created_at: datetime
    created_by: str
    next_at: datetime
    last_run_id: str | None
    skipped: int


class LogLineAnswer(Answer):
    """A line of a log; rank -1 is the engine itself."""

    seq: int
    rank: int
    time: datetime
    text: str


class LogPageAnswer(Answer):
    """Some lines of a log; ask for the next with ``after=next``."""

    lines: list[LogLineAnswer]
    next: int
    ended: bool


class PointAnswer(Answer):
    """A measured value."""

    step: int
    time: datetime
    value: float | None


class MetricAnswer(Answer):
    """A curve."""

    key: str
    points: list[PointAnswer]


class ArtifactAnswer(Answer):
    """A file that a run has left."""

    path: str
    size_bytes: int
    sha256: str
    created_at: datetime


class ListQuery(BaseModel):
    """Which runs are wanted."""

    project: str = Field(default=DEFAULT_PROJECT, description="The project that is meant.")
    state: RunState | None = None
    filter: str = Field(default="", description="Such as: metrics.loss < 0.1 and params.model = 'mlp'")
    order_by: str = Field(default="", description="Such as: metrics.loss desc. What lacks it is left out.")
    limit: int = Field(default=100, ge=1, le=1000, description="How many at most.")
    offset: int = Field(default=0, ge=0, le=1_000_000, description="How many to pass over.")
    id: list[str] = Field(default=[], max_length=MAX_IDS, description="Only these.")
    column: list[str] = Field(default=[], description="What to tell of each: metrics.NAME, params.NAME or params.*")

    def search(self) -> Search | None:
        """What is looked for; None if that is the newest."""
        if not (self.filter or self.order_by or self.offset or self.id or self.column):
            return None
        state = () if self.state is None else (Condition("run", "state", "=", self.state.value),)
        order = parse_order(self.order_by) if self.order_by else Order("run", "created_at", descending=True)
        columns = parse_columns(self.column)
        return Search((*parse_filter(self.filter), *state), order, self.limit, self.offset, tuple(self.id), columns)


class MetricsQuery(BaseModel):
    """Which points of which curves are wanted."""

    key: list[str] = Field(default=[], max_length=100, description="Only these curves.")
    points: int | None = Field(
        default=None, ge=2, le=10_000, description="About so many of each at most: the extremes stay, in their order."
    )
    from_step: int | None = Field(default=None, ge=-MAX_INT, le=MAX_INT, description="First step.")
    to_step: int | None = Field(default=None, ge=-MAX_INT, le=MAX_INT, description="Last step.")

    def window(self) -> Window | None:
        """What part is wanted; None if that is all."""
        if self.points is None and self.from_step is None and self.to_step is None:
            return None
        return Window(self.points, self.from_step, self.to_step)


class CreateBody(Body):
    """A run whose work is done elsewhere."""

    run_id: str | None = Field(default=None, description="A ULID of one's own, so that asking twice makes one run.")
    name: str = Field(default="", max_length=200)
    experiment: str = Field(default="", max_length=200)
    params: dict[str, str] = Field(default={}, description="Not encrypted: runs are found by them.")
    tags: dict[str, str] = Field(default={}, description="Not encrypted: runs are found by them.")
    started_at: AwareDatetime | None = None


class EndBody(Body):
    """How a run ended."""

    state: RunState = RunState.SUCCEEDED
    message: str = Field(default="", max_length=2000)
    ended_at: AwareDatetime | None = Field(default=None, description="When; now if left out.")


class ReceiptAnswer(Answer):
    """What became of a batch."""

    batch: int
    is_new: bool
    kept: int
    state: RunState


class CurveAnswer(Answer):
    """A curve in short."""

    key: str
    last_step: int
    last_value: float | None
    min_value: float | None
    max_value: float | None
    points: int


class TrackedAnswer(Answer):
    """What a run has told of itself."""

    params: Mapping[str, str]
    tags: Mapping[str, str]
    metrics: list[CurveAnswer]


class MetricsAnswer(Answer):
    """All curves of a run."""

    metrics: list[MetricAnswer] = Field(description="In the order of their names.")
