"""What a replica is told when it starts, over its standard input, and again with every deployment."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from lepton.core.errors import InvalidInput

MAX_WORKERS = 64
MAX_REPLICAS = 100
MIN_LIMIT = 0.01
MAX_LIMIT = 1_000_000


@dataclass(frozen=True)
class Limits:
    """How much an endpoint may be asked, all workers together. None or 0: no limit.

    Attributes:
        max_rate: Requests a second.
        max_token_rate: Requests a second of one token.
        max_concurrency: Predictions that wait or are being made at one time.

    Raises:
        InvalidInput: if one of them is no limit that could be kept.
    """

    max_rate: float | None = None
    max_token_rate: float | None = None
    max_concurrency: int | None = None

    def __post_init__(self) -> None:
        given = [limit for limit in (self.max_rate, self.max_token_rate, self.max_concurrency) if limit is not None]
        if any(not (limit == 0 or MIN_LIMIT <= limit <= MAX_LIMIT) for limit in given):
            raise InvalidInput(
                f"A limit of an endpoint must be from {MIN_LIMIT} to {MAX_LIMIT:,}, or 0 for none. "
                "Rates are requests a second."
            )

    def over(self, before: Limits) -> Limits:
        """Return these limits; one that is None stays as it was before."""
        said = {name: value for name, value in asdict(self).items() if value is not None}
        return replace(before, **said)


@dataclass(frozen=True)
class Deployment:
    """One model version that answers under one name.

    Attributes:
        blob_path: The encrypted model graph.
        key: Data key of the model, hex; the reason this travels over a pipe.
        signature: The model's signature as JSON.
        secret: What the control plane shows as its token when it asks for somebody, hex.
        token_key: Public key of the control plane, which signs who may predict; hex.
        weight: Share of the endpoint's requests, relative to the weights of its other deployments.
        is_shadow: Whether it answers nobody and is only compared.
        limits: Of the whole endpoint; those of its first deployment count.
        reference: What its rows are compared with, as `windows.Reference` writes it; empty if that is not known.
        log_one_in: How many requests there are to one that is kept for the request log; 0 keeps none.
    """

    endpoint: str
    project: str
    model: str
    generation: int
    blob_path: str
    blob_id: str
    key: str = field(repr=False)
    signature: str = field(repr=False)
    secret: str = field(repr=False)
    token_key: str
    weight: float = 1.0
    is_shadow: bool = False
    reference: str = field(default="", repr=False)
    log_one_in: int = 0
    limits: Limits = Limits()

    @classmethod
    def from_values(cls, values: dict[str, Any]) -> Deployment:
        """Read the parsed JSON of what `dataclasses.asdict` returned."""
        return cls(**(values | {"limits": Limits(**values["limits"])}))


@dataclass(frozen=True)
class Workers:
    """How many workers a replica has, and how many replicas there are.

    Attributes:
        min: Kept at all times; 0 means that they end when nobody asks, and start again with the next request.
        max: Never more than this; above `min`, their number follows the load.
        idle_s: How long nobody asks before the last worker ends, when `min` is 0.
        replicas: On how many machines there are so many workers.

    Raises:
        InvalidInput: if it is not a range of workers that one machine should try.
    """

    min: int = 1
    max: int = 1
    idle_s: float = 300.0
    replicas: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.replicas <= MAX_REPLICAS:
            raise InvalidInput(f"An endpoint cannot have {self.replicas} replicas. From 1 to {MAX_REPLICAS}.")
        if not 0 <= self.min <= self.max or not 1 <= self.max <= MAX_WORKERS:
            raise InvalidInput(
                f"An endpoint cannot have from {self.min} to {self.max} workers. "
                f"At least 0, at most 1 to {MAX_WORKERS}, and not more at least than at most."
            )


@dataclass(frozen=True)
class ReplicaConfig:
    """Everything one replica answers for.

    Attributes:
        generation: Counts what it was told to answer for; the control plane compares it with its own count.
        port: Port to listen on; 0, or one that is taken by another program, means any free one.
        control_path: Where the supervisor's Unix socket is made.
        control_secret: Who knows it may speak on that socket.
        tls: Files of the certificate chain and of its key; empty for plain HTTP.
        grpc: Whether gRPC is spoken too.
        grpc_port: On which TCP port; the supervisor chooses it.
        engine: What starts replicas on other machines, as ``LEPTON_ENGINE`` names it; empty: it is on this one.
    """

    deployments: tuple[Deployment, ...]
    generation: int
    host: str
    port: int
    workers: Workers
    control_path: str
    control_secret: str = field(repr=False)
    tls: tuple[str, ...] = ()
    grpc: bool = False
    grpc_port: int = 0
    engine: str = ""

    def to_json(self) -> bytes:
        """Write as JSON; `from_json` reads it back."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, text: bytes) -> ReplicaConfig:
        """Read what `to_json` wrote."""
        return cls.from_values(json.loads(text))

    @classmethod
    def from_values(cls, values: dict[str, Any]) -> ReplicaConfig:
        """Read the parsed JSON of what `to_json` wrote."""
        deployments = tuple(Deployment.from_values(deployment) for deployment in values["deployments"])
        parsed = {"deployments": deployments, "workers": Workers(**values["workers"]), "tls": tuple(values["tls"])}
        return cls(**(values | parsed))
