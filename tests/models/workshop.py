"""A workshop of models alone: real catalog, keys, blobs, guard and runs; datasets are frames in memory."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import polars as pl

from lepton.access.audit import audit
from lepton.access.guard import Guard
from lepton.access.records import Actor, Role
from lepton.core.clock import utc_now
from lepton.core.columns import ColumnClass, ColumnType
from lepton.core.errors import Forbidden, NotFound
from lepton.core.ids import new_id
from lepton.core.refs import Ref
from lepton.core.settings import Settings
from lepton.datasets.profile import profile_columns
from lepton.datasets.records import DatasetDetail, DatasetProfile, DatasetVersion, OpenDataset
from lepton.datasets.schema import Column, Schema
from lepton.datasets.steps import Recipe
from lepton.models import rows as model_rows
from lepton.models import study_rows
from lepton.models.linear import run_train
from lepton.models.operations import Models
from lepton.models.records import TrainRequest
from lepton.models.tasks import run_evaluate
from lepton.runs import rows as run_rows
from lepton.runs import track_rows
from lepton.runs.context import TaskContext
from lepton.runs.operations import Runs
from lepton.runs.records import Run, RunState
from lepton.runs.scripts import Scripts
from lepton.store.blobs import BlobStore
from lepton.store.database import Database, metadata
from lepton.store.keys import open_keyring
from lepton.training.collective import LocalCollective, TcpCollective

_TYPES = {
    pl.Int64: ColumnType.INTEGER,
    pl.Float64: ColumnType.NUMBER,
    pl.Boolean: ColumnType.BOOLEAN,
    pl.String: ColumnType.TEXT,
    pl.Date: ColumnType.DATE,
}
EDITOR = Actor("ann-id", "ann", {"default": Role.EDITOR})
STEWARD = Actor("sue-id", "sue", {"default": Role.STEWARD})
OWNER = Actor("oli-id", "oli", {"default": Role.OWNER})


class FakeDatasets:
    """Datasets whose versions are frames in memory; who may read what is as in the real ones."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._kept: dict[str, list[tuple[DatasetVersion, pl.DataFrame, Mapping[str, ColumnClass]]]] = {}

    def add(
        self, name: str, frame: pl.DataFrame, *, run_id: str, parent: str | None = None, **classes: ColumnClass
    ) -> str:
        versions = self._kept.setdefault(name, [])
        version = DatasetVersion(
            id=new_id(), project="default", name=name, version=len(versions) + 1, rows=frame.height,
            columns=frame.width, size_bytes=0, created_at=utc_now(), created_by="ann", run_id=run_id, parent=parent,
            made_by="clean" if parent else "import",
        )  # fmt: skip
        versions.append((version, frame, classes))
        return version.ref

    def get(self, actor: Actor, ref: Ref, *, project: str = "default") -> DatasetDetail:
        with self._guard.allow(actor, "datasets.get", project=project, target=f"dataset:{ref}"):
            version, _, _ = self._find(ref)
        return DatasetDetail(version, self._schema(actor, ref).columns, (version,))

    def open(self, actor: Actor, ref: Ref, *, project: str = "default") -> OpenDataset:
        with self._guard.allow(actor, "datasets.get", project=project, target=f"dataset:{ref}"):
            version, frame, _ = self._find(ref)
        schema = self._schema(actor, ref)

        def scan(columns: Any, rows: tuple[int, int] | None) -> pl.LazyFrame:
            if hidden := set(columns) & set(schema.masked):
                raise Forbidden(f"You may not read {sorted(hidden)}.")
            first, end = rows or (0, frame.height)
            return frame.lazy().select(columns).slice(first, end - first)

        return OpenDataset(version, schema, scan)

    def profile(self, actor: Actor, ref: Ref, *, project: str = "default") -> DatasetProfile:
        with self._guard.allow(actor, "datasets.profile", project=project, target=f"dataset:{ref}"):
            version, frame, _ = self._find(ref)
        columns = self._schema(actor, ref).columns
        profiles = profile_columns(tuple(column for column in columns if not column.masked), lambda name: frame[name])
        return DatasetProfile(version, profiles, 0, Recipe(()))

    def _find(self, ref: Ref) -> tuple[DatasetVersion, pl.DataFrame, Mapping[str, ColumnClass]]:
        for found in reversed(self._kept.get(ref.name, [])):
            if ref.version in (None, found[0].version):
                return found
        raise NotFound(f"There is no dataset {str(ref)!r}.")

    def _schema(self, actor: Actor, ref: Ref) -> Schema:
        _, frame, classes = self._find(ref)
        readable = {ColumnClass.PLAIN}
        for column_class in (ColumnClass.PERSONAL, ColumnClass.SECRET):
            if self._guard.may(actor, f"datasets.read_{column_class}"):
                readable.add(column_class)
        columns = [Column(n, _TYPES[type(t)], classes.get(n, ColumnClass.PLAIN)) for n, t in frame.schema.items()]
        return Schema(tuple(columns)).mask(readable)


class IdleEngine:
    """An engine that starts nothing; tests do the work themselves."""

    def submit(self, spec: object) -> None:
        raise AssertionError("nobody started a controller")


@dataclass
class Recorded:
    """What the workers of one run said."""

    lines: list[str] = field(default_factory=list)
    metrics: dict[str, list[tuple[int, float]]] = field(default_factory=dict)

    def record_metrics(self, _run_id: str, points: Any) -> None:
        for point in points:
            self.metrics.setdefault(point.key, []).append((point.step, point.value))

    def record_progress(self, _run_id: str, fraction: float, message: str) -> None:
        assert 0 <= fraction <= 1
        self.lines.append(message)


class Workshop:
    """Everything models need, and a way to work on their runs in this process."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.database = Database(settings.catalog_url)
        tables = [run_rows.runs, *track_rows.TABLES, audit]
        tables += [study_rows.study_journals, study_rows.study_entries]
        tables += [model_rows.models, model_rows.model_versions, model_rows.model_evaluations]
        with self.database.begin() as tx:
            metadata.create_all(tx, tables=tables)
        self.keyring = open_keyring(settings)
        self.guard = Guard(self.database, utc_now)
        self.blobs = BlobStore(settings.objects, self.keyring)
        self.datasets = FakeDatasets(self.guard)
        self.runs = Runs(
            database=self.database, guard=self.guard, keyring=self.keyring, blobs=self.blobs,
            engine=IdleEngine(), settings=settings, clock=utc_now,
        )  # fmt: skip
        scripts = Scripts(runs=self.runs, guard=self.guard, keyring=self.keyring, blobs=self.blobs, settings=settings)
        self.models = Models(
            guard=self.guard, keyring=self.keyring, blobs=self.blobs, datasets=self.datasets, runs=self.runs,
            scripts=scripts, clock=utc_now,
        )  # fmt: skip

    def train(self, actor: Actor = EDITOR, **request: Any) -> tuple[Run, Recorded]:
        """Submit a training and do all of it here; returns the ended run."""
        request.setdefault("dataset", Ref("table"))
        run = self.models.train(actor, request=TrainRequest(name="model", **request))
        return self.work(actor, run)

    def evaluate(self, actor: Actor = EDITOR, **arguments: Any) -> tuple[Run, Recorded]:
        return self.work(actor, self.models.evaluate(actor, Ref("model"), **arguments))

    def work(self, actor: Actor, run: Run) -> tuple[Run, Recorded]:
        with self.database.begin() as tx:
            run_rows.move(tx, run.id, RunState.RUNNING)
        arguments = self.runs.assignment(run.id).arguments
        recorded = Recorded()
        task = run_train if run.task == "models.train" else run_evaluate

        def one(collective: Any) -> None:
            context = TaskContext(
                run=run, actor=replace(actor, via="run"), arguments=arguments, rank=collective.rank,
                world_size=collective.world_size, collective=collective, recorder=recorded,
                write_line=recorded.lines.append,
            )  # fmt: skip
            try:
                task(self.models, context)
            finally:
                context.close()

        together(run.workers, one)
        return self.runs.get(OWNER, run.id), recorded

    def close(self) -> None:
        self.database.close()
        self.keyring.close()


def together(workers: int, work: Callable[[Any], None]) -> None:
    """Do the same on joined workers, each a thread; raises what worker 0 raised, or else the first other."""
    if workers == 1:
        work(LocalCollective())
        return
    listener = socket.create_server(("127.0.0.1", 0))
    address, secret = listener.getsockname(), b"0123456789abcdef"
    failures: dict[int, BaseException] = {}

    def run(rank: int) -> None:
        try:
            if rank == 0:
                joined = TcpCollective.lead(listener, world_size=workers, secret=secret)
            else:
                joined = TcpCollective.follow(address, rank=rank, world_size=workers, secret=secret)
            with joined:
                work(joined)
        except BaseException as error:
            failures[rank] = error

    threads = [threading.Thread(target=run, args=(rank,)) for rank in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[min(failures)]
