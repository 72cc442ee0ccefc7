"""The verbs of models: train, register, evaluate, predict, list, get, lineage, export, delete; what runs commit.

Those of tuning are in `tuning`.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING

import sqlalchemy as sa

from lepton.access.guard import Guard
from lepton.access.records import Actor
from lepton.core.clock import Clock
from lepton.core.columns import ColumnClass
from lepton.core.errors import Conflict, Forbidden, InvalidInput, LeptonError, NotFound
from lepton.core.ids import new_id
from lepton.core.refs import Ref, check_name, parse_ref
from lepton.datasets.operations import Datasets, check_whole
from lepton.datasets.records import DatasetVersion
from lepton.models import bundle, inert, rows
from lepton.models.batch import check_inputs
from lepton.models.commanded import folder_of, plan_of, submission_of
from lepton.models.documents import Card, Documents, scope_of
from lepton.models.lineage import draw
from lepton.models.parameters import check_parameters
from lepton.models.proposal import Proposed, proposed
from lepton.models.records import (
    Evaluation,
    Lineage,
    ModelArtifact,
    ModelDetail,
    ModelSummary,
    ModelVersion,
    OpenModel,
    Plot,
    Trained,
    TrainRequest,
)
from lepton.models.registering import REGISTERED, from_files
from lepton.models.requests import check_request, check_target, choose_columns, has_framework, shown, to_arguments
from lepton.models.rows import EvaluationRow, ModelRow
from lepton.models.signature import Signature, Task
from lepton.models.tune_requests import TRIAL, trial_of
from lepton.models.tuning import Tuning
from lepton.runs.operations import Runs
from lepton.runs.records import ONE_CPU, Run, Scheduling
from lepton.runs.scripts import Scripts
from lepton.store.blobs import BlobStore
from lepton.store.keys import Keyring

if TYPE_CHECKING:
    from lepton.training.scorecard import Scale, Scorecard


class Models(Tuning):
    """Versioned predictors."""

    def __init__(
        self, *, guard: Guard, keyring: Keyring, blobs: BlobStore, datasets: Datasets, runs: Runs, scripts: Scripts,
        clock: Clock,
    ) -> None:  # fmt: skip
        super().__init__(guard=guard, keyring=keyring, runs=runs, datasets=datasets, clock=clock, scripts=scripts)
        self._blobs = blobs
        self.used_by: Callable[[sa.Connection, str], str | None] = lambda _tx, _version_id: None
        """Says what still needs a version, by its id, before it is deleted. Nouns further up the road set it."""

    # For people

    def train(self, actor: Actor, *, request: TrainRequest) -> Run:
        """Submit the run that trains the next version of a model.

        Raises:
            InvalidInput: if the request does not fit the dataset's columns.
            NotFound: if there is no such dataset version.
            Forbidden: if the actor may not train, or may not read the target or a named feature.
        """
        project = request.project
        self._require(actor, "models.train", project, f"model:{request.name}")
        check_request(request)
        check_parameters(request)
        dataset = self.datasets.get(actor, request.dataset, project=project)
        schema = self.datasets.open(actor, request.dataset, project=project).schema
        check_target(schema, request.target)
        choice = choose_columns(schema, request.target, request.features)
        exact = trial_of(replace(request, dataset=Ref(dataset.version.name, dataset.version.version)))
        if has_framework(exact) or self._scripts.elsewhere:
            plan = plan_of(exact, choice, schema)
            return self._scripts.submit(actor, submission_of(plan), folder_of(plan), project=project)
        with self._guard.allow(actor, "models.train", project=project, target=f"model:{request.name}") as tx:
            return self._runs.submit(
                actor,
                tx,
                project=project,
                task="models.train",
                arguments=to_arguments(exact),
                workers=request.workers,
                inputs=(f"dataset:{exact.dataset}",),
                params=shown(request),
                scheduling=Scheduling(key=request.key, resources=TRIAL if request.trial else ONE_CPU),
            )

    def propose(self, actor: Actor, *, dataset: Ref, target: str, project: str = "default") -> Proposed:
        """Return recipes that fit a dataset and a target, the best first.

        Raises:
            InvalidInput: if there is no such column, or it cannot be predicted.
        """
        self._require(actor, "models.get", project, f"dataset:{dataset}")
        known = self.datasets.profile(actor, dataset, project=project)
        check_target(self.datasets.open(actor, dataset, project=project).schema, target)
        return proposed(known, target)

    def register(
        self,
        actor: Actor,
        chunks: Iterable[bytes],
        *,
        name: str,
        project: str = "default",
        again: Callable[[], Actor] | None = None,
        run_id: str = "",
    ) -> ModelVersion:
        """Keep code of a user's own, with the signature it declares, as the next version of a model.

        Nothing of it is run here, or anywhere but in the sandbox of an endpoint's replica.

        Args:
            actor: Who asks.
            chunks: A zip archive, see `lepton.models.bundle`, with the signature as ``signature.json``.
            name: Name of the model.
            project: Where.
            again: Says who asks when the archive has come; raises if that is nobody now.
            run_id: The run that made it, if it is known here.

        Raises:
            InvalidInput: if the name, the archive or the signature is not possible.
            TooLarge: if the archive holds too much.
        """
        target = f"model:{name[:80]}"
        self._require(actor, "models.register", project, target)
        check_name(name, "model")
        files = bundle.unpack(bundle.receive(chunks))
        made = from_files(name, files)
        actor = actor if again is None else again()
        row = self._store(actor, made, project=project, run_id=run_id)
        with self._withdrawing(row), self._guard.allow(actor, "models.register", project=project, target=target) as tx:
            row = _numbered(tx, row)
        return self._version(row)

    def register_files(
        self, actor: Actor, files: Iterable[inert.ModelFile], *, name: str, run_id: str, reason: str, project: str
    ) -> ModelVersion:
        """Keep a list of files of a run as the next version of a model, which nothing ever opens.

        Args:
            actor: Who asks.
            files: What they are; they stay where they are.
            name: Name of the model.
            run_id: The run that has them.
            reason: Why they are no more than files, if there was a graph among them.
            project: Where.
        """
        target, kept = f"model:{name[:80]}", tuple(files)
        self._require(actor, "models.register", project, target)
        notes = (inert.NOTE, f"Its graph was not taken: {reason}") if reason else (inert.NOTE,)
        made = Trained(
            check_name(name, "model"), inert.FILES, "", inert.NOTHING, inert.to_json(kept), metrics={}, plots=(),
            notes=notes,
        )  # fmt: skip
        row = self._store(actor, made, project=project, run_id=run_id)
        row = replace(row, size_bytes=sum(file.size_bytes for file in kept))
        with self._withdrawing(row), self._guard.allow(actor, "models.register", project=project, target=target) as tx:
            row = _numbered(tx, row)
        return self._version(row)

    def files(self, actor: Actor, ref: Ref, *, project: str = "default") -> tuple[inert.ModelFile, ...]:
        """Return what a version that is files only was when it was registered; none of another one."""
        with self._guard.allow(actor, "models.get", project=project, target=f"model:{ref}") as tx:
            row = _found(tx, project, ref)
        if row.recipe != inert.FILES:
            return ()
        return inert.from_json(self._blobs.read(project, scope_of(row.id), row.blob_id))

    def list(self, actor: Actor, *, project: str = "default") -> builtins.list[ModelSummary]:
        """Return the models of a project by name, each with its versions, newest first."""
        with self._guard.allow(actor, "models.list", project=project) as tx:
            found = rows.versions(tx, project)
        grouped = groupby(self._versions(found), key=lambda version: version.name)
        return [ModelSummary(name, tuple(versions)) for name, versions in grouped]

    def get(self, actor: Actor, ref: Ref, *, project: str = "default") -> ModelDetail:
        """Return one version with all that is known of it, less what the actor may not read.

        Raises:
            NotFound: if there is no such model, or no such version of it.
        """
        with self._guard.allow(actor, "models.get", project=project, target=f"model:{ref}") as tx:
            row = _found(tx, project, ref)
            sisters = rows.versions(tx, project, Ref(ref.name))
            evaluations = rows.evaluations(tx, row.id)
        readable = self._guard.readable(actor, project=project)
        documents = self._documents(row)
        return ModelDetail(
            version=self._version(row),
            signature=documents.signature(row.sealed_signature).masked(readable),
            plots=_visible(documents.plots(row.sealed_plots), readable),
            evaluations=tuple(
                Evaluation(
                    dataset=found.dataset,
                    metrics=found.metrics,
                    created_at=found.created_at,
                    run_id=found.run_id,
                    plots=_visible(documents.plots(found.sealed_plots, place=f"evaluation/{found.id}"), readable),
                )
                for found in evaluations
            ),
            versions=tuple(self._versions(sisters)),
            notes=documents.card(row.sealed_card).notes,
        )

    def evaluate(self, actor: Actor, ref: Ref, *, dataset: Ref, project: str = "default") -> Run:
        """Submit the run that measures a version on the rows of a dataset version.

        Raises:
            NotFound: if there is no such model or dataset version.
        """
        self._require(actor, "models.evaluate", project, f"model:{ref}")
        known = self.datasets.get(actor, dataset, project=project).version.ref
        with self._guard.allow(actor, "models.evaluate", project=project, target=f"model:{ref}") as tx:
            row = _found(tx, project, ref)
            _check_graph(row)
            model = f"{row.name}@{row.version}"
            return self._runs.submit(
                actor,
                tx,
                project=project,
                task="models.evaluate",
                arguments={"model": model, "dataset": known, "project": project},
                inputs=(f"model:{model}", f"dataset:{known}"),
            )

    def predict(
        self, actor: Actor, ref: Ref, *, dataset: Ref, name: str | None = None, project: str = "default"
    ) -> Run:
        """Submit the run that makes a dataset version of another: its rows and columns, and the predictions.

        Args:
            actor: Who asks.
            ref: The model version.
            dataset: The dataset version to predict.
            name: Name of the dataset that gets the new version; None means ``<dataset>-<model>``.
            project: Project of all three.

        Raises:
            NotFound: if there is no such model or dataset version.
            InvalidInput: if the dataset lacks a column the model takes or has no rows, or the name is not possible.
            Forbidden: if the actor may not read all of the dataset, or what the model has learned from.
        """
        self._require(actor, "models.predict", project, f"model:{ref}")
        made = check_name(f"{dataset.name}-{ref.name}" if name is None else name, "dataset")
        source = self.datasets.open(actor, dataset, project=project)
        with self._guard.allow(actor, "models.predict", project=project, target=f"model:{ref}") as tx:
            row = _found(tx, project, ref)
            _check_graph(row)
            model, known = f"{row.name}@{row.version}", source.version.ref
            signature = self._documents(row).signature(row.sealed_signature)
            check_whole(source.version, source.schema)
            if hidden := self._hidden(actor, signature, project):
                raise Forbidden(
                    f"Model {model} has learned from {hidden} columns, of which its predictions tell, and you may not "
                    "read those. Ask an owner of the project."
                )
            check_inputs(signature, source.schema, known)
            if not source.version.rows:
                raise InvalidInput(f"Dataset {known!r} has no rows to predict. Choose another version.")
            return self._runs.submit(
                actor,
                tx,
                project=project,
                task="models.predict",
                arguments={"model": model, "dataset": known, "name": made, "project": project},
                inputs=(f"model:{model}", f"dataset:{known}"),
                params={"name": made},
            )

    def lineage(self, actor: Actor, ref: Ref, *, project: str = "default") -> Lineage:
        """Return where a version comes from, back to the file it all began with, and what it predicted."""
        with self._guard.allow(actor, "models.get", project=project, target=f"model:{ref}") as tx:
            row = _found(tx, project, ref)
        version = self._version(row)
        datasets: dict[str, DatasetVersion | None] = {}
        runs = {version.run_id: self._run(actor, version.run_id)} if version.run_id else {}
        before: str | None = version.dataset or None
        while before is not None and before not in datasets:
            known = datasets[before] = self._dataset(actor, before, project)
            before = None if known is None else known.parent
            if known is not None:
                runs[known.run_id] = self._run(actor, known.run_id)
        predicted = [
            (run, self._dataset(actor, run.outputs[0].removeprefix("dataset:"), project))
            for run in self._readers(actor, version)
        ]
        return draw(version, datasets, runs, predicted)

    def scorecard(
        self, actor: Actor, ref: Ref, *, scale: Scale, good: str | None = None, project: str = "default"
    ) -> Scorecard:
        """Return a version of two classes as points to add up.

        Args:
            actor: Who asks.
            ref: The version.
            scale: What the points mean.
            good: The class that a high score speaks for; None for the second one.
            project: Project of the model.

        Raises:
            InvalidInput: if it is no logistic regression of two classes, or has no such class.
            Forbidden: if it has learned values of a column the actor may not read.
        """
        with self._guard.allow(actor, "models.get", project=project, target=f"model:{ref}") as tx:
            row = _found(tx, project, ref)
        documents = self._documents(row)
        if hidden := self._hidden(actor, documents.signature(row.sealed_signature), project):
            raise Forbidden(
                f"Model {row.name}@{row.version} has learned from {hidden} columns, whose values are in its scorecard, "
                "and you may not read those. Ask an owner of the project."
            )
        from lepton.models.scorecards import scorecard_of

        return scorecard_of(documents.plots(row.sealed_plots), good=good, scale=scale)

    def export(self, actor: Actor, ref: Ref, *, project: str = "default") -> bytes:
        """Return the ONNX graph of a version, with an input for every column.

        Raises:
            Forbidden: if it has learned values of a column the actor may not read; they are in the graph.
        """
        with self._guard.allow(actor, "models.export", project=project, target=f"model:{ref}") as tx:
            row = _found(tx, project, ref)
            _check_graph(row)
            signature = self._documents(row).signature(row.sealed_signature)
            if hidden := self._hidden(actor, signature, project):
                raise Forbidden(
                    f"Model {row.name}@{row.version} has learned from {hidden} columns, whose values are in its "
                    "graph, and you may not read those. Ask an owner of the project."
                )
        from lepton.models.graph import named

        return named(self._blobs.read(project, scope_of(row.id), row.blob_id), signature)

    def delete(self, actor: Actor, ref: Ref, *, project: str = "default") -> None:
        """Delete a version, or all versions when the ref names none: destroy the keys, then the graphs.

        Raises:
            NotFound: if there is no such model, or no such version of it.
            Conflict: if an endpoint answers with it.
        """
        with self._guard.allow(actor, "models.delete", project=project, target=f"model:{ref}") as tx:
            _found(tx, project, ref)
            doomed = rows.versions(tx, project, ref)
            for row in doomed:
                if user := self.used_by(tx, row.id):
                    raise Conflict(
                        f"Model '{row.name}@{row.version}' is not deleted, as {user} answers with it. "
                        "Deploy another version there or delete the endpoint first."
                    )
            rows.delete(tx, [row.id for row in doomed])
            # Inside the transaction: a deletion that could not destroy the keys has not happened and can be repeated.
            for row in doomed:
                self._keyring.shred(project, scope_of(row.id))
        for row in doomed:
            self._blobs.delete(row.blob_id)

    # For other nouns and for the runs of this one

    def artifact(self, actor: Actor, ref: Ref, *, project: str = "default") -> ModelArtifact:
        """Return what a deployment needs of a version."""
        with self._guard.allow(actor, "models.get", project=project, target=f"model:{ref}") as tx:
            row = _found(tx, project, ref)
        _check_opened(row)
        documents = self._documents(row)
        return ModelArtifact(
            ref=f"{row.name}@{row.version}",
            version_id=row.id,
            blob_id=row.blob_id,
            signature=documents.signature(row.sealed_signature),
            profile=None if row.sealed_profile is None else documents.profile(row.sealed_profile),
        )

    def open(self, actor: Actor, ref: Ref, *, project: str = "default", action: str = "models.evaluate") -> OpenModel:
        """Open a version to run it in a worker, for the action of its run."""
        with self._guard.allow(actor, action, project=project, target=f"model:{ref}") as tx:
            row = _found(tx, project, ref)
        graph = self._blobs.read(project, scope_of(row.id), row.blob_id)
        return OpenModel(self._version(row), self._documents(row).signature(row.sealed_signature), graph)

    def commit(self, actor: Actor, run: Run, trained: Trained, *, ends: bool = True) -> ModelVersion:
        """Keep what a training run made as the next version, and end the run well, in one transaction.

        Args:
            actor: In whose name.
            run: The run; one that made a version before does not make another.
            trained: What it made.
            ends: Whether that is its end; if not, it is one of its outputs.
        """
        project, target = run.project, f"model:{trained.name}"
        made = [ref.removeprefix("model:") for ref in run.outputs if ref.startswith("model:")]
        if made:
            return self.get(actor, parse_ref(made[0]), project=project).version
        row = self._store(actor, trained, project=project, run_id=run.id)
        with self._withdrawing(row), self._guard.allow(actor, "models.train", project=project, target=target) as tx:
            row = _numbered(tx, row)
            record = self._runs.succeed if ends else self._runs.made
            record(tx, run.id, [f"model:{row.name}@{row.version}"])
        return self._version(row)

    def commit_evaluation(
        self, actor: Actor, run: Run, version: ModelVersion, *, dataset: str, metrics: Mapping[str, float],
        plots: Iterable[Plot],
    ) -> None:  # fmt: skip
        """Keep an evaluation with its version, and end the run well, in one transaction."""
        evaluation_id = new_id()
        documents = Documents(self._keyring, run.project, version.id)
        row = EvaluationRow(
            id=evaluation_id,
            model_version_id=version.id,
            dataset=dataset,
            run_id=run.id,
            created_at=self._clock(),
            metrics=dict(metrics),
            sealed_plots=documents.seal_plots(plots, place=f"evaluation/{evaluation_id}"),
        )
        with self._guard.allow(actor, "models.evaluate", project=run.project, target=f"model:{version.ref}") as tx:
            _found(tx, run.project, Ref(version.name, version.version))
            rows.insert_evaluation(tx, row)
            self._runs.succeed(tx, run.id, [f"model:{version.ref}"])

    def sweep(self, tx: sa.Connection) -> int:
        """Remove graphs whose worker died before it could commit them, and their keys; only while no run works.

        Returns:
            How many there were.
        """
        known = rows.ids(tx)
        made = [(project, scope, scope.removeprefix(scope_of(""))) for project, scope in self._keyring.scopes("model")]
        lost = [(project, scope, version_id) for project, scope, version_id in made if version_id not in known]
        for project, scope, version_id in lost:
            self._blobs.delete(version_id)  # before its key, by which it would be found again
            self._keyring.shred(project, scope)
        return len(lost)

    # Shared by them

    def _store(self, actor: Actor, trained: Trained, *, project: str, run_id: str = "") -> ModelRow:
        """Keep the graph or code and return the row of a version without a number; see `_withdrawing`."""
        version_id = new_id()
        scope = scope_of(version_id)
        self._keyring.create(project, scope)
        blob = self._blobs.put(project, scope, [trained.graph], blob_id=version_id)
        documents = Documents(self._keyring, project, version_id)
        return ModelRow(
            id=version_id,
            project=project,
            name=trained.name,
            version=0,
            task=trained.signature.task.value,
            recipe=trained.recipe,
            dataset=trained.dataset,
            run_id=run_id,
            created_at=self._clock(),
            created_by=actor.name,
            blob_id=blob.id,
            size_bytes=blob.size_bytes,
            sha256=blob.sha256,
            metrics=dict(trained.metrics),
            sealed_card=documents.seal_card(Card(trained.signature.target, trained.notes)),
            sealed_signature=documents.seal_signature(trained.signature),
            sealed_plots=documents.seal_plots(trained.plots),
            sealed_profile=None if trained.profile is None else documents.seal_profile(trained.profile),
        )

    @contextmanager
    def _withdrawing(self, row: ModelRow) -> Iterator[None]:
        """Take back what `_store` has kept, if the version does not come to be."""
        try:
            yield
        except BaseException:
            self._blobs.delete(row.blob_id)
            with suppress(LeptonError):  # the first failure is the one to tell; a key of nothing opens nothing
                self._keyring.shred(row.project, scope_of(row.id))
            raise

    def _require(self, actor: Actor, action: str, project: str, target: str) -> None:
        """Refuse, and write that down, before anything else is looked at."""
        if not self._guard.may(actor, action, project=project):
            with self._guard.allow(actor, action, project=project, target=target):
                pass

    def _hidden(self, actor: Actor, signature: Signature, project: str) -> str:
        """The classes of columns the model has learned from and the actor may not read, in words; empty if none."""
        return " and ".join(sorted(signature.classes_held - self._guard.readable(actor, project=project)))

    def _readers(self, actor: Actor, version: ModelVersion) -> builtins.list[Run]:
        """The runs that predicted datasets with a version, as far as the actor may see runs."""
        try:
            return self._runs.reading(actor, f"model:{version.ref}", task="models.predict", project=version.project)
        except Forbidden:
            return []

    def _run(self, actor: Actor, run_id: str) -> Run | None:
        try:
            return self._runs.get(actor, run_id)
        except (NotFound, Forbidden):
            return None

    def _dataset(self, actor: Actor, ref: str, project: str) -> DatasetVersion | None:
        try:
            return self.datasets.get(actor, parse_ref(ref), project=project).version
        except (NotFound, Forbidden):
            return None

    def _documents(self, row: ModelRow) -> Documents:
        self._keyring.get(
            row.project, scope_of(row.id)
        )  # a key that is gone is noticed here, before anything is opened
        return Documents(self._keyring, row.project, row.id)

    def _versions(self, found: Iterable[ModelRow]) -> builtins.list[ModelVersion]:
        versions = []
        for row in found:
            try:
                versions.append(self._version(row))
            except NotFound:  # deleted between our look and now
                continue
        return versions

    def _version(self, row: ModelRow) -> ModelVersion:
        return ModelVersion(
            id=row.id,
            project=row.project,
            name=row.name,
            version=row.version,
            task=Task(row.task),
            recipe=row.recipe,
            target=self._documents(row).card(row.sealed_card).target,
            dataset=row.dataset,
            run_id=row.run_id,
            created_at=row.created_at,
            created_by=row.created_by,
            size_bytes=row.size_bytes,
            sha256=row.sha256,
            metrics=row.metrics,
        )


def _visible(plots: Iterable[Plot], readable: frozenset[ColumnClass]) -> tuple[Plot, ...]:
    return tuple(plot for plot in plots if plot.learned_from <= readable)


def _numbered(tx: sa.Connection, row: ModelRow) -> ModelRow:
    row = replace(row, version=rows.next_version(tx, row.project, row.name))
    rows.insert_version(tx, row)
    return row


def _check_opened(row: ModelRow) -> None:
    if row.recipe == inert.FILES:
        raise InvalidInput(f"Model {row.name}@{row.version} cannot be used here. {inert.NOTE}")


def _check_graph(row: ModelRow) -> None:
    _check_opened(row)
    if row.recipe in REGISTERED:
        raise InvalidInput(
            f"Model {row.name}@{row.version} was registered and has no graph, so it runs behind an endpoint only. "
            f"Deploy it: lepton endpoints deploy NAME --model {row.name}@{row.version}"
        )


def _found(tx: sa.Connection, project: str, ref: Ref) -> ModelRow:
    row = rows.find(tx, project, ref)
    if row is not None:
        return row
    latest = None if ref.version is None else rows.find(tx, project, Ref(ref.name))
    if latest is None:
        raise NotFound(f"There is no model {ref.name!r} in project {project!r}. See: lepton models list")
    raise NotFound(
        f"Model {ref.name!r} has no version {ref.version} (latest is {latest.version}). "
        f"See: lepton models get {ref.name}"
    )
