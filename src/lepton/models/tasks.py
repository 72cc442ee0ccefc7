"""What the workers of a model's run do: measure a model on a dataset, or predict one; `linear` trains."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import numpy as np

from lepton.core.errors import Conflict, InvalidInput
from lepton.core.refs import parse_ref
from lepton.datasets.documents import Description
from lepton.datasets.operations import check_whole
from lepton.datasets.profile import profile_columns
from lepton.datasets.records import DatasetProfile, Draft, OpenDataset
from lepton.datasets.report import StepReport
from lepton.datasets.schema import Column as DatasetColumn
from lepton.datasets.schema import Schema
from lepton.models.batch import add_answers, added_columns
from lepton.models.evaluate import Report, measure
from lepton.models.frames import check_columns, predict_frame
from lepton.models.operations import Models
from lepton.models.prediction import Arrays, Session, open_session
from lepton.models.records import OpenModel
from lepton.models.shards import read_blocks
from lepton.models.signature import Signature
from lepton.models.target import MISSING, class_codes, number_values
from lepton.models.values import Array
from lepton.runs.context import TaskContext
from lepton.store.tables import Table

if TYPE_CHECKING:
    import polars as pl


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
