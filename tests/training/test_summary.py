"""What a model says of its own weights, against closed formulas that are computed here another way."""

import json
import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from lepton import LinearRegression, LogisticRegression
from lepton.core.errors import InvalidInput
from lepton.training.problems import CollinearWarning

DIGITS = 1e-8
HESSIAN = 1e-4  # the Hessian is that of a place at most 3e-5 from the optimum


def draw(rows=300, seed=0):
    random = np.random.default_rng(seed)
    features = random.normal(size=(rows, 3)) * [1, 20, 0.1] + [0, 100, 5]
    features[:, 2] += 0.05 * features[:, 0]
    score = (features - [0, 100, 5]) @ [1.0, -0.05, 3.0]
    return features, score, random


def by_name(summary):
    return {(term.of, term.name): term for term in summary.terms}


@pytest.mark.parametrize("solver", ["exact", "gd"])
def test_least_squares_says_what_the_textbook_says(solver):
    features, score, random = draw()
    if solver == "gd":
        features = (features - features.mean(axis=0)) / features.std(axis=0)
    target = score + random.normal(size=len(score))
    model = LinearRegression(solver=solver, tolerance=1e-12, max_iterations=5000).fit(features, target)
    summary = model.summary(names=["a", "b", "c"])
    design = np.column_stack([features, np.ones(len(features))])
    inverse = np.linalg.inv(design.T @ design)
    weights = inverse @ design.T @ target
    residual = target - design @ weights
    n, k = design.shape
    sigma2 = residual @ residual / (n - k)
    errors = np.sqrt(sigma2 * np.diag(inverse))
    assert [term.name for term in summary.terms] == ["a", "b", "c", "(intercept)"]
    for term, weight, error in zip(summary.terms, weights, errors, strict=True):
        reach = stats.t.ppf(0.975, n - k) * error
        assert term.estimate == pytest.approx(weight, rel=1e-6)
        assert term.error == pytest.approx(error, rel=1e-6)
        assert term.statistic == pytest.approx(weight / error, rel=1e-6)
        assert term.p == pytest.approx(2 * stats.t.sf(abs(weight / error), n - k), rel=1e-4, abs=1e-300)
        assert (term.low, term.high) == pytest.approx((weight - reach, weight + reach), rel=1e-6)
    spread = np.sum((target - target.mean()) ** 2)
    r2 = 1 - residual @ residual / spread
    f = (r2 / (k - 1)) / ((1 - r2) / (n - k))
    likelihood = stats.norm.logpdf(residual, scale=np.sqrt(residual @ residual / n)).sum()
    facts = summary.facts
    assert facts["r2"] == pytest.approx(r2, rel=DIGITS)
    assert facts["adjusted_r2"] == pytest.approx(1 - (1 - r2) * (n - 1) / (n - k), rel=DIGITS)
    assert facts["f"] == pytest.approx(f, rel=1e-6)
    assert facts["f_p"] == pytest.approx(stats.f.sf(f, k - 1, n - k), rel=1e-4)
    assert facts["log_likelihood"] == pytest.approx(likelihood, rel=DIGITS)
    assert facts["aic"] == pytest.approx(2 * k - 2 * likelihood, rel=DIGITS)
    assert facts["bic"] == pytest.approx(math.log(n) * k - 2 * likelihood, rel=DIGITS)
    correlation = np.corrcoef(features.T)
    for term, factor in zip(summary.terms, np.diag(np.linalg.inv(correlation)), strict=False):
        assert term.inflation == pytest.approx(factor, rel=1e-6)
    values = np.linalg.eigvalsh(correlation)
    assert facts["condition"] == pytest.approx(np.sqrt(values[-1] / values[0]), rel=1e-6)


def test_the_longley_data_get_the_certified_values_of_nist():
    """Source: NIST Statistical Reference Datasets, Longley: certified values of a famously collinear regression."""
    columns = [
        [83.0, 88.5, 88.2, 89.5, 96.2, 98.1, 99.0, 100.0, 101.2, 104.6, 108.4, 110.8, 112.6, 114.2, 115.7, 116.9],
        [234289, 259426, 258054, 284599, 328975, 346999, 365385, 363112, 397469, 419180, 442769, 444546, 482704, 502601,
         518173, 554894],
        [2356, 2325, 3682, 3351, 2099, 1932, 1870, 3578, 2904, 2822, 2936, 4681, 3813, 3931, 4806, 4007],
        [1590, 1456, 1616, 1650, 3099, 3594, 3547, 3350, 3048, 2857, 2798, 2637, 2552, 2514, 2572, 2827],
        [107608, 108632, 109773, 110929, 112075, 113270, 115094, 116219, 117388, 118734, 120445, 121950, 123366, 125368,
         127852, 130081],
        list(range(1947, 1963)),
    ]  # fmt: skip
    target = [60323, 61122, 60171, 61187, 63221, 63639, 64989, 63761, 66019, 67857, 68169, 66513, 68655, 69564, 69331,
              70551]  # fmt: skip
    summary = LinearRegression().fit(np.array(columns, dtype=float).T, np.array(target, dtype=float)).summary()
    certified = [
        (15.0618722713733, 84.9149257747669),
        (-0.358191792925910e-01, 0.334910077722432e-01),
        (-2.02022980381683, 0.488399681651699),
        (-1.03322686717359, 0.214274163161675),
        (-0.511041056535807e-01, 0.226073200069370),
        (1829.15146461355, 455.478499142212),
        (-3482258.63459582, 890420.383607373),
    ]
    for term, (weight, error) in zip(summary.terms, certified, strict=True):
        assert term.estimate == pytest.approx(weight, rel=1e-8)
        assert term.error == pytest.approx(error, rel=1e-8)
    assert summary.facts["r2"] == pytest.approx(0.995479004577296, rel=1e-10)
    assert summary.facts["sigma"] == pytest.approx(304.854073561965, rel=1e-9)
    assert summary.facts["f"] == pytest.approx(330.285339234588, rel=1e-8)
    assert summary.terms[0].inflation == pytest.approx(135.53, rel=1e-4)  # the value that textbooks give


def test_logistic_regression_says_what_the_information_matrix_says():
    features, score, random = draw(rows=800)
    target = score + random.logistic(size=len(score)) > 0
    model = LogisticRegression(l2=0.0).fit(features, target)
    summary = model.summary()
    design = np.column_stack([features, np.ones(len(features))])
    p = model.predict_proba(features)[:, 1]
    inverse = np.linalg.inv(design.T @ (design * (p * (1 - p))[:, None]))
    weights, errors = np.append(model.coef_[0], model.intercept_), np.sqrt(np.diag(inverse))
    for term, weight, error in zip(summary.terms, weights, errors, strict=True):
        reach = stats.norm.ppf(0.975) * error
        assert term.estimate == pytest.approx(weight, rel=DIGITS)
        assert term.error == pytest.approx(error, rel=HESSIAN)
        assert term.p == pytest.approx(2 * stats.norm.sf(abs(weight / error)), rel=1e-2)
        assert (term.low, term.high) == pytest.approx((weight - reach, weight + reach), rel=HESSIAN)
    likelihood = np.log(np.where(target, p, 1 - p)).sum()
    share = target.mean()
    null = len(target) * (share * np.log(share) + (1 - share) * np.log(1 - share))
    facts = summary.facts
    assert facts["log_likelihood"] == pytest.approx(likelihood, rel=DIGITS)
    assert facts["null_log_likelihood"] == pytest.approx(null, rel=DIGITS)
    assert facts["pseudo_r2"] == pytest.approx(1 - likelihood / null, rel=1e-7)
    assert facts["likelihood_ratio"] == pytest.approx(2 * (likelihood - null), rel=1e-7)
    assert facts["likelihood_ratio_p"] == pytest.approx(stats.chi2.sf(2 * (likelihood - null), 3), rel=1e-4)
    assert facts["aic"] == pytest.approx(8 - 2 * likelihood, rel=DIGITS)


def test_contrasts_of_three_classes_have_the_errors_of_the_baseline_model():
    """With class 0 as the baseline, the information of the other two is a plain matrix that can be inverted."""
    features, score, random = draw(rows=900)
    target = np.digitize(score + random.logistic(size=len(score)), [-1, 1])
    model = LogisticRegression(l2=0.0).fit(features, target)
    design = np.column_stack([features, np.ones(len(features))])
    p = model.predict_proba(features)[:, 1:]
    blocks = [[design.T @ (design * (p[:, i] * ((i == j) - p[:, j]))[:, None]) for j in range(2)] for i in range(2)]
    errors = np.sqrt(np.diag(np.linalg.inv(np.block(blocks))))
    found, width = model.inference_, design.shape[1]
    contrast = np.kron(np.array([[-1, 1, 0], [-1, 0, 1]]), np.eye(width))
    mine = np.sqrt(np.diag(contrast @ found.covariance @ contrast.T))
    assert np.allclose(mine, errors, rtol=HESSIAN)
    assert found.rank == 2 * width
    assert np.allclose(found.weights.sum(axis=0), 0, atol=1e-9)
    assert {term.of for term in model.summary().terms} == {"0", "1", "2"}


def test_intervals_hold_the_truth_as_often_as_they_say():
    held = []
    for seed in range(200):
        features, score, random = draw(rows=60, seed=seed)
        term = LinearRegression().fit(features, score + random.normal(size=len(score))).summary(level=0.8).terms[0]
        held.append(term.low <= 1.0 <= term.high)
    assert 0.7 < np.mean(held) < 0.9  # 0.8 of 200: three deviations are 0.085


def test_collinear_columns_are_named_and_have_no_errors_but_their_sum_has():
    features, score, random = draw()
    frame = pd.DataFrame(features, columns=["a", "b", "c"]).assign(again=lambda rows: rows.a + rows.b, flat=1.0)
    target = score + random.normal(size=len(score))
    with pytest.warns(CollinearWarning, match=r"'a', 'b', 'again'\.") as caught:
        model = LinearRegression().fit(frame, target)
    assert caught[0].filename == __file__
    assert model.rank_ == 4
    terms = by_name(model.summary())
    for name in ("a", "b", "again", "flat"):
        assert terms["", name].error is None
    plain = by_name(LinearRegression().fit(frame[["a", "b", "c"]], target).summary())
    assert terms["", "c"].error == pytest.approx(plain["", "c"].error, rel=1e-6)
    assert "collinear" in str(model.summary())
    label = target > 0
    with pytest.warns(CollinearWarning, match="'a', 'b', 'again'"):
        logistic = LogisticRegression(l2=0.0).fit(frame.drop(columns="flat"), label)
    terms, plain = (
        by_name(logistic.summary()),
        by_name(LogisticRegression(l2=0.0).fit(frame[["a", "b", "c"]], label).summary()),
    )
    assert terms["", "again"].error is None
    assert terms["", "c"].error == pytest.approx(plain["", "c"].error, rel=1e-3)
    LinearRegression(l2=0.1).fit(frame, target)  # a penalty decides: no warning


def test_penalties_and_class_weights_say_what_they_do_to_errors():
    features, score, random = draw()
    label = score + random.logistic(size=len(score)) > 0
    sparse = LogisticRegression(l1=5.0).fit(features, label).summary()
    assert all(term.error is None for term in sparse.terms)
    assert "L1 penalty" in str(sparse)
    ridge = LogisticRegression(l2=5.0).fit(features, label).summary()
    assert "ridge" in str(ridge)
    plain = LogisticRegression(l2=0.0).fit(features, label).summary()
    assert ridge.terms[2].error < plain.terms[2].error  # a prior adds to what is known
    assert "by class" in str(LogisticRegression(class_weight="balanced").fit(features, label).summary())


def test_a_summary_is_text_html_and_plain_data():
    features, score, random = draw()
    frame = pd.DataFrame(features, columns=["a", "<b>", "c"])
    summary = LinearRegression().fit(frame, score + random.normal(size=len(score))).summary()
    text = str(summary)
    for word in ("Linear regression", "std. error", "adjusted_r2", "(intercept)", "Agresti"):
        assert word in text
    written = summary._repr_html_()
    assert "&lt;b&gt;" in written
    assert "<b></b>" not in written
    again = json.loads(json.dumps(summary.to_dict(), allow_nan=False))
    assert again["terms"][0]["name"] == "a"
    assert again["facts"].keys() >= {"r2", "f", "aic", "bic", "condition"}


def test_without_rows_to_spare_there_are_no_errors():
    features, score, _ = draw(rows=4)
    summary = LinearRegression().fit(features, score + np.array([1.0, 0.0, 0.0, 2.0])).summary()
    assert all(term.error is None for term in summary.terms)
    assert "not more rows than weights" in str(summary)


@pytest.mark.parametrize(
    ("model", "options", "sentence"),
    [
        (LogisticRegression(solver="lbfgs"), {}, "has kept nothing to infer from"),
        (LogisticRegression(statistics=False), {}, "has kept nothing to infer from"),
        (LogisticRegression(), {"level": 1.0}, "level=1.0 is not possible"),
        (LogisticRegression(), {"names": ["a"]}, "1 names do not fit 3 columns"),
    ],
)
def test_what_cannot_be_summarized_is_one_sentence(model, options, sentence):
    features, score, random = draw()
    model.fit(features, score + random.logistic(size=len(score)) > 0)
    with pytest.raises(InvalidInput, match=sentence):
        model.summary(**options)
