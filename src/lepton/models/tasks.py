"""What the workers of a model's run do: train on shards together, measure a model on a dataset, or predict one."""

from __future__ import annotations

import base64
import json
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from sklearn.exceptions import ConvergenceWarning

from lepton.core.errors import Conflict, InvalidInput
from lepton.core.refs import parse_ref
from lepton.datasets.documents import Description
from lepton.datasets.operations import check_whole
from lepton.datasets.profile import profile_columns
from lepton.datasets.records import DatasetProfile, Draft, OpenDataset
from lepton.datasets.report import StepReport
from lepton.datasets.schema import Column as DatasetColumn
from lepton.datasets.schema import Schema
from lepton.models.agreement import agree
from lepton.models.batch import add_answers, added_columns
from lepton.models.evaluate import Report
from lepton.models.features import Column, Features
from lepton.models.fitting import fit_features, only
from lepton.models.frames import check_columns, predict_frame
from lepton.models.graph import features_graph
from lepton.models.learned import profile_of
from lepton.models.operations import Models
from lepton.models.packing import measure, pack, prove, weights_plots
from lepton.models.prediction import Arrays, Session, open_session
from lepton.models.records import OpenModel, Trained, TrainRequest
from lepton.models.requests import Choice, check_target, choose_columns, from_arguments
from lepton.models.shards import Mask, Shard, read_blocks, share_of_rows
from lepton.models.signature import Input, Signature, Task
from lepton.models.summaries import Estimator
from lepton.models.target import MISSING, Target, class_codes, number_values, part, read_target
from lepton.models.values import Array
from lepton.runs.context import TaskContext
from lepton.store.tables import Table
from lepton.training.collective import Collective as TrainingCollective
from lepton.training.context import TrainingContext
from lepton.training.linear import LinearRegression
from lepton.training.logistic import LogisticRegression

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class _Material:
    """What every worker knows before training: the table, the target and who learns from which rows."""

    request: TrainRequest
    dataset: OpenDataset
    choice: Choice
    target: Target
    train: Mask
    test: Mask


def run_train(models: Models, context: TaskContext) -> None:
    """Train the next version of a model on this worker's share of the rows; worker 0 packs, measures and commits it.

    Of what is only tried, worker 0 tells the measures, and nothing is kept.
    """
    context.progress(0.02, "reading the target")
    material = agree(context.collective, lambda: _gather_material(models, context))
    context.progress(0.1, "fitting features")
    features, inputs, graph = _share_features(context, material)
    session = open_session(graph)
    shard = Shard(
        material.dataset,
        inputs=inputs,
        session=session,
        target=material.target.values,
        chosen=material.train,
        rows=share_of_rows(material.train, context.rank, context.world_size),
    )
    context.log(f"worker {context.rank} of {context.world_size} learns from {shard.rows:,} rows")
    context.progress(0.2, "training")
    estimator = _fit(context, material, shard)
    if context.collective.all_reduce(np.array([float(context.should_stop())]))[0] > 0 or features is None:
        return
    context.progress(0.8, "packing the model and measuring it on the held-out rows")
    trained = _pack(material, features, estimator)
    if material.request.trial:
        _tell_trial(models, context, trained)
        return
    trained = replace(
        trained,
        profile=profile_of(
            models.datasets, context.actor, material.dataset, trained.signature, project=context.run.project
        ),
    )
    for name, value in trained.metrics.items():
        context.metric(f"test_{name}", value)
    if not context.should_stop():
        version = models.commit(context.actor, context.run, trained)
        context.log(f"model {version.ref} is there: {_written(trained.metrics)}")


def _tell_trial(models: Models, context: TaskContext, trained: Trained) -> None:
    """Tell how what was tried does on the rows that it was measured on, and end the run."""
    found = trained.metrics
    loss = found["log_loss"] if "log_loss" in found else found["rmse"] ** 2
    for name, value in {**found, "loss": loss}.items():
        context.metric(f"valid_{name}", value)
    if not context.should_stop():
        models.end_trial(context.actor, context.run)
        context.log(f"tried, and no version made: {_written(found)}")


def run_evaluate(models: Models, context: TaskContext) -> None:
    """Measure a model version on all rows of a dataset version that have a target."""
    if context.rank:
        return
    arguments = context.arguments
    model = models.open(context.actor, parse_ref(arguments["model"], "model"), project=arguments["project"])
    dataset = models.datasets.open(context.actor, parse_ref(arguments["dataset"]), project=arguments["project"])
    check_columns(model.signature, dataset.schema)
    context.progress(0.1, "predicting")
    report = _measure(context, open_session(model.graph), model.signature, dataset)
    models.commit_evaluation(
        context.actor,
        context.run,
        model.version,
        dataset=str(dataset.ref),
        metrics=report.metrics,
        plots=report.plots,
    )
    context.log(f"model {model.version.ref} on {dataset.ref}: {_written(report.metrics)}")


def run_predict(models: Models, context: TaskContext) -> None:
    """Make a dataset version of another, with a model's predictions; a block of rows is in memory at a time."""
    if context.rank:
        return
    arguments, project = context.arguments, context.run.project
    model = models.open(context.actor, parse_ref(arguments["model"], "model"), project=project, action="models.predict")
    source = models.datasets.open(context.actor, parse_ref(arguments["dataset"]), project=project)
    check_whole(source.version, source.schema)
    known = models.datasets.profile(context.actor, source.ref, project=project)
    added = added_columns(model.signature, source.schema)
    schema = Schema((*source.schema.columns, *added))
    table = models.datasets.store(project, _predicted(context, model, source, added), schema)
    try:
        context.progress(0.9, "profiling the predictions")
        description = _describe(models, context, table, schema, known)
        _check_wanted(context)
        draft = Draft(arguments["name"], table, description, "predict", parent=source.version.ref)
        [made] = models.datasets.commit(context.actor, context.run, [draft], action="models.predict")
    except BaseException:
        models.datasets.discard(project, table.id)
        raise
    context.log(f"dataset {made.ref} is there: {made.rows:,} rows of {source.ref} predicted by {model.version.ref}")


def _predicted(
    context: TaskContext, model: OpenModel, source: OpenDataset, added: tuple[DatasetColumn, ...]
) -> Iterator[pl.DataFrame]:
    session = open_session(model.graph)
    for first, frame in read_blocks(source.scan()):
        _check_wanted(context)
        yield add_answers(frame, added, model.signature, predict_frame(session, model.signature, frame))
        done = first + frame.height
        context.progress(0.02 + 0.88 * done / source.version.rows, f"{done:,} rows predicted")


def _describe(models: Models, context: TaskContext, table: Table, schema: Schema, known: DatasetProfile) -> Description:
    """Profile the added columns; what was there before is as it was."""
    from lepton.store.parquet import mapped_errors

    def read(name: str) -> pl.Series:
        _check_wanted(context)
        return models.datasets.scan(context.run.project, table, [name]).collect(engine="streaming").to_series()

    added = schema.columns[len(known.columns) :]
    with mapped_errors():
        profiles = (*known.columns, *profile_columns(added, read))
    step = StepReport("predict", table.rows, table.rows, tuple(column.name for column in added))
    # A prediction follows from its row, so rows repeat each other as often as they did.
    return Description(schema, table.to_json(), profiles, known.duplicate_rows, steps=(step,))


def _check_wanted(context: TaskContext) -> None:
    if context.should_stop():
        raise Conflict("The run was cancelled.")


def _gather_material(models: Models, context: TaskContext) -> _Material:
    from lepton.store.parquet import mapped_errors

    request = from_arguments(context.arguments)
    dataset = models.datasets.open(context.actor, request.dataset, project=request.project)
    check_target(dataset.schema, request.target)
    choice = choose_columns(dataset.schema, request.target, request.features)
    with mapped_errors():
        column = dataset.scan([request.target]).collect(engine="streaming").to_series()
    target = read_target(column, dataset.schema.column(request.target).type, request.recipe)
    if target.task is Task.REGRESSION and "class_weight" in request.params:
        raise InvalidInput("class_weight is for classes, and this target is a number. Leave it out.")
    target, train, test = part(target, request.test_fraction, request.seed)
    apart = 0
    if request.trial:  # the rows held out to evaluate on are for the model that is made in the end
        apart = int(test.sum())
        target, train, test = part(target.only(train), request.test_fraction, request.seed)
    if context.rank == 0:
        missing = len(column) - apart - int(train.sum()) - int(test.sum())
        if missing:
            context.log(f"{missing:,} rows without a usable value in column {request.target!r} are left out")
        context.log(f"{target.recipe}: {int(train.sum()):,} rows to learn from, {int(test.sum()):,} held out")
    return _Material(request, dataset, choice, target, train, test)


def _share_features(context: TaskContext, material: _Material) -> tuple[Features | None, tuple[Input, ...], bytes]:
    """Fit the features on worker 0 and give every worker their graph; the fitted features themselves stay there."""
    features = agree(context.collective, lambda: _fit_features(material) if context.rank == 0 else None)
    if features is None:
        told = json.loads(context.collective.broadcast(None))
        signature = Signature.from_json(base64.b64decode(told["signature"]))
        return None, signature.inputs, base64.b64decode(told["graph"])
    for note in (*material.choice.notes, *features.notes):
        context.log(note)
    graph = features_graph(features)
    parts = {"signature": _signature(material, features).to_json(), "graph": graph}
    context.collective.broadcast(json.dumps({k: base64.b64encode(v).decode() for k, v in parts.items()}).encode())
    return features, features.inputs, graph


def _fit_features(material: _Material) -> Features:
    from lepton.store.parquet import mapped_errors

    names = material.choice.columns
    schema = material.dataset.schema
    columns = [Column(name, schema.column(name).type, schema.column(name).column_class) for name in names]
    with mapped_errors():
        rows = only(material.dataset.scan(names), names, material.train)
        return fit_features(rows, columns, named=material.request.features is not None)


def _fit(context: TaskContext, material: _Material, shard: Shard) -> Estimator:
    params: dict[str, Any] = dict(material.request.params)
    kind = LinearRegression if material.target.task is Task.REGRESSION else LogisticRegression
    estimator: Estimator = kind(random_state=material.request.seed, **params)

    def log(metrics: Mapping[str, float], step: int) -> None:
        for name, value in metrics.items():
            context.metric(name, value, step)
        context.progress(0.2 + 0.6 * step / (step + 10), f"training, iteration {step}")

    workers = cast(TrainingCollective, context.collective)  # the same thing, described with fewer words there
    training = TrainingContext(collective=workers, log=log, should_stop=context.should_stop)
    if context.rank:
        estimator.fit_batches(shard.batches, context=training)
    else:
        with warnings.catch_warnings(record=True, action="always", category=ConvergenceWarning) as advice:
            estimator.fit_batches(shard.batches, context=training)
        for one in advice:
            if issubclass(one.category, ConvergenceWarning):  # the texts of others may quote data
                context.log(str(one.message))
        context.log(f"{estimator.solver_} solver: {estimator.n_iter_} iterations, loss {estimator.loss_curve_[-1]:.6g}")
    return estimator


def _signature(material: _Material, features: Features) -> Signature:
    column = material.dataset.schema.column(material.request.target)
    return material.target.signature(Column(column.name, column.type, column.column_class), features.inputs)


def _pack(material: _Material, features: Features, estimator: Estimator) -> Trained:
    signature = _signature(material, features)
    graph = pack(features, estimator, signature)
    blocks = read_blocks(material.dataset.scan([column.name for column in signature.inputs]))
    held_out = (frame.filter(material.test[first : first + frame.height]) for first, frame in blocks)
    answers = prove(graph, features, estimator, signature, (frame for frame in held_out if frame.height))
    report = measure(signature, material.target.values[material.test], answers, classes=material.dataset.schema.classes)
    return Trained(
        name=material.request.name,
        recipe=material.target.recipe,
        dataset=str(material.dataset.ref),
        signature=signature,
        graph=graph,
        metrics=report.metrics,
        plots=(*report.plots, *weights_plots(features, estimator, signature)),
        notes=(*material.choice.notes, *features.notes),
    )


def _measure(context: TaskContext, session: Session, signature: Signature, dataset: OpenDataset) -> Report:
    names = [column.name for column in signature.inputs]
    answers: list[Arrays] = []
    truths: list[Array] = []
    missing = unknown = 0
    for first, frame in read_blocks(dataset.scan([*names, signature.target])):
        column = frame[signature.target]
        truth: Array
        if signature.classes is None:
            truth = number_values(column, signature.target_type)
            usable = ~np.isnan(truth)
        else:
            truth = class_codes(column, signature.target_type, signature.classes)
            usable = truth >= 0
            unknown += int((truth < MISSING).sum())
        missing += int((~usable).sum())
        if usable.any():
            answers.append(predict_frame(session, signature, frame.filter(usable)))
            truths.append(truth[usable])
        context.progress(0.1 + 0.8 * (first + frame.height) / max(1, dataset.version.rows), "predicting")
    if missing:
        context.log(
            f"{missing:,} rows are left out: {missing - unknown:,} without a target, {unknown:,} of other classes"
        )
    if not answers:
        raise InvalidInput(
            f"No row of {dataset.ref} has a value the model knows in column {signature.target!r}. "
            "Choose another dataset."
        )
    return measure(signature, np.concatenate(truths), answers, classes=dataset.schema.classes)


def _written(metrics: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in metrics.items())
