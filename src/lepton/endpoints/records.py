"""What an endpoint is, and the process that answers for it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from lepton.models.signature import Signature
from lepton.runs.engines.processes import ProcessMark


class EndpointState(StrEnum):
    """Where an endpoint stands; the controller moves it."""

    STARTING = "starting"
    READY = "ready"
    FAILED = "failed"


@dataclass(frozen=True)
class ReplicaProcess:
    """A running replica.

    Attributes:
        mark: The process, told apart from any other that had or will have its number.
        port: TCP port it listens on.
        generation: The deployment it serves.
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
        generation: Counts deployments; a replica of an older one is replaced.
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
    created_at: datetime
    created_by: str

    @property
    def url(self) -> str | None:
        """Where predictions are asked for; None until a replica listens."""
        if self.replica is None:
            return None
        return f"http://{self.host}:{self.replica.port}/predict/{self.name}"


@dataclass(frozen=True)
class EndpointDetail:
    """An endpoint and the columns it asks for."""

    endpoint: Endpoint
    signature: Signature


@dataclass(frozen=True)
class Grant:
    """Leave for the holder of a token to predict, for the replica to remember.

    Attributes:
        expires_in_s: How long the replica may rely on it without asking again, in seconds.
    """

    expires_in_s: float
