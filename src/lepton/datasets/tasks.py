"""What the worker of a dataset's run does: import, clean or split. Nothing is left behind unless it is committed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO

from lepton.core.errors import Conflict, InvalidInput
from lepton.core.refs import parse_ref
from lepton.datasets.clean import apply_recipe
from lepton.datasets.documents import Description
from lepton.datasets.exports import BATCH_ROWS
from lepton.datasets.formats import open_file
from lepton.datasets.operations import Datasets, check_whole
from lepton.datasets.profile import ColumnProfile, count_duplicates, profile_columns
from lepton.datasets.reading import Reading, size_of
from lepton.datasets.recipe import parse_recipe
from lepton.datasets.records import Draft, ImportOptions, OpenDataset, Upload
from lepton.datasets.report import StepReport
from lepton.datasets.schema import Schema, classify
from lepton.datasets.split import split_masks, strata_of
from lepton.runs.context import TaskContext
from lepton.store.parquet import mapped_errors
from lepton.store.tables import Table

if TYPE_CHECKING:
    import polars as pl


@dataclass
class _Workbench:
    """Stores and describes tables of one run, and discards them unless they are committed."""

    datasets: Datasets
    context: TaskContext
    tables: list[Table] = field(default_factory=list)

    @property
    def project(self) -> str:
        return self.context.run.project

    def store(self, frames: Iterable[pl.DataFrame], schema: Schema) -> Table:
        table = self.datasets.store(self.project, self._while_wanted(frames), schema)
        self.tables.append(table)
        return table

    def profile(self, table: Table, schema: Schema, begin: float, end: float) -> tuple[tuple[ColumnProfile, ...], int]:
        def read(name: str) -> pl.Series:
            _check_wanted(self.context)
            return self.datasets.scan(self.project, table, [name]).collect(engine="streaming").to_series()

        def on_column(done: int) -> None:
            share = begin + (end - begin) * done / (len(schema) + 1)
            self.context.progress(share, f"profiling column {done} of {len(schema)}")

        with mapped_errors():
            profiles = profile_columns(schema.columns, read, on_column=on_column)
            return profiles, count_duplicates(self.datasets.scan(self.project, table))

    def commit(self, drafts: Sequence[Draft], action: str) -> None:
        _check_wanted(self.context)
        self.context.progress(0.99, "committing")
        made = self.datasets.commit(self.context.actor, self.context.run, drafts, action=action)
        self.tables.clear()
        for version in made:
            self.context.log(f"dataset {version.ref} is there: {version.rows:,} rows, {version.columns} columns")

    def _while_wanted(self, frames: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
        for frame in frames:
            _check_wanted(self.context)
            yield frame


@contextmanager
def _workbench(datasets: Datasets, context: TaskContext) -> Iterator[_Workbench]:
    bench = _Workbench(datasets, context)
    try:
        yield bench
    finally:
        for table in bench.tables:
            datasets.discard(bench.project, table.id)


def run_import(datasets: Datasets, context: TaskContext) -> None:
    """Read a file that was taken in and make a version of it."""
    if context.rank:
        return
    options = _options(context.arguments["options"])
    upload = Upload(**context.arguments["upload"])
    with datasets.upload(options.project, upload) as source, _workbench(datasets, context) as bench:
        context.progress(0.01, "finding separator, encoding and types")
        reading = open_file(source, options.reading)
        schema = classify(reading.types, options.personal, options.secret)
        context.log(_found(reading, schema))
        table = bench.store(_watched(reading, source, context), schema)
        rejections = reading.rejections
        if rejections.total:
            context.log(f"{rejections.total:,} rows were rejected; see: lepton datasets report {options.name}")
        profiles, duplicates = bench.profile(table, schema, 0.6, 0.98)
        description = Description(
            schema=schema,
            table=table.to_json(),
            profiles=profiles,
            duplicate_rows=duplicates,
            rejected=tuple(rejections.rows),
            rejected_total=rejections.total,
            detected=reading.detected,
        )
        bench.commit([Draft(options.name, table, description, "import", upload=upload)], "datasets.import")


def run_clean(datasets: Datasets, context: TaskContext) -> None:
    """Make the next version of a dataset by a recipe."""
    if context.rank:
        return
    recipe = parse_recipe(context.arguments["recipe"])
    source = _open_whole(datasets, context)
    context.progress(0.05, "reading")
    with mapped_errors():
        frame = source.scan().collect(engine="streaming")

    def on_step(done: int) -> None:
        _check_wanted(context)
        context.progress(0.1 + 0.4 * done / len(recipe.steps), f"step {done} of {len(recipe.steps)} done")

    cleaned = apply_recipe(frame, source.schema, recipe, on_step=on_step)
    del frame
    for step in cleaned.steps:
        context.log(f"{step.step}: {step.rows_before:,} rows before, {step.rows_after:,} after")
    with _workbench(datasets, context) as bench:
        table = bench.store(cleaned.frame.iter_slices(BATCH_ROWS), cleaned.schema)
        profiles, duplicates = bench.profile(table, cleaned.schema, 0.6, 0.98)
        description = Description(
            schema=cleaned.schema,
            table=table.to_json(),
            profiles=profiles,
            duplicate_rows=duplicates,
            recipe=recipe,
            steps=cleaned.steps,
            source_classes=source.schema.classes,
        )
        draft = Draft(source.version.name, table, description, "clean", parent=source.version.ref)
        bench.commit([draft], "datasets.clean")


def run_split(datasets: Datasets, context: TaskContext) -> None:
    """Divide the rows of a version among new datasets."""
    if context.rank:
        return
    import polars as pl

    arguments = context.arguments
    source = _open_whole(datasets, context)
    context.progress(0.05, "reading")
    with mapped_errors():
        frame = source.scan().collect(engine="streaming")
    stratify = arguments["stratify"]
    strata = None if stratify is None else strata_of(frame[stratify])
    masks = split_masks(frame.height, arguments["fractions"], seed=arguments["seed"], strata=strata)
    for part, mask in masks.items():
        if not mask.any():
            raise InvalidInput(
                f"Part {part!r} would have no rows: dataset {source.version.ref!r} has only {frame.height}. "
                "Give it a greater share."
            )
    drafts = []
    with _workbench(datasets, context) as bench:
        for index, (part, mask) in enumerate(masks.items()):
            begin, end = (0.1 + 0.88 * at / len(masks) for at in (index, index + 1))
            rows = frame.filter(pl.Series(mask))
            table = bench.store(rows.iter_slices(BATCH_ROWS), source.schema)
            profiles, duplicates = bench.profile(table, source.schema, begin, end)
            report = StepReport("split", frame.height, rows.height, () if stratify is None else (stratify,))
            description = Description(source.schema, table.to_json(), profiles, duplicates, steps=(report,))
            name = f"{source.version.name}-{part}"
            drafts.append(Draft(name, table, description, "split", parent=source.version.ref))
        bench.commit(drafts, "datasets.split")


def _check_wanted(context: TaskContext) -> None:
    if context.should_stop():
        raise Conflict("The run was cancelled.")


def _open_whole(datasets: Datasets, context: TaskContext) -> OpenDataset:
    source = datasets.open(context.actor, parse_ref(context.arguments["dataset"]), project=context.run.project)
    check_whole(source.version, source.schema)
    return source


def _watched(reading: Reading, source: BinaryIO, context: TaskContext) -> Iterator[pl.DataFrame]:
    """Yield the frames of a file, telling how far it has been read."""
    size = max(size_of(source), 1)
    rows = 0
    for frame in reading.frames():
        rows += frame.height
        context.progress(0.1 + 0.5 * source.tell() / size, f"{rows:,} rows read")
        yield frame


def _options(data: dict[str, object]) -> ImportOptions:
    values = {key: tuple(value) if isinstance(value, list) else value for key, value in data.items()}
    return ImportOptions(**values)  # type: ignore[arg-type] # written by datasets.import


def _found(reading: Reading, schema: Schema) -> str:
    detected = reading.detected
    parts = [detected.format]
    if detected.separator is not None:
        parts.append(f"separator {detected.separator!r}")
    if detected.encoding is not None:
        parts.append(detected.encoding)
    if detected.header is not None:
        parts.append("with a header" if detected.header else "without a header")
    return f"{', '.join(parts)}: {len(schema)} columns"
