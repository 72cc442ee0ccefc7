"""Datasets over the real catalog, keys and files; the tests do the work of the workers themselves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from lepton.access.guard import Guard
from lepton.access.records import Actor, Role
from lepton.core.clock import Clock
from lepton.core.refs import parse_ref
from lepton.core.settings import Settings
from lepton.datasets.operations import Datasets
from lepton.datasets.records import ImportOptions
from lepton.datasets.tasks import run_clean, run_import, run_split
from lepton.runs.context import TaskContext
from lepton.runs.engines.port import EnginePhase, EngineSpec, EngineStatus
from lepton.runs.operations import Runs
from lepton.runs.records import LogLine, Machine, Part, Resources, Run, RunState
from lepton.store.blobs import BlobStore
from lepton.store.database import Database
from lepton.store.keys import open_keyring
from lepton.store.tables import TableStore
from lepton.training.collective import LocalCollective

OWNER = Actor("oli-id", "oli", {"default": Role.OWNER})
STEWARD = Actor("sue-id", "sue", {"default": Role.STEWARD})
EDITOR = Actor("ann-id", "ann", {"default": Role.EDITOR})
VIEWER = Actor("vic-id", "vic", {"default": Role.VIEWER})
STRANGER = Actor("eve-id", "eve", {})

TASKS: dict[str, Callable[[Datasets, TaskContext], None]] = {
    "datasets.import": run_import,
    "datasets.clean": run_clean,
    "datasets.split": run_split,
}


class FakeEngine:
    """An engine whose workers are the tests: what is submitted runs until a test has done it."""

    def submit(self, spec: EngineSpec) -> None:
        """Start nothing."""

    def status(self, run_id: str) -> EngineStatus:
        return EngineStatus(EnginePhase.RUNNING)

    def logs(self, run_id: str, log_key: bytes, *, after: int = 0, limit: int = 1000) -> list[LogLine]:
        return []

    def cancel(self, run_id: str) -> None:
        """End nothing."""

    def machines(self) -> tuple[Machine, ...]:
        return (Machine("", Resources(100, 1000, 0)),)

    def parts(self, run_id: str) -> tuple[Part, ...]:
        return ()

    def want(self, waiting: Mapping[str, Sequence[Resources]]) -> None:
        """Have room for all."""


class Warehouse:
    """Datasets, and a way to work off their runs."""

    def __init__(self, settings: Settings, clock: Clock) -> None:
        self.settings = settings
        self.database = Database(settings.catalog_url)
        self.database.upgrade()
        self.keyring = open_keyring(settings)
        self.guard = Guard(self.database, clock)
        self.runs = Runs(
            database=self.database,
            guard=self.guard,
            keyring=self.keyring,
            blobs=BlobStore(settings.objects, self.keyring),
            engine=FakeEngine(),
            settings=settings,
            clock=clock,
        )
        self.datasets = Datasets(
            guard=self.guard,
            keyring=self.keyring,
            blobs=BlobStore(settings.objects, self.keyring),
            tables=TableStore(settings.objects, self.keyring),
            runs=self.runs,
            clock=clock,
            settings=settings,
        )
        self.tasks: dict[str, Callable[[TaskContext], None]] = {
            name: partial(task, self.datasets) for name, task in TASKS.items()
        }
        self.log: list[str] = []

    def close(self) -> None:
        self.database.close()
        self.keyring.close()

    def work(self, run: Run, actor: Actor = OWNER, *, is_stopping: bool = False) -> Run:
        """Do what a worker does with a run, in the name of `actor`."""
        self.runs.dispatch.tick()
        assignment = self.runs.assignment(run.id)
        context = TaskContext(
            run=assignment.run,
            actor=actor,
            arguments=assignment.arguments,
            rank=0,
            world_size=1,
            collective=LocalCollective(),
            recorder=self.runs,
            write_line=self.log.append,
        )
        if is_stopping:
            context.stop_asked.set()
        try:
            self.tasks[run.task](context)
        finally:
            context.close()
        done = self.runs.get(OWNER, run.id)
        assert done.state is RunState.SUCCEEDED
        return done

    def add(self, text: str | bytes, *, name: str = "people", actor: Actor = OWNER, **options: Any) -> str:
        """Import a file; return the ref of the version."""
        data = text.encode() if isinstance(text, str) else text
        run = self.datasets.import_(actor, [data], options=ImportOptions(name=name, **options))
        return self.work(run, actor).outputs[0].removeprefix("dataset:")

    def values(self, ref: str, actor: Actor = OWNER) -> list[list[Any]]:
        """Return all rows."""
        return list(self.datasets.rows(actor, parse_ref(ref), limit=1000).rows)

    def files(self) -> list[str]:
        """Return every file of objects, by its path under the folder."""
        objects = self.settings.objects
        return sorted(str(path.relative_to(objects)) for path in objects.rglob("*") if path.is_file())
