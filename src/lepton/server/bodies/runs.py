"""The JSON of runs."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from pydantic import AwareDatetime, BaseModel, Field, model_validator

from lepton.access.records import DEFAULT_PROJECT
from lepton.runs.filters import Condition, Order, Search, parse_filter, parse_order
from lepton.runs.records import Run, RunState
from lepton.server.wire import Answer, Body, Scalar


class RunError(Answer):
    """Why a run failed."""

    code: str
    message: str


class RunAnswer(Answer):
    """A run."""

    id: str
    task: str
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

    @model_validator(mode="before")
    @classmethod
    def _with_error(cls, run: object) -> object:
        if not isinstance(run, Run):
            return run
        error = None if run.error_code is None else {"code": run.error_code, "message": run.error_message or ""}
        return {**vars(run), "error": error}


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

    def search(self) -> Search | None:
        """What is looked for; None if that is the newest."""
        if not (self.filter or self.order_by or self.offset):
            return None
        state = () if self.state is None else (Condition("run", "state", "=", self.state.value),)
        order = parse_order(self.order_by) if self.order_by else Order("run", "created_at", descending=True)
        return Search((*parse_filter(self.filter), *state), order, self.limit, self.offset)


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
