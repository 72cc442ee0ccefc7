"""The verbs of endpoints: deploy, list, get, predict, delete; and what the controller does with what they ask for."""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import sqlalchemy as sa

from lepton.access.guard import Guard
from lepton.access.records import Actor, Holder
from lepton.core.clock import Clock
from lepton.core.columns import ColumnClass
from lepton.core.errors import Forbidden, LeptonError, NotFound, Unavailable
from lepton.core.ids import new_id
from lepton.core.refs import Ref, check_name
from lepton.core.settings import Settings
from lepton.endpoints import asking, processes, rows
from lepton.endpoints.records import Endpoint, EndpointDetail, EndpointState, ReplicaProcess
from lepton.endpoints.replica import tokens
from lepton.endpoints.replica.config import Deployment, ReplicaConfig, Workers
from lepton.endpoints.replica.control import Control, ReplicaStatus
from lepton.endpoints.restarts import RestartDelays
from lepton.models.operations import Models
from lepton.models.records import ModelArtifact
from lepton.models.signature import Signature
from lepton.runs.engines.processes import ProcessMark
from lepton.store.blobs import BlobStore
from lepton.store.database import Database
from lepton.store.keys import Keyring

SILENT_S = 30.0
"""A replica that lives but has not answered on its control socket for this long is replaced."""
TOKEN_KEY = "endpoints/tokens"  # noqa: S105 - the name of a key
PUBLISH_S = 1.0
RENEW_S = 60.0
"""An unchanged list of tokens is signed anew this often: it counts for a day from then on."""


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
        self.holders: Callable[[str], Sequence[Holder]] = lambda _project: ()
        """Says of a project who holds tokens there and which are good for predicting. The platform sets it."""
        self._told: dict[str, tuple[ProcessMark, tuple[Holder, ...], float]] = {}
        """By endpoint: which replica was told of which tokens, and when, by a monotonic clock."""
        self._silent_since_s: dict[str, float] = {}
        self._controls: dict[str, Control] = {}
        self.control_url = ""
        self._looks = threading.Condition()
        self._begun = self._ended = 0
        self.is_looked_after = False
        """Whether a controller calls `tick`."""
        self.changed = threading.Event()
        """Set when there is something for the controller to do."""

    def deploy(
        self, actor: Actor, name: str, model: Ref, *, workers: Workers | None = None, project: str = "default"
    ) -> Endpoint:
        """Let a model version answer under a name; an endpoint that exists moves over without a gap.

        Args:
            actor: Who asks.
            name: Name of the endpoint.
            model: What answers.
            workers: How many processes predict; None: as many as before, one for a new endpoint. A range that is all
                that changes is taken over by the workers that run.
            project: Where.

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
            if old and workers and old.workers != workers and old.model_version_id == artifact.version_id:
                rows.set_workers(tx, old.id, workers)
                self.changed.set()
                return replace(old, workers=workers)
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
                workers=workers or (old.workers if old else Workers()),
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
        masked = whole.masked(self._guard.readable(actor, project=project))
        return EndpointDetail(endpoint, masked, self._status(endpoint))

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
        return asking.ask(endpoint.url, _derived(secret, "predict"), body)

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
        self._control_path(endpoint).unlink(missing_ok=True)
        self._controls.pop(endpoint.id, None)
        self._keyring.shred(project, f"endpoint/{endpoint.id}")

    # What the controller does: no actor asks, it carries out what an allowed deploy has already put in the catalog.

    def tick(self, *, wait_s: float = processes.START_TIMEOUT_S) -> None:
        """Give every endpoint the replica it should have, and record how each stands.

        Args:
            wait_s: How long to wait for what is starting; 0 looks once.
        """
        deadline = time.monotonic() + wait_s
        while self._look() and time.monotonic() < deadline:
            time.sleep(0.02)

    def publish_tokens(self) -> None:
        """Return when the controller has told every replica of changed tokens and roles, or after a second."""
        with self._looks:
            if not self.is_looked_after:
                return
            wanted = self._begun + 1  # the look that goes on now may have read the tokens before the change
            self.changed.set()
            self._looks.wait_for(lambda: self._ended >= wanted, timeout=PUBLISH_S)

    def stop_replicas(self) -> None:
        """End all replicas; the next start of the platform brings them back."""
        with self._database.read() as tx:
            wanted = rows.list_all(tx)
        processes.stop(*(endpoint.replica for endpoint in wanted if endpoint.replica is not None))

    def using(self, tx: sa.Connection, model_version_id: str) -> str | None:
        """Say which endpoint serves a model version, or None; asked before a model is deleted."""
        name = rows.using(tx, model_version_id)
        return None if name is None else f"endpoint {name!r}"

    def _look(self) -> bool:
        """Look after every endpoint once; say whether any is on its way."""
        with self._looks:
            self._begun += 1
        with self._database.read() as tx:
            wanted = rows.list_all(tx)
        busy = [self._look_after(endpoint) for endpoint in wanted]  # every one, not only until the first
        with self._looks:
            self._ended = self._begun
            self._looks.notify_all()
        return any(busy)

    def _look_after(self, endpoint: Endpoint) -> bool:
        if endpoint.replica is None or not processes.alive(endpoint.replica):
            return self._start(endpoint)
        try:
            return self._compare(endpoint, endpoint.replica, self._control(endpoint).status())
        except Unavailable:
            return self._put_up_with(endpoint, endpoint.replica)

    def _compare(self, endpoint: Endpoint, replica: ReplicaProcess, seen: ReplicaStatus) -> bool:
        """Tell a replica what it does not know yet, and record what it says; whether it is on its way."""
        self._silent_since_s.pop(endpoint.id, None)
        if seen.host != endpoint.host:  # its sockets stay where they are
            processes.stop(replica)
            return True
        told = (seen.told, seen.control_url) == (endpoint.generation, self.control_url)
        failed = seen.message and seen.serving != seen.told
        if not told or (failed and self._may_start(endpoint)):
            self._restarts.note(_attempt(endpoint), time.monotonic())
            seen = self._control(endpoint).deploy(self._config(endpoint))
            told_now = replace(replica, generation=endpoint.generation, control_url=self.control_url)
            with self._database.begin() as tx:
                rows.set_replica(tx, endpoint.id, endpoint.generation, told_now)
        elif (seen.min, seen.max) != (endpoint.workers.min, endpoint.workers.max):
            seen = self._control(endpoint).scale(endpoint.workers)
        self._tell_tokens(endpoint, replica)  # before it counts as ready: who is told so may ask at once
        self._record(endpoint, *_state(seen))
        return seen.coming

    def _tell_tokens(self, endpoint: Endpoint, replica: ReplicaProcess) -> None:
        """Send a replica the signed list of who may predict, if it has changed or is not fresh."""
        holders, now_s = tuple(self.holders(endpoint.project)), time.monotonic()
        mark, known, sent_s = self._told.get(endpoint.id, (None, None, 0.0))
        if (mark, known) == (replica.mark, holders) and now_s - sent_s < RENEW_S:
            return
        ends = {h.digest: h.expires_at.timestamp() if h.expires_at else None for h in holders}
        document = tokens.sign(
            self._token_seed(endpoint.project),
            tokens.TokenList(
                project=endpoint.project,
                issued_at=self._clock().timestamp(),
                allowed={h.digest: ends[h.digest] for h in holders if h.may},
                refused={h.digest: ends[h.digest] for h in holders if not h.may},
            ),
        )
        self._control(endpoint).grants(document)
        self._told[endpoint.id] = (replica.mark, holders, now_s)

    def _token_seed(self, project: str) -> bytes:
        """The private key that signs a project's lists of tokens."""
        try:
            return self._keyring.get(project, TOKEN_KEY)
        except NotFound:
            self._keyring.create(project, TOKEN_KEY)
            return self._keyring.get(project, TOKEN_KEY)

    def _put_up_with(self, endpoint: Endpoint, replica: ReplicaProcess) -> bool:
        """Give a replica that lives but says nothing some time, then end it; the next look starts another."""
        now_s = time.monotonic()
        if now_s - self._silent_since_s.setdefault(endpoint.id, now_s) > SILENT_S:
            del self._silent_since_s[endpoint.id]
            processes.stop(replica)
        return True

    def _status(self, endpoint: Endpoint) -> ReplicaStatus | None:
        if endpoint.replica is None or not endpoint.replica.mark.is_alive():
            return None
        try:
            return self._control(endpoint).status(timeout_s=1.0)
        except Unavailable:
            return None

    def _start(self, endpoint: Endpoint) -> bool:
        if not self._may_start(endpoint):
            return False
        self._restarts.note(_attempt(endpoint), time.monotonic())
        try:
            replica = self._orphan(endpoint) or processes.start(self._config(endpoint))
        except LeptonError as error:
            self._record(endpoint, EndpointState.FAILED, error.message)
            return False
        with self._database.begin() as tx:
            kept = rows.set_replica(tx, endpoint.id, endpoint.generation, replica)
        if not kept:
            processes.stop(replica)
        return True

    def _orphan(self, endpoint: Endpoint) -> ReplicaProcess | None:
        """Find the replica that a control plane started and was killed before it could write down."""
        try:
            seen = self._control(endpoint).status(timeout_s=1.0)
        except Unavailable:
            return None
        mark = ProcessMark.of(seen.pid)
        return None if mark is None else ReplicaProcess(mark, seen.port, seen.told, seen.control_url)

    def _may_start(self, endpoint: Endpoint) -> bool:
        return self._restarts.due(_attempt(endpoint), time.monotonic())

    def _record(self, endpoint: Endpoint, state: EndpointState, message: str) -> None:
        if (endpoint.state, endpoint.message) != (state, message):
            with self._database.begin() as tx:
                rows.set_state(tx, endpoint.id, endpoint.generation, state, message)

    def _control(self, endpoint: Endpoint) -> Control:
        if endpoint.id not in self._controls:
            with self._database.read() as tx:
                _, secret = rows.sealed(tx, endpoint.id)
            opened = _derived(self._unseal(endpoint, "secret", secret), "control")
            self._controls[endpoint.id] = Control(self._control_path(endpoint), opened)
        return self._controls[endpoint.id]

    def _control_path(self, endpoint: Endpoint) -> Path:
        return self._settings.replicas / endpoint.id

    def _config(self, endpoint: Endpoint) -> ReplicaConfig:
        with self._database.read() as tx:
            signature, secret = rows.sealed(tx, endpoint.id)
        own_secret = self._unseal(endpoint, "secret", secret)
        deployment = Deployment(
            endpoint=endpoint.name,
            project=endpoint.project,
            model=endpoint.model,
            generation=endpoint.generation,
            blob_path=str(self._blobs.path(endpoint.blob_id)),
            blob_id=endpoint.blob_id,
            key=self._keyring.get(endpoint.project, f"model/{endpoint.model_version_id}").hex(),
            signature=self._unseal(endpoint, "signature", signature).decode(),
            secret=_derived(own_secret, "predict"),
            token_key=tokens.public_key(self._token_seed(endpoint.project)).hex(),
        )
        return ReplicaConfig(
            deployments=(deployment,),
            generation=endpoint.generation,
            host=endpoint.host,
            port=endpoint.replica.port if endpoint.replica else 0,
            workers=endpoint.workers,
            control_path=str(self._control_path(endpoint)),
            control_secret=_derived(own_secret, "control"),
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


def _attempt(endpoint: Endpoint) -> str:
    return f"{endpoint.id}/{endpoint.generation}"


def _derived(secret: bytes, use: str) -> str:
    """Derive a secret for one use: a worker, which knows the one for predicting, cannot steer its supervisor."""
    return hashlib.sha256(f"lepton replica {use} ".encode() + secret).hexdigest()


def _state(seen: ReplicaStatus) -> tuple[EndpointState, str]:
    if seen.coming:
        return EndpointState.STARTING, ""
    if seen.message and not any(worker.state == "ready" for worker in seen.workers if worker.generation == seen.told):
        return EndpointState.FAILED, seen.message
    return EndpointState.READY, ""


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
