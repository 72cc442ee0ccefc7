"""The verbs of endpoints: deploy, rollback, list, get, predict, delete; and what the controller does about them."""

from __future__ import annotations

import builtins
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial

import sqlalchemy as sa

from lepton.access.guard import Guard
from lepton.access.records import Actor, Holder
from lepton.core.clock import Clock
from lepton.core.columns import ColumnClass
from lepton.core.errors import Conflict, Forbidden, InvalidInput, LeptonError, NotFound, Unauthenticated, Unavailable
from lepton.core.ids import new_id
from lepton.core.refs import Ref, check_name, parse_ref
from lepton.core.settings import Settings
from lepton.endpoints import asking, plans, processes, rollout, rows, sharing
from lepton.endpoints.configs import Configs, Sealed
from lepton.endpoints.drifting import Drifting, DriftReport
from lepton.endpoints.keeper import Found, Keeper
from lepton.endpoints.measures import EndpointMetrics, series
from lepton.endpoints.plans import NOTHING, Asked
from lepton.endpoints.records import Beside, Endpoint, EndpointDetail, EndpointState, Role
from lepton.endpoints.references import reference_of
from lepton.endpoints.replica.config import Limits, ReplicaConfig, Workers
from lepton.endpoints.replica.control import Control, ReplicaStatus
from lepton.endpoints.replica.metrics import exposition
from lepton.endpoints.request_log import KEPT, LoggedRequest
from lepton.endpoints.sharing import Group
from lepton.endpoints.token_lists import TokenLists
from lepton.endpoints.watching import Watching
from lepton.endpoints.windows import Reference
from lepton.models.operations import Models
from lepton.models.records import ModelArtifact
from lepton.models.signature import Signature
from lepton.store.blobs import BlobStore
from lepton.store.database import Database
from lepton.store.keys import Keyring

_ONE_MACHINE = (
    "This platform runs on one machine and cannot have {} replicas of an endpoint. Ask for more workers instead "
    "(--workers), or start the platform with LEPTON_ENGINE=ray://HOST:PORT to use the machines of a Ray cluster."
)
PUBLISH_S = 1.0
"""How long who changes a token waits for replicas to be told."""


class Endpoints:
    """Models that answer, each behind a replica process of its own."""

    def __init__(
        self, *, database: Database, guard: Guard, keyring: Keyring, blobs: BlobStore, models: Models, clock: Clock,
        settings: Settings,
    ) -> None:  # fmt: skip
        self._database = database
        self._guard = guard
        self._keyring = keyring
        self._configs = Configs(keyring, blobs, settings)
        self._models = models
        self._clock = clock
        self._settings = settings
        self._keeper = Keeper()
        self._token_lists = TokenLists(keyring, clock)
        self._watching = Watching(clock)
        self.rules = rollout.Rules()
        """When a canary goes back by itself."""
        self.holders: Callable[[str], Sequence[Holder]] = lambda _project: ()
        """Says of a project who holds tokens there and which are good for predicting. The platform sets it."""
        self._controls: dict[str, Control] = {}
        self._looks = threading.Condition()
        self._begun = self._ended = 0
        self.is_looked_after = False
        """Whether a controller calls `tick`."""
        self.changed = threading.Event()
        """Set when there is something for the controller to do."""

    def deploy(
        self, actor: Actor, name: str, model: Ref, *, beside: Beside | None = None, asked: Asked = NOTHING,
        project: str = "default",
    ) -> Endpoint:  # fmt: skip
        """Let a model version answer under a name; an endpoint that exists moves over without a gap.

        Args:
            actor: Who asks.
            name: Name of the endpoint.
            model: What answers.
            beside: That it is to be a canary or a shadow of the main version; None: it is the main one, and alone.
            asked: How many processes are to answer, on how many machines, and how much they may be asked.
            project: Where.

        Returns:
            The endpoint, state ``starting``; it is ``ready`` when its replica listens.

        Raises:
            InvalidInput: if the name cannot name an endpoint, or more machines are asked for than one and the platform
                has no engine for them.
            NotFound: if there is no such model version, or no endpoint for it to stand beside or to share with.
            Conflict: if it does not take the columns of the version that it is to stand beside, or cannot share.
            Forbidden: if it answers with values of a column the actor may not read.
        """
        self._guard.require(actor, "endpoints.deploy", project=project, target=name)
        check_name(name, "endpoint")
        if asked.replicas is not None and asked.replicas > 1 and self._settings.engine == "local":
            raise InvalidInput(_ONE_MACHINE.format(asked.replicas))
        artifact = self._models.artifact(actor, model, project=project)
        with self._guard.allow(actor, "endpoints.deploy", project=project, target=name) as tx:
            _check_answers(artifact, self._guard.readable(actor, project=project))
            asked = replace(asked, by=actor.name)
            old = rows.find(tx, project, name, to_change=True)
            sharing.check_guest(old, name, asked)
            if beside is not None:
                endpoint = self._join(tx, old or _existing(tx, project, name), artifact, beside, asked)
            elif old is not None:
                endpoint = self._replace(tx, plans.replaced(old, artifact, asked), artifact)
            else:
                endpoint = self._insert(tx, name, artifact, asked, project=project)
            self._keep_reference(tx, endpoint, artifact)
        self.changed.set()
        return endpoint

    def rollback(self, actor: Actor, name: str, *, project: str = "default") -> Endpoint:
        """Drop an endpoint's canary, or, if it has none, let the main version before this one answer again.

        Returns:
            The endpoint, state ``starting``; what answers now goes on until it is ``ready``.

        Raises:
            NotFound: if there is none of that name, or the version before was deleted.
            Conflict: if there is neither a canary nor a version before.
        """
        self._guard.require(actor, "endpoints.rollback", project=project, target=name)
        with self._database.read() as tx:
            seen = rows.find(tx, project, name)
        previous = seen.previous if seen is not None and seen.canary is None else ""
        artifact = self._models.artifact(actor, parse_ref(previous, "model"), project=project) if previous else None
        with self._guard.allow(actor, "endpoints.rollback", project=project, target=name) as tx:
            old = _existing(tx, project, name, to_change=True)
            if old.canary is not None:
                endpoint = plans.without(old, Role.CANARY, by=actor.name)
                rows.redeploy(tx, endpoint)
            elif artifact is None or artifact.ref != old.previous:
                raise Conflict(
                    f"Endpoint {name!r} has no canary, and no version before {old.model} that it could go back to. "
                    f"Deploy another one with: lepton endpoints deploy {name} --model NAME@VERSION"
                )
            else:
                _check_answers(artifact, self._guard.readable(actor, project=project))
                endpoint = self._replace(tx, plans.gone_back(old, artifact, actor.name), artifact)
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
        whole = Signature.from_json(self._configs.unseal(endpoint, "signature", signature))
        masked = whole.masked(self._guard.readable(actor, project=project))
        standing = plans.rollout(endpoint, self._watching.tallies(endpoint.id))
        drift = self._watching.level(endpoint.id, endpoint.model)
        return EndpointDetail(endpoint, masked, self._status(endpoint), standing, drift)

    def metrics(self, actor: Actor, name: str, *, project: str = "default") -> EndpointMetrics:
        """Return how an endpoint's deployments do, now and in the last ten minutes.

        Raises:
            NotFound: if there is none of that name.
        """
        return self.watch_metrics(actor, name, project=project)()

    def watch_metrics(self, actor: Actor, name: str, *, project: str = "default") -> Callable[[], EndpointMetrics]:
        """Follow how an endpoint does; permission is asked here, once, and each look reads one row."""
        with self._guard.allow(actor, "endpoints.get", project=project, target=name) as tx:
            _existing(tx, project, name)
        readable = self._guard.readable(actor, project=project)

        def look() -> EndpointMetrics:
            with self._database.read() as tx:
                endpoint = _existing(tx, project, name)
                sealed, _ = rows.sealed(tx, endpoint.id)
            signature = Signature.from_json(self._configs.unseal(endpoint, "signature", sealed))
            visible = frozenset(column.name for column in signature.inputs if column.column_class in readable)
            self._watching.compare_soon(endpoint.id)
            return EndpointMetrics(name, tuple(self._watching.measures(endpoint.id, endpoint.model, visible)))

        return look

    def logs(
        self, actor: Actor, name: str, *, limit: int = 100, project: str = "default"
    ) -> builtins.list[LoggedRequest]:
        """Return a few of the requests that an endpoint has answered, the newest first.

        Raises:
            NotFound: if there is none of that name.
        """
        with self._guard.allow(actor, "endpoints.logs", project=project, target=name) as tx:
            endpoint = _existing(tx, project, name)
            kept = rows.requests(tx, endpoint.id, limit)
        return [
            LoggedRequest.from_json(self._configs.unseal(endpoint, f"request/{id_}", sealed)) for id_, sealed in kept
        ]

    def exposition(self, actor: Actor, *, project: str = "default") -> str:
        """Return the counts of all endpoints of a project in the text format of Prometheus."""
        with self._guard.allow(actor, "endpoints.list", project=project) as tx:
            found = rows.list_all(tx, project)
        return exposition(series((one, self._ready_workers(one), self._watching.tallies(one.id)) for one in found))

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
        secret = self._configs.secret(endpoint, sealed_secret, "predict")
        certificate, *_ = self._configs.tls_files(endpoint) or ("",)
        try:
            return asking.ask(endpoint.url, secret, body, trusted=certificate)
        except (NotFound, Unauthenticated):
            if endpoint.state is EndpointState.READY:
                raise
            raise Unavailable(_not_ready(endpoint)) from None  # the replica is another's, and not told of it yet

    def delete(self, actor: Actor, name: str, *, project: str = "default") -> None:
        """Stop an endpoint and forget it; the model stays.

        Raises:
            NotFound: if there is none of that name.
            Conflict: if others share its replica.
        """
        with self._guard.allow(actor, "endpoints.delete", project=project, target=name) as tx:
            endpoint = _existing(tx, project, name, to_change=True)
            if guests := rows.guests(tx, endpoint.id):
                shared = f"{', '.join(map(repr, guests))} share{'s' if len(guests) == 1 else ''} its replica"
                raise Conflict(f"Endpoint {name!r} is not deleted, as {shared}. Delete those before it.")
            rows.delete(tx, endpoint)
        if endpoint.shares:
            self.changed.set()  # the replica goes on without it
        else:
            self._end(endpoint)
        self._watching.forget(endpoint.id)
        self._keyring.shred(project, f"endpoint/{endpoint.id}")

    def _end(self, endpoint: Endpoint) -> None:
        if endpoint.replica is not None:
            processes.stop(endpoint.replica)
        self._configs.control_path(endpoint).unlink(missing_ok=True)
        self._controls.pop(endpoint.id, None)

    # What the controller does: no actor asks, it carries out what an allowed deploy has already put in the catalog.

    def tick(self, *, wait_s: float = processes.START_TIMEOUT_S) -> bool:
        """Give every endpoint the replica it should have, and record how each stands.

        Args:
            wait_s: How long to wait for what is starting; 0 looks once.

        Returns:
            Whether something still is starting.
        """
        deadline = time.monotonic() + wait_s
        while is_busy := self._look():
            if time.monotonic() >= deadline:
                break
            time.sleep(0.02)
        return is_busy

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
        processes.stop(*(one.replica for one in wanted if one.replica is not None and not one.shares))

    def using(self, tx: sa.Connection, model_version_id: str) -> str | None:
        """Say which endpoint serves a model version, or None; asked before a model is deleted."""
        name = rows.using(tx, model_version_id)
        return None if name is None else f"endpoint {name!r}"

    def _look(self) -> bool:
        """Look after every endpoint once; say whether any is on its way."""
        with self._looks:
            self._begun += 1
        with self._database.read() as tx:
            wanted = sharing.groups(rows.list_all(tx))
        busy = [self._look_after(group) for group in wanted]  # every one, not only until the first
        with self._looks:
            self._ended = self._begun
            self._looks.notify_all()
        for group in wanted:
            self._watch(group)
        return any(busy)

    def _watch(self, group: Group) -> None:
        """Hear how the endpoints of a replica do."""
        host = group.host
        control = self._controls.get(host.id)
        if control is None or host.replica is None or not host.replica.mark.is_alive():
            return
        samples = self._watching.look({member.name: member.id for member in group.members}, control.watch)
        for member in group.members:
            self._keep(member, samples.get(member.id, {}))

    def _keep(self, endpoint: Endpoint, samples: Mapping[str, bytes]) -> None:
        """Keep what was heard; whatever is wrong with that is no reason not to look after an endpoint."""
        with suppress(LeptonError):  # it was deleted meanwhile, and its key with it
            drifts = self._watching.compare(endpoint.id, endpoint.model, partial(self._drifting, endpoint))
            if not samples and not drifts:
                return
            self._keyring.get(endpoint.project, f"endpoint/{endpoint.id}")  # sealing would make another
            sealed = {id_: self._configs.seal(endpoint, f"request/{id_}", sample) for id_, sample in samples.items()}
            reports = [
                (model, self._configs.seal(endpoint, f"drift/{model}", report.to_json())) for model, report in drifts
            ]
            with self._database.begin() as tx:
                rows.add_requests(tx, endpoint.id, sealed, most=KEPT)
                for model, report in reports:
                    rows.set_drift(tx, endpoint.id, model, report)

    def _keep_reference(self, tx: sa.Connection, endpoint: Endpoint, artifact: ModelArtifact) -> None:
        if artifact.profile is not None:
            reference = reference_of(artifact.signature, artifact.profile).to_json()
            sealed = self._configs.seal(endpoint, f"reference/{artifact.ref}", reference)
            rows.keep_reference(tx, endpoint.id, artifact.ref, sealed)

    def _drifting(self, endpoint: Endpoint, model: str) -> Drifting | None:
        with self._database.read() as tx:
            kept = rows.drift(tx, endpoint.id, model)
        if kept is None:
            return None
        reference = Reference.from_json(self._configs.unseal(endpoint, f"reference/{model}", kept[0]))
        report = None if kept[1] is None else self._configs.unseal(endpoint, f"drift/{model}", kept[1])
        return Drifting(reference, None if report is None else DriftReport.from_json(report))

    def _look_after(self, group: Group) -> bool:
        host = group.host
        control = self._control(host)
        found = self._keeper.look_after(group.whole, control, lambda: self._config(group))
        if found.replica is not None and found.state is EndpointState.READY:
            # Before it is said to be ready: who hears so may ask at once.
            self._token_lists.tell(host.project, found.replica, control, self.holders(host.project))
        gone_back = [self._go_back(member, found) for member in group.members if member.companions]  # every one
        if any(gone_back):
            return True
        before = host.replica
        changed = [
            (member, found.replica if member is host else None, *how)
            for member in group.members
            if (how := sharing.standing(member, found)) != (member.state, member.message)
            or (member is host and found.replica != before)
        ]
        if not changed:
            return found.busy
        with self._database.begin() as tx:
            kept = {one[0].id: rows.set_standing(tx, *one) for one in changed}
        is_new = found.replica is not None and (before is None or before.mark != found.replica.mark)
        if is_new and found.replica is not None and not kept[host.id]:
            processes.stop(found.replica)  # deleted, or deployed anew, while this one started
        return found.busy

    def _go_back(self, endpoint: Endpoint, found: Found) -> bool:
        """Take back what stands beside the main version and should not; say whether it was so."""
        roles, why = self._verdict(endpoint, found)
        if not why:
            return False
        with self._database.begin() as tx:
            now = rows.find(tx, endpoint.project, endpoint.name, to_change=True)
            if now is not None and now.generation == endpoint.generation:
                rows.redeploy(tx, plans.without(now, *roles, why=why))
                self._guard.note_own(tx, "endpoints.rollback", project=endpoint.project, target=endpoint.name)
        return True

    def _verdict(self, endpoint: Endpoint, found: Found) -> tuple[tuple[Role, ...], str]:
        """Say which companions should go, and why; an empty reason if all may stay."""
        lives = found.replica is not None and processes.alive(found.replica)
        has_failed = (
            found.state is EndpointState.FAILED and sharing.standing(endpoint, found)[0] is EndpointState.FAILED
        )
        if lives and has_failed and not found.busy:  # and not: no process can be started
            return (Role.CANARY, Role.SHADOW), f"the endpoint could not be started with it: {found.message}"
        canary = endpoint.canary
        if canary is None or found.state is not EndpointState.READY:
            return (), ""
        if found.restarts >= self.rules.restarts:
            return (Role.CANARY,), f"workers ended by themselves {found.restarts} times since it was deployed"
        age_s = (self._clock() - canary.since).total_seconds()
        main, its = (
            self._watching.recent(endpoint.id, model, min(self.rules.window_s, age_s))
            for model in (endpoint.model, canary.model)
        )
        levels = (self._watching.level(endpoint.id, model) for model in (endpoint.model, canary.model))
        return (Role.CANARY,), rollout.judge(main, its, self.rules, rollout.Drift(*levels)) or ""

    def _insert(self, tx: sa.Connection, name: str, artifact: ModelArtifact, asked: Asked, *, project: str) -> Endpoint:
        workers, limits = asked.of(Workers(), Limits())
        endpoint = Endpoint(
            id=new_id(),
            project=project,
            name=name,
            model=artifact.ref,
            model_version_id=artifact.version_id,
            blob_id=artifact.blob_id,
            generation=1,
            state=EndpointState.STARTING,
            message="",
            replica=None,
            host=self._settings.host,
            tls=self._settings.tls is not None,
            workers=workers,
            created_at=self._clock(),
            created_by=asked.by,
            limits=limits,
        )
        if asked.shares:
            endpoint = endpoint.within(self._host(tx, asked.shares, artifact, project))
        sealed = self._configs.seal(endpoint, "signature", artifact.signature.to_json())
        secret = self._configs.seal(endpoint, "secret", secrets.token_bytes(32))
        rows.insert(tx, endpoint, sealed_signature=sealed, sealed_secret=secret)
        return endpoint

    def _host(self, tx: sa.Connection, name: str, artifact: ModelArtifact, project: str) -> Endpoint:
        """Return the endpoint whose replica another is to share."""
        host = _existing(tx, project, name, to_change=True)
        sealed, _ = rows.sealed(tx, host.id)
        signature = Signature.from_json(self._configs.unseal(host, "signature", sealed))
        sharing.check_host(host)
        sharing.check_inputs(signature, artifact.signature)
        return host

    def _replace(self, tx: sa.Connection, endpoint: Endpoint, artifact: ModelArtifact) -> Endpoint:
        if endpoint.shares or rows.guests(tx, endpoint.id):
            sharing.check_inputs(artifact.signature)
        moved = endpoint
        if not endpoint.shares:
            moved = replace(endpoint, host=self._settings.host, tls=self._settings.tls is not None)
        rows.redeploy(tx, moved, sealed_signature=self._configs.seal(moved, "signature", artifact.signature.to_json()))
        return moved

    def _join(
        self, tx: sa.Connection, old: Endpoint, artifact: ModelArtifact, beside: Beside, asked: Asked
    ) -> Endpoint:
        endpoint = plans.joined(old, artifact, beside, asked, self._clock())
        main = Signature.from_json(self._configs.unseal(old, "signature", rows.sealed(tx, old.id)[0]))
        plans.check_columns((old.model, main), (artifact.ref, artifact.signature))
        sealed = self._configs.seal(endpoint, f"signature/{beside.role}", artifact.signature.to_json())
        rows.redeploy(tx, endpoint, beside=sealed)
        return endpoint

    def _status(self, endpoint: Endpoint) -> ReplicaStatus | None:
        if endpoint.replica is None or not endpoint.replica.mark.is_alive():
            return None
        try:
            return self._control(endpoint).status(timeout_s=1.0)
        except Unavailable:
            return None

    def _ready_workers(self, endpoint: Endpoint) -> int:
        status = self._status(endpoint)
        return 0 if status is None else sum(worker.state == "ready" for worker in status.workers)

    def _control(self, endpoint: Endpoint) -> Control:
        """Where the replica is spoken to that an endpoint answers in."""
        owner = endpoint.replica_id
        if owner not in self._controls:
            with self._database.read() as tx:
                host = _existing(tx, endpoint.project, endpoint.shares) if endpoint.shares else endpoint
                _, secret = rows.sealed(tx, owner)
            opened = self._configs.secret(host, secret, "control")
            self._controls[owner] = Control.at(self._configs.control_path(host), opened)
        return self._controls[owner]

    def _config(self, group: Group) -> ReplicaConfig:
        token_key = self._token_lists.public_key(group.host.project)
        sealed = [(member, self._sealed(member)) for member in group.members]
        deployments = [one for member, its in sealed for one in self._configs.deployments(member, its, token_key)]
        return self._configs.replica(group.whole, sealed[0][1], deployments)

    def _sealed(self, endpoint: Endpoint) -> Sealed:
        with self._database.read() as tx:
            signature, secret = rows.sealed(tx, endpoint.id)
            beside = rows.companion_signatures(tx, endpoint.id)
            models = (endpoint.model, *(one.model for one in endpoint.companions))
            references = {model: kept[0] for model in models if (kept := rows.drift(tx, endpoint.id, model))}
        return Sealed(signature, secret, beside, references)


def _existing(tx: sa.Connection, project: str, name: str, *, to_change: bool = False) -> Endpoint:
    endpoint = rows.find(tx, project, name, to_change=to_change)
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
