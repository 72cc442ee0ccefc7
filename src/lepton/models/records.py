"""Records of the models noun. Plain frozen dataclasses; nothing here reads or writes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Literal

from lepton.core.columns import ColumnClass
from lepton.core.refs import Ref
from lepton.models.signature import Signature, Task
from lepton.runs.records import Resources

if TYPE_CHECKING:
    from lepton.datasets.profile import ColumnProfile

Parameter = str | float | int | bool | None
PlotData = Mapping[str, object]
"""JSON: lists of numbers and names."""


@dataclass(frozen=True)
class TrainRequest:
    """What to train.

    Attributes:
        name: Name of the model; the run makes its next version.
        dataset: Dataset version to learn from; the latest when without a version.
        target: Column to predict.
        project: Project of both.
        recipe: ``"auto"``, ``"linear_regression"``, ``"logistic_regression"``, or that of a framework.
        workers: Number of processes that share the rows.
        params: Settings of the recipe: ``solver``, ``l1``, ``l2``, ``class_weight``, ``tolerance`` and the like.
        test_fraction: Share of the rows held out to evaluate on, above 0 and below 1.
        seed: Seed of the split and of the solver.
        features: Columns to predict from; None takes every column that can be used and read.
        model: What the recipe of a framework is to train: ``file.py:name`` of the code, or a template's name; empty
            for its own.
        code: Files that go along, by name; Python as text.
        resources: What each worker gets of a training that is a command: with a framework, or on a cluster.
        timeout_s: How long such a training may take; 0: as long as it likes.
        budget_s: How long ``auto`` may look for the best model; 0: it takes the linear one at once.
        trial: Whether only to measure on a part of the training rows, and to make no version: for tuning.
        key: Of two requests of a user with the same key, the second is the first; None: they are two.
    """

    name: str
    dataset: Ref
    target: str
    project: str = "default"
    recipe: str = "auto"
    workers: int = 1
    params: Mapping[str, Parameter] = field(default_factory=dict)
    test_fraction: float = 0.2
    seed: int = 0
    features: tuple[str, ...] | None = None
    model: str = ""
    code: Mapping[str, str] = field(default_factory=dict, repr=False)
    resources: Resources = field(default_factory=Resources)
    timeout_s: int = 0
    budget_s: float = 0.0
    trial: bool = False
    key: str | None = None


@dataclass(frozen=True)
class ModelVersion:
    """One version of a model; it never changes.

    Attributes:
        target: Column it predicts.
        recipe: What made it; ``python`` is code of a user's own that was registered.
        dataset: Dataset version it learned from, ``name@version``; empty for what was registered.
        run_id: The run that made it; empty for what was registered.
        size_bytes: Size of its ONNX graph, or of its code.
        sha256: Digest of the same, hex.
        metrics: Headline numbers on the held-out rows.
    """

    id: str
    project: str
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
    metrics: Mapping[str, float]

    @property
    def ref(self) -> str:
        """``name@version``."""
        return f"{self.name}@{self.version}"


@dataclass(frozen=True)
class ModelSummary:
    """A model with its versions, newest first."""

    name: str
    versions: tuple[ModelVersion, ...]

    @property
    def latest(self) -> int:
        """Number of the newest version."""
        return self.versions[0].version


@dataclass(frozen=True)
class Plot:
    """Numbers to draw: ``roc``, ``confusion``, ``calibration``, ``residuals``, ``predicted``, ``coefficients``, …

    A search among candidates adds ``report``, ``leaderboard``, ``importance``, ``certainty`` and ``failures``.
    """

    kind: str
    data: PlotData
    learned_from: frozenset[ColumnClass] = frozenset()
    """Classes of the columns whose values can be read off it."""


@dataclass(frozen=True)
class Evaluation:
    """How a version did on the rows of a dataset version."""

    dataset: str
    metrics: Mapping[str, float]
    created_at: datetime
    run_id: str
    plots: tuple[Plot, ...] = ()


@dataclass(frozen=True)
class ModelDetail:
    """A version with all that is known of it, less what the actor may not read."""

    version: ModelVersion
    signature: Signature
    plots: tuple[Plot, ...]
    evaluations: tuple[Evaluation, ...]
    versions: tuple[ModelVersion, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class TrainingProfile:
    """What the rows looked like that a version learned from. It tells of values: seal it.

    Attributes:
        rows: Rows of the dataset version.
        columns: Statistics of each column that the model takes.
    """

    rows: int
    columns: tuple[ColumnProfile, ...]


@dataclass(frozen=True)
class ModelArtifact:
    """What a deployment needs: which version, what it takes, where its graph lies (scope ``model/<version_id>``).

    Attributes:
        profile: What later rows are compared with; None if that is not known of this version.
    """

    ref: str
    version_id: str
    blob_id: str
    signature: Signature
    profile: TrainingProfile | None = None


@dataclass(frozen=True)
class Node:
    """A thing in a lineage; `id` is its kind and address, such as ``dataset:cancer@1``."""

    id: str
    kind: Literal["file", "dataset", "run", "model", "endpoint"]
    label: str
    detail: str = ""


@dataclass(frozen=True)
class Edge:
    """An arrow of a lineage, from what was used to what came of it (ids of nodes)."""

    source: str
    target: str


@dataclass(frozen=True)
class Lineage:
    """Where a model version comes from."""

    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]


@dataclass(frozen=True)
class Trained:
    """What a training run made, before it is a version.

    Attributes:
        name: Name of the model.
        recipe: Recipe that made it; never ``"auto"``.
        dataset: Dataset version it learned from, ``name@version``.
        signature: What it takes and answers.
        graph: Its ONNX graph.
        metrics: Numbers on the held-out rows.
        plots: Plots on the held-out rows.
        notes: What was left out, a sentence each.
        profile: What the rows looked like, those that were held out included.
    """

    name: str
    recipe: str
    dataset: str
    signature: Signature
    graph: bytes
    metrics: Mapping[str, float]
    plots: tuple[Plot, ...]
    notes: tuple[str, ...] = ()
    profile: TrainingProfile | None = None


@dataclass(frozen=True)
class OpenModel:
    """A version opened for running."""

    version: ModelVersion
    signature: Signature
    graph: bytes
