"""Replicas as processes, without a control plane: models that were trained once, and clients that keep asking."""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import polars as pl
from models.workshop import EDITOR, Workshop

from lepton.core.ids import new_id
from lepton.core.refs import Ref
from lepton.core.settings import Settings
from lepton.endpoints import processes
from lepton.endpoints.records import ReplicaProcess
from lepton.endpoints.replica.config import Deployment, ReplicaConfig, Workers
from lepton.endpoints.replica.control import Control, ReplicaStatus
from lepton.endpoints.replica.tokens import public_key
from lepton.store.keys import open_keyring

SECRET = "of-the-platform"
ROWS = json.dumps([{"area": 55.0}]).encode()


@dataclass(frozen=True)
class Models:
    """Deployments of two versions of one model, and of one whose file is damaged; all as endpoint ``size``."""

    home: Path
    versions: tuple[Deployment, Deployment]
    damaged: Deployment

    def config(self, version: int = 1, *, generation: int = 1, workers: Workers | None = None) -> ReplicaConfig:
        """What a replica is told that answers with version 1 or 2, or with the damaged one: 0."""
        deployment = self.versions[version - 1] if version else self.damaged
        return ReplicaConfig(
            deployments=(replace(deployment, generation=generation),), generation=generation, host="127.0.0.1", port=0,
            workers=workers or Workers(), control_path=str(self.home / "replicas" / new_id()),
            control_secret="of-the-test",
        )  # fmt: skip


def trained(home: Path) -> Models:
    """Train what the replicas of a module answer with."""
    settings = Settings(home=home, port=0)
    workshop = Workshop(settings)
    frame = pl.DataFrame(
        {"area": [float(n % 40 + 20) for n in range(200)], "big": [("no", "yes")[n % 40 > 20] for n in range(200)]}
    )
    workshop.datasets.add("table", frame, run_id="01J00000000000000000000000")
    for _ in range(2):
        workshop.train(target="big")
    keyring = open_keyring(settings)
    made = []
    for version in (1, 2):
        artifact = workshop.models.artifact(EDITOR, Ref("model", version))
        made.append(
            Deployment(
                endpoint="size", project="default", model=artifact.ref, generation=0,
                blob_path=str(workshop.blobs.path(artifact.blob_id)), blob_id=artifact.blob_id,
                key=keyring.get("default", f"model/{artifact.version_id}").hex(),
                signature=artifact.signature.to_json().decode(), secret=SECRET,
                token_key=public_key(bytes(32)).hex(),
            )
        )  # fmt: skip
    keyring.close()
    workshop.close()
    damaged = home / "damaged"
    content = bytearray(Path(made[0].blob_path).read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    return Models(home, (made[0], made[1]), replace(made[0], blob_path=str(damaged)))


@dataclass
class Running:
    """A replica that runs."""

    config: ReplicaConfig
    process: ReplicaProcess

    @property
    def control(self) -> Control:
        return Control.at(Path(self.config.control_path), self.config.control_secret)

    def status(self) -> ReplicaStatus:
        return self.control.status()

    def pids(self, state: str = "ready") -> list[int]:
        """The workers in a state, oldest deployment first."""
        return [worker.pid for worker in self.status().workers if worker.state == state]

    def until(self, condition: Callable[[ReplicaStatus], Any]) -> ReplicaStatus:
        """Wait until its status is as wanted."""
        deadline = time.monotonic() + 60
        while not condition(status := self.status()):
            assert time.monotonic() < deadline, f"in vain: {status}"
            time.sleep(0.01)
        return status

    def serves(self, generation: int, workers: int = 1) -> ReplicaStatus:
        """Wait until a generation is served by that many workers and by no other."""
        return self.until(
            lambda s: (
                s.serving == generation
                and [(w.state, w.generation) for w in s.workers] == [("ready", generation)] * workers
            )
        )

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.process.port, timeout=30)

    def ask(self, connection: http.client.HTTPConnection | None = None) -> tuple[str, bool]:
        """Predict once; return which model answered and whether the connection stays open."""
        own = connection or self.connect()
        try:
            own.request("POST", "/predict/size", ROWS, {"Authorization": f"Bearer {SECRET}"})
            response = own.getresponse()
            body = response.read()
            assert response.status == 200, body
            return str(json.loads(body)["model"]), not response.will_close
        finally:
            if connection is None:
                own.close()


@contextmanager
def running(config: ReplicaConfig) -> Iterator[Running]:
    """Start a replica and end it, whatever happened to it meanwhile."""
    replica = Running(config, processes.start(config))
    try:
        yield replica
    finally:
        processes.stop(replica.process)


@dataclass
class Clients:
    """Threads that ask without a pause: half keep their connection for as long as they are let, half open new ones.

    None tries anything twice: what fails is in `failures`.
    """

    replica: Running
    answers: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._over = threading.Event()
        self._lock = threading.Lock()

    @contextmanager
    def asking(self, threads: int = 4) -> Iterator[Clients]:
        """Ask while the body of the ``with`` runs."""
        crowd = [threading.Thread(target=self._ask, args=(bool(n % 2),)) for n in range(threads)]
        for thread in crowd:
            thread.start()
        try:
            yield self
        finally:
            self._over.set()
            for thread in crowd:
                thread.join()

    def answered(self, more: int = 50) -> None:
        """Wait until they got that many answers more."""
        wanted = self.answers.total() + more
        deadline = time.monotonic() + 60
        while self.answers.total() < wanted:
            assert time.monotonic() < deadline, self.failures
            time.sleep(0.01)

    def _ask(self, keep: bool) -> None:
        connection = self.replica.connect()
        while not self._over.is_set():
            try:
                model, open_ = self.replica.ask(connection)
            except (OSError, http.client.HTTPException, AssertionError) as error:
                with self._lock:
                    self.failures.append(f"{'kept' if keep else 'new'} connection: {error!r}")
                open_ = False
            else:
                with self._lock:
                    self.answers[model] += 1
            if not (keep and open_):
                connection.close()  # the next request opens another
        connection.close()
