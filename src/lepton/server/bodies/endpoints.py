"""The JSON of endpoints."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

from pydantic import BeforeValidator

from lepton.endpoints.drift import Level
from lepton.endpoints.records import EndpointState, Role
from lepton.server.bodies.models import SignatureAnswer
from lepton.server.wire import Answer, Body, Scalar

DriftLevel = Annotated[str, BeforeValidator(lambda level: level.name.lower() if isinstance(level, Level) else level)]
"""``stable``, ``moderate`` or ``major``."""


class WorkersAnswer(Answer):
    """How many workers a replica may have, and on how many machines there is a replica."""

    min: int
    max: int
    replicas: int


class WorkerAnswer(Answer):
    """One process that predicts; `restarts` counts how often it ended by itself.

    `machine` is the address of the machine it runs on, empty for the platform's own.
    """

    slot: int
    machine: str
    pid: int
    state: str
    restarts: int
    in_flight: int
    queued: int
    requests: int
    errors: int


class MachineAnswer(Answer):
    """One of the replicas behind a load balancer.

    `state` is ``waiting`` for a machine, ``starting``, ``ready``, ``silent`` or ``leaving``; `message` says why.
    """

    slot: int
    machine: str
    state: str
    message: str


class ReplicaAnswer(Answer):
    """What a replica says of itself; `wanted` is how many workers its load needs now, `grpc_port` is 0 without gRPC.

    With `machines`, it is a load balancer and all replicas behind it.
    """

    wanted: int
    grpc_port: int
    requests: int
    errors: int
    workers: list[WorkerAnswer]
    machines: list[MachineAnswer]


class CompanionAnswer(Answer):
    """A version beside the main one: a canary with its percentage of the requests, or a shadow, which has none."""

    role: Role
    model: str
    percent: int
    since: datetime


class LimitsAnswer(Answer):
    """How much an endpoint may be asked; null or 0: no limit. Rates are requests a second."""

    max_rate: float | None
    max_token_rate: float | None
    max_concurrency: int | None


class ComparedAnswer(Answer):
    """What a shadow would have answered, against what was answered; null before the first row."""

    rows: int
    same_percent: float | None
    mean_difference: float | None
    largest_difference: float
    failed: int
    skipped: int


class DeployedAnswer(Answer):
    """One version of an endpoint, what it gets, and how it did since the platform first saw it."""

    model: str
    role: str
    percent: int
    requests: int
    errors: int
    limited: int
    p50_ms: float | None
    p99_ms: float | None
    comparison: ComparedAnswer | None


class EndpointAnswer(Answer):
    """An endpoint; `url` is where programs ask it directly, null until it was started once.

    `previous` is where a rollback leads, empty if nowhere; `went_back` says why a companion was taken back by itself.
    `shares` names the endpoint whose replica, workers and port it has; empty if it has its own.
    """

    name: str
    model: str
    state: EndpointState
    url: str | None
    message: str
    workers: WorkersAnswer
    shares: str
    companions: list[CompanionAnswer]
    previous: str
    went_back: str
    limits: LimitsAnswer
    created_at: datetime
    created_by: str


class DetailAnswer(EndpointAnswer):
    """An endpoint, what it takes, how its replica stands (null while none answers), how far its rows drifted."""

    signature: SignatureAnswer
    replica: ReplicaAnswer | None
    rollout: list[DeployedAnswer]
    drift: DriftLevel


class WorkersBody(Body):
    """How many workers a replica may have: the same number twice, or a range that the load decides in."""

    min: int
    max: int


class LimitsBody(Body):
    """How much an endpoint may be asked; what is null stays as it was, 0 is no limit."""

    max_rate: float | None = None
    max_token_rate: float | None = None
    max_concurrency: int | None = None


class DeployBody(Body):
    """Which model answers under which name; what is not given is as before, at first one worker.

    `replicas` is on how many machines, with so many workers on each. With `shares`, the name of another endpoint, it
    answers in the replica of that one.

    With `canary`, a percentage, or `shadow` it stands beside the version that answers.
    """

    name: str
    model: str
    workers: WorkersBody | None = None
    replicas: int | None = None
    shares: str = ""
    canary: int | None = None
    shadow: bool = False
    limits: LimitsBody | None = None


class PointAnswer(Answer):
    """One step of the history; latencies are null when nothing was answered, or beyond 70 s."""

    at_s: float
    requests_per_s: float
    errors_per_s: float
    p50_s: float | None
    p99_s: float | None


class ComparisonAnswer(Answer):
    """What a shadow would have said, against what was said."""

    rows: int
    same: int
    difference_sum: float
    difference_most: float
    failed: int
    skipped: int


class ColumnDriftAnswer(Answer):
    """How the values of a column differ from those of training."""

    psi: float
    ks: float | None
    wasserstein: float | None
    missing_share: float
    unseen_share: float | None
    rows: int


class ColumnReportAnswer(Answer):
    """One column; the numbers are null for who may not read it."""

    name: str
    level: DriftLevel
    last_hour: ColumnDriftAnswer | None
    deployed: ColumnDriftAnswer | None


class DriftAnswer(Answer):
    """How the rows of a deployment differ from those its model learned from."""

    at_s: float
    level: DriftLevel
    rows: int
    counted: int
    seen: int
    columns: list[ColumnReportAnswer]


class DeploymentMetricsAnswer(Answer):
    """One deployment; rates and latencies are of the last 30 s, counts since the platform first saw it."""

    model: str
    requests: dict[int, int]
    rows: int
    mean_batch_rows: float | None
    queued: int
    requests_per_s: float
    errors_per_s: float
    p50_s: float | None
    p99_s: float | None
    comparison: ComparisonAnswer | None
    history: list[PointAnswer]
    drift: DriftAnswer | None


class EndpointMetricsAnswer(Answer):
    """How an endpoint's deployments do, the one that answers by default first."""

    name: str
    deployments: list[DeploymentMetricsAnswer]


class LoggedRequestAnswer(Answer):
    """A request that was answered; values of personal and secret columns are not in it."""

    id: str
    at: datetime
    model: str
    seconds: float
    rows: int
    row: Mapping[str, Scalar]
    answer: Scalar
    masked: list[str]
