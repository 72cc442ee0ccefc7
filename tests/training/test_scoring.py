"""Scores against scikit-learn's, and the warning for scores that mean nothing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics

from lepton.core.errors import InvalidInput
from lepton.training import scoring

SAME = 1e-12  # the same sums in another order


@st.composite
def scored_rows(draw):
    rows = draw(st.integers(2, 30))
    true = draw(st.lists(st.booleans(), min_size=rows, max_size=rows).filter(lambda t: 0 < sum(t) < len(t)))
    scores = draw(st.lists(st.integers(0, 5).map(lambda i: i / 5), min_size=rows, max_size=rows))  # with ties
    return np.array(true), np.array(scores)


@settings(max_examples=100, deadline=None)
@given(scored_rows())
def test_roc_is_that_of_scikit_learn_ties_included(rows):
    true, scores = rows
    assert scoring.roc_auc(true, scores) == pytest.approx(metrics.roc_auc_score(true, scores), abs=SAME)
    false_rate, true_rate, thresholds = scoring.roc_curve(true, scores)
    expected = metrics.roc_curve(true, scores, drop_intermediate=False)
    for mine, theirs in zip((false_rate, true_rate, thresholds), expected, strict=True):
        assert np.allclose(mine, theirs, atol=SAME)


def test_scores_of_classes_are_those_of_scikit_learn():
    random = np.random.default_rng(0)
    classes = np.array(["a", "b", "c"])
    true, predicted = random.choice(classes, 200), random.choice(classes, 200)
    probabilities = random.dirichlet([1, 1, 1], 200)
    assert scoring.accuracy(true, predicted) == pytest.approx(metrics.accuracy_score(true, predicted), abs=SAME)
    assert np.array_equal(
        scoring.confusion_matrix(true, predicted, classes), metrics.confusion_matrix(true, predicted, labels=classes)
    )
    assert scoring.log_loss(true, probabilities, classes) == pytest.approx(
        metrics.log_loss(true, probabilities), abs=SAME
    )
    assert scoring.roc_auc_one_vs_rest(true, probabilities, classes) == pytest.approx(
        metrics.roc_auc_score(true, probabilities, multi_class="ovr"), abs=SAME
    )


def test_scores_of_numbers_are_those_of_scikit_learn():
    random = np.random.default_rng(1)
    true = random.normal(size=100) + 10
    predicted = true + random.normal(size=100)
    assert scoring.r2(true, predicted) == pytest.approx(metrics.r2_score(true, predicted), abs=SAME)
    assert scoring.mean_absolute_error(true, predicted) == pytest.approx(
        metrics.mean_absolute_error(true, predicted), abs=SAME
    )
    assert scoring.root_mean_squared_error(true, predicted) == pytest.approx(
        metrics.root_mean_squared_error(true, predicted), abs=SAME
    )
    assert scoring.share_within([100.0, -100.0, 100.0, 0.0], [110.0, -89.0, 111.0, 0.0], 0.10) == 0.5


@pytest.mark.parametrize("score", [scoring.accuracy, scoring.exact_match])
@pytest.mark.parametrize(
    ("true", "predicted"),
    [([1.5, 2.5], [1.5, 2.4]), ([100, 200], [100.0, 200.1]), (np.arange(30.0), np.arange(30.0))],
)
def test_exact_equality_of_measurements_warns_and_says_what_to_use(score, true, predicted):
    with pytest.warns(UserWarning, match=r"r2, mean_absolute_error, root_mean_squared_error or share_within") as caught:
        score(true, predicted)
    assert caught[0].filename == __file__


@pytest.mark.parametrize(
    ("true", "predicted"),
    [(["a", "b"], ["a", "a"]), ([0, 1], [0, 0]), ([0.0, 1.0], [0.0, 0.0]), ([True, False], [True, True])],
)
def test_exact_equality_of_labels_is_silent(true, predicted):
    assert scoring.accuracy(true, predicted) == scoring.exact_match(true, predicted) == 0.5


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: scoring.roc_auc([1, 1], [0.1, 0.2]), "only one"),
        (lambda: scoring.roc_auc_one_vs_rest(["a"], [[1.0, 0.0]], ["a", "b"]), "only one"),
        (lambda: scoring.r2([1.0, 1.0], [1.0, 2.0]), "all true values are equal"),
        (lambda: scoring.accuracy([1], [1, 2]), "Two lists of one length"),
        (lambda: scoring.accuracy([], []), "Two lists of one length"),
        (lambda: scoring.confusion_matrix(["secret"], ["a"], ["a", "b"]), "not among the classes"),
        (lambda: scoring.log_loss(["secret"], [[0.5, 0.5]], ["a", "b"]), "not among the classes"),
    ],
)
def test_scores_that_do_not_exist_are_refused_without_quoting_the_data(call, sentence):
    with pytest.raises(InvalidInput) as caught:
        call()
    assert sentence in caught.value.message
    assert "secret" not in caught.value.message
