"""Every candidate as a graph, alone and together, answers as it does itself."""

import numpy as np
import onnx
import pytest

from lepton.training.auto import graphs
from lepton.training.auto.candidates import FAMILIES, Size
from lepton.training.auto.settings import first
from lepton.training.auto.work import Rows, Task, learn

ROUNDING = 2e-5
"""Sums of float32 over some hundred trees, on probabilities and standardized numbers."""


def rows(classes):
    rng = np.random.default_rng(1)
    features = rng.normal(size=(240, 5)).astype(np.float32)
    features[:, 3] = np.round(features[:, 3], 1)  # equal values on both sides of a threshold
    score = features[:, 0] * features[:, 1] + features[:, 2] + 0.2 * rng.normal(size=240)
    targets = (score - score.mean()) / score.std()
    if classes:
        targets = np.digitize(score, np.quantile(score, np.linspace(0, 1, classes + 1)[1:-1]))
    return Rows(features, targets, classes, [np.arange(48)], (), 0)


def member(family, given):
    size = Size(len(given.features), given.features.shape[1], given.classes)
    values = first(FAMILIES[family].settings(size)) | ({"trees": 20} if "trees" in FAMILIES[family].name else {})
    return learn(given, Task("fit", family, family, values, 10_000), np.arange(240))


@pytest.mark.parametrize("classes", [None, 2, 3])
@pytest.mark.parametrize(
    "family", ["linear", "sparse", "products", "boosting", "random_forest", "neighbors", "network"]
)
@pytest.mark.filterwarnings(
    "ignore:.*(converge|Maximum iterations|lbfgs|penalty).*"
)  # three rounds more change nothing
def test_a_graph_answers_like_its_candidate(family, classes):
    given = rows(classes)
    found = member(family, given)
    assert graphs.difference(found, given.features) < ROUNDING


@pytest.mark.parametrize("family", ["lightgbm", "xgboost"])
@pytest.mark.filterwarnings("ignore")  # of both libraries' own use of scikit-learn and onnx
def test_trees_of_other_libraries_answer_alike_too(family):
    pytest.importorskip(family)
    for classes in (None, 3):
        given = rows(classes)
        assert graphs.difference(member(family, given), given.features) < ROUNDING


def test_members_answer_together_with_their_weights_and_in_the_unit_of_the_target():
    given = rows(None)
    members = [(member("linear", given), 0.25), (member("boosting", given), 0.75)]
    graph = graphs.compose(members, 5, mean=1000.0, scale=30.0)
    onnx.checker.check_model(onnx.load_from_string(graph))
    wanted = 1000.0 + 30.0 * sum(weight * one.answers(given.features).astype(float) for one, weight in members)
    got = graphs.run(graph, given.features).ravel()
    np.testing.assert_allclose(got, wanted, atol=1e-3)  # float32 of numbers around a thousand


def test_a_class_that_was_not_there_to_learn_from_gets_no_probability():
    given = rows(3)
    fewer = Rows(given.features, np.where(given.targets == 1, 2, given.targets), 3, given.folds, (), 0)
    found = member("boosting", fewer)
    answers = graphs.run(graphs.compose([(found, 1.0)], 5), given.features)
    assert answers.shape == (240, 3)
    assert (answers[:, 1] == 0).all()
    np.testing.assert_allclose(answers.sum(axis=1), 1.0, atol=1e-6)
    assert graphs.difference(found, given.features) < ROUNDING
