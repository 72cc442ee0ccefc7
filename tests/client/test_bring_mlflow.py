"""`lepton runs import-mlflow`: what MLflow's own client has recorded comes over whole, once, and is never executed."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import lepton
from lepton.client.mlflow.bring import Brought, _batches, bring, id_of, open_store
from lepton.client.mlflow.records import OtherPoint, OtherRun
from lepton.client.runs import Runs
from lepton.core.errors import InvalidInput, Unavailable
from lepton.core.ids import is_id

RECORDS = Path(__file__).with_name("recorded_with_mlflow.py")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Stores of each kind that MLflow's own client has filled."""
    home = tmp_path_factory.mktemp("mlflow")
    stores = {"folder": home / "mlruns", "sqlite": home / "other" / "mlflow.db"}
    uris = {"folder": f"file:{stores['folder']}", "sqlite": f"sqlite:///{stores['sqlite']}"}
    for kind, uri in uris.items():
        where = stores[kind].parent
        where.mkdir(exist_ok=True)
        environment = os.environ | {"MLFLOW_ALLOW_FILE_STORE": "true", "MLFLOW_DISABLE_TELEMETRY": "true"}
        subprocess.run([sys.executable, str(RECORDS), uri], cwd=where, env=environment, check=True, capture_output=True)
    return {"folder": str(stores["folder"]), "sqlite": uris["sqlite"]}


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[lepton.Client]:
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("LEPTON_CATALOG", raising=False)
        with lepton.open(tmp_path_factory.mktemp("platform")) as opened:
            yield opened


@pytest.fixture(scope="module")
def served(platform: lepton.Client, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A server of MLflow's protocol in which MLflow's own client has recorded: Lepton's."""
    platform.projects.create("elsewhere")
    token = str(platform.transport._http.headers["Authorization"]).removeprefix("Bearer ")
    url = f"{platform.url}/projects/elsewhere"
    environment = os.environ | {"MLFLOW_TRACKING_TOKEN": token, "MLFLOW_DISABLE_TELEMETRY": "true"}
    where = tmp_path_factory.mktemp("recording")
    subprocess.run([sys.executable, str(RECORDS), url], cwd=where, env=environment, check=True, capture_output=True)
    return url


@pytest.fixture
def client(platform: lepton.Client, request: pytest.FixtureRequest) -> Iterator[lepton.Client]:
    """A client of a project of its own."""
    project = f"p{abs(hash(request.node.name)) % 10**12}"
    platform.projects.create(project)
    token = str(platform.transport._http.headers["Authorization"]).removeprefix("Bearer ")
    with lepton.Client(platform.url, token, project=project) as connected:
        yield connected


@pytest.fixture
def sources(
    recorded: dict[str, str], served: str, client: lepton.Client, monkeypatch: pytest.MonkeyPatch
) -> dict[str, str]:
    """All kinds of stores; the server's token is where MLflow's own client would look for it."""
    token = str(client.transport._http.headers["Authorization"]).removeprefix("Bearer ")
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", token)
    return {**recorded, "server": served}


def brought(client: lepton.Client, source: str, **how: Any) -> Brought:
    store = open_store(source)
    try:
        return bring(store, client.runs, transport=client.transport, project=client.transport.project, **how)
    finally:
        store.close()


def named(client: lepton.Client, name: str) -> lepton.client.runs.Run:
    (run,) = client.runs.list(filter=f"tags.name = '{name}'")
    return run


def values(client: lepton.Client, run_id: str, key: str) -> list[tuple[int, float | None]]:
    (curve,) = client.runs.metrics(run_id, key).metrics
    return [(point.step, point.value) for point in curve.points]


@pytest.mark.parametrize("kind", ["folder", "sqlite", "server"])
def test_a_run_comes_with_all_that_mlflow_knows_of_it(
    kind: str, sources: dict[str, str], client: lepton.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = brought(client, sources[kind])
    assert (done.runs, done.known, done.unfinished, done.files, done.missing) == (3, 0, 1, 2, [])
    run = named(client, "first")
    assert run.state == "succeeded"
    assert run.started_at == datetime.fromtimestamp(1_700_000_000, UTC)
    assert run.ended_at == datetime.fromtimestamp(1_700_000_060, UTC)
    told = client.runs.tracked(run.id)
    assert told.params == {"depth": "3"}
    assert told.tags["experiment"] == "flowers"
    assert told.tags["note"] == "two\nlines, ü"
    assert len(told.tags["mlflow.run_id"]) == (26 if kind == "server" else 32)  # the id that it had there
    assert values(client, run.id, "train/loss") == [(step, 1 / (step + 1)) for step in range(5)]
    assert values(client, run.id, "odd") == [(0, None), (1, None), (2, 0.5)]
    assert [file.path for file in client.runs.artifacts(run.id)] == ["model/model.pkl", "notes/hello.txt"]
    assert client.runs.get_artifact(run.id, "notes/hello.txt") == b"hello"
    assert {named(client, "bad").state, named(client, "stopped").state} == {"failed", "cancelled"}
    assert not list(tmp_path.iterdir()), "a pickle was loaded"


@pytest.mark.parametrize("kind", ["folder", "sqlite", "server"])
def test_what_is_deleted_in_mlflow_stays_there(kind: str, sources: dict[str, str], client: lepton.Client) -> None:
    brought(client, sources[kind], unfinished=True)
    names = {client.runs.tracked(run.id).tags["name"] for run in client.runs.list()}
    assert names == {"first", "bad", "stopped", "still running"}


@pytest.mark.parametrize("kind", ["folder", "sqlite", "server"])
def test_registered_models_come_as_files_that_nothing_opens(
    kind: str, sources: dict[str, str], client: lepton.Client
) -> None:
    assert brought(client, sources[kind]).versions == 2  # and not the one that was deleted
    (model,) = client.models.list()
    assert (model.name, [version.recipe for version in model.versions]) == ("iris-model", ["files", "files"])
    again = brought(client, sources[kind])
    assert (again.versions, again.missing) == (0, [])
    found = registered(client)
    assert (found["name"], found["description"]) == ("Iris Model", "Tells flowers apart")
    assert found["tags"] == [{"key": "team", "value": "botany"}]
    assert found["aliases"] == [{"alias": "champion", "version": "2"}]  # which has number 3 in MLflow


def registered(client: lepton.Client) -> dict[str, Any]:
    """What MLflow's registry says of the only model that has versions."""
    path = f"/projects/{client.transport.project}/api/2.0/mlflow/registered-models/search"
    models = json.loads(client.transport.get(path))["registered_models"]
    (found,) = [model for model in models if model["name"] != "of nobody"]
    return {key: found.get(key) for key in ("name", "description", "tags", "aliases")}


def test_a_run_that_has_not_ended_comes_as_failed_if_it_is_wanted(
    recorded: dict[str, str], client: lepton.Client
) -> None:
    assert brought(client, recorded["sqlite"], unfinished=True).unfinished == 0
    run = client.runs.get(named(client, "still running").id)
    assert run.state == "failed"
    assert run.error is not None
    assert run.error.message == "It had not ended when it was brought over from MLflow."


def test_bringing_twice_doubles_nothing(recorded: dict[str, str], client: lepton.Client) -> None:
    brought(client, recorded["folder"])
    before = {run.id: run.body for run in client.runs.list()}
    again = brought(client, recorded["folder"])
    assert (again.runs, again.known) == (0, 3)
    assert {run.id: run.body for run in client.runs.list()} == before


class BreaksOff:
    """A platform that goes away before the first run's end is told."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs

    def __getattr__(self, verb: str) -> Any:
        return getattr(self._runs, verb)

    def end(self, *_: object, **__: object) -> None:
        raise Unavailable("The platform is gone.")


def test_one_that_was_broken_off_goes_on_where_it_was(recorded: dict[str, str], client: lepton.Client) -> None:
    store = open_store(recorded["sqlite"])
    there = BreaksOff(client.runs)
    with pytest.raises(Unavailable):
        bring(store, there, transport=client.transport, project=client.transport.project)  # type: ignore[arg-type]
    store.close()
    assert brought(client, recorded["sqlite"]).runs == 3
    assert len(values(client, named(client, "first").id, "train/loss")) == 5


def test_files_in_a_bucket_are_said_to_be_missing(
    recorded: dict[str, str], client: lepton.Client, tmp_path: Path
) -> None:
    copy = tmp_path / "mlflow.db"
    copy.write_bytes(Path(recorded["sqlite"].removeprefix("sqlite:///")).read_bytes())
    with sqlite3.connect(copy) as rows:
        rows.execute("UPDATE runs SET artifact_uri = 's3://bucket/' || run_uuid")
    rows.close()
    done = brought(client, str(copy))
    assert (done.runs, done.files) == (3, 0)
    said = [sentence for sentence in done.missing if sentence.startswith("Run ")]
    assert len(said) == 3
    assert all(sentence.endswith("its files did not come, as they are elsewhere (s3).") for sentence in said)
    assert [sentence[:36] for sentence in done.missing[3:]] == [
        f"Version {n} of model 'Iris Model' did " for n in (1, 3)
    ]


def test_files_that_a_server_kept_are_found_beside_its_database(
    recorded: dict[str, str], client: lepton.Client, tmp_path: Path
) -> None:
    copy, kept = tmp_path / "mlflow.db", tmp_path / "mlartifacts"
    copy.write_bytes(Path(recorded["sqlite"].removeprefix("sqlite:///")).read_bytes())
    with sqlite3.connect(copy) as rows:
        rows.execute("UPDATE runs SET artifact_uri = 'mlflow-artifacts:/1/' || run_uuid || '/artifacts'")
        run_id = rows.execute("SELECT run_uuid FROM runs WHERE name = 'first'").fetchone()[0]
    rows.close()
    folder = kept / "1" / run_id / "artifacts"
    folder.mkdir(parents=True)
    (folder / "plot.svg").write_text("<svg/>")
    (folder / "secret").symlink_to("/etc/hostname")
    assert brought(client, str(copy)).files == 1
    assert [file.path for file in client.runs.artifacts(named(client, "first").id)] == ["plot.svg"]


def test_a_line_that_a_crash_cut_is_passed_over(client: lepton.Client, tmp_path: Path) -> None:
    run = tmp_path / "mlruns" / "0" / "ab"
    (run / "metrics").mkdir(parents=True)
    (run.parent / "meta.yaml").write_text("name: x\nlifecycle_stage: active\n")
    (run / "meta.yaml").write_text("run_id: ab\nstatus: 3\nrun_name: cut\nlifecycle_stage: active\n")
    (run / "metrics" / "loss").write_text("1000 0.5 0\n2000 0.25 1\n30")
    assert brought(client, str(tmp_path)).runs == 1
    assert values(client, named(client, "cut").id, "loss") == [(0, 0.5), (1, 0.25)]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("nothing-here", "There is no 'nothing-here'."),
        (".", "There are no experiments of MLflow in '.'."),
        ("notes.txt", "is no database of MLflow's."),
        ("postgresql://host/mlflow", "Start its server on it"),
    ],
)
def test_a_wrong_source_is_said_in_a_sentence(
    source: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("notes.txt").write_text("no database")
    with pytest.raises(InvalidInput) as refused:
        open_store(source)
    assert said in refused.value.message


def test_a_server_that_is_away_is_said_so() -> None:
    with pytest.raises(Unavailable, match=r"Nothing answers at http://127\.0\.0\.1:9\."):
        open_store("http://127.0.0.1:9")


def test_the_terminal_tells_what_came(recorded: dict[str, str], client: lepton.Client) -> None:
    token = str(client.transport._http.headers["Authorization"]).removeprefix("Bearer ")
    environment = os.environ | {"LEPTON_URL": client.url, "LEPTON_TOKEN": token}
    command = [sys.executable, "-m", "lepton.cli", "runs", "import-mlflow", recorded["folder"], "--project"]
    command.append(client.transport.project)

    def typed(*more: str) -> str:
        return subprocess.run([*command, *more], env=environment, check=True, capture_output=True, text=True).stdout

    said = typed()
    assert "Brought 3 runs with 2 files over." in said
    assert "2 versions of registered models came too." in said
    assert "1 run did not come, not having ended. Bring them too with --unfinished." in said
    assert json.loads(typed("--json")) == {
        "runs": 0, "known": 3, "unfinished": 1, "files": 0, "versions": 0, "missing": [],
    }  # fmt: skip


@given(st.dictionaries(st.text(min_size=1, max_size=3), st.integers(0, 45), max_size=6))
def test_what_was_measured_is_sent_in_the_same_batches_each_time(sizes: dict[str, int]) -> None:
    curves = {key: [OtherPoint(step, step, 1.0) for step in range(size)] for key, size in sizes.items()}
    batches = list(_batches(curves, 20))
    assert batches == list(_batches(dict(reversed(curves.items())), 20))
    sent: dict[str, list[int]] = {}
    for batch in batches:
        assert 0 < sum(len(curve["steps"]) for curve in batch) <= 20  # type: ignore[arg-type]
        for curve in batch:
            sent.setdefault(str(curve["key"]), []).extend(curve["steps"])  # type: ignore[call-overload]
    assert sent == {key: list(range(size)) for key, size in sizes.items() if size}


@given(st.datetimes(timezones=st.just(UTC)), st.text(), st.text())
def test_a_run_has_one_id_in_a_project(started_at: datetime, other_id: str, project: str) -> None:
    about: dict[str, Any] = {"experiment": "", "name": "", "state": None, "ended_at": None, "place": ""}
    run = OtherRun(id=other_id, started_at=started_at, params={}, tags={}, **about)
    assert is_id(id_of(project, run))
    assert id_of(project, run) == id_of(project, run)
    assert id_of(project + "x", run) != id_of(project, run)
