"""LogisticRegression: scikit-learn's contract, one optimum by every method, labels of every type."""

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression as Reference
from sklearn.utils.estimator_checks import check_estimator

from lepton import LogisticRegression
from lepton.core.errors import InvalidInput
from lepton.training.context import TrainingContext
from lepton.training.problems import CollinearWarning
from lepton.training.solvers.objective import Objective

OPTIMUM = 1e-6  # both sides stop within about this of the optimum


def draw(rows=600, classes=2, seed=0, columns=4):
    random = np.random.default_rng(seed)
    features = random.normal(size=(rows, columns)) * [1, 2, 0.5, 1] + [0, 1, 0, -1]
    score = features @ [1.0, -0.5, 2.0, 0.3]
    noisy = score + random.logistic(size=rows)
    return features, np.digitize(noisy, np.quantile(noisy, np.arange(1, classes) / classes))


def reference(features, target, l2):
    model = Reference(C=1 / l2, solver="newton-cholesky", tol=1e-10, max_iter=1000)
    return model.fit(features, target)


@pytest.mark.parametrize(
    "model",
    [
        LogisticRegression(),
        LogisticRegression(solver="gd"),
        LogisticRegression(solver="lbfgs"),
        LogisticRegression(l1=0.5),
    ],
    ids=str,
)
def test_scikit_learns_own_checks_pass(model):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # some checks fit columns that are far from scaled
        results = check_estimator(model, on_skip=None)
    assert {result["check_name"] for result in results if result["status"] != "passed"} <= {"check_array_api_input"}
    assert len(results) > 40


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("solver", ["newton", "lbfgs", "gd"])
@pytest.mark.parametrize("l2", [0.01, 1.0, 50.0])
def test_every_method_finds_the_optimum_that_scikit_learn_finds(solver, classes, l2):
    features, target = draw(classes=classes)
    tolerance = {"newton": 1e-6, "lbfgs": 1e-9, "gd": 1e-9}[solver]
    model = LogisticRegression(solver=solver, l2=l2, tolerance=tolerance, max_iterations=20_000).fit(features, target)
    expected = reference(features, target, l2)
    assert np.allclose(model.coef_, expected.coef_, atol=OPTIMUM * max(1, np.abs(expected.coef_).max()))
    assert np.allclose(model.predict_proba(features), expected.predict_proba(features), atol=OPTIMUM)


@pytest.mark.parametrize(("rows", "kinds"), [(20_000, ["hessian"] * 3), (200_000, ["gradient", "gradient", "hessian"])])
def test_newton_starts_from_a_sample_where_there_are_many_rows(rows, kinds, monkeypatch):
    features, target = draw(rows=rows)
    passes = []
    for kind in ("gradient", "hessian"):
        count = getattr(Objective, kind)
        note = lambda self, *rest, kind=kind, count=count: passes.append((kind, self.total)) or count(self, *rest)  # noqa: E731
        monkeypatch.setattr(Objective, kind, note)
    model = LogisticRegression().fit(features, target)
    assert passes[0] == ("hessian", rows / 50)
    whole = [kind for kind, total in passes if total == rows]
    assert whole == kinds
    assert model.n_iter_ == len(kinds)
    assert np.allclose(model.coef_, reference(features, target, 1.0).coef_, atol=OPTIMUM)


def test_scale_and_place_of_columns_do_not_matter_to_newton():
    features, target = draw()
    moved = features * [1e6, 1e-6, 1, 1] + [1e7, 0, -1e4, 0]
    plain = LogisticRegression(l2=0.0).fit(features, target).predict_proba(features)
    assert np.allclose(LogisticRegression(l2=0.0).fit(moved, target).predict_proba(moved), plain, atol=1e-6)


def test_equal_and_constant_columns_are_no_problem_without_a_penalty():
    features, target = draw(classes=3)
    widened = np.column_stack([features, features[:, 0], np.full(len(features), 3.3)])
    plain = LogisticRegression(l2=0.0).fit(features, target)
    with pytest.warns(CollinearWarning, match="column 0, column 4, column 5"):
        wide = LogisticRegression(l2=0.0).fit(widened, target)
    assert np.allclose(wide.predict_proba(widened), plain.predict_proba(features), atol=1e-6)


@pytest.mark.parametrize("solver", ["newton", "lbfgs"])
def test_classes_that_a_line_separates_end_with_a_sentence(solver):
    features, target = np.arange(20.0).reshape(-1, 1), np.arange(20) > 9
    with pytest.warns(ConvergenceWarning, match="separate the classes perfectly") as caught:
        model = LogisticRegression(solver=solver, l2=0.0, tolerance=1e-8).fit(features, target)
    assert caught[0].filename == __file__
    assert model.score(features, target) == 1.0
    assert np.isfinite(model.coef_).all()
    assert LogisticRegression().fit(features, target).score(features, target) == 1.0  # with the default penalty: silent


LABELS = {
    "text": ["no", "yes", "perhaps"],
    "pandas text": pd.array(["no", "yes", "perhaps"], dtype="str"),
    "categories": pd.Categorical(["no", "yes", "perhaps"]),
    "integers": [3, -1, 7],
    "large integers": [2**53 + 1, 2**53, 0],
    "whole floats": [0.0, 1.0, 2.0],
    "booleans": [True, False, False],
    "unicode": ["是", "否", "😀"],
    "objects": np.array([True, True, False], dtype=object),
}


@pytest.mark.parametrize("kind", LABELS)
def test_labels_of_every_type_come_back_as_they_were(kind):
    features, _ = draw(rows=90)
    target = pd.Series(LABELS[kind]).take(np.digitize(features[:, 0], [-0.4, 0.4])).reset_index(drop=True)
    model = LogisticRegression().fit(features, target)
    assert model.classes_.tolist() == sorted(set(target.tolist()))
    assert set(model.predict(features).tolist()) <= set(target.tolist())
    assert np.mean(model.predict(features) == np.asarray(target)) > 0.7


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        (["secret"] * 4, "only one class"),
        ([1.5, 2.5, 1.5, 3.25], "use LinearRegression"),
        (np.array(["secret", None, "b", "b"], dtype=object), "missing values"),
        (np.array(["secret", float("nan"), "b", "b"], dtype=object), "missing values"),
        (np.array([1.0, np.nan, 2.0, 2.0]), "missing values"),
        (np.array(["secret", 3, "b", "b"], dtype=object), "different types"),
    ],
)
def test_targets_that_are_no_classes_are_refused_without_quoting_them(target, sentence):
    with pytest.raises(InvalidInput) as caught:
        LogisticRegression().fit_batches(lambda: iter([(np.ones((4, 1)), np.asarray(target))]))
    assert sentence in caught.value.message
    assert "secret" not in caught.value.message
    with pytest.raises(ValueError, match=r"target|NaN"):
        LogisticRegression().fit(np.ones((4, 1)), target)


def test_an_id_as_the_target_is_refused():
    with pytest.raises(InvalidInput, match="more than 10000 different labels"):
        LogisticRegression().fit_batches(lambda: iter([(np.ones((10_001, 1)), np.arange(10_001))]))


def test_batches_of_different_label_types_are_refused():
    batches = [(np.ones((2, 1)), np.array(["a", "b"])), (np.ones((2, 1)), np.array([1, 2]))]
    with pytest.raises(InvalidInput, match="mixes text and number labels"):
        LogisticRegression().fit_batches(lambda: iter(batches))


def test_auto_takes_newton_up_to_a_thousand_weights_then_lbfgs():
    random = np.random.default_rng(0)
    for columns, solver in [(999, "newton"), (1000, "lbfgs")]:
        features = random.normal(size=(60, columns))
        assert LogisticRegression().fit(features, features[:, 0] > 0).solver_ == solver


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 1000), classes=st.integers(2, 4), l2=st.sampled_from([1e-3, 1.0, 1e3]), rows=st.integers(10, 60)
)
def test_the_gradient_is_zero_where_newton_ends(seed, classes, l2, rows):
    features, target = draw(rows=rows, classes=classes, seed=seed)
    model = LogisticRegression(l2=l2).fit(features, target)
    excess = model.predict_proba(features) - (target[:, None] == model.classes_)
    slope = excess.T @ features
    if classes == 2:
        slope, excess = slope[1:], excess[:, 1:]
    gradient = slope + l2 * model.coef_
    # Newton's last step is at most 1e-4 long, so what is left of the gradient is far below that, per row
    assert np.abs(gradient).max() < 1e-5 * rows
    assert np.abs(excess.sum(axis=0)).max() < 1e-5 * rows


@pytest.mark.parametrize("solver", ["gd", "newton", "lbfgs"])
def test_a_run_that_is_told_to_stop_keeps_what_it_has(solver):
    logged = []
    context = TrainingContext(log=lambda metrics, step: logged.append((step, metrics)), should_stop=lambda: True)
    features, target = draw()
    model = LogisticRegression(solver=solver, tolerance=0.0)
    model.fit_batches(lambda: iter([(features, target)]), context=context)
    assert model.n_iter_ <= 2
    assert logged[0] == (1, {"loss": pytest.approx(np.log(2))})
    assert model.predict(features).shape == target.shape


@pytest.mark.parametrize("solver", ["gd", "newton", "lbfgs"])
def test_too_few_iterations_say_what_to_do(solver):
    features, target = draw()
    with pytest.warns(ConvergenceWarning, match="max_iterations=2"):
        LogisticRegression(solver=solver, max_iterations=2, tolerance=1e-12).fit(features, target)


def test_mini_batches_get_near_the_optimum():
    features, target = draw(rows=3000, classes=3)
    model = LogisticRegression(solver="gd", batch_size=100, max_iterations=300, tolerance=1e-4, random_state=0)
    best = LogisticRegression().fit(features, target)
    agreement = np.mean(model.fit(features, target).predict(features) == best.predict(features))
    assert agreement > 0.97


def test_probabilities_stay_between_0_and_1_far_from_the_data():
    for classes in (2, 3):
        features, target = draw(classes=classes)
        model = LogisticRegression().fit(features, target)
        probabilities = model.predict_proba(features * 1e6)
        assert np.isfinite(model.predict_log_proba(features * 1e6)).all()
        assert np.allclose(probabilities.sum(axis=1), 1.0, atol=1e-12)


@pytest.mark.parametrize("rows", [2_000, 120_000])
def test_rows_of_float32_that_are_not_all_here_end_at_the_same_optimum(rows):
    """With and without a start from a sample; one column is far from 0, as years and coordinates are."""
    features, target = draw(rows=rows)
    features = (features + np.array([0, 0, 0, 2000])).astype(np.float32)
    blocks = [(np.asfortranarray(features[i : i + 500]), target[i : i + 500]) for i in range(0, rows, 500)]
    model = LogisticRegression().fit_batches(lambda: iter(blocks))
    expected = LogisticRegression().fit(features.astype(np.float64), target)
    # single precision carries 6e-8 of a value; the scores that weights are fitted to are sums of four of these
    assert np.allclose(model.coef_, expected.coef_, atol=1e-5)
    assert np.allclose(model.predict_proba(features), expected.predict_proba(features), atol=OPTIMUM)
    assert np.allclose(model.inference_.errors, expected.inference_.errors, rtol=2e-3)
