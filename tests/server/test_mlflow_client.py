"""MLflow's own client, unmodified, against a platform: what it logs is here, and what it asks for it gets."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

import lepton
from lepton.core.errors import InvalidInput, NotFound

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    import mlflow
    from mlflow.entities import Metric, Param, RunTag, ViewType
    from mlflow.exceptions import MlflowException
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

pytestmark = pytest.mark.filterwarnings("default")

DOT = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
SCRIPT = """
import base64
import pathlib
import tempfile

import mlflow
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression

mlflow.set_experiment("iris")
mlflow.autolog()
X, y = load_iris(return_X_y=True)
with mlflow.start_run(run_name="first"):
    LogisticRegression(max_iter=200).fit(X, y)
    for step in range(3):
        mlflow.log_metric("loss", 1 / (step + 1), step=step)
    picture = pathlib.Path(tempfile.mkdtemp()) / "dot.png"
    picture.write_bytes(base64.b64decode("PNG"))
    mlflow.log_artifact(str(picture), "pictures")
    mlflow.log_dict({"a": 1}, "notes/a.json")
    mlflow.set_tag("team", "blue")
"""


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[lepton.Client]:
    """A platform inside this process, reached over its port."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("LEPTON_CATALOG", "LEPTON_URL", "LEPTON_TOKEN"):
            patch.delenv(name, raising=False)
        with lepton.open(tmp_path_factory.mktemp("mlflow")) as client:
            token = str(client.transport._http.headers["Authorization"]).removeprefix("Bearer ")
            patch.setenv("MLFLOW_TRACKING_URI", client.url)
            patch.setenv("MLFLOW_TRACKING_TOKEN", token)
            patch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
            yield client


@pytest.fixture
def theirs(here: lepton.Client) -> mlflow.MlflowClient:
    """MLflow's client of the same platform."""
    return mlflow.MlflowClient(here.url)


@pytest.fixture
def experiment(theirs: mlflow.MlflowClient, request: pytest.FixtureRequest) -> str:
    """An experiment for one test."""
    return theirs.create_experiment(request.node.name)


def code_of(error: pytest.ExceptionInfo[MlflowException]) -> str:
    return str(error.value.error_code)


def found(theirs: mlflow.MlflowClient, experiment: str, text: str, *order_by: str, **more: Any) -> list[str]:
    """The names of the runs that a search finds."""
    return [run.info.run_name for run in theirs.search_runs([experiment], text, order_by=list(order_by), **more)]


@pytest.fixture(scope="module")
def scripted(here: lepton.Client, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The run of a script that knows nothing of Lepton, in a process of its own."""
    script = tmp_path_factory.mktemp("script") / "train.py"
    script.write_text(SCRIPT.replace("PNG", DOT))
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    (run,) = here.runs.list(filter="tags.experiment = 'iris'")
    return run.id


def test_an_unmodified_script_with_autolog_lands_here(here: lepton.Client, scripted: str) -> None:
    (run,) = here.runs.list(filter="tags.name = 'first' and params.max_iter = 200 and metrics.training_score > 0.9")
    assert (run.id, run.state, run.task) == (scripted, "succeeded", "runs.create")
    tracked = here.runs.tracked(run.id)
    assert tracked.params["solver"] == "lbfgs"
    assert {
        "team": "blue",
        "experiment": "iris",
        "estimator_name": "LogisticRegression",
    }.items() <= tracked.tags.items()
    (loss,) = (curve for curve in here.runs.metrics(run.id).metrics if curve.key == "loss")
    assert [(point.step, point.value) for point in loss.points] == [(0, 1.0), (1, 0.5), (2, pytest.approx(1 / 3))]
    assert here.runs.get_artifact(run.id, "pictures/dot.png").startswith(b"\x89PNG")
    paths = {artifact.path for artifact in here.runs.artifacts(run.id)}
    assert {"notes/a.json", "logged_models/model/MLmodel", "logged_models/model/model.pkl"} <= paths


def test_the_terminal_finds_a_run_that_mlflow_has_logged(here: lepton.Client, scripted: str) -> None:
    environment = os.environ | {"LEPTON_URL": here.url, "LEPTON_TOKEN": os.environ["MLFLOW_TRACKING_TOKEN"]}
    command = [sys.executable, "-m", "lepton.cli", "runs", "list", "--json", "--filter", "params.max_iter = 200"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert [run["id"] for run in json.loads(done.stdout)["items"]] == [scripted]


def test_what_autolog_has_noted_of_data_and_model_is_given_back(theirs: mlflow.MlflowClient, scripted: str) -> None:
    run = theirs.get_run(scripted)
    (data,) = run.inputs.dataset_inputs
    assert [tag.value for tag in data.tags] == ["train"]
    (output,) = run.outputs.model_outputs
    model = theirs.get_logged_model(output.model_id)
    assert (model.name, model.source_run_id, model.status.value) == ("model", scripted, "READY")
    (same,) = theirs.search_logged_models([run.info.experiment_id], "name = 'model'")
    assert same.model_id == model.model_id
    assert [one.path for one in theirs.list_artifacts(scripted, "model")].count("model/MLmodel") == 1
    theirs.set_logged_model_tags(model.model_id, {"stage": "old"})
    assert theirs.get_logged_model(model.model_id).tags["stage"] == "old"
    theirs.delete_logged_model_tag(model.model_id, "stage")
    assert "stage" not in theirs.get_logged_model(model.model_id).tags


def test_a_logged_model_comes_back_as_it_went(scripted: str, tmp_path: Path) -> None:
    folder = Path(mlflow.artifacts.download_artifacts(f"runs:/{scripted}/model", dst_path=str(tmp_path)))
    assert {"MLmodel", "model.pkl", "requirements.txt"} <= {file.name for file in folder.iterdir()}
    assert (folder / "model.pkl").read_bytes().startswith(b"\x80")


def test_experiments_are_made_found_changed_deleted_and_restored(theirs: mlflow.MlflowClient) -> None:
    made = theirs.create_experiment("first of all", tags={"team": "blue"})
    theirs.create_experiment("second")
    one = theirs.get_experiment(made)
    assert (one.name, one.lifecycle_stage, one.tags) == ("first of all", "active", {"team": "blue"})
    assert theirs.get_experiment_by_name("first of all").experiment_id == made
    assert theirs.get_experiment_by_name("nothing") is None
    assert theirs.get_experiment("0").name == "Default"
    theirs.set_experiment_tag(made, "team", "red")
    theirs.set_experiment_tag(made, "gone", "1")
    theirs.delete_experiment_tag(made, "gone")
    theirs.rename_experiment(made, "first")
    assert theirs.get_experiment(made).tags == {"team": "red"}

    def names(text: str | None = None, **more: Any) -> list[str]:
        return [found.name for found in theirs.search_experiments(filter_string=text, **more)]

    assert {"first", "second", "Default"} <= set(names())
    assert names("name = 'first'") == names("tags.team = 'red'") == names("name ILIKE 'FIR%'") == ["first"]
    assert names("name LIKE 'FIR%'") == []
    assert names("name IN ('first', 'second')", order_by=["name DESC"]) == ["second", "first"]
    theirs.delete_experiment(made)
    assert theirs.get_experiment(made).lifecycle_stage == "deleted"
    assert "first" not in names()
    assert "first" in names(view_type=ViewType.DELETED_ONLY)
    theirs.restore_experiment(made)
    assert "first" in names()
    with pytest.raises(MlflowException) as error:
        theirs.create_experiment("first")
    assert code_of(error) == "RESOURCE_ALREADY_EXISTS"


def test_what_is_logged_is_given_back(theirs: mlflow.MlflowClient, experiment: str) -> None:
    run = theirs.create_run(
        experiment, run_name="mine", tags={"name": "n", "experiment": "e"}, start_time=1_700_000_000_123
    )
    run_id = run.info.run_id
    theirs.log_param(run_id, "lr", 0.1)
    theirs.log_metric(run_id, "loss", 2.0, timestamp=1_700_000_000_500, step=5)
    theirs.log_metric(run_id, "loss", 3.0, timestamp=1_700_000_000_400, step=4)
    theirs.set_tag(run_id, "note", "ä" * 100)
    points = [Metric("acc", value, 1_700_000_000_000 + i, i) for i, value in enumerate((0.1, math.inf, math.nan))]
    theirs.log_batch(run_id, metrics=points, params=[Param("depth", "3")], tags=[RunTag("gone", "1")])
    theirs.delete_tag(run_id, "gone")
    found = theirs.get_run(run_id)
    assert found.data.params == {"lr": "0.1", "depth": "3"}
    assert found.data.metrics["loss"] == 2.0
    assert math.isnan(found.data.metrics["acc"])
    assert {
        "note": "ä" * 100,
        "name": "n",
        "experiment": "e",
        "mlflow.runName": "mine",
    }.items() <= found.data.tags.items()
    assert "gone" not in found.data.tags
    assert (found.info.run_name, found.info.status, found.info.start_time) == ("mine", "RUNNING", 1_700_000_000_123)
    history = theirs.get_metric_history(run_id, "loss")
    assert [(m.value, m.timestamp, m.step) for m in history] == [
        (2.0, 1_700_000_000_500, 5),
        (3.0, 1_700_000_000_400, 4),
    ]


def test_a_param_stays_as_it_is(theirs: mlflow.MlflowClient, experiment: str) -> None:
    run_id = theirs.create_run(experiment).info.run_id
    theirs.log_param(run_id, "lr", "0.1")
    theirs.log_param(run_id, "lr", "0.1")
    with pytest.raises(MlflowException, match="lr") as error:
        theirs.log_param(run_id, "lr", "0.2")
    assert code_of(error) == "INVALID_PARAMETER_VALUE"
    with pytest.raises(MlflowException, match="twice|Duplicate|unique|lr"):
        theirs.log_batch(run_id, params=[Param("a", "1"), Param("a", "2")])
    assert theirs.get_run(run_id).data.params == {"lr": "0.1"}


def test_a_run_ends_is_renamed_goes_on_and_is_deleted_and_restored(
    here: lepton.Client, theirs: mlflow.MlflowClient, experiment: str
) -> None:
    run_id = theirs.create_run(experiment).info.run_id
    states = {"FINISHED": "succeeded", "RUNNING": "running", "KILLED": "cancelled", "FAILED": "failed"}
    for status, state in states.items():
        theirs.update_run(run_id, status=status, name=f"now {state}")
        assert (here.runs.get(run_id).state, here.runs.tracked(run_id).tags["name"]) == (state, f"now {state}")
    theirs.set_terminated(run_id, "FINISHED", end_time=1_700_000_000_000)
    assert theirs.get_run(run_id).info.end_time == 1_700_000_000_000
    theirs.delete_run(run_id)
    assert theirs.get_run(run_id).info.lifecycle_stage == "deleted"
    assert theirs.search_runs([experiment]) == []
    assert run_id not in [run.id for run in here.runs.list()]
    assert len(theirs.search_runs([experiment], run_view_type=ViewType.ALL)) == 1
    theirs.restore_run(run_id)
    assert len(theirs.search_runs([experiment])) == 1


def test_runs_are_searched_in_mlflows_language(theirs: mlflow.MlflowClient, experiment: str) -> None:
    ids = {}
    for name, loss, kind in (("a", 0.3, "MLP"), ("b", 0.1, "mlp"), ("c", 0.2, "tree")):
        run = theirs.create_run(experiment, run_name=name, tags={"it's": "x"})
        ids[name] = run.info.run_id
        theirs.log_batch(run.info.run_id, [Metric("val loss", loss, 0, 0)], [Param("kind", kind)])
    theirs.set_terminated(ids["c"])
    for text, names in {
        "metrics.`val loss` < 0.25": "bc",
        "metrics.\"val loss\" >= 0.2 and params.kind != 'tree'": "a",
        "params.kind LIKE 'ml%'": "b",
        "params.kind ILIKE 'ml%'": "ab",
        "attributes.status = 'FINISHED'": "c",
        "status != 'FINISHED' AND tags.mlflow.runName = 'a'": "a",
        "attributes.run_name LIKE '_'": "abc",
        f"run_id IN ('{ids['a']}', '{ids['b']}')": "ab",
        f"attributes.run_id NOT IN ('{ids['a']}')": "bc",
        "attributes.end_time > 0": "c",
        "attributes.start_time > 1 and user_id = 'owner'": "abc",
        "tags.`it's` = 'x'": "abc",
        "params.nothing = '1'": "",
        "params.nothing IS NULL and params.kind IS NOT NULL": "abc",
    }.items():
        assert "".join(sorted(found(theirs, experiment, text))) == names, text
    assert found(theirs, experiment, "", "metrics.`val loss` DESC") == ["a", "c", "b"]
    assert found(theirs, experiment, "", "params.kind", "attributes.run_name ASC") == ["a", "b", "c"]
    assert found(theirs, experiment, "") == ["c", "b", "a"]
    for wrong in ("metrics.loss = 'a'", "params.kind > 3", "nonsense", "attributes.mood = 'x'", "datasets.name = 'x'"):
        with pytest.raises(MlflowException) as error:
            theirs.search_runs([experiment], wrong)
        assert code_of(error) == "INVALID_PARAMETER_VALUE", wrong


def test_a_search_comes_in_pages(theirs: mlflow.MlflowClient, experiment: str) -> None:
    made = [theirs.create_run(experiment).info.run_id for _ in range(5)]
    seen, token = [], None
    for size in (2, 2, 1):
        some = theirs.search_runs([experiment], max_results=2, page_token=token)
        assert len(some) == size
        seen += [run.info.run_id for run in some]
        token = some.token
    assert (sorted(seen), token) == (sorted(made), None)


def test_artifacts_are_put_listed_downloaded_and_deleted(
    here: lepton.Client, theirs: mlflow.MlflowClient, experiment: str, tmp_path: Path
) -> None:
    run_id = theirs.create_run(experiment).info.run_id
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "ä b.bin").write_bytes(bytes(range(256)) * 100)
    (tmp_path / "a.txt").write_text("text")
    theirs.log_artifacts(run_id, str(tmp_path), "all")
    theirs.log_text(run_id, "top", "top.txt")
    assert [(one.path, one.is_dir, one.file_size) for one in theirs.list_artifacts(run_id)] == [
        ("all", True, None), ("top.txt", False, 3),
    ]  # fmt: skip
    assert [one.path for one in theirs.list_artifacts(run_id, "all")] == ["all/a.txt", "all/deep"]
    got = Path(theirs.download_artifacts(run_id, "all", str(tmp_path / "deep")))
    assert (got / "deep" / "ä b.bin").read_bytes() == (tmp_path / "deep" / "ä b.bin").read_bytes()
    assert here.runs.get_artifact(run_id, "all/deep/ä b.bin") == (tmp_path / "deep" / "ä b.bin").read_bytes()
    with pytest.raises(MlflowException):
        theirs.download_artifacts(run_id, "nothing.txt")
    get_artifact_repository(f"mlflow-artifacts:/{run_id}").delete_artifacts("all")
    assert [one.path for one in here.runs.artifacts(run_id)] == ["top.txt"]


def test_a_project_of_ones_own_has_an_address_of_its_own(here: lepton.Client, theirs: mlflow.MlflowClient) -> None:
    here.projects.create("lab")
    inside = mlflow.MlflowClient(f"{here.url}/projects/lab")
    made = inside.create_experiment("only here")
    run_id = inside.create_run(made).info.run_id
    inside.log_text(run_id, "text", "a.txt")
    assert [one.path for one in inside.list_artifacts(run_id)] == ["a.txt"]
    assert [
        run.id for run in lepton.Client(here.url, os.environ["MLFLOW_TRACKING_TOKEN"], project="lab").runs.list()
    ] == [run_id]
    assert theirs.get_experiment_by_name("only here") is None
    with pytest.raises(MlflowException) as error:
        mlflow.MlflowClient(f"{here.url}/projects/nowhere").create_experiment("x")
    assert code_of(error) == "RESOURCE_DOES_NOT_EXIST"


def test_a_wrong_token_is_refused_and_a_password_may_be_a_token(
    here: lepton.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = os.environ["MLFLOW_TRACKING_TOKEN"]
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "lpt_wrong")
    with pytest.raises(MlflowException, match="lepton tokens create") as error:
        mlflow.MlflowClient(here.url).search_experiments()
    assert code_of(error) == "UNAUTHENTICATED"
    monkeypatch.delenv("MLFLOW_TRACKING_TOKEN")
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "anybody")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", token)
    assert mlflow.MlflowClient(here.url).search_experiments()


def test_a_pickle_that_would_run_is_kept_and_never_loaded(
    here: lepton.Client, theirs: mlflow.MlflowClient, experiment: str, tmp_path: Path
) -> None:
    import pickle

    marker = tmp_path / "was-run"

    class Hostile:
        def __reduce__(self) -> Any:
            return (Path.touch, (marker,))

    hostile = pickle.dumps(Hostile())
    (tmp_path / "model.pkl").write_bytes(hostile)
    (tmp_path / "MLmodel").write_text(
        "flavors:\n  python_function:\n    loader_module: mlflow.sklearn\n    model_path: model.pkl\n"
    )
    run_id = theirs.create_run(experiment).info.run_id
    for name in ("model.pkl", "MLmodel"):
        theirs.log_artifact(run_id, str(tmp_path / name), "model")
    assert here.runs.get_artifact(run_id, "model/model.pkl") == hostile
    assert [one.path for one in theirs.list_artifacts(run_id, "model")] == ["model/MLmodel", "model/model.pkl"]
    assert not marker.exists()


def test_what_lepton_does_not_have_is_refused_by_name(theirs: mlflow.MlflowClient, experiment: str) -> None:
    with pytest.raises(MlflowException, match="no such part of MLflow") as error:
        theirs.search_traces(locations=[experiment])
    assert code_of(error) == "ENDPOINT_NOT_FOUND"
    with pytest.raises(MlflowException) as error:
        theirs.get_run("0" * 32)
    assert code_of(error) == "RESOURCE_DOES_NOT_EXIST"
    with pytest.raises(NotFound):
        lepton.Client(os.environ["MLFLOW_TRACKING_URI"], os.environ["MLFLOW_TRACKING_TOKEN"]).runs.get("0" * 32)


def test_a_model_that_autolog_has_logged_is_registered_as_files_that_nothing_opens(
    here: lepton.Client, theirs: mlflow.MlflowClient, scripted: str, tmp_path: Path
) -> None:
    made = mlflow.register_model(f"runs:/{scripted}/model", "Iris Model")
    again = mlflow.register_model(f"runs:/{scripted}/model", "Iris Model")
    assert (made.version, again.version, made.status) == ("1", "2", "READY")
    assert "Files only" in made.status_message
    detail = here.models.get("iris-model@1")
    assert (detail.recipe, detail.task, detail.run_id) == ("files", "files", scripted)
    assert any("cannot be deployed" in note for note in detail.notes)
    for refused in (
        lambda: here.endpoints.deploy("e", model="iris-model@1"),
        lambda: here.models.export("iris-model@1", tmp_path / "x.onnx"),
    ):
        with pytest.raises(InvalidInput, match="Files only"):
            refused()
    environment = os.environ | {"LEPTON_URL": here.url, "LEPTON_TOKEN": os.environ["MLFLOW_TRACKING_TOKEN"]}
    command = [sys.executable, "-m", "lepton.cli", "models", "get", "iris-model@1"]
    shown = subprocess.run(command, capture_output=True, text=True, env=environment, check=True).stdout
    assert "iris-model@1 is files only" in shown
    back = Path(mlflow.artifacts.download_artifacts("models:/Iris Model/1", dst_path=str(tmp_path)))
    assert {"MLmodel", "model.pkl"} <= {file.name for file in back.iterdir()}


def test_files_that_were_replaced_since_are_not_given_as_the_version(
    here: lepton.Client, theirs: mlflow.MlflowClient, experiment: str, tmp_path: Path
) -> None:
    run_id = theirs.create_run(experiment).info.run_id
    theirs.log_text(run_id, "one", "m/weights.pkl")
    theirs.create_registered_model("replaced")
    theirs.create_model_version("replaced", f"runs:/{run_id}/m", run_id)
    assert theirs.get_model_version_download_uri("replaced", "1") == f"mlflow-artifacts:/{run_id}/m"
    theirs.log_text(run_id, "two", "m/weights.pkl")
    with pytest.raises(MlflowException, match="replaced or removed"):
        theirs.get_model_version_download_uri("replaced", "1")


def test_a_plain_graph_becomes_a_model_that_can_be_deployed(
    here: lepton.Client, theirs: mlflow.MlflowClient, experiment: str, tmp_path: Path
) -> None:
    import mlflow.onnx
    from onnx import TensorProto, helper

    graph = helper.make_graph(
        [helper.make_node("ReduceMean", ["x"], ["y"], keepdims=0, axes=[1])],
        "mean",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N"])],
    )  # fmt: skip
    onnx_model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    with mlflow.start_run(experiment_id=experiment):
        mlflow.onnx.log_model(
            onnx_model, name="graph", registered_model_name="mean_of_three", pip_requirements=["onnx"]
        )
    version = theirs.get_model_version("mean_of_three", "1")
    assert version.status_message == ""
    detail = here.models.get("mean_of_three@1")
    assert (detail.recipe, len(detail.signature.inputs)) == ("onnx", 3)
    assert here.models.export("mean_of_three@1", tmp_path / "mean.onnx").size_bytes > 0


def test_models_versions_tags_and_aliases_are_kept(
    here: lepton.Client, theirs: mlflow.MlflowClient, experiment: str
) -> None:
    run_id = theirs.create_run(experiment).info.run_id
    theirs.log_text(run_id, "weights", "m/weights.txt")
    theirs.create_registered_model("Churn", tags={"team": "blue"}, description="who leaves")
    with pytest.raises(MlflowException) as error:
        theirs.create_registered_model("Churn")
    assert code_of(error) == "RESOURCE_ALREADY_EXISTS"
    for _ in range(2):
        theirs.create_model_version("Churn", f"runs:/{run_id}/m", run_id, tags={"a": "1"}, description="d")
    theirs.set_registered_model_alias("Churn", "champion", "1")
    theirs.set_registered_model_alias("Churn", "gone", "2")
    theirs.delete_registered_model_alias("Churn", "gone")
    theirs.set_registered_model_tag("Churn", "team", "red")
    theirs.set_registered_model_tag("Churn", "x", "1")
    theirs.delete_registered_model_tag("Churn", "x")
    theirs.set_model_version_tag("Churn", "2", "b", "2")
    theirs.delete_model_version_tag("Churn", "2", "a")
    theirs.update_model_version("Churn", "2", "better")
    theirs.update_registered_model("Churn", "who goes")
    model = theirs.get_registered_model("Churn")
    assert (model.description, model.tags, model.aliases) == ("who goes", {"team": "red"}, {"champion": "1"})
    assert [one.version for one in model.latest_versions] == ["2"]
    champion = theirs.get_model_version_by_alias("Churn", "champion")
    assert (champion.version, champion.aliases, champion.tags) == ("1", ["champion"], {"a": "1"})
    second = theirs.get_model_version("Churn", "2")
    assert (second.description, second.tags, second.source) == ("better", {"b": "2"}, f"runs:/{run_id}/m")
    assert [one.version for one in theirs.search_model_versions("name = 'Churn'")] == ["2", "1"]
    assert [one.version for one in theirs.search_model_versions(f"run_id = '{run_id}' and tags.b = '2'")] == ["2"]
    assert [one.name for one in theirs.search_registered_models("name ILIKE 'chu%' and tags.team = 'red'")] == ["Churn"]
    theirs.copy_model_version("models:/Churn/1", "Copy of churn")
    assert [one.name for one in theirs.search_registered_models(order_by=["name ASC"]) if "hurn" in one.name] == [
        "Churn", "Copy of churn",
    ]  # fmt: skip
    theirs.rename_registered_model("Churn", "Leaving")
    assert theirs.get_model_version("Leaving", "1").version == "1"
    assert {version.ref for model in here.models.list() for version in model.versions} >= {"churn@1", "copy-of-churn@1"}
    theirs.delete_model_version("Leaving", "1")
    assert theirs.get_registered_model("Leaving").aliases == {}
    theirs.delete_registered_model("Leaving")
    with pytest.raises(MlflowException) as error:
        theirs.get_registered_model("Leaving")
    assert code_of(error) == "RESOURCE_DOES_NOT_EXIST"
    assert "churn" not in [model.name for model in here.models.list()]


def test_what_is_no_source_of_files_is_refused(theirs: mlflow.MlflowClient, experiment: str) -> None:
    run_id = theirs.create_run(experiment).info.run_id
    theirs.create_registered_model("sourceless")
    for source in ("s3://bucket/model", "/etc", f"runs:/{run_id}/nothing", "file:///etc"):
        with pytest.raises(MlflowException) as error:
            theirs.create_model_version("sourceless", source, run_id)
        assert code_of(error) == "INVALID_PARAMETER_VALUE", source
    with pytest.raises(MlflowException) as error:
        theirs.create_model_version("sourceless", "runs:/01ARZ3NDEKTSV4RRFFQ69G5FAV/m", run_id)
    assert code_of(error) == "RESOURCE_DOES_NOT_EXIST"


def test_curves_of_several_runs_come_thinned_between_two_steps(
    here: lepton.Client, theirs: mlflow.MlflowClient
) -> None:
    experiment = theirs.create_experiment("thinned")
    runs = [theirs.create_run(experiment).info.run_id for _ in range(2)]
    for run_id in runs:
        theirs.log_batch(run_id, [Metric("loss", float(step), step, step) for step in range(100)])
    headers = {"Authorization": f"Bearer {os.environ['MLFLOW_TRACKING_TOKEN']}"}
    wanted = {"run_ids": runs, "metric_key": "loss", "start_step": 10, "end_step": 59, "max_results": 10}
    address = f"{here.url}/api/2.0/mlflow/metrics/get-history-bulk-interval"
    points = httpx2.get(address, params=wanted, headers=headers).json()["metrics"]
    steps = [point["step"] for point in points if point["run_id"] == runs[1]]
    assert (steps[0], steps[-1], len(steps) <= 11) == (10, 59, True)
