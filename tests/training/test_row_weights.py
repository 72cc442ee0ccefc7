"""Rows and classes that count more than others."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression as Reference
from sklearn.linear_model import Ridge

from lepton import LinearRegression, LogisticRegression
from lepton.core.errors import InvalidInput

OPTIMUM = 1e-6


def draw(rows=500, seed=0):
    random = np.random.default_rng(seed)
    features = random.normal(size=(rows, 3)) * [1, 2, 3] + 1
    score = features @ [1.0, -0.5, 0.2]
    weights = random.integers(0, 4, size=rows).astype(float)
    noisy = score + random.logistic(size=rows)
    return features, score + random.normal(size=rows), np.digitize(noisy, [-1.0, 2.5]), weights


@pytest.mark.parametrize("solver", ["exact", "gd"])
def test_a_weight_of_three_is_three_rows_and_one_of_0_is_none(solver):
    features, number, _, weights = draw()
    features = (features - features.mean(axis=0)) / features.std(axis=0)
    again = np.repeat(np.arange(len(weights)), weights.astype(int))
    make = lambda: LinearRegression(solver=solver, l2=2.0, tolerance=1e-10)  # noqa: E731
    weighted, repeated = make().fit(features, number, weights), make().fit(features[again], number[again])
    assert np.allclose(weighted.coef_, repeated.coef_, rtol=1e-9)
    assert weighted.loss_curve_[-1] == pytest.approx(repeated.loss_curve_[-1], rel=1e-9)
    reference = Ridge(alpha=2.0, solver="svd").fit(features, number, weights)
    assert np.allclose(weighted.coef_, reference.coef_, atol=1e-8)
    assert np.allclose(weighted.inference_.errors, repeated.inference_.errors, rtol=1e-6)


@pytest.mark.parametrize("class_weight", [None, "balanced", {0: 3.0, 2: 0.25}])
@pytest.mark.parametrize("solver", ["newton", "lbfgs", "gd"])
def test_class_and_row_weights_are_scikit_learns(solver, class_weight):
    features, _, label, weights = draw()
    features = (features - features.mean(axis=0)) / features.std(axis=0)  # which gradient descent needs
    options = {"tolerance": 1e-9, "max_iterations": 20_000} if solver != "newton" else {}
    model = LogisticRegression(solver=solver, class_weight=class_weight, **options).fit(features, label, weights + 0.5)
    reference = Reference(class_weight=class_weight, solver="newton-cholesky", tol=1e-10, max_iter=1000)
    reference.fit(features, label, weights + 0.5)
    assert np.allclose(model.predict_proba(features), reference.predict_proba(features), atol=OPTIMUM)


def test_balanced_classes_are_found_as_often_as_there_are():
    features, _, _, _ = draw(rows=4000)
    rare = (features[:, 0] + np.random.default_rng(1).logistic(size=4000) > 4.5).astype(int)
    assert 0.01 < rare.mean() < 0.1
    plain, balanced = LogisticRegression(), LogisticRegression(class_weight="balanced")
    found = [model.fit(features, rare).predict(features)[rare == 1].mean() for model in (plain, balanced)]
    assert found[0] < 0.1 < 0.6 < found[1]


def test_weights_hold_with_the_sample_that_newton_begins_from():
    features, _, label, weights = draw(rows=40_000)
    model = LogisticRegression(class_weight="balanced").fit(features, label, weights)
    reference = Reference(class_weight="balanced", solver="newton-cholesky", tol=1e-10, max_iter=1000)
    reference.fit(features, label, weights)
    assert np.allclose(model.predict_proba(features), reference.predict_proba(features), atol=OPTIMUM)


def test_mini_batches_pass_over_rows_that_do_not_count():
    features, number, _, _ = draw()
    features = (features - features.mean(axis=0)) / features.std(axis=0)
    weights = np.zeros(len(number))
    weights[::25] = 1.0
    options = {"batch_size": 5, "random_state": 0, "tolerance": 1e-5, "max_iterations": 300}
    model = LinearRegression(solver="gd", **options).fit(features, number, weights)
    exact = LinearRegression().fit(features[::25], number[::25])
    assert np.allclose(model.coef_, exact.coef_, atol=0.1)  # noise of 1 over batches with one row that counts


@pytest.mark.parametrize(
    ("model", "weights", "sentence"),
    [
        (LinearRegression(), np.ones(499), "do not fit 500 rows"),
        (LinearRegression(), np.full(500, -1.0), "below 0"),
        (LinearRegression(), np.full(500, np.nan), "missing, infinite"),
        (LinearRegression(), np.zeros(500), "weights of rows are zero"),
        (LogisticRegression(class_weight="even"), np.ones(500), "class_weight='even' is not possible"),
        (LogisticRegression(class_weight={7: 1.0}), np.ones(500), "a class that the rows do not have"),
        (LogisticRegression(class_weight={1: -1.0}), np.ones(500), "A class weight of -1.0 is not possible"),
        (LogisticRegression(class_weight={0: 0, 1: 0, 2: 0}), np.ones(500), "No class has a weight above 0"),
    ],
)
def test_weights_that_are_not_possible_are_refused(model, weights, sentence):
    features, _, label, _ = draw()
    with pytest.raises(InvalidInput, match=sentence):
        model.fit(features, label, weights)
