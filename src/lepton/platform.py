"""Where everything is plugged together; read this first.

One `Platform` is one set of stores, guards and nouns over one `Settings`. The server, the worker and the tests each
make their own; nothing here is global.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module

from lepton.access.guard import Guard
from lepton.access.operations import Access
from lepton.core.clock import Clock, utc_now
from lepton.core.settings import Settings
from lepton.datasets.operations import Datasets
from lepton.endpoints.controller import EndpointController
from lepton.endpoints.operations import Endpoints
from lepton.labels.operations import Labels
from lepton.models.deliveries import Deliveries
from lepton.models.operations import Models
from lepton.models.registry import Registry
from lepton.runs.context import TaskContext
from lepton.runs.controller import RunController
from lepton.runs.engines.choose import open_engine
from lepton.runs.engines.local import LocalEngine
from lepton.runs.experiments import Experiments
from lepton.runs.launching import Launching
from lepton.runs.operations import Runs
from lepton.runs.scripts import Scripts
from lepton.store.blobs import BlobStore
from lepton.store.database import Database
from lepton.store.keys import open_keyring
from lepton.store.tables import TableStore


class Platform:
    """Everything one platform can do, over one home folder and one catalog."""

    def __init__(self, settings: Settings, *, clock: Clock = utc_now) -> None:
        settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.settings = settings
        self.database = Database(settings.catalog_url)
        self.database.upgrade()
        self._keyring = keyring = open_keyring(settings)
        blobs = BlobStore(settings.objects, keyring)
        tables = TableStore(settings.objects, keyring)
        self.guard = Guard(self.database, clock)
        self.access = Access(database=self.database, guard=self.guard, clock=clock)
        self.labels = Labels(self.guard)
        self._engine = LocalEngine(settings.runs)
        self.runs = Runs(
            database=self.database, guard=self.guard, keyring=keyring, blobs=blobs,
            engine=self._engine, settings=settings, clock=clock,
        )  # fmt: skip
        self._engine.ended = self.runs.dispatch.changed.set
        self.scripts = Scripts(runs=self.runs, guard=self.guard, keyring=keyring, blobs=blobs, settings=settings)
        self.experiments = Experiments(database=self.database, guard=self.guard, runs=self.runs, clock=clock)
        self.access.find_run = self.runs.holder
        self.datasets = Datasets(
            guard=self.guard, keyring=keyring, blobs=blobs, tables=tables,
            runs=self.runs, clock=clock, settings=settings,
        )  # fmt: skip
        self.models = Models(
            guard=self.guard, keyring=keyring, blobs=blobs, datasets=self.datasets, runs=self.runs,
            scripts=self.scripts, clock=clock,
        )  # fmt: skip
        self.deliveries = Deliveries(guard=self.guard, models=self.models, runs=self.runs)
        self.registry = Registry(guard=self.guard, models=self.models, runs=self.runs, clock=clock)
        self.endpoints = Endpoints(
            database=self.database, guard=self.guard, keyring=keyring, blobs=blobs,
            models=self.models, clock=clock, settings=settings,
        )  # fmt: skip
        self.endpoints.holders = lambda project: self.access.holders("endpoints.predict", project=project)
        self.access.changed = self.endpoints.publish_tokens
        self.models.used_by = self.endpoints.using
        self._tables = tables
        self._controllers: list[RunController | EndpointController] = []

    def listens_at(self, url: str) -> None:
        """Say where this platform is reached, before it starts: runs of users' own code have to ask it."""
        url = self.settings.run_url or url
        self.settings.runs.mkdir(mode=0o700, exist_ok=True)
        # A platform that comes back at another address is found again by what it had started on this machine.
        address = self.settings.runs / "url"
        address.write_text(url)
        here = self.settings.engine == "local"
        engine = None if here else open_engine(self.settings.engine, self.settings.runs / "elsewhere")
        self.runs.dispatch.launching = Launching(url, {"LEPTON_URL_FILE": str(address)}, engine)

    def start(self) -> None:
        """Begin to carry out what the catalog asks for: queued runs, endpoints; sweep what a crash left."""
        self._tables.sweep()
        self.runs.sweep()
        with self.database.read() as tx:
            if not self.runs.working(tx):
                self.datasets.sweep(tx)
                self.models.sweep(tx)
                self.scripts.sweep(tx)
        self._controllers = [RunController(self.runs.dispatch), EndpointController(self.endpoints)]
        for controller in self._controllers:
            controller.start()

    def stop(self, *, replicas: bool = True) -> None:
        """Stop carrying things out. Runs go on by themselves and are adopted by the next start."""
        for controller in self._controllers:
            controller.stop()
        self._controllers = []
        if replicas:
            self.endpoints.stop_replicas()

    def close(self) -> None:
        """Let go of the databases, and of what starts runs."""
        self._engine.close()
        self.database.close()
        self._keyring.close()


Task = Callable[[TaskContext], None]


def _datasets(task: str) -> Callable[[Platform], Task]:
    # The task modules read tables; they are imported by the worker that needs one, not by the control plane.
    return lambda platform: partial(getattr(import_module("lepton.datasets.tasks"), task), platform.datasets)


def _models(task: str, module: str = "tasks") -> Callable[[Platform], Task]:
    return lambda platform: partial(getattr(import_module(f"lepton.models.{module}"), task), platform.models)


TASKS: dict[str, Callable[[Platform], Task]] = {
    "datasets.import": _datasets("run_import"),
    "datasets.clean": _datasets("run_clean"),
    "datasets.split": _datasets("run_split"),
    "models.train": _models("run_train", "linear"),
    "models.evaluate": _models("run_evaluate"),
    "models.predict": _models("run_predict"),
}
"""What a worker can be asked to run, by the verb that submitted it."""
