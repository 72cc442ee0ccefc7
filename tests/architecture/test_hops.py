"""From a door to its SQL, its arithmetic or the wire there are at most seven of our modules.

What a chain is, and why the terminal has a sum of its own: docs/decisions/0014-what-a-chain-is.md.
"""

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
from lepton.cli import program as terminal

MOST = 7
FROM_THE_TERMINAL = 9
"""Of the longest way, the terminal's process and the server's added up."""
SERVER: dict[str, Chain] = {
    "lepton.server.identity": (),  # the edge looks up who asks before there is a route
    "lepton.runs.operations": ("lepton.server.events",),  # a stream looks on when its route has returned
}
"""What the server does in a thread without a route on the stack, and what stands between it and the edge."""


@dataclass(frozen=True)
class Measured:
    """The chains of two walks, by SDK and by terminal: up to the server, and in the workers."""

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
    client.models.studies()
    client.models.evaluate("sales", dataset="sales")
    client.models.predict("sales", dataset="sales")
    client.models.lineage("sales")
    client.models.scorecard("sales")
    client.models.propose("sales", target="sold")
    client.models.export("sales", folder / "out.onnx")
    client.endpoints.deploy("sales", model="sales@1")
    client.endpoints.deploy("sales", model="sales@2")
    client.endpoints.rollback("sales")
    client.endpoints.list()
    client.endpoints.predict("sales", [{"area": 0.5, "kind": "u"}])
    run = client.runs.list()[0]
    client.runs.logs(run.id)
    client.runs.metrics(run.id)
    client.runs.put_artifact(run.id, "notes.txt", b"text")
    client.runs.artifacts(run.id)
    client.runs.get_artifact(run.id, "notes.txt")
    outside = client.runs.create(name="outside", params={"a": "1"})
    client.runs.track(outside.id, {"client": "me", "batch": 1, "metrics": [{"key": "loss", "value": 1.0}]})
    client.runs.track(outside.id, {"client": "me", "batch": 2, "metrics": [{"key": "loss", "value": 1.0}]})
    client.runs.tracked(outside.id)
    client.runs.list(filter="metrics.loss < 2 and params.a = '1'", order_by="metrics.loss")
    client.runs.end(outside.id)
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


def walk_in_terminal(client: lepton.Client, folder: Path) -> None:
    """Type every command that speaks to a platform."""
    run = client.runs.list()[0]
    commands = """
        datasets import {folder}/sales.csv --name pots --personal mail
        datasets list
        datasets get pots
        datasets profile pots --target sold
        datasets rows pots
        datasets clean pots
        datasets report pots
        datasets split pots --stratify sold
        datasets export pots --to {folder}/pots.csv
        labels list
        models train pots --dataset pots --target area --feature kind
        models evaluate pots --dataset pots
        models list
        models studies
        models get pots
        models lineage pots
        models export pots --to {folder}/pots.onnx
        endpoints deploy pots --model area
        endpoints deploy pots --model pots
        endpoints rollback pots
        endpoints list
        endpoints get pots
        endpoints predict pots kind=u
        runs logs --follow {run}
        runs list
        runs get {run}
        runs logs {run}
        runs artifacts {run}
        runs download {run} --to {folder}/left
        projects create room
        projects list
        users create bob --role viewer
        users update bob --role editor
        users list
        users delete bob --yes
        tokens create shelf
        tokens list
        audit list --changes
        endpoints delete pots --yes
        models delete pots --yes
        datasets delete pots --yes
    """
    typed = [line.strip().format(folder=folder, run=run.id) for line in commands.strip().splitlines()]
    refused = [line for line in typed if terminal.run(line.split())]
    assert refused == []


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Measured:
    folder, notes = tmp_path_factory.mktemp("files"), tmp_path_factory.mktemp("notes")
    caller = threading.main_thread().ident

    def with_caller(chain: Chain) -> Chain:
        """The server works in threads of its own: put what the caller is in the middle of in front."""
        inside = next((SERVER[name] for name in chain[:1] if name in SERVER), None)
        if inside is None and not any(name.startswith("lepton.server.routes") for name in chain):
            return chain
        waiting = chain_of(sys._current_frames().get(caller or 0))
        asking = tuple(name for name in waiting if name.startswith(("lepton.cli.", "lepton.client.")))
        return (*asking, "lepton.server.edge", *(inside or ()), *chain)

    watched = Hops(with_caller)
    watched.start()
    try:
        with lepton.open(tmp_path_factory.mktemp("home")) as client, pytest.MonkeyPatch.context() as environment:
            platform = client._platform  # type: ignore[attr-defined]
            platform.runs.dispatch.command = (sys.executable, hops.__file__, str(notes))
            walk(client, folder)
            environment.setenv("LEPTON_URL", client.url)
            environment.setenv("LEPTON_TOKEN", client.tokens.create("terminal").secret or "")
            walk_in_terminal(client, folder)
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


def begun_in(chains: set[Chain], door: str) -> set[Chain]:
    return {chain for chain in chains if chain[0].startswith(f"lepton.{door}.")}


def test_from_the_sdk_through_the_server_to_sql(measured: Measured) -> None:
    through = begun_in(measured.server.sql, "client")
    assert {chain[0] for chain in through} >= {
        f"lepton.client.{noun}" for noun in ("datasets", "runs", "models", "endpoints", "access")
    }
    assert ("lepton.client.datasets", "lepton.client.transport", "lepton.server.edge", "lepton.server.routes.datasets",
            "lepton.datasets.operations", "lepton.datasets.rows") in through  # fmt: skip
    assert any("lepton.server.events" in chain for chain in through), "waiting was not seen"
    assert too_long(measured.server.sql - begun_in(measured.server.sql, "cli")) == []


def test_from_the_sdk_through_the_server_to_arithmetic(measured: Measured) -> None:
    assert begun_in(measured.server.arithmetic, "client")
    assert too_long(measured.server.arithmetic - begun_in(measured.server.arithmetic, "cli")) == []


def test_from_the_terminal_to_the_wire(measured: Measured) -> None:
    through = begun_in(measured.server.wire, "cli")
    assert {chain[1] for chain in through if len(chain) > 3} >= {
        f"lepton.cli.{noun}" for noun in ("datasets", "runs", "models", "endpoints", "access")
    }
    assert too_long(through) == []


def test_from_the_terminal_through_the_server_to_sql_and_arithmetic(measured: Measured) -> None:
    through = begun_in(measured.server.sql | measured.server.arithmetic, "cli")
    assert {chain[1] for chain in through} >= {
        f"lepton.cli.{noun}" for noun in ("datasets", "runs", "models", "endpoints", "access")
    }
    assert max(map(len, through)) == FROM_THE_TERMINAL


# The replica's process (endpoints/replica) is to be measured here, from its socket to its arithmetic.


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
