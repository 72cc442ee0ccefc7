"""Trainings on a real Ray cluster, a worker on each of two machines: the models that they make here, byte by byte.

On its own machine the platform trains linear models itself, from its files; there they are a command like any other.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
import polars as pl
import pytest
from onnx import numpy_helper
from platforms import embedded
from ray_cluster import RayCluster
from runs.test_lost_machines import opened

import lepton
from lepton.client.models import ModelDetail

pytest.importorskip("ray", reason="Ray is an extra, and not installed")

ROWS = 160


def people() -> pl.DataFrame:
    """Who leaves: the young of Graz, mostly."""
    rng = np.random.default_rng(5)
    age, city = rng.normal(40, 9, ROWS), rng.choice(["Bern", "Graz", "Linz"], ROWS)
    leaves = (age + 9 * (city != "Graz") + rng.normal(0, 4, ROWS) < 42).astype(np.int64)
    known = [None if row % 20 == 0 else float(value) for row, value in enumerate(age)]
    return pl.DataFrame({"age": known, "city": city, "planet": ["Earth"] * ROWS, "left": leaves})


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Iterator[lepton.Client]:
    """A platform whose commands run on a cluster of machines of one processor each."""
    with RayCluster(nodes=2, cpus=1) as cluster, opened(tmp_path_factory.mktemp("there") / "home", cluster) as client:
        client.datasets.import_(people(), name="people")
        yield client


@pytest.fixture(scope="module")
def here(there: lepton.Client, tmp_path_factory: pytest.TempPathFactory) -> Iterator[lepton.Client]:
    """Another one, whose commands run on this machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("LEPTON_ENGINE")  # `there` is open, and reads it no more
        with embedded(tmp_path_factory.mktemp("here") / "home") as client:
            assert client._platform.runs.dispatch.launching.engine is None  # type: ignore[attr-defined]
            client.datasets.import_(people(), name="people")
            yield client


def trained(*clients: lepton.Client, **how: Any) -> list[tuple[ModelDetail, bytes]]:
    """Train with two workers on each platform, at the same time; return the versions and their graphs."""
    asked = {**how, "dataset": "people", "target": "left", "workers": 2, "seed": 3}
    runs = [client.models.train(how["recipe"], wait=False, **asked) for client in clients]
    found = []
    for client, run in zip(clients, runs, strict=True):
        made = client.models.get(client.runs.wait(run.id).made("model")[0])
        graph = client._platform.settings.home / "graph.onnx"  # type: ignore[attr-defined]
        client.models.export(made.ref, graph)
        found.append((made, graph.read_bytes()))
    return found


def machines(client: lepton.Client, run_id: str) -> set[str]:
    """Return on which machines of the cluster a run was."""
    engine = client._platform.runs.dispatch.launching.engine  # type: ignore[attr-defined]
    return {part.machine for part in engine.parts(run_id)}


@pytest.mark.parametrize(("recipe", "params"), [("xgboost", {"rounds": 4}), ("sklearn", {"estimator": "sgd"})])
def test_a_framework_leaves_the_bytes_that_it_leaves_here(
    there: lepton.Client, here: lepton.Client, recipe: str, params: dict[str, Any]
) -> None:
    (made, graph), (same, expected) = trained(there, here, recipe=recipe, params=params)
    assert len(machines(there, made.run_id)) == 2
    assert graph == expected
    assert made.metrics == same.metrics


def test_a_linear_model_is_trained_there_too_and_is_the_one_that_is_trained_here(
    there: lepton.Client, here: lepton.Client
) -> None:
    how = {"recipe": "logistic_regression", "params": {"l2": 0.5, "class_weight": "balanced"}}
    (made, graph), (same, expected) = trained(there, here, **how)
    assert len(machines(there, made.run_id)) == 2
    assert "command" in there.runs.get(made.run_id).params
    assert "command" not in here.runs.get(same.run_id).params
    for found, right in zip(constants(graph), constants(expected), strict=True):
        assert_same(found, right)
    assert (made.recipe, made.notes, made.signature) == (same.recipe, same.notes, same.signature)
    assert_same(dict(made.metrics), dict(same.metrics))
    assert [plot.kind for plot in made.plots] == [plot.kind for plot in same.plots]
    for plot, other in zip(made.plots, same.plots, strict=True):
        assert_same(plot.data, other.data)
    assert there.models.scorecard(made.ref).to_csv() == here.models.scorecard(same.ref).to_csv()
    told = [{one.key: one.points for one in c.runs.metrics(m.run_id).metrics} for c, m in ((there, made), (here, same))]
    assert told[0].keys() == told[1].keys() >= {"loss", "test_accuracy"}


def test_a_search_has_its_trials_there_and_trains_the_best_of_them(there: lepton.Client) -> None:
    study = there.models.tune(
        "tuned", dataset="people", target="left", recipe="logistic_regression", cpus=0.4,
        search={"l2": [0.01, 100.0]}, sampler="grid", trials=2,
    )  # fmt: skip
    assert study.counts == {"complete": 2}
    assert all(len(machines(there, trial.run_id)) == 1 for trial in study.trials)
    best = there.models.get(study.model)
    assert (best.ref, best.recipe, len(machines(there, best.run_id))) == ("tuned@1", "logistic_regression", 1)
    assert there.runs.get(best.run_id).params["l2"] == study.best_params["l2"]


def constants(graph: bytes) -> list[Any]:
    return [numpy_helper.to_array(one).tolist() for one in onnx.load_from_string(graph).graph.initializer]


def assert_same(found: Any, right: Any) -> None:
    """Compare what JSON can hold; sums of the same rows in other parts have other last digits."""
    if isinstance(right, dict):
        assert found.keys() == right.keys()
        for key, value in right.items():
            assert_same(found[key], value)
    elif isinstance(right, list | tuple):
        assert len(found) == len(right)
        for one, other in zip(found, right, strict=True):
            assert_same(one, other)
    else:
        assert found == (pytest.approx(right, rel=1e-9, abs=1e-12) if isinstance(right, float) else right)
