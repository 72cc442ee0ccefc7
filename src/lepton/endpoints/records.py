"""What an endpoint is, and the process that answers for it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum

from lepton.core.errors import InvalidInput
from lepton.endpoints.drift import Level
from lepton.endpoints.replica.config import Limits, Workers
from lepton.endpoints.replica.control import ReplicaStatus
from lepton.models.signature import Signature
from lepton.runs.engines.processes import ProcessMark


class EndpointState(StrEnum):
    """Where an endpoint stands; the controller moves it."""

    STARTING = "starting"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True)
class ReplicaProcess:
    """A running replica, which is its supervisor; the workers that predict are the supervisor's own affair.

    Attributes:
        mark: The process, told apart from any other that had or will have its number.
        port: TCP port it listens on.
        generation: The deployment that it was told of last.
    """

    mark: ProcessMark
    port: int
    generation: int


class Role(StrEnum):
    """What a version does that stands beside the main one."""

    CANARY = "canary"
    SHADOW = "shadow"


@dataclass(frozen=True)
class Beside:
    """That a version is to stand beside the main one instead of replacing it.

    Attributes:
        percent: Of the requests, 1 to 99, for a canary; 0 for a shadow, which answers nobody.

    Raises:
        InvalidInput: if the percentage does not go with the role.
    """

    role: Role
    percent: int = 0

    def __post_init__(self) -> None:
        if self.role is Role.CANARY and not 1 <= self.percent <= 99:
            raise InvalidInput(
                f"A canary cannot answer {self.percent} percent of the requests. "
                "From 1 to 99; deploy without canary to let the version answer all of them."
            )

    @classmethod
    def of(cls, canary: int | None, *, shadow: bool) -> Beside | None:
        """Return what two settings of a door mean together; None for the main version.

        Raises:
            InvalidInput: if both are set.
        """
        if canary is not None and shadow:
            raise InvalidInput("A version is either a canary or a shadow. Give only one of the two.")
        if canary is not None:
            return cls(Role.CANARY, canary)
        return cls(Role.SHADOW) if shadow else None


@dataclass(frozen=True)
class Companion:
    """A version that stands beside the main one.

    Attributes:
        model: The version, as ``name@version``.
        percent: Of the requests; 0 for a shadow.
        since: When it was deployed, with this percentage.
    """

    role: Role
    model: str
    model_version_id: str
    blob_id: str
    percent: int
    since: datetime


@dataclass(frozen=True)
class Endpoint:
    """A name under which one model version answers, or several share the requests.

    Attributes:
        model: The version it serves, as ``name@version``.
        generation: Counts deployments; a replica that serves an older one is told of the new one.
        workers: How many workers its replica may have.
        message: One sentence on the state; empty when there is nothing to say.
        companions: Versions beside the main one, one of each role at most.
        previous: The main version before this one, where a rollback leads; empty if there is none.
        tls: Whether it is asked over HTTPS.
        went_back: Why Lepton took a companion back by itself since the last deployment; empty if it did not.
        shares: Name of the endpoint whose replica it answers in, with that one's workers and address; empty if it has
            one of its own.
        shares_id: Id of the same.
    """

    id: str
    project: str
    name: str
    model: str
    model_version_id: str
    blob_id: str
    generation: int
    state: EndpointState
    message: str
    replica: ReplicaProcess | None
    host: str
    workers: Workers
    created_at: datetime
    created_by: str
    companions: tuple[Companion, ...] = ()
    previous: str = ""
    went_back: str = ""
    limits: Limits = field(default_factory=Limits)
    tls: bool = False
    shares: str = ""
    shares_id: str = ""

    @property
    def canary(self) -> Companion | None:
        """The version that answers some of the requests, if there is one."""
        return next((one for one in self.companions if one.role is Role.CANARY), None)

    @property
    def replica_id(self) -> str:
        """Id of the endpoint whose replica answers: its own, or that of the one it shares with."""
        return self.shares_id or self.id

    def within(self, host: Endpoint) -> Endpoint:
        """Return this endpoint with the address, the workers and the replica of the one that it shares with."""
        return replace(
            self, shares=host.name, shares_id=host.id, host=host.host, tls=host.tls, workers=host.workers,
            replica=host.replica,
        )  # fmt: skip

    @property
    def url(self) -> str | None:
        """Where predictions are asked for; None until a replica was started, which refuses until it is ready."""
        if self.replica is None:
            return None
        return f"{'https' if self.tls else 'http'}://{self.host}:{self.replica.port}/predict/{self.name}"


@dataclass(frozen=True)
class Compared:
    """What a shadow would have answered, against what was answered.

    Attributes:
        rows: Compared.
        same_percent: Of the rows, with the same label or number; None before the first.
        mean_difference: Of the numbers, or of the probabilities; None before the first.
        largest_difference: The same of the row that differs most.
        failed: Requests that the shadow could not answer.
        skipped: Requests it was not asked, as it was behind.
    """

    rows: int
    same_percent: float | None
    mean_difference: float | None
    largest_difference: float
    failed: int
    skipped: int


@dataclass(frozen=True)
class Deployed:
    """One version of an endpoint, and how it did since Lepton first saw it.

    Attributes:
        role: ``main``, ``canary`` or ``shadow``.
        percent: Of the requests.
        errors: Requests answered with 500 or more.
        p50_ms: Latency in the middle; None without an answer, or above 70 s.
        p99_ms: Latency that 99 in 100 stayed within.
        comparison: Of a shadow.
    """

    model: str
    role: str
    percent: int
    requests: int
    errors: int
    limited: int
    p50_ms: float | None
    p99_ms: float | None
    comparison: Compared | None


@dataclass(frozen=True)
class EndpointDetail:
    """An endpoint, the columns it asks for, and what its replica says of itself.

    Attributes:
        replica: None while there is none that answers.
        rollout: Every version that is deployed, the main one first.
        drift: How far the rows of the deployment that answers by default are from those of training.
    """

    endpoint: Endpoint
    signature: Signature
    replica: ReplicaStatus | None
    rollout: tuple[Deployed, ...] = ()
    drift: Level = Level.STABLE
