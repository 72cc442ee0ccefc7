"""Ridge, lasso and elastic net: the optimum that scikit-learn's solvers find, and the conditions that make it one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import ElasticNet, Lasso
from sklearn.linear_model import LogisticRegression as Reference

from lepton import LinearRegression, LogisticRegression
from lepton.training.solvers.coordinates import minimize_quadratic

OPTIMUM = 1e-6  # scikit-learn's coordinate descent and saga are asked for more digits than this


def draw(rows=400, columns=8, seed=0):
    random = np.random.default_rng(seed)
    features = random.normal(size=(rows, columns)) * np.linspace(0.2, 3, columns) + 1
    features[:, 1] += features[:, 0]  # correlated, so that the order of coordinates matters
    score = features @ [2.0, 0, 0, -1.0, 0.5, 0, 0, 0.1][:columns]
    return features, score, random


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("l1_ratio", [0.1, 0.5, 0.99])
def test_the_elastic_net_is_scikit_learns_in_its_own_units(l1_ratio, intercept):
    features, score, random = draw()
    target = score + random.normal(size=len(score))
    alpha = 0.3
    model = LinearRegression(
        l1=len(target) * alpha * l1_ratio, l2=len(target) * alpha * (1 - l1_ratio), fit_intercept=intercept
    ).fit(features, target)
    reference = ElasticNet(alpha=alpha, l1_ratio=l1_ratio, fit_intercept=intercept, tol=1e-12, max_iter=100_000)
    reference.fit(features, target)
    assert np.allclose(model.coef_, reference.coef_, atol=OPTIMUM)
    assert model.intercept_ == pytest.approx(reference.intercept_, abs=OPTIMUM)
    assert model.n_iter_ == 1
    residual = target - model.predict(features)
    loss = 0.5 * np.mean(residual**2) + alpha * (
        l1_ratio * np.abs(model.coef_).sum() + 0.5 * (1 - l1_ratio) * np.sum(model.coef_**2)
    )
    assert model.loss_curve_[-1] == pytest.approx(loss, rel=1e-9)


def test_the_lasso_makes_the_same_weights_exactly_0_as_scikit_learn_does():
    features, score, random = draw(rows=60)
    target = score + random.normal(size=len(score))
    model = LinearRegression(l1=60 * 0.2).fit(features, target)
    reference = Lasso(alpha=0.2, tol=1e-12, max_iter=100_000).fit(features, target)
    assert ((model.coef_ == 0) == (reference.coef_ == 0)).all()
    assert 0 < (model.coef_ == 0).sum() < 8
    assert (LinearRegression(l1=1e9).fit(features, target).coef_ == 0).all()


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("l1_ratio", [0.3, 1.0])
def test_sparse_logistic_regression_is_scikit_learns(classes, l1_ratio):
    features, score, random = draw()
    features = features / features.std(axis=0)  # saga needs this, not we
    noisy = score + random.logistic(size=len(score))
    target = np.digitize(noisy, np.quantile(noisy, np.arange(1, classes) / classes))
    strength = 8.0
    model = LogisticRegression(l1=strength * l1_ratio, l2=strength * (1 - l1_ratio)).fit(features, target)
    reference = Reference(C=1 / strength, l1_ratio=l1_ratio, solver="saga", tol=1e-9, max_iter=20_000)
    reference.fit(features, target)
    # saga stops by the change of the weights: it is within a hundred times its tolerance of the optimum
    assert np.allclose(model.coef_, reference.coef_, atol=1e-5)
    assert np.allclose(model.predict_proba(features), reference.predict_proba(features), atol=1e-5)
    assert ((model.coef_ == 0) == (np.abs(reference.coef_) < 1e-6)).all()
    assert (model.coef_ == 0).any()


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 1000),
    classes=st.integers(2, 3),
    l1=st.sampled_from([0.1, 1.0, 10.0]),
    l2=st.sampled_from([0.0, 1.0]),
    rows=st.integers(12, 60),
)
def test_no_weight_can_be_moved_for_the_better(seed, classes, l1, l2, rows):
    features, score, random = draw(rows=rows, seed=seed)
    noisy = score + random.logistic(size=len(score))
    target = np.digitize(noisy, np.quantile(noisy, np.arange(1, classes) / classes))
    model = LogisticRegression(l1=l1, l2=l2, tolerance=1e-8).fit(features, target)
    excess = model.predict_proba(features) - (target[:, None] == model.classes_)
    excess = excess[:, 1:] if classes == 2 else excess
    slope = excess.T @ features + l2 * model.coef_
    zero = model.coef_ == 0
    # Newton's last step is at most 1e-6 long here, and columns are as long as 4 times the root of the rows
    slack = 1e-4 * rows
    assert (np.abs(slope[zero]) <= l1 + slack).all()
    assert np.allclose(slope[~zero], -l1 * np.sign(model.coef_[~zero]), atol=slack)


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 10_000), size=st.integers(1, 8), rank=st.integers(1, 8), strength=st.floats(0, 5))
def test_a_sparse_quadratic_ends_where_its_subgradient_holds_0(seed, size, rank, strength):
    random = np.random.default_rng(seed)
    root = random.normal(size=(rank, size))
    matrix, right = root.T @ root, root.T @ random.normal(size=rank)
    sparsity = np.where(random.random(size) < 0.8, strength, 0.0)
    found = minimize_quadratic(matrix, right, sparsity, random.normal(size=size))
    slope = matrix @ found - right
    size_of_all = 1e-8 * (1 + np.abs(right).max() + np.abs(matrix).max() * np.abs(found).max())
    assert (np.abs(slope[found == 0]) <= sparsity[found == 0] + size_of_all).all()
    assert np.allclose(slope[found != 0], -(sparsity * np.sign(found))[found != 0], atol=size_of_all)


def test_a_second_fit_with_warm_start_begins_at_the_first():
    features, score, random = draw(rows=2000)
    features = (features - features.mean(axis=0)) / features.std(axis=0)
    target = (score + random.logistic(size=len(score)) > 0).astype(int)
    for solver in ("newton", "lbfgs", "gd"):
        cold = LogisticRegression(solver=solver, warm_start=True).fit(features, target)
        passes, weights = cold.n_iter_, cold.coef_
        warm = cold.fit(features, target)
        assert warm.n_iter_ < passes / 2 if solver != "newton" else warm.n_iter_ <= 2
        assert np.allclose(warm.coef_, weights, atol=1e-4)
    number = score + random.normal(size=len(score))
    walked = LinearRegression(solver="gd", warm_start=True).fit(features, number)
    passes = walked.n_iter_
    assert walked.fit(features, number).n_iter_ < passes / 2
    other = walked.fit(features[:, :5], number)  # of other columns: from 0
    assert other.coef_.shape == (5,)
