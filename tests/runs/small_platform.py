"""A platform of runs alone, and tasks that do what a test tells them; run as a script, it is a worker of it.

It takes the place of `lepton.platform` under the real `lepton.worker`, with the real engine, catalog and collective.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from lepton.access.audit import audit
from lepton.access.guard import Guard
from lepton.access.records import Actor, Role
from lepton.core.clock import Clock, utc_now
from lepton.core.errors import InvalidInput, StorageFull
from lepton.core.settings import Settings
from lepton.runs import experiment_rows, rows, track_rows
from lepton.runs.context import TaskContext
from lepton.runs.engines.local import LocalEngine
from lepton.runs.operations import Runs
from lepton.store.blobs import BlobStore
from lepton.store.database import Database, metadata
from lepton.store.keys import open_keyring

CANARY = "canary-7f3a"


class Platform:
    """Runs over the real stores; `access` knows one user."""

    def __init__(self, settings: Settings, engine: Any = None, clock: Clock = utc_now) -> None:
        self.settings = settings
        self.database = Database(settings.catalog_url)
        self.keyring = open_keyring(settings)
        self.guard = Guard(self.database, clock)
        self.access = self
        self.engine = engine or LocalEngine(settings.runs, grace_s=2.0)
        self.runs = Runs(
            database=self.database,
            guard=self.guard,
            keyring=self.keyring,
            blobs=BlobStore(settings.objects, self.keyring),
            engine=self.engine,
            settings=settings,
            clock=clock,
        )
        self.runs.dispatch.command = (sys.executable, __file__)

    def create_tables(self) -> None:
        with self.database.begin() as tx:
            own = [rows.runs, rows.run_quotas, rows.run_schedules, experiment_rows.run_experiments]
            metadata.create_all(tx, tables=[*own, *track_rows.TABLES, audit])

    def actor_for_run(self, user_id: str, scopes: frozenset[str] | None) -> Actor:
        return Actor(user_id, "ann", {"default": Role.EDITOR}, scopes=scopes, via="run")

    def close(self) -> None:
        self.database.close()
        self.keyring.close()


def add(platform: Platform, context: TaskContext) -> None:
    total = context.collective.all_reduce(np.array([float(context.rank + 1)]))
    context.log(f"the sum is {total[0]:g}")
    for step in range(1, 4):
        context.metric("loss", 1.0 / step, step)
    context.progress(0.5, f"adding {CANARY}")
    commit(platform, context)


def wait(platform: Platform, context: TaskContext) -> None:
    """Tell who is here, then wait for a file, and commit."""
    context.progress(0.25, "waiting")
    context.log(str(os.getpid()))
    go = Path(context.arguments["go"])
    while not go.exists():
        if context.should_stop():
            context.log("stopping")
            return
        time.sleep(0.01)
    commit(platform, context)


def wait_for_each_other(_platform: Platform, context: TaskContext) -> None:
    context.log(str(os.getpid()))
    if context.rank == 1:
        threading.Event().wait()
    context.collective.barrier()


def refuse(_platform: Platform, context: TaskContext) -> None:
    if context.rank == context.world_size - 1:
        raise InvalidInput(f"The column {CANARY!r} is not there. Name one that is.")
    context.collective.barrier()


def crash(_platform: Platform, _context: TaskContext) -> None:
    raise ValueError(f"could not convert {CANARY}")


def fill(_platform: Platform, _context: TaskContext) -> None:
    raise StorageFull("No space is left. Free some.")


def end_itself(_platform: Platform, _context: TaskContext) -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def nothing(_platform: Platform, _context: TaskContext) -> None:
    """Return without a result."""


def commit(platform: Platform, context: TaskContext) -> None:
    if context.rank == 0:
        with platform.guard.allow(context.actor, "models.train", project=context.run.project) as tx:
            platform.runs.succeed(tx, context.run.id, ["model:m@1"])


DOINGS = {f.__name__: f for f in (add, wait, wait_for_each_other, refuse, crash, fill, end_itself, nothing)}
TASKS = {"models.train": lambda platform: lambda context: DOINGS[context.arguments["do"]](platform, context)}

if __name__ == "__main__":
    sys.modules["lepton.platform"] = sys.modules["__main__"]
    from lepton.worker import main

    main()
