"""A training with a framework, as a user sees it: from a dataset to a version that answers, on one worker or two."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import polars as pl
import pytest

import lepton
from lepton.core.errors import InvalidInput, RunFailed


def test_a_framework_leaves_a_version_like_any_other(client: lepton.Client, tmp_path: Path) -> None:
    made = client.models.train(
        "trees", dataset="cancer", target="target", recipe="xgboost", params={"rounds": 20, "max_depth": 3}
    )
    assert (made.ref, made.recipe, made.dataset, made.task) == ("trees@1", "xgboost", "cancer@1", "classification")
    assert made.metrics["accuracy"] > 0.9  # 114 rows; the most frequent class alone has 0.63
    assert {plot.kind for plot in made.plots} >= {"confusion", "roc", "calibration"}
    run = client.runs.get(made.run_id)
    assert (run.state, run.outputs, run.inputs) == ("succeeded", ("model:trees@1",), ("dataset:cancer@1",))
    assert {metric.key for metric in client.runs.metrics(run.id).metrics} >= {"loss", "valid_loss", "test_accuracy"}
    assert {"dataset:cancer@1", f"run:{run.id}", "model:trees@1"} <= {
        node.id for node in client.models.lineage("trees").nodes
    }
    measured = client.models.evaluate("trees", dataset="cancer")
    assert measured.metrics["accuracy"] >= made.metrics["accuracy"] - 0.02  # most of these rows it has seen
    client.models.export("trees", tmp_path / "trees.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "trees.onnx", providers=["CPUExecutionProvider"])
    assert [one.name for one in session.get_outputs()] == ["label", "probabilities"]
    assert len(session.get_inputs()) == 9


def test_two_workers_bring_one_version_that_is_as_good(client: lepton.Client) -> None:
    asked = {"dataset": "diabetes", "target": "target", "recipe": "xgboost", "seed": 3}
    params = {"rounds": 30, "max_depth": 2}
    one = client.models.train("pair", params=params, **asked)
    two = client.models.train("pair", params=params, workers=2, **asked)
    assert two.version == one.version + 1
    np.testing.assert_allclose(two.metrics["rmse"], one.metrics["rmse"], rtol=0.05)  # bins of features differ a little
    assert "worker 1 of 2 learns from" in "\n".join(line.text for line in client.runs.logs(two.run_id).lines)


def test_a_parameter_that_nobody_knows_is_refused_at_once_and_one_out_of_range_by_the_run(
    client: lepton.Client,
) -> None:
    odd = {"dataset": "cancer", "target": "target", "recipe": "xgboost"}
    with pytest.raises(InvalidInput, match="There is no parameter 'max_dept' here. Did you mean max_depth?"):
        client.models.train("odd", params={"max_dept": 3}, wait=False, **odd)
    with pytest.raises(RunFailed, match="The parameter rounds is 0; it must be 1 or more"):
        client.models.train("odd", params={"rounds": 0}, **odd)
    assert "odd" not in {model.name for model in client.models.list()}


def test_a_trial_is_measured_on_rows_that_are_not_held_out_and_makes_no_version(client: lepton.Client) -> None:
    run = client.models.train(
        "tried", dataset="cancer", target="target", recipe="xgboost", params={"rounds": 5}, trial=True, wait=False
    )
    ended = client.runs.wait(run.id)
    assert (ended.state, ended.outputs) == ("succeeded", ())
    told = client.runs.metrics(run.id)
    assert told.values("valid_accuracy")[0] > 0.8
    assert not [metric.key for metric in told.metrics if metric.key.startswith("test_")]


def test_a_training_that_is_asked_for_twice_with_one_key_runs_once(client: lepton.Client) -> None:
    asked = {"dataset": "cancer", "target": "target", "recipe": "xgboost", "params": {"rounds": 3}, "key": "once"}
    first = client.models.train("keyed", wait=False, **asked)
    assert client.models.train("keyed", wait=False, **asked).id == first.id
    client.runs.wait(first.id)
    assert len(next(model for model in client.models.list() if model.name == "keyed").versions) == 1


def test_a_model_of_ones_own_needs_a_recipe_of_a_framework(client: lepton.Client) -> None:
    with pytest.raises(InvalidInput, match="The recipe logistic_regression has a model of its own"):
        client.models.train("own", dataset="cancer", target="target", recipe="logistic_regression", model="mlp")


def test_a_file_that_is_not_there_is_named(client: lepton.Client) -> None:
    with pytest.raises(InvalidInput, match=r"There is no file 'no\.py' here"):
        client.models.train("own", dataset="cancer", target="target", recipe="xgboost", model="no.py:Net")


def test_a_column_that_gives_the_target_away_is_named_with_what_to_do(client: lepton.Client) -> None:
    rng = np.random.default_rng(23)
    answer = rng.choice(["yes", "no"], 300)
    frame = pl.DataFrame(
        {"age": rng.normal(40, 9, 300), "verdict": np.where(answer == "yes", "a", "b"), "bought": answer}
    )
    client.datasets.import_(frame, name="leaky")
    made = client.models.train("leak", dataset="leaky", target="bought", recipe="xgboost", params={"rounds": 3})
    assert "Column verdict is a copy of bought under another name. Leave it out" in " ".join(made.notes)
    kept = client.models.train(
        "leak", dataset="leaky", target="bought", recipe="xgboost", params={"rounds": 3}, features=["age"]
    )
    assert not [note for note in kept.notes if "copy" in note]
