"""Scorecards: points that add up to the model's log-odds, and bins that weigh evidence."""

import csv
import io
import math

import numpy as np
import pytest

from lepton import LogisticRegression
from lepton.core.errors import InvalidInput
from lepton.training.scorecard import PER_UNIT, Part, Scale, evidence_of, parts_of_bins, scorecard, weigh_evidence


def draw(rows=3000):
    random = np.random.default_rng(0)
    features = np.column_stack([random.normal(40, 10, rows), random.exponential(2.0, rows)])
    features[::17, 1] = np.nan
    score = (features[:, 0] - 40) / 10 - np.nan_to_num(features[:, 1], nan=4.0) + 1
    return features, score + random.logistic(size=rows) > 0


def test_points_add_up_to_the_odds_of_the_model():
    features, good = draw()
    age = features[:, :1]
    model = LogisticRegression().fit(age, good)
    card = scorecard(
        [Part("age", PER_UNIT, float(model.coef_[0, 0]))], float(model.intercept_[0]), good="True", scale=Scale()
    )
    scores = card.start + card.lines[0].points * age[:, 0]
    p = model.predict_proba(age)[:, 1]
    odds = p / (1 - p)
    assert np.allclose(50 * 2 ** ((scores - 600) / 20), odds, rtol=1e-9)


def test_bins_weigh_what_they_say_and_missing_values_are_one():
    values = [1, 1, 2, 2, 3, 3, 4, 4, np.nan, np.nan]
    good = [0, 0, 0, 1, 1, 1, 1, 1, 0, 1]
    bins = weigh_evidence(values, good, bins=2)
    assert [one.condition for one in bins] == ["<= 2", "> 2", "missing"]
    assert [one.rows for one in bins] == [4, 4, 2]
    assert bins[0].evidence == pytest.approx(math.log((1.5 / 6.5) / (3.5 / 4.5)))
    assert bins[1].evidence > 0 > bins[0].evidence
    assert np.isfinite([one.evidence for one in bins]).all()
    assert evidence_of([2.0, 2.5, np.nan], bins).tolist() == [one.evidence for one in bins]


def test_a_card_of_bins_scores_as_its_model_does():
    features, good = draw()
    bins = [weigh_evidence(column, good) for column in features.T]
    evidence = np.column_stack([evidence_of(column, one) for column, one in zip(features.T, bins, strict=True)])
    model = LogisticRegression().fit(evidence, good)
    parts = [part for j, name in enumerate(["age", "debt"]) for part in parts_of_bins(name, bins[j], model.coef_[0, j])]
    card = scorecard(parts, float(model.intercept_[0]), good="True", scale=Scale())
    points = {(line.column, line.condition): line.points for line in card.lines}
    row = [35.0, np.nan]
    held = [next(b.condition for b in one if evidence_of([v], [b])[0] != 0) for v, one in zip(row, bins, strict=True)]
    score = card.start + points["age", held[0]] + points["debt", held[1]]
    known = [evidence_of([v], one)[0] for v, one in zip(row, bins, strict=True)]
    log_odds = float(model.decision_function([known])[0])
    assert score == pytest.approx(600 + 20 / math.log(2) * (log_odds - math.log(50)), abs=1e-9)
    assert model.score(evidence, good) > 0.75  # bins keep most of what the numbers say


def test_a_column_of_one_value_is_one_bin():
    assert [one.condition for one in weigh_evidence([5.0] * 4, [0, 1, 0, 1])] == ["any"]


def test_the_table_is_csv_that_no_spreadsheet_executes():
    card = scorecard([Part("=HYPERLINK(1)", "a, b", 1.0)], 0.0, good="yes", scale=Scale())
    rows = list(csv.reader(io.StringIO(card.to_csv())))
    assert rows[0] == ["column", "condition", "points"]
    assert rows[1][1] == "start"
    assert rows[2][:2] == ["'=HYPERLINK(1)", "a, b"]


@pytest.mark.parametrize(
    ("options", "name"), [({"odds": 0}, "odds"), ({"pdo": -1}, "pdo"), ({"base": math.inf}, "base")]
)
def test_impossible_scales_are_refused(options, name):
    with pytest.raises(InvalidInput, match=f"{name}="):
        Scale(**options)
