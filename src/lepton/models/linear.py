"""Trains our linear models, from wherever their rows are read: workers share the rows, and worker 0 has the model.

On the platform's machine `run_train` reads them out of encrypted Parquet; on others `lepton.trainer` asks for them.
"""

from __future__ import annotations

import base64
import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, cast

from sklearn.exceptions import ConvergenceWarning

from lepton.core.errors import InvalidInput
from lepton.models.agreement import agree
from lepton.models.commanded import Plan, plan_of
from lepton.models.evaluate import measure
from lepton.models.features import Features
from lepton.models.fitting import fit_features, only
from lepton.models.graph import features_graph
from lepton.models.learned import profile_of
from lepton.models.packing import pack, prove, weights_plots
from lepton.models.prediction import open_session
from lepton.models.records import Trained
from lepton.models.requests import check_target, choose_columns, from_arguments
from lepton.models.shards import Blocks, Shard, read_blocks, share_of_rows
from lepton.models.signature import Input, Signature, Task
from lepton.models.summaries import Estimator
from lepton.models.target import Mask, Target, part, read_target
from lepton.runs.context import Collective, TaskContext
from lepton.training.collective import Collective as TrainingCollective
from lepton.training.context import TrainingContext
from lepton.training.linear import LinearRegression
from lepton.training.logistic import LogisticRegression

if TYPE_CHECKING:
    import polars as pl

    from lepton.datasets.records import OpenDataset
    from lepton.models.operations import Models


class Source(Protocol):
    """The rows of a training, as one worker reads them."""

    def target(self) -> pl.Series:
        """Return the column to predict, of all rows."""

    def fit(self, train: Mask) -> Features:
        """Find the features in the rows that a mask [N] names; asked on worker 0."""

    def blocks(self, names: Sequence[str], rows: tuple[int, int] | None = None) -> Blocks:
        """Return what reads columns of the rows from the first to before the end, again each time; None: of all."""


@dataclass(frozen=True)
class _Split:
    """The target, and which rows [N] to learn from and to measure on."""

    target: Target
    train: Mask
    test: Mask


@dataclass(frozen=True)
class _Stored:
    """The rows of a training, as they lie in encrypted Parquet."""

    plan: Plan
    dataset: OpenDataset

    def target(self) -> pl.Series:
        """Return the column to predict, of all rows."""
        from lepton.store.parquet import mapped_errors

        with mapped_errors():
            return self.dataset.scan([self.plan.target.name]).collect(engine="streaming").to_series()

    def fit(self, train: Mask) -> Features:
        """Find the features in these rows."""
        from lepton.store.parquet import mapped_errors

        columns, named = self.plan.columns, self.plan.request.features is not None
        names = [column.name for column in columns]
        with mapped_errors():
            return fit_features(only(self.dataset.scan(names), names, train), columns, named=named)

    def blocks(self, names: Sequence[str], rows: tuple[int, int] | None = None) -> Blocks:
        """Return what reads rows in blocks."""
        return partial(read_blocks, self.dataset.scan(names, rows=rows), 0 if rows is None else rows[0])


def run_train(models: Models, context: TaskContext) -> None:
    """Train the next version of a linear model on this worker's share of the rows; worker 0 commits it.

    Of what is only tried, worker 0 tells the measures, and nothing is kept.
    """
    stored = agree(context.collective, lambda: _open(models, context))

    def log(metrics: Mapping[str, float], step: int) -> None:
        for name, value in metrics.items():
            context.metric(name, value, step)

    training = TrainingContext(
        collective=cast(TrainingCollective, context.collective),  # the same thing, described with fewer words there
        log=log,
        should_stop=context.should_stop,
        say=context.log,
        progress=context.progress,
    )
    trained = train(stored.plan, stored, training)
    if trained is None:
        return
    trial = stored.plan.request.trial
    measures = ", ".join(f"{name} {value:.4g}" for name, value in trained.metrics.items())
    log(told(trained, trial=trial), 0)
    if context.should_stop():
        return
    if trial:
        models.end_trial(context.actor, context.run)
        context.log(f"tried, and no version made: {measures}")
        return
    signature, project = trained.signature, context.run.project
    profile = profile_of(models.datasets, context.actor, stored.dataset, signature, project=project)
    version = models.commit(context.actor, context.run, replace(trained, profile=profile))
    context.log(f"model {version.ref} is there: {measures}")


def _open(models: Models, context: TaskContext) -> _Stored:
    request = from_arguments(context.arguments)
    dataset = models.datasets.open(context.actor, request.dataset, project=request.project)
    check_target(dataset.schema, request.target)
    choice = choose_columns(dataset.schema, request.target, request.features)
    exact = replace(request, dataset=dataset.ref)
    return _Stored(plan_of(exact, choice, dataset.schema), dataset)


def train(plan: Plan, source: Source, context: TrainingContext) -> Trained | None:
    """Train on this worker's share of the rows, together with the other workers.

    Returns:
        The model, measured on rows that it has not seen; None on workers other than 0, or if one was told to stop.

    Raises:
        InvalidInput: on every worker, if nothing can be learned from these rows.
    """
    collective = _workers(context)
    context.progress(0.02, "reading the target")
    split = agree(collective, lambda: _split(plan, source, context))
    context.progress(0.1, "fitting features")
    features, inputs, graph = _share_features(plan, source, split, context)
    rows = share_of_rows(split.train, collective.rank, collective.world_size)
    names = [column.name for column in inputs]
    shard = Shard(
        source.blocks(names, rows),
        inputs=inputs,
        session=open_session(graph),
        target=split.target.values,
        chosen=split.train,
        rows=rows,
    )
    context.say(f"worker {collective.rank} of {collective.world_size} learns from {shard.rows:,} rows")
    context.progress(0.2, "training")
    estimator = _fit(plan, split.target, shard, context)
    if context.stop_agreed() or features is None:
        return None
    context.progress(0.8, "packing the model and measuring it on the held-out rows")
    return _pack(plan, source, split, features, estimator)


def told(trained: Trained, *, trial: bool) -> dict[str, float]:
    """Return what the run tells of how good a model is; of a trial its loss too, which tuning looks at."""
    found = dict(trained.metrics)
    if not trial:
        return {f"test_{name}": value for name, value in found.items()}
    found["loss"] = found["log_loss"] if "log_loss" in found else found["rmse"] ** 2
    return {f"valid_{name}": value for name, value in found.items()}


def _split(plan: Plan, source: Source, context: TrainingContext) -> _Split:
    request = plan.request
    column = source.target()
    target = read_target(column, plan.target.type, request.recipe)
    if target.task is Task.REGRESSION and "class_weight" in request.params:
        raise InvalidInput("class_weight is for classes, and this target is a number. Leave it out.")
    target, train, test = part(target, request.test_fraction, request.seed)
    apart = 0
    if request.trial:  # the rows held out to evaluate on are for the model that is made in the end
        apart = int(test.sum())
        target, train, test = part(target.only(train), request.test_fraction, request.seed)
    if context.collective.rank == 0:
        missing = len(column) - apart - int(train.sum()) - int(test.sum())
        if missing:
            context.say(f"{missing:,} rows without a usable value in column {request.target!r} are left out")
        context.say(f"{target.recipe}: {int(train.sum()):,} rows to learn from, {int(test.sum()):,} held out")
    return _Split(target, train, test)


def _share_features(
    plan: Plan, source: Source, split: _Split, context: TrainingContext
) -> tuple[Features | None, tuple[Input, ...], bytes]:
    """Fit the features on worker 0 and give every worker their graph; the fitted features themselves stay there."""
    collective = _workers(context)
    features = agree(collective, lambda: source.fit(split.train) if collective.rank == 0 else None)
    if features is None:
        received = json.loads(collective.broadcast(None))
        signature = Signature.from_json(base64.b64decode(received["signature"]))
        return None, signature.inputs, base64.b64decode(received["graph"])
    for note in (*plan.notes, *features.notes):
        context.say(note)
    graph = features_graph(features)
    parts = {"signature": split.target.signature(plan.target, features.inputs).to_json(), "graph": graph}
    collective.broadcast(json.dumps({k: base64.b64encode(v).decode() for k, v in parts.items()}).encode())
    return features, features.inputs, graph


def _fit(plan: Plan, target: Target, shard: Shard, context: TrainingContext) -> Estimator:
    params: dict[str, Any] = dict(plan.request.params)
    kind = LinearRegression if target.task is Task.REGRESSION else LogisticRegression
    estimator: Estimator = kind(random_state=plan.request.seed, **params)

    def log(metrics: Mapping[str, float], step: int) -> None:
        context.log(metrics, step)
        context.progress(0.2 + 0.6 * step / (step + 10), f"training, iteration {step}")

    if context.collective.rank:
        estimator.fit_batches(shard.batches, context=replace(context, log=log))
        return estimator
    with warnings.catch_warnings(record=True, action="always", category=ConvergenceWarning) as advice:
        estimator.fit_batches(shard.batches, context=replace(context, log=log))
    for one in advice:
        if issubclass(one.category, ConvergenceWarning):  # the texts of others may quote data
            context.say(str(one.message))
    context.say(f"{estimator.solver_} solver: {estimator.n_iter_} iterations, loss {estimator.loss_curve_[-1]:.6g}")
    return estimator


def _pack(plan: Plan, source: Source, split: _Split, features: Features, estimator: Estimator) -> Trained:
    signature = split.target.signature(plan.target, features.inputs)
    graph = pack(features, estimator, signature)
    blocks = source.blocks([column.name for column in signature.inputs])()
    held_out = (frame.filter(split.test[first : first + frame.height]) for first, frame in blocks)
    answers = prove(graph, features, estimator, signature, (frame for frame in held_out if frame.height))
    classes = {column.name: column.column_class for column in (plan.target, *plan.columns)}
    report = measure(signature, split.target.values[split.test], answers, classes=classes)
    return Trained(
        name=plan.request.name,
        recipe=split.target.recipe,
        dataset=str(plan.request.dataset),
        signature=signature,
        graph=graph,
        metrics=report.metrics,
        plots=(*report.plots, *weights_plots(features, estimator, signature)),
        notes=(*plan.notes, *features.notes),
    )


def _workers(context: TrainingContext) -> Collective:
    return cast(Collective, context.collective)  # the same thing, described with more words there
