"""What a replica is told when it starts, over its standard input."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field


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
    token_key: str = ""
    weight: float = 1.0
    is_shadow: bool = False


@dataclass(frozen=True)
class ReplicaConfig:
    """One deployment.

    Attributes:
        blob_path: The encrypted model graph.
        key: Data key of the model, hex; the reason this travels over a pipe.
        signature: The model's signature as JSON.
        secret: What the control plane shows as its token, hex.
        port: Port to listen on; 0, or one that is taken by another program, means any free one.
        control_url: Where grants are asked for.
    """

    endpoint: str
    project: str
    model: str
    generation: int
    blob_path: str
    blob_id: str
    key: str
    signature: str
    secret: str
    host: str
    port: int
    control_url: str

    def to_json(self) -> bytes:
        """Write as JSON; `from_json` reads it back."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, text: bytes) -> ReplicaConfig:
        """Read what `to_json` wrote."""
        return cls(**json.loads(text))
