"""What replicas are told: models, keys, limits and secrets, opened from what the catalog keeps sealed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from lepton.core.settings import Settings
from lepton.endpoints.records import Endpoint, Role
from lepton.endpoints.replica.config import Deployment, ReplicaConfig
from lepton.store.blobs import BlobStore
from lepton.store.keys import Keyring


@dataclass(frozen=True)
class Sealed:
    """What the catalog keeps of one endpoint that only its key opens.

    Attributes:
        signature: Of the main version.
        secret: Between the platform and the replica; every use has its own, derived from it.
        beside: Signatures of the versions beside the main one.
        references: What the rows of a version are compared with, by model version.
    """

    signature: bytes
    secret: bytes
    beside: Mapping[Role, bytes]
    references: Mapping[str, bytes]


class Configs:
    """Seals and opens what belongs to endpoints, and puts together what their replicas are told."""

    def __init__(self, keyring: Keyring, blobs: BlobStore, settings: Settings) -> None:
        self._keyring = keyring
        self._blobs = blobs
        self._settings = settings

    def seal(self, endpoint: Endpoint, kind: str, plain: bytes) -> bytes:
        """Seal something of an endpoint; deleting the endpoint's key deletes it."""
        scope = f"endpoint/{endpoint.id}"
        return self._keyring.seal(endpoint.project, scope, plain, label=f"{scope}/{kind}")

    def unseal(self, endpoint: Endpoint, kind: str, sealed: bytes) -> bytes:
        """Open what `seal` sealed."""
        scope = f"endpoint/{endpoint.id}"
        return self._keyring.unseal(endpoint.project, scope, sealed, label=f"{scope}/{kind}")

    def secret(self, endpoint: Endpoint, sealed: bytes, use: str) -> str:
        """Derive a secret for one use: a worker, which knows the one for predicting, cannot steer its supervisor."""
        secret = self.unseal(endpoint, "secret", sealed)
        return hashlib.sha256(f"lepton replica {use} ".encode() + secret).hexdigest()

    def control_path(self, endpoint: Endpoint) -> Path:
        """Return where the replica of an endpoint is spoken to."""
        return self._settings.replicas / endpoint.id

    def tls_files(self, endpoint: Endpoint) -> tuple[str, ...]:
        """Certificate and key of an endpoint that is asked over HTTPS; none for others."""
        return tuple(map(str, self._settings.tls)) if endpoint.tls and self._settings.tls else ()

    def deployments(self, endpoint: Endpoint, sealed: Sealed, token_key: bytes) -> tuple[Deployment, ...]:
        """Return every version of an endpoint as a replica is told of it, the main one first."""
        main = Deployment(
            endpoint=endpoint.name,
            project=endpoint.project,
            model=endpoint.model,
            generation=endpoint.generation,
            blob_path=str(self._blobs.path(endpoint.blob_id)),
            blob_id=endpoint.blob_id,
            key=self._key(endpoint, endpoint.model_version_id),
            signature=self.unseal(endpoint, "signature", sealed.signature).decode(),
            secret=self.secret(endpoint, sealed.secret, "predict"),
            token_key=token_key.hex(),
            weight=100.0 - sum(one.percent for one in endpoint.companions),
            limits=endpoint.limits,
            reference=self._reference(endpoint, endpoint.model, sealed),
            log_one_in=self._settings.request_log_one_in,
        )
        beside = [
            replace(
                main,
                model=one.model,
                blob_path=str(self._blobs.path(one.blob_id)),
                blob_id=one.blob_id,
                key=self._key(endpoint, one.model_version_id),
                signature=self.unseal(endpoint, f"signature/{one.role}", sealed.beside[one.role]).decode(),
                weight=float(one.percent),
                reference=self._reference(endpoint, one.model, sealed),
                is_shadow=one.role is Role.SHADOW,
            )
            for one in endpoint.companions
            if one.role in sealed.beside  # dropped meanwhile, and the next look tells the replica so
        ]
        return (main, *beside)

    def replica(self, endpoint: Endpoint, sealed: Sealed, deployments: Sequence[Deployment]) -> ReplicaConfig:
        """Return what the replica of an endpoint is told, which may answer for others too."""
        return ReplicaConfig(
            deployments=tuple(deployments),
            generation=endpoint.generation,
            host=endpoint.host,
            port=endpoint.replica.port if endpoint.replica else 0,
            workers=endpoint.workers,
            control_path=str(self.control_path(endpoint)),
            control_secret=self.secret(endpoint, sealed.secret, "control"),
            grpc=self._settings.grpc,
            tls=self.tls_files(endpoint),
            engine="" if self._settings.engine == "local" else self._settings.engine,
        )

    def _key(self, endpoint: Endpoint, model_version_id: str) -> str:
        return self._keyring.get(endpoint.project, f"model/{model_version_id}").hex()

    def _reference(self, endpoint: Endpoint, model: str, sealed: Sealed) -> str:
        kept = sealed.references.get(model)
        return "" if kept is None else self.unseal(endpoint, f"reference/{model}", kept).decode()
