"""From a door to its SQL or its arithmetic there are at most seven of our modules."""

from __future__ import annotations

import json
import random
import sys
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest
from architecture import hops
from architecture.hops import Chain, Hops, chain_of

import lepton

MOST = 7


@dataclass(frozen=True)
class Measured:
    """The chains of one walk from a file to a prediction: through the SDK and the server, and in the workers."""

    server: Hops
    worker_sql: set[Chain]
    worker_arithmetic: set[Chain]


def walk(client: lepton.Client, folder: Path) -> None:
    """Ask for everything there is to ask for."""
    file = folder / "sales.csv"
    draw = random.Random(0)
    lines = [f"{draw.random()},{draw.choice('uvw')},{draw.choice(['yes', 'no'])},{n}@x.org" for n in range(300)]
    file.write_text("\n".join(["area,kind,sold,mail", *lines, lines[0]]))
    client.datasets.import_(file, personal=["mail"])
    client.datasets.list()
    client.datasets.profile("sales", target="sold")
    client.datasets.rows("sales")
    client.datasets.clean("sales")
    client.datasets.report("sales")
    client.datasets.split("sales", stratify="sold")
    client.datasets.export("sales", folder / "out.csv")
    client.labels.list()
    client.models.train("sales", dataset="sales", target="sold", workers=2, params={"solver": "gd"})
    client.models.train("sales", dataset="sales", target="sold")
    client.models.train("area", dataset="sales", target="area", features=["kind"])
    client.models.list()
    client.models.evaluate("sales", dataset="sales")
    client.models.predict("sales", dataset="sales")
    client.models.lineage("sales")
    client.models.export("sales", folder / "out.onnx")
    client.endpoints.deploy("sales", model="sales")
    client.endpoints.list()
    client.endpoints.predict("sales", [{"area": 0.5, "kind": "u"}])
    run = client.runs.list()[0]
    client.runs.logs(run.id)
    client.runs.metrics(run.id)
    client.projects.create("lab")
    client.users.create("ana", role="viewer")
    client.users.update("ana", role="editor")
    client.tokens.delete(client.tokens.create("laptop").id)
    client.users.delete("ana")
    client.audit.list()
    client.create_sign_in_link()
    client.endpoints.delete("sales")
    client.models.delete("sales")
    client.datasets.delete("sales")


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Measured:
    folder, notes = tmp_path_factory.mktemp("files"), tmp_path_factory.mktemp("notes")
    caller = threading.main_thread().ident

    def with_caller(chain: Chain) -> Chain:
        """The server works in threads of its own: put what the SDK is in the middle of in front."""
        if not any(name.startswith("lepton.server.routes") for name in chain):
            return chain
        waiting = chain_of(sys._current_frames().get(caller or 0))
        return (*tuple(name for name in waiting if name.startswith("lepton.client.")), "lepton.server.edge", *chain)

    watched = Hops(with_caller)
    watched.start()
    try:
        with lepton.open(tmp_path_factory.mktemp("home")) as client:
            platform = client._platform  # type: ignore[attr-defined]
            platform.runs.command = (sys.executable, hops.__file__, str(notes))
            walk(client, folder)
    finally:
        watched.stop()
    sql: set[Chain] = set()
    arithmetic: set[Chain] = set()
    for note in notes.glob("*.json"):
        found = json.loads(note.read_text())
        sql |= {tuple(chain) for chain in found["sql"]}
        arithmetic |= {tuple(chain) for chain in found["arithmetic"]}
    return Measured(watched, sql, arithmetic)


def too_long(chains: set[Chain]) -> list[str]:
    return [f"{len(chain)}: {' > '.join(chain)}" for chain in sorted(chains, key=len) if len(chain) > MOST]


def test_from_the_sdk_through_the_server_to_sql(measured: Measured) -> None:
    through = {chain for chain in measured.server.sql if chain[0].startswith("lepton.client.")}
    assert {chain[0] for chain in through} >= {
        f"lepton.client.{noun}" for noun in ("datasets", "runs", "models", "endpoints", "access")
    }
    assert ("lepton.client.datasets", "lepton.client.transport", "lepton.server.edge", "lepton.server.routes.datasets",
            "lepton.datasets.operations", "lepton.datasets.rows") in through  # fmt: skip
    assert too_long(measured.server.sql) == []


def test_from_the_sdk_through_the_server_to_arithmetic(measured: Measured) -> None:
    assert any(chain[0] == "lepton.client.datasets" for chain in measured.server.arithmetic)
    assert too_long(measured.server.arithmetic) == []


def test_from_the_worker_to_sql(measured: Measured) -> None:
    assert any(chain[-1] == "lepton.models.rows" for chain in measured.worker_sql)
    assert too_long(measured.worker_sql) == []


def test_from_the_worker_to_arithmetic(measured: Measured) -> None:
    ends = {chain[-1] for chain in measured.worker_arithmetic}
    assert any(end.startswith("lepton.training.solvers.") for end in ends)
    assert too_long(measured.worker_arithmetic) == []


def test_what_measures_notices_a_longer_way() -> None:
    assert too_long({tuple(f"lepton.m{n}" for n in range(8))}) != []
    assert chain_of(sys._getframe()) == ()
