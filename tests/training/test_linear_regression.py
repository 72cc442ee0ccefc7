"""LinearRegression: scikit-learn's contract, the methods, and what it refuses."""

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LinearRegression as Reference
from sklearn.linear_model import Ridge
from sklearn.utils.estimator_checks import check_estimator

from lepton import LinearRegression
from lepton.core.errors import InvalidInput
from lepton.training.context import TrainingContext
from lepton.training.problems import CollinearWarning

EXACT = 1e-9  # normal equations of standardized columns lose about the square of their condition, at most 100 here


def draw(rows=500, columns=3, noise=0.1, seed=0):
    random = np.random.default_rng(seed)
    features = random.normal(size=(rows, columns)) * (1 + np.arange(columns)) + 5
    return features, features @ np.arange(1.0, columns + 1) - 2 + noise * random.normal(size=rows)


@pytest.mark.parametrize(
    "model",
    [LinearRegression(), LinearRegression(solver="gd"), LinearRegression(l2=0.1), LinearRegression(l1=0.1)],
    ids=str,
)
def test_scikit_learns_own_checks_pass(model):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # some checks fit columns that are far from scaled
        warnings.simplefilter("ignore", CollinearWarning)  # and some, columns that are all the same
        results = check_estimator(model, on_skip=None)
    assert {result["check_name"] for result in results if result["status"] != "passed"} <= {"check_array_api_input"}
    assert len(results) > 40


def test_the_script_of_a_tutorial_runs_unchanged():
    data = pd.DataFrame({"area": [50.0, 65.0, 80.0, 95.0, 110.0, 140.0], "price": [110, 142, 171, 203, 228, 290]})
    data["area"] = (data["area"] - data["area"].mean()) / data["area"].std()
    x, y = data[["area"]], data["price"]
    model = LinearRegression()
    model.fit(x, y)
    y_pred = model.predict(x)
    assert y_pred.shape == y.shape
    assert (y_pred == y).mean() == 0.0  # what careless tutorials print: it says nothing, and NumPy cannot warn
    assert model.score(x, y) > 0.99
    assert np.allclose(y_pred, Reference().fit(x, y).predict(x), rtol=EXACT)
    assert list(model.feature_names_in_) == ["area"]


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("l2", [0.0, 3.0])
def test_exact_finds_the_weights_that_scikit_learn_finds(intercept, l2):
    features, target = draw()
    model = LinearRegression(solver="exact", l2=l2, fit_intercept=intercept).fit(features, target)
    reference = Ridge(alpha=l2, fit_intercept=intercept, solver="svd").fit(features, target)
    assert np.allclose(model.coef_, reference.coef_, rtol=EXACT)
    assert model.intercept_ == pytest.approx(reference.intercept_, rel=EXACT)


@pytest.mark.parametrize("intercept", [True, False])
@pytest.mark.parametrize("l2", [0.0, 3.0])
def test_gradient_descent_ends_at_the_exact_solution(intercept, l2):
    features, target = draw()
    features = (features - features.mean(axis=0)) / features.std(axis=0)
    options = {"l2": l2, "fit_intercept": intercept}
    walked = LinearRegression(solver="gd", tolerance=1e-10, **options).fit(features, target)
    exact = LinearRegression(solver="exact", **options).fit(features, target)
    # a gradient of 1e-10 of the first one, on standardized columns, leaves weights this near
    assert np.allclose(walked.coef_, exact.coef_, atol=1e-8)
    assert walked.intercept_ == pytest.approx(exact.intercept_, abs=1e-8)
    assert walked.loss_curve_[-1] == pytest.approx(exact.loss_curve_[-1], rel=1e-9)


def test_the_loss_falls_with_every_step_of_gradient_descent():
    features, target = draw(noise=1.0, seed=1)
    model = LinearRegression(solver="gd").fit((features - 5) / [1, 2, 3], target)
    assert np.all(np.diff(model.loss_curve_) <= 0)
    assert len(model.loss_curve_) == model.n_iter_ > 10


def test_mini_batches_get_near_the_exact_solution_and_repeat_with_the_seed():
    features, target = draw(rows=2000)
    features = (features - features.mean(axis=0)) / features.std(axis=0)
    make = lambda: LinearRegression(solver="gd", batch_size=64, max_iterations=200, tolerance=1e-5, random_state=4)  # noqa: E731
    one, two = (make().fit(features, target) for _ in range(2))
    assert np.array_equal(one.coef_, two.coef_)
    exact = LinearRegression().fit(features, target)
    assert np.allclose(one.coef_, exact.coef_, atol=0.02)  # noise 0.1 over batches of 64: a few thousandths remain
    assert one.n_iter_ < 200


@settings(max_examples=60, deadline=None)
@given(
    features=arrays.arrays(np.float64, (12, 3), elements=st.floats(-1e3, 1e3).map(lambda x: round(x, 2))),
    weights=arrays.arrays(np.float64, 3, elements=st.floats(-10, 10).map(lambda x: round(x, 2))),
    collinear=st.booleans(),
)
def test_exact_reproduces_any_linear_target_collinear_or_not(features, weights, collinear):
    if collinear:
        features[:, 2] = 2 * features[:, 0] - features[:, 1]
    target = features @ weights + 1.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CollinearWarning)
        model = LinearRegression().fit(features, target)
    assert np.allclose(model.predict(features), target, rtol=1e-6, atol=1e-6 * max(1.0, np.abs(target).max()))


def test_columns_of_very_different_size_and_place_keep_their_digits():
    random = np.random.default_rng(2)
    features = np.column_stack([1.7e9 + random.normal(size=300), 1e-6 * random.normal(size=300), np.full(300, 0.1)])
    target = 2 * (features[:, 0] - 1.7e9) + 3e6 * features[:, 1]
    model = LinearRegression().fit(features, target)
    # 1.7e9 + x keeps x to 2e-7, so the prediction cannot be nearer than about that
    assert np.allclose(model.predict(features), target, atol=1e-5)
    assert abs(model.coef_[2]) < 1e-12  # a constant column has no say


def test_more_columns_than_rows_fit_exactly():
    random = np.random.default_rng(3)
    features, target = random.normal(size=(10, 30)), random.normal(size=10)
    with pytest.warns(CollinearWarning, match="and 22 more"):
        model = LinearRegression().fit(features, target)
    assert model.score(features, target) == pytest.approx(1.0, abs=1e-12)
    assert model.rank_ == 10


def test_a_walk_that_is_too_short_says_what_to_do():
    features, target = draw()
    with pytest.warns(ConvergenceWarning, match="scale the columns") as caught:
        LinearRegression(solver="gd", max_iterations=5).fit(features * [1, 1000, 1], target)
    assert caught[0].filename == __file__


def test_a_step_that_is_too_long_is_refused_before_numbers_overflow():
    with pytest.raises(InvalidInput, match="learning_rate=10"):
        LinearRegression(solver="gd", learning_rate=10.0).fit(*draw())


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"solver": "newton"}, "There is no solver 'newton'; choose one of auto, exact, gd"),
        ({"l2": -1.0}, "l2=-1.0 is not possible"),
        ({"l1": -1.0}, "l1=-1.0 is not possible"),
        ({"l1": 1.0, "solver": "gd"}, "l1 is not for solver='gd'"),
        ({"l2": float("nan")}, "l2=nan is not possible"),
        ({"max_iterations": 1.5}, "max_iterations=1.5 is not possible; give a whole number of at least 1"),
        ({"solver": "gd", "learning_rate": 0.0}, "learning_rate=0.0 is not possible"),
        ({"solver": "gd", "learning_rate": "fast"}, "learning_rate='fast' is not possible"),
        ({"solver": "gd", "batch_size": 0}, "batch_size=0 is not possible"),
        ({"batch_size": 10}, "batch_size is for gradient descent only"),
    ],
)
def test_impossible_parameters_are_refused(options, sentence):
    with pytest.raises(InvalidInput) as caught:
        LinearRegression(**options).fit(*draw())
    assert sentence in caught.value.message
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("batches", "sentence"),
    [
        ([], "no rows"),
        ([(np.zeros((0, 2)), np.zeros(0))], "no rows"),
        ([(np.array([[1.0, np.nan]]), np.ones(1))], "Feature column 1 has missing or infinite values"),
        ([(np.ones((1, 2)), np.array([np.nan]))], "The target has missing"),
        ([(np.ones((1, 2)), np.array(["secret"]))], "The target is not numeric"),
        ([(np.ones((2, 2)), np.ones(1))], "one target a row"),
        ([(np.ones((1, 2)), np.ones(1)), (np.ones((1, 3)), np.ones(1))], "3 columns, the first one had 2"),
    ],
)
def test_rows_that_cannot_be_used_are_refused_without_quoting_them(batches, sentence):
    with pytest.raises(InvalidInput) as caught:
        LinearRegression().fit_batches(lambda: iter(batches))
    assert sentence in caught.value.message
    assert "secret" not in caught.value.message


def test_batches_that_change_between_passes_are_refused():
    features, target = draw(rows=20)
    passes = iter([[(features, target)], [(features[:10], target[:10])], []])
    with pytest.raises(InvalidInput, match="changed between two passes"):
        LinearRegression(solver="gd").fit_batches(lambda: iter(next(passes)))


def test_a_run_that_is_told_to_stop_keeps_what_it_has_and_logs_every_step():
    logged = []
    context = TrainingContext(
        log=lambda metrics, step: logged.append((step, metrics["loss"])), should_stop=lambda: len(logged) == 7
    )
    features, target = draw()
    model = LinearRegression(solver="gd", tolerance=0.0).fit_batches(
        lambda: iter([(features, target)]), context=context
    )
    assert model.n_iter_ == 7
    assert [step for step, _ in logged] == list(range(1, 8))
    assert [loss for _, loss in logged] == model.loss_curve_
    assert model.predict(features).shape == target.shape


def test_score_is_r2():
    features, target = draw(noise=3.0)
    model = LinearRegression().fit(features, target)
    assert model.score(features, target) == pytest.approx(Reference().fit(features, target).score(features, target))
