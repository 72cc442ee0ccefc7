"""The JSON of models."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from pydantic import Field

from lepton.core.columns import ColumnType
from lepton.core.refs import parse_ref
from lepton.models.records import TrainRequest
from lepton.models.signature import Task
from lepton.runs.records import Resources
from lepton.server.wire import Answer, Body, Scalar


class VersionAnswer(Answer):
    """A version of a model."""

    ref: str
    name: str
    version: int
    task: Task
    recipe: str
    target: str
    dataset: str
    run_id: str
    created_at: datetime
    created_by: str
    size_bytes: int
    sha256: str
    metrics: Mapping[str, float | None]


class ModelAnswer(Answer):
    """A model and its versions, the newest first."""

    name: str
    latest: int
    versions: list[VersionAnswer]


class InputAnswer(Answer):
    """A column that a prediction takes; `values` are its known categories, where they may be read."""

    name: str
    type: ColumnType
    nullable: bool
    values: list[str] | None


class SignatureAnswer(Answer):
    """What a model takes and answers."""

    task: Task
    target: str
    inputs: list[InputAnswer]
    classes: list[bool | int | str] | None


class PlotAnswer(Answer):
    """The numbers of a picture."""

    kind: str
    data: dict[str, object]


class EvaluationAnswer(Answer):
    """How a version did on a dataset version."""

    dataset: str
    metrics: Mapping[str, float | None]
    created_at: datetime
    run_id: str
    plots: list[PlotAnswer]


class DetailAnswer(VersionAnswer):
    """A version with all that is known of it."""

    signature: SignatureAnswer
    plots: list[PlotAnswer]
    evaluations: list[EvaluationAnswer]
    versions: list[VersionAnswer]
    notes: list[str]


class LineAnswer(Answer):
    """Points of one thing; those of ``per unit`` are multiplied with the number."""

    column: str
    condition: str
    points: float


class ScorecardAnswer(Answer):
    """Points to add up: at `odds` to 1 of the good class the score is `base`, and each `pdo` points double them."""

    good: str
    base: float
    odds: float
    pdo: float
    start: float
    lines: list[LineAnswer]


class NodeAnswer(Answer):
    """A thing in a lineage."""

    id: str
    kind: str
    label: str
    detail: str


class EdgeAnswer(Answer):
    """An arrow of a lineage, from what was used to what came of it."""

    source: str = Field(serialization_alias="from")
    target: str = Field(serialization_alias="to")


class LineageAnswer(Answer):
    """Where a version comes from."""

    nodes: list[NodeAnswer]
    edges: list[EdgeAnswer]


class ProposalAnswer(Answer):
    """One way to train, and why."""

    recipe: str
    reason: str
    model: str
    params: dict[str, Scalar]
    budget: str
    command: str


class ProposedAnswer(Answer):
    """What one would train on a dataset, the best first."""

    dataset: str
    target: str
    task: Task
    proposals: list[ProposalAnswer]


class TrainBody(Body):
    """What to train."""

    name: str
    dataset: str
    target: str
    recipe: str = "auto"
    workers: int = 1
    params: dict[str, Scalar] = Field(default_factory=dict)
    test_fraction: float = 0.2
    seed: int = 0
    features: list[str] | None = None
    model: str = ""
    code: dict[str, str] = Field(default_factory=dict)
    cpus: float = 1.0
    memory_mb: int = 0
    gpus: int = 0
    timeout_s: int = 0
    budget_s: float = 0.0
    trial: bool = False
    key: str | None = None

    def request(self, project: str) -> TrainRequest:
        """What the operation takes."""
        told = dict(self)
        resources = Resources(*(told.pop(name) for name in ("cpus", "memory_mb", "gpus")))
        features = None if self.features is None else tuple(self.features)
        exact = {"dataset": parse_ref(self.dataset), "features": features, "project": project, "resources": resources}
        return TrainRequest(**(told | exact))


class EvaluateBody(Body):
    """What to measure a version on."""

    dataset: str


class PredictBody(Body):
    """What to predict, and the dataset that gets the predictions; without a name ``<dataset>-<model>``."""

    dataset: str
    name: str | None = None
