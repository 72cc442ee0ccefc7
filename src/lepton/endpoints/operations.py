"""The verbs of endpoints: deploy, list, get, predict, delete; and what the controller does with what they ask for."""

from __future__ import annotations

import secrets
import threading

import sqlalchemy as sa

from lepton.access.guard import Guard
from lepton.access.records import Actor
from lepton.core.clock import Clock
from lepton.core.columns import ColumnClass
from lepton.core.errors import Forbidden, LeptonError, NotFound, Unavailable
from lepton.core.ids import new_id
from lepton.core.refs import Ref, check_name
from lepton.core.settings import Settings
from lepton.endpoints import asking, processes, rows
from lepton.endpoints.records import Endpoint, EndpointDetail, EndpointState, Grant
from lepton.endpoints.replica.config import ReplicaConfig
from lepton.endpoints.restarts import RestartDelays
from lepton.models.operations import Models
from lepton.models.records import ModelArtifact
from lepton.models.signature import Signature
from lepton.store.blobs import BlobStore
from lepton.store.database import Database
from lepton.store.keys import Keyring

GRANT_S = 5.0
"""A replica asks again after this long, so a revoked token stops within it."""


class Endpoints:
    """Models that answer, each behind a replica process of its own."""

    def __init__(
        self, *, database: Database, guard: Guard, keyring: Keyring, blobs: BlobStore, models: Models, clock: Clock,
        settings: Settings,
    ) -> None:  # fmt: skip
        self._database = database
        self._guard = guard
        self._keyring = keyring
        self._blobs = blobs
        self._models = models
        self._clock = clock
        self._settings = settings
        self._restarts = RestartDelays()
        self.control_url = ""
        self.changed = threading.Event()
        """Set when there is something for the controller to do."""

    def deploy(self, actor: Actor, name: str, model: Ref, *, project: str = "default") -> Endpoint:
        """Let a model version answer under a name; an endpoint that exists moves over without a gap.

        Returns:
            The endpoint, state ``starting``; it is ``ready`` when its replica listens.

        Raises:
            InvalidInput: if the name cannot name an endpoint.
            NotFound: if there is no such model version.
            Forbidden: if it answers with values of a column the actor may not read.
        """
        self._guard.require(actor, "endpoints.deploy", project=project, target=name)
        check_name(name, "endpoint")
        artifact = self._models.artifact(actor, model, project=project)
        with self._guard.allow(actor, "endpoints.deploy", project=project, target=name) as tx:
            _check_answers(artifact, self._guard.readable(actor, project=project))
            old = rows.find(tx, project, name)
            endpoint = Endpoint(
                id=old.id if old else new_id(),
                project=project,
                name=name,
                model=artifact.ref,
                model_version_id=artifact.version_id,
                blob_id=artifact.blob_id,
                generation=old.generation + 1 if old else 1,
                state=EndpointState.STARTING,
                message="",
                replica=old.replica if old else None,
                host=self._settings.host,
                created_at=old.created_at if old else self._clock(),
                created_by=actor.name,
            )
            sealed = self._seal(endpoint, "signature", artifact.signature.to_json())
            if old:
                rows.redeploy(tx, endpoint, sealed_signature=sealed)
            else:
                secret = self._seal(endpoint, "secret", secrets.token_bytes(32))
                rows.insert(tx, endpoint, sealed_signature=sealed, sealed_secret=secret)
        self.changed.set()
        return endpoint

    def list(self, actor: Actor, *, project: str = "default") -> list[Endpoint]:
        """Return the endpoints of a project by name."""
        with self._guard.allow(actor, "endpoints.list", project=project) as tx:
            return rows.list_all(tx, project)

    def get(self, actor: Actor, name: str, *, project: str = "default") -> EndpointDetail:
        """Return one endpoint with its signature.

        Raises:
            NotFound: if there is none of that name.
        """
        with self._guard.allow(actor, "endpoints.get", project=project, target=name) as tx:
            endpoint = _existing(tx, project, name)
            signature, _ = rows.sealed(tx, endpoint.id)
        whole = Signature.from_json(self._unseal(endpoint, "signature", signature))
        return EndpointDetail(endpoint, whole.masked(self._guard.readable(actor, project=project)))

    def predict(self, actor: Actor, name: str, body: bytes, *, project: str = "default") -> bytes:
        """Ask an endpoint on the actor's behalf and return the replica's JSON answer.

        Programs that predict often ask the endpoint's own address; this way is for people and notebooks.

        Raises:
            NotFound: if there is no such endpoint.
            Unavailable: if its replica does not answer.
            InvalidInput: what the replica says of the body.
        """
        with self._guard.allow(actor, "endpoints.predict", project=project, target=name) as tx:
            endpoint = _existing(tx, project, name)
            _, sealed_secret = rows.sealed(tx, endpoint.id)
        if endpoint.url is None:
            raise Unavailable(_not_ready(endpoint))
        secret = self._unseal(endpoint, "secret", sealed_secret)
        return asking.ask(endpoint.url, secret.hex(), body)

    def grant(self, actor: Actor, name: str, *, project: str = "default") -> Grant:
        """Tell a replica that the actor may predict on an endpoint, for the next few seconds."""
        with self._guard.allow(actor, "endpoints.predict", project=project, target=name) as tx:
            _existing(tx, project, name)
        return Grant(GRANT_S)

    def delete(self, actor: Actor, name: str, *, project: str = "default") -> None:
        """Stop an endpoint and forget it; the model stays.

        Raises:
            NotFound: if there is none of that name.
        """
        with self._guard.allow(actor, "endpoints.delete", project=project, target=name) as tx:
            endpoint = _existing(tx, project, name)
            rows.delete(tx, endpoint.id)
        if endpoint.replica is not None:
            processes.stop(endpoint.replica)
        self._keyring.shred(project, f"endpoint/{endpoint.id}")

    # What the controller does: no actor asks, it carries out what an allowed deploy has already put in the catalog.

    def tick(self) -> None:
        """Give every endpoint the replica it should have; endpoints whose replica died get a new one."""
        with self._database.read() as tx:
            wanted = rows.list_all(tx)
        for endpoint in wanted:
            if not self._is_served(endpoint) and self._restarts.due(endpoint, self._clock()):
                self._start(endpoint)

    def stop_replicas(self) -> None:
        """End all replicas; the next start of the platform brings them back."""
        with self._database.read() as tx:
            wanted = rows.list_all(tx)
        for endpoint in wanted:
            if endpoint.replica is not None:
                processes.stop(endpoint.replica)

    def using(self, tx: sa.Connection, model_version_id: str) -> str | None:
        """Say which endpoint serves a model version, or None; asked before a model is deleted."""
        name = rows.using(tx, model_version_id)
        return None if name is None else f"endpoint {name!r}"

    def _is_served(self, endpoint: Endpoint) -> bool:
        replica = endpoint.replica
        return (
            replica is not None
            and replica.generation == endpoint.generation
            and replica.control_url == self.control_url  # a platform that moved is not found by its old replicas
            and processes.alive(replica)
        )

    def _start(self, endpoint: Endpoint) -> None:
        self._restarts.note(endpoint, self._clock())
        try:
            replica = processes.start(self._config(endpoint))
        except LeptonError as error:
            with self._database.begin() as tx:
                rows.set_state(tx, endpoint.id, endpoint.generation, EndpointState.FAILED, error.message)
            return
        with self._database.begin() as tx:
            kept = rows.set_replica(tx, endpoint.id, endpoint.generation, replica)
        if not kept:
            processes.stop(replica)
        elif endpoint.replica is not None:
            processes.stop(endpoint.replica)

    def _config(self, endpoint: Endpoint) -> ReplicaConfig:
        with self._database.read() as tx:
            signature, secret = rows.sealed(tx, endpoint.id)
        return ReplicaConfig(
            endpoint=endpoint.name,
            project=endpoint.project,
            model=endpoint.model,
            generation=endpoint.generation,
            blob_path=str(self._blobs.path(endpoint.blob_id)),
            blob_id=endpoint.blob_id,
            key=self._keyring.get(endpoint.project, f"model/{endpoint.model_version_id}").hex(),
            signature=self._unseal(endpoint, "signature", signature).decode(),
            secret=self._unseal(endpoint, "secret", secret).hex(),
            host=endpoint.host,
            port=endpoint.replica.port if endpoint.replica else 0,
            control_url=self.control_url,
        )

    def _seal(self, endpoint: Endpoint, kind: str, plain: bytes) -> bytes:
        scope = f"endpoint/{endpoint.id}"
        return self._keyring.seal(endpoint.project, scope, plain, label=f"{scope}/{kind}")

    def _unseal(self, endpoint: Endpoint, kind: str, sealed: bytes) -> bytes:
        scope = f"endpoint/{endpoint.id}"
        return self._keyring.unseal(endpoint.project, scope, sealed, label=f"{scope}/{kind}")


def _existing(tx: sa.Connection, project: str, name: str) -> Endpoint:
    endpoint = rows.find(tx, project, name)
    if endpoint is None:
        raise NotFound(f"There is no endpoint {name!r} in project {project!r}. See: lepton endpoints list")
    return endpoint


def _check_answers(artifact: ModelArtifact, readable: frozenset[ColumnClass]) -> None:
    """Who may not read a column may not let it be asked for by way of a model."""
    signature = artifact.signature
    if signature.target_class not in readable:
        raise Forbidden(
            f"Model {artifact.ref} answers with values of column {signature.target!r}, which is "
            f"{signature.target_class.value} and which you may not read. Ask an owner of the project to deploy it."
        )


def _not_ready(endpoint: Endpoint) -> str:
    reason = endpoint.message or "Its replica is starting; try again in a moment."
    return f"Endpoint {endpoint.name!r} does not answer yet. {reason}"
