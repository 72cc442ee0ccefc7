"""What a trained version says of its weights, in the columns' own units, and its scorecard."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import polars as pl
import pytest
from models.conftest import customers
from models.workshop import EDITOR, OWNER, Workshop

from lepton.core.columns import ColumnClass
from lepton.core.errors import Forbidden, InvalidInput
from lepton.core.refs import Ref
from lepton.models.frames import predict_frame
from lepton.models.prediction import open_session
from lepton.models.records import Plot
from lepton.models.scorecards import scorecard_of
from lepton.training.scorecard import Scale, Scorecard


@pytest.fixture
def catalog_url() -> str:
    """What is kept does not depend on the catalog: SQLite is enough here."""
    return "sqlite"


def plots(workshop: Workshop) -> Any:
    return workshop.models.get(OWNER, Ref("model")).plots


def summary(workshop: Workshop) -> Any:
    return next(plot.data for plot in plots(workshop) if plot.kind == "summary")


def terms(workshop: Workshop) -> dict[str, dict[str, Any]]:
    return {term["name"]: term for term in summary(workshop)["terms"]}


def full(rows: int = 600) -> pl.DataFrame:
    return customers(rows).drop_nulls()


@pytest.mark.parametrize("workers", [1, 2])
def test_a_regression_says_what_least_squares_says_on_the_same_rows(workshop: Workshop, workers: int) -> None:
    frame = full()
    workshop.datasets.add("table", frame, run_id="r")
    workshop.train(target="spent", features=("age", "income", "city"), test_fraction=0.5, workers=workers)
    found = terms(workshop)
    inputs = {column.name: column for column in workshop.models.get(OWNER, Ref("model")).signature.inputs}
    (first, *others) = inputs["city"].values or ()
    assert {*found} == {"age", "income", *(f"city = {city}" for city in others), "(intercept)"}
    for name, truth in (("age", 20 / 15), ("income", 20 / 800)):
        assert found[name]["low"] <= truth <= found[name]["high"]
    paris = 30.0 if first != "Paris" else 0.0
    for city in others:
        truth = (30.0 if city == "Paris" else 0.0) - (30.0 - paris)
        assert abs(found[f"city = {city}"]["estimate"] - truth) < 4 * found[f"city = {city}"]["error"]
    assert found["age"]["p"] < 1e-10
    assert summary(workshop)["facts"]["r2"] > 0.7
    assert "most frequent" in summary(workshop)["notes"][0]


def test_the_estimates_are_those_of_plain_columns(workshop: Workshop) -> None:
    """All rows but a sliver are learned from: numpy's least squares on them finds nearly the same weights."""
    frame = full(3000).select("age", "income", "member", "spent")
    workshop.datasets.add("table", frame, run_id="r")
    workshop.train(target="spent", test_fraction=0.001)
    design = np.column_stack([frame["age"], frame["income"], frame["member"].cast(pl.Float64), np.ones(frame.height)])
    weights, *_ = np.linalg.lstsq(design, frame["spent"].to_numpy(), rcond=None)
    found = terms(workshop)
    for name, weight in zip(["age", "income", "member", "(intercept)"], weights, strict=True):
        assert abs(found[name]["estimate"] - weight) < 0.2 * found[name]["error"]


def test_a_scorecard_scores_rows_as_the_graph_answers(workshop: Workshop) -> None:
    workshop.datasets.add("table", customers(), run_id="r")
    workshop.train(target="bought", features=("age", "income", "city", "member"))
    card = scorecard_of(plots(workshop), good="yes", scale=Scale())
    model = workshop.models.open(EDITOR, Ref("model"))
    frame = customers(200, seed=5)
    answers = predict_frame(open_session(model.graph), model.signature, frame)["probabilities"]
    yes = list(model.signature.classes or ()).index("yes")
    scores = [score(card, row) for row in frame.to_dicts()]
    expected = 600 + 20 / math.log(2) * (np.log(answers[:, yes] / answers[:, 1 - yes]) - math.log(50))
    np.testing.assert_allclose(scores, expected, atol=1e-3)  # points of probabilities that are kept to 1e-6
    other = scorecard_of(plots(workshop), good="no", scale=Scale())
    assert other.lines[0].points == pytest.approx(-card.lines[0].points)


def score(card: Scorecard, row: dict[str, Any]) -> float:
    """Add up points as one would by hand."""
    total = card.start
    for line in card.lines:
        value = row[line.column]
        if line.condition == "per unit":
            total += 0 if value is None else line.points * float(value)
        elif value is None:
            total += line.points * (line.condition == "missing")
        else:
            total += line.points * (line.condition == f"is {value}")
    return total


def test_a_scorecard_needs_two_classes_and_one_of_them(workshop: Workshop) -> None:
    workshop.datasets.add("table", customers(), run_id="r")
    workshop.train(target="spent", features=("age",))
    with pytest.raises(InvalidInput, match="this model is none"):
        scorecard_of(plots(workshop), good=None, scale=Scale())
    workshop.train(target="bought", features=("age",))
    with pytest.raises(InvalidInput, match="no class 'perhaps'; choose 'no' or 'yes'"):
        scorecard_of(plots(workshop), good="perhaps", scale=Scale())


def test_who_may_not_read_a_column_sees_no_weight_of_its_categories(workshop: Workshop) -> None:
    workshop.datasets.add("table", customers(), run_id="r", city=ColumnClass.PERSONAL)
    workshop.train(OWNER, target="bought", features=("age", "city"))
    assert "city = Rome" in str(summary(workshop)["terms"])
    with pytest.raises(Forbidden, match="personal columns, whose values are in its scorecard"):
        workshop.models.scorecard(EDITOR, Ref("model"), scale=Scale())
    assert workshop.models.scorecard(OWNER, Ref("model"), scale=Scale()).good == "yes"
    seen = workshop.models.get(EDITOR, Ref("model"))
    assert "summary" not in [plot.kind for plot in seen.plots]


def test_penalties_and_class_weights_reach_the_platforms_training(workshop: Workshop) -> None:
    workshop.datasets.add("table", customers(), run_id="r")
    workshop.train(target="bought", features=("age", "income"), params={"l1": 1e6})
    assert [term["estimate"] for term in summary(workshop)["terms"]][:2] == [0.0, 0.0]
    workshop.train(target="bought", features=("age", "income"), params={"class_weight": "balanced"})
    assert "by class" in summary(workshop)["notes"][0]
    with pytest.raises(InvalidInput, match="class_weight is for classes"):
        workshop.train(target="spent", features=("age",), params={"class_weight": "balanced"})


@pytest.mark.parametrize("card", [5, {"classes": "a"}, {"classes": ["a", "b"], "intercept": 0.0, "parts": [["age"]]}])
def test_a_summary_that_a_run_has_made_up_is_no_scorecard(card: object) -> None:
    with pytest.raises(InvalidInput, match="Only a logistic regression of two classes has a scorecard"):
        scorecard_of([Plot("summary", {"card": card})], good=None, scale=Scale())
