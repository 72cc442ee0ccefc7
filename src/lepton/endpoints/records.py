"""What an endpoint is, and the process that answers for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from lepton.endpoints.drift import Level
from lepton.endpoints.replica.config import Workers
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
        control_url: Where it asks who may predict.
    """

    mark: ProcessMark
    port: int
    generation: int
    control_url: str


@dataclass(frozen=True)
class Endpoint:
    """A name under which one model version answers.

    Attributes:
        model: The version it serves, as ``name@version``.
        generation: Counts deployments; a replica that serves an older one is told of the new one.
        workers: How many workers its replica may have.
        message: One sentence on the state; empty when there is nothing to say.
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

    @property
    def url(self) -> str | None:
        """Where predictions are asked for; None until a replica was started, which refuses until it is ready."""
        if self.replica is None:
            return None
        return f"http://{self.host}:{self.replica.port}/predict/{self.name}"


@dataclass(frozen=True)
class EndpointDetail:
    """An endpoint, the columns it asks for, and what its replica says of itself.

    Attributes:
        replica: None while there is none that answers.
        drift: How far the rows of the deployment that answers by default are from those of training.
    """

    endpoint: Endpoint
    signature: Signature
    replica: ReplicaStatus | None
    drift: Level = Level.STABLE
