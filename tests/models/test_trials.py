"""A trial: measured on a part of the rows to learn from, blind for those that are held out, and without a version."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from models.conftest import customers
from models.workshop import EDITOR, Workshop

from lepton.core.columns import ColumnType
from lepton.core.refs import Ref
from lepton.models.records import TrainRequest
from lepton.models.target import hold_out, read_target
from lepton.runs.records import ONE_CPU, Resources, RunState


@pytest.fixture
def catalog_url() -> str:
    """Training itself does not depend on the catalog: SQLite is enough here."""
    return "sqlite"


FEATURES = ("age", "income", "city", "member")


@pytest.mark.parametrize(("target", "measured"), [("bought", "accuracy"), ("spent", "r2")])
def test_a_trial_is_measured_and_makes_no_version(workshop: Workshop, target: str, measured: str) -> None:
    workshop.datasets.add("table", customers(), run_id="r")
    run, recorded = workshop.train(target=target, features=FEATURES, trial=True)
    assert (run.state, run.outputs) == (RunState.SUCCEEDED, ())
    assert workshop.models.list(EDITOR) == []
    assert {"valid_loss", f"valid_{measured}"} <= recorded.metrics.keys()
    assert not [name for name in recorded.metrics if name.startswith("test_")]
    told = {name: points[-1][1] for name, points in recorded.metrics.items()}
    expected = told["valid_log_loss"] if target == "bought" else told["valid_rmse"] ** 2
    assert told["valid_loss"] == expected
    assert not [line for line in recorded.lines if "left out" in line], "those held out are not missing"
    assert run.resources == Resources(0.95), "so that as many fit beside the search as there are processors"
    other, _ = workshop.train(target=target, features=FEATURES)
    assert other.resources == ONE_CPU


def test_what_is_in_the_held_out_rows_changes_nothing_of_a_trial(workshop: Workshop) -> None:
    frame = customers()
    target = read_target(frame["spent"], ColumnType.NUMBER, "linear_regression")
    _, held_out = hold_out(target, 0.2, 0)
    spoiled = frame.with_columns(
        pl.Series("spent", np.where(held_out, 1e9, frame["spent"].to_numpy())),
        pl.Series("income", np.where(held_out, -1e9, frame["income"].to_numpy())),
    )
    found = []
    for version in (frame, spoiled):
        ref = workshop.datasets.add("table", version, run_id="r")
        dataset = Ref("table", int(ref.partition("@")[2]))
        _, recorded = workshop.train(
            target="spent", features=("age", "income"), trial=True, dataset=dataset, recipe="linear_regression"
        )
        found.append({name: points for name, points in recorded.metrics.items() if name.startswith("valid_")})
    assert found[0] == found[1]


def test_two_workers_measure_what_one_measures(workshop: Workshop) -> None:
    workshop.datasets.add("table", customers(), run_id="r")
    values = [
        workshop.train(target="bought", features=FEATURES, trial=True, workers=workers)[1].metrics["valid_loss"][0][1]
        for workers in (1, 2)
    ]
    assert values[0] == pytest.approx(values[1], rel=1e-6)  # solvers stop within their tolerance on whatever shards


def test_a_trial_of_one_key_is_tried_once(workshop: Workshop) -> None:
    workshop.datasets.add("table", customers(), run_id="r")
    first, _ = workshop.train(target="bought", features=FEATURES, trial=True, key="study:a:0")
    again = workshop.models.train(
        EDITOR, request=TrainRequest("model", Ref("table"), "bought", trial=True, key="study:a:0")
    )
    assert again.id == first.id
