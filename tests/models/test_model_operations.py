"""The verbs of models over a real catalog: what is kept, who sees it, and what is gone after a deletion."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from models.conftest import customers
from models.workshop import EDITOR, STEWARD, Workshop

from lepton.access.records import Actor, Role
from lepton.core.columns import ColumnClass
from lepton.core.errors import Conflict, Forbidden, InvalidInput, NotFound
from lepton.core.refs import Ref
from lepton.models import rows
from lepton.models.prediction import decode_rows, open_session, run_session
from lepton.models.records import TrainRequest
from lepton.runs.records import RunState

FEATURES = ("age", "income", "city", "member")
VIEWER = Actor("vic-id", "vic", {"default": Role.VIEWER})
CALLER = Actor("cal-id", "cal", {"default": Role.CALLER})
STRANGER = Actor("who-id", "who", {})


@pytest.fixture
def trained(workshop: Workshop) -> Workshop:
    """A workshop with one trained model."""
    workshop.datasets.add("table", customers(), run_id="import-run")
    workshop.train(target="bought", features=FEATURES)
    return workshop


def test_a_training_makes_a_version_and_ends_its_run_in_one_commit(workshop: Workshop) -> None:
    workshop.datasets.add("table", customers(), run_id="r")
    run, _ = workshop.train(target="bought", features=FEATURES, workers=2)
    assert (run.state, run.outputs, run.inputs) == (RunState.SUCCEEDED, ("model:model@1",), ("dataset:table@1",))
    assert run.params["target"] == "bought"
    [summary] = workshop.models.list(EDITOR)
    [version] = summary.versions
    assert (version.ref, version.dataset, version.run_id, version.created_by) == ("model@1", "table@1", run.id, "ann")
    assert (version.task, version.recipe, version.target) == ("classification", "logistic_regression", "bought")
    assert summary.latest == 1
    detail = workshop.models.get(EDITOR, Ref("model", 1))
    assert detail.version == version
    assert [i.name for i in detail.signature.inputs] == list(FEATURES)
    assert {plot.kind for plot in detail.plots} == {"roc", "confusion", "calibration", "coefficients", "summary"}


def test_the_version_is_not_there_if_its_run_was_cancelled_meanwhile(workshop: Workshop) -> None:
    workshop.datasets.add("table", customers(), run_id="r")
    request = TrainRequest(name="model", dataset=Ref("table"), target="bought")
    run = workshop.models.train(EDITOR, request=request)
    cancelled = workshop.runs.cancel(EDITOR, run.id)
    assert cancelled.state is RunState.CANCELLED
    trained, _ = _make(workshop)
    with pytest.raises(Conflict):
        workshop.models.commit(EDITOR, run, trained)
    assert workshop.models.list(EDITOR) == []
    assert not _blobs(workshop)


def _make(workshop: Workshop) -> tuple[Any, Any]:
    """Train in a second table of the same workshop and take what would have been committed."""
    taken: list[Any] = []
    original = workshop.models.commit
    workshop.models.commit = lambda *arguments: taken.append(arguments) or _Nothing()  # type: ignore[method-assign]
    workshop.train(target="bought", features=FEATURES)
    workshop.models.commit = original  # type: ignore[method-assign]
    return taken[0][2], taken[0][1]


class _Nothing:
    ref = "model@0"


def _blobs(workshop: Workshop) -> list[Path]:
    return [path for path in (workshop.settings.objects / "blobs").rglob("*") if path.is_file()]


def test_versions_count_up_and_a_number_is_never_used_again(trained: Workshop) -> None:
    trained.train(target="bought", features=FEATURES)
    assert [v.version for v in trained.models.list(EDITOR)[0].versions] == [2, 1]
    assert trained.models.get(EDITOR, Ref("model")).version.version == 2
    trained.models.delete(EDITOR, Ref("model", 2))
    assert trained.models.get(EDITOR, Ref("model")).version.version == 1
    trained.train(target="bought", features=FEATURES)
    assert [v.version for v in trained.models.list(EDITOR)[0].versions] == [3, 1]


def test_two_runs_that_end_at_once_get_two_numbers(workshop: Workshop) -> None:
    taken: list[int] = []

    def take() -> None:
        for _ in range(10):
            with workshop.database.begin() as tx:
                taken.append(rows.next_version(tx, "default", "model"))

    threads = [threading.Thread(target=take) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == list(range(1, 21))


def test_a_table_without_rows_has_nothing_to_measure(trained: Workshop) -> None:
    trained.datasets.add("empty", customers(5).clear(), run_id="r2")
    with pytest.raises(InvalidInput, match="No row of empty@1"):
        trained.evaluate(dataset=Ref("empty"))
    with pytest.raises(InvalidInput, match="has no values"):
        trained.train(dataset=Ref("empty"), target="bought")


def test_a_deleted_version_is_gone_with_its_key_and_its_graph(trained: Workshop) -> None:
    version = trained.models.get(EDITOR, Ref("model")).version
    assert len(_blobs(trained)) == 1
    trained.models.delete(EDITOR, Ref("model"))
    assert not _blobs(trained)
    with pytest.raises(NotFound):
        trained.keyring.get("default", f"model/{version.id}")
    with pytest.raises(NotFound, match="There is no model 'model'"):
        trained.models.get(EDITOR, Ref("model"))
    with pytest.raises(NotFound):
        trained.models.delete(EDITOR, Ref("model"))
    assert trained.models.list(EDITOR) == []


def test_an_unknown_version_names_the_latest(trained: Workshop) -> None:
    with pytest.raises(NotFound, match=r"Model 'model' has no version 7 \(latest is 1\)"):
        trained.models.get(EDITOR, Ref("model", 7))


def test_an_export_is_a_graph_that_answers_raw_columns(trained: Workshop) -> None:
    graph = trained.models.export(EDITOR, Ref("model"))
    onnx.checker.check_model(onnx.load_from_string(graph), full_check=True)
    signature = trained.models.get(EDITOR, Ref("model")).signature
    row = {"age": 40, "income": None, "city": "Paris", "member": True}
    columns = {"age": 40.0, "income": np.nan, "member": 1.0}
    raw = {name: np.array([value]) for name, value in columns.items()} | {"city": np.array(["Paris"], dtype=object)}
    exported = run_session(open_session(graph), signature, raw)["probabilities"]
    ours = trained.models.open(EDITOR, Ref("model")).graph
    served = run_session(open_session(ours), signature, decode_rows(signature, [row]))["probabilities"]
    assert exported.shape == (1, 2)
    assert exported.tolist() == served.tolist()


def test_a_deployment_gets_what_it_needs(trained: Workshop) -> None:
    artifact = trained.models.artifact(EDITOR, Ref("model"))
    assert artifact.ref == "model@1"
    assert trained.blobs.read("default", f"model/{artifact.version_id}", artifact.blob_id)[:1]
    assert artifact.signature.classes == ("no", "yes")


def test_an_evaluation_is_kept_with_its_version(trained: Workshop) -> None:
    trained.datasets.add("fresh", customers(200, seed=5), run_id="r2")
    run, recorded = trained.evaluate(dataset=Ref("fresh"))
    assert (run.state, run.inputs) == (RunState.SUCCEEDED, ("model:model@1", "dataset:fresh@1"))
    [evaluation] = trained.models.get(EDITOR, Ref("model")).evaluations
    assert (evaluation.dataset, evaluation.run_id) == ("fresh@1", run.id)
    assert evaluation.metrics["accuracy"] > 0.7
    assert {plot.kind for plot in evaluation.plots} == {"roc", "confusion", "calibration"}
    assert any("model@1 on fresh@1: accuracy" in line for line in recorded.lines)


def test_an_evaluation_leaves_out_rows_it_cannot_judge_and_says_so(trained: Workshop) -> None:
    frame = customers(20)
    labels = frame["bought"].to_list()
    labels[0], labels[1] = None, "secret class"
    trained.datasets.add("odd", frame.with_columns(bought=_texts(labels)), run_id="r2")
    _, recorded = trained.evaluate(dataset=Ref("odd"))
    assert "2 rows are left out: 1 without a target, 1 of other classes" in recorded.lines
    assert "secret" not in "\n".join(recorded.lines)
    trained.datasets.add("none", frame.with_columns(bought=_texts(["secret"] * 20)), run_id="r2")
    with pytest.raises(InvalidInput, match="No row of none@1 has a value the model knows in column 'bought'"):
        trained.evaluate(dataset=Ref("none"))


def _texts(values: list[str | None]) -> Any:
    import polars as pl

    return pl.Series(values, dtype=pl.String)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"age": "rename"}, "has no column 'age', which the model needs"),
        ({"city": "number"}, "Column 'city' holds integer values and the model was trained on text"),
        ({"income": "text"}, "Column 'income' holds text values and the model was trained on number"),
    ],
)
def test_a_dataset_that_does_not_fit_the_model_gets_a_sentence(
    trained: Workshop, change: dict[str, str], sentence: str
) -> None:
    frame = customers(20)
    for column, how in change.items():
        if how == "rename":
            frame = frame.rename({column: "years"})
        else:
            frame = frame.with_columns(
                _texts(["x"] * 20).alias(column) if how == "text" else frame["age"].alias(column)
            )
    trained.datasets.add("other", frame, run_id="r2")
    with pytest.raises(InvalidInput, match=sentence):
        trained.evaluate(dataset=Ref("other"))


@pytest.mark.parametrize(
    ("change", "error", "sentence"),
    [
        ({"name": "My Model"}, InvalidInput, "cannot name a model"),
        ({"target": "boght"}, InvalidInput, "no column 'boght' to predict. Did you mean 'bought'?"),
        ({"recipe": "deep"}, InvalidInput, "no recipe 'deep'"),
        ({"test_fraction": 1.0}, InvalidInput, "test_fraction must lie between 0 and 1"),
        ({"test_fraction": float("nan")}, InvalidInput, "test_fraction must lie between 0 and 1"),
        ({"seed": -1}, InvalidInput, "seed must be"),
        ({"params": {"sover": "gd"}}, InvalidInput, "no parameter 'sover'. Did you mean 'solver'?"),
        ({"params": {"l2": "much"}}, InvalidInput, "'l2' must be a number"),
        ({"params": {"max_iterations": True}}, InvalidInput, "'max_iterations' must be a whole number"),
        ({"features": ("agee",)}, InvalidInput, "no column 'agee'. Did you mean 'age'?"),
        ({"features": ("age", "age")}, InvalidInput, "'age' is named twice"),
        ({"features": ("bought",)}, InvalidInput, "'bought' is the target"),
        ({"features": ()}, InvalidInput, "'features' is empty"),
        ({"workers": 1000}, InvalidInput, "workers"),
        ({"dataset": Ref("nothing")}, NotFound, "no dataset"),
    ],
)
def test_requests_that_cannot_be_carried_out_are_refused_before_a_run_is_made(
    workshop: Workshop, change: dict[str, Any], error: type[Exception], sentence: str
) -> None:
    workshop.datasets.add("table", customers(50), run_id="r")
    request = replace(TrainRequest(name="model", dataset=Ref("table"), target="bought"), **change)
    with pytest.raises(error) as caught:
        workshop.models.train(EDITOR, request=request)
    assert sentence in str(caught.value)
    assert workshop.runs.list(EDITOR) == []


@pytest.mark.parametrize("actor", [VIEWER, CALLER, STRANGER])
def test_who_may_not_is_told_so_before_anything_is_looked_at(trained: Workshop, actor: Actor) -> None:
    nothing = Ref("nothing")
    refused = NotFound if actor is STRANGER else Forbidden
    for attempt in (
        lambda: trained.models.train(actor, request=TrainRequest(name="model", dataset=nothing, target="x")),
        lambda: trained.models.evaluate(actor, nothing, dataset=nothing),
        lambda: trained.models.export(actor, nothing),
        lambda: trained.models.delete(actor, nothing),
    ):
        with pytest.raises(refused, match="role"):
            attempt()


def test_values_of_personal_columns_are_shown_only_to_those_who_may_read_them(workshop: Workshop) -> None:
    workshop.datasets.add("table", customers(), run_id="r", city=ColumnClass.PERSONAL, plan=ColumnClass.PERSONAL)
    workshop.train(STEWARD, target="plan", features=("age", "city"))
    hidden = workshop.models.get(VIEWER, Ref("model"))
    assert hidden.signature.classes is None
    assert all(column.values is None for column in hidden.signature.inputs)
    assert hidden.plots == ()
    shown = workshop.models.get(STEWARD, Ref("model"))
    assert shown.signature.classes == ("gold", "none", "silver")
    assert "Paris" in (shown.signature.inputs[1].values or ())
    assert {plot.kind for plot in shown.plots} == {"confusion", "calibration", "coefficients", "summary"}
    with pytest.raises(Forbidden, match="has learned from personal columns"):
        workshop.models.export(EDITOR, Ref("model"))
    assert workshop.models.export(STEWARD, Ref("model"))


@pytest.mark.parametrize("target", ["income", "plan"])
def test_an_evaluation_on_personal_values_is_shown_only_to_those_who_may_read_them(
    workshop: Workshop, target: str
) -> None:
    workshop.datasets.add("table", customers(), run_id="r")
    workshop.datasets.add("people", customers(), run_id="r", **{target: ColumnClass.PERSONAL})
    workshop.train(target=target, features=("age", "city"))
    workshop.evaluate(STEWARD, dataset=Ref("people"))
    [hidden] = workshop.models.get(VIEWER, Ref("model")).evaluations
    assert hidden.plots == ()
    [shown] = workshop.models.get(STEWARD, Ref("model")).evaluations
    assert shown.plots


def test_predicted_numbers_of_single_rows_tell_of_personal_features(workshop: Workshop) -> None:
    workshop.datasets.add("table", customers(), run_id="r", age=ColumnClass.PERSONAL)
    workshop.train(STEWARD, target="income", features=("age",))
    assert workshop.models.get(VIEWER, Ref("model")).plots == ()
    assert workshop.models.get(STEWARD, Ref("model")).plots


def test_lineage_goes_back_to_the_file(workshop: Workshop) -> None:
    request = TrainRequest(name="x", dataset=Ref("table"), target="bought")
    workshop.datasets.add("table", customers(), run_id="import-run")
    cleaning = workshop.models.train(EDITOR, request=request).id  # any run will do
    workshop.datasets.add("table", customers(), run_id=cleaning, parent="table@1")
    run, _ = workshop.train(target="bought", features=FEATURES)
    lineage = workshop.models.lineage(EDITOR, Ref("model"))
    assert [node.id for node in lineage.nodes] == [
        "file:import-run", "run:import-run", "dataset:table@1", f"run:{cleaning}", "dataset:table@2", f"run:{run.id}",
        "model:model@1",
    ]  # fmt: skip
    assert [(edge.source, edge.target) for edge in lineage.edges] == [
        (one.id, other.id) for one, other in zip(lineage.nodes, lineage.nodes[1:], strict=False)
    ]
    assert lineage.nodes[4].detail == "400 rows × 7 columns"


def test_lineage_names_what_was_deleted_since(trained: Workshop) -> None:
    trained.datasets._kept.clear()
    lineage = trained.models.lineage(EDITOR, Ref("model"))
    assert [node.kind for node in lineage.nodes] == ["dataset", "run", "model"]
    assert lineage.nodes[0].detail == "deleted, or not for you to see"


def test_nothing_learned_from_the_data_is_in_the_clear_in_any_file(workshop: Workshop) -> None:
    canary = "cAnArY7f3a"
    frame = customers().with_columns(
        city=_texts([f"{canary}-city-{i % 3}" for i in range(400)]),
        bought=_texts([f"{canary}-class-{v}" for v in customers()["bought"].to_list()]),
    )
    frame = frame.rename({"age": f"{canary}-column"})
    workshop.datasets.add("table", frame, run_id="r")
    workshop.train(target="bought", features=(f"{canary}-column", "city"))
    workshop.evaluate(dataset=Ref("table"))
    files = [path for path in workshop.settings.home.rglob("*") if path.is_file()]
    assert files
    assert [path for path in files if canary.encode() in path.read_bytes()] == []
    with workshop.database.read() as tx:
        [row] = rows.versions(tx, "default")
    assert canary not in repr(row)


def test_a_graph_that_a_killed_worker_left_is_swept_with_its_key_and_no_other(trained: Workshop) -> None:
    whole = files(trained)
    program = """
import os, signal, sys
from pathlib import Path
from lepton.core.ids import new_id
from lepton.core.settings import Settings
from lepton.models.documents import scope_of
from lepton.store.blobs import BlobStore
from lepton.store.keys import open_keyring
settings = Settings(Path(sys.argv[1]), sys.argv[2])
version_id = new_id()
BlobStore(settings.objects, open_keyring(settings)).put("default", scope_of(version_id), [b"graph"], blob_id=version_id)
os.kill(os.getpid(), signal.SIGKILL)
"""
    command = [sys.executable, "-c", program, str(trained.settings.home), trained.settings.catalog]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    assert len(files(trained)) == len(whole) + 1
    assert len(trained.keyring.scopes("model")) == 2
    with trained.database.read() as tx:
        assert trained.models.sweep(tx) == 1
        assert trained.models.sweep(tx) == 0
    assert files(trained) == whole
    assert len(trained.keyring.scopes("model")) == 1
    assert trained.models.export(EDITOR, Ref("model"))


def test_a_graph_is_stored_where_its_key_says_so_that_it_can_be_swept(trained: Workshop) -> None:
    with trained.database.read() as tx:
        [row] = rows.versions(tx, "default")
    assert row.blob_id == row.id
    assert trained.keyring.scopes("model") == [("default", f"model/{row.id}")]


def files(workshop: Workshop) -> list[Path]:
    return sorted(path for path in workshop.settings.objects.rglob("*") if path.is_file())
