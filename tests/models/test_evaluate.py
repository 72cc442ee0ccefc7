"""The headline numbers are scikit-learn's, and plots stay small and finite."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn import metrics as reference

from lepton.core.columns import ColumnClass
from lepton.models.evaluate import (
    CURVE_POINTS,
    SAMPLE_POINTS,
    classification_report,
    coefficients_plot,
    regression_report,
)

PLAIN = frozenset({ColumnClass.PLAIN})
# Two ways to the same sums in double precision
TOLERANCE = 1e-12


@pytest.mark.parametrize("count", [2, 4])
def test_a_classification_is_measured_as_scikit_learn_does(count: int) -> None:
    random = np.random.default_rng(count)
    codes = random.integers(0, count, 3000)
    probabilities = random.dirichlet(np.ones(count), 3000) * 0.5 + 0.5 * np.eye(count)[codes] * random.random((3000, 1))
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    predicted = probabilities.argmax(axis=1)
    report = classification_report(codes, probabilities, tuple(f"c{i}" for i in range(count)), learned_from=PLAIN)
    scores = probabilities[:, 1] if count == 2 else probabilities
    expected = {
        "accuracy": reference.accuracy_score(codes, predicted),
        "log_loss": reference.log_loss(codes, probabilities),
        "f1": reference.f1_score(codes, predicted, average="macro"),
        "roc_auc": reference.roc_auc_score(codes, scores, multi_class="ovr"),
    }
    assert report.metrics == pytest.approx(expected, rel=TOLERANCE)
    plots = {plot.kind: plot.data for plot in report.plots}
    assert plots.keys() == ({"confusion", "roc", "calibration"} if count == 2 else {"confusion", "calibration"})
    assert plots["confusion"]["counts"] == reference.confusion_matrix(codes, predicted).tolist()
    assert sum(plots["calibration"]["counts"]) == 3000
    if count == 2:
        assert len(plots["roc"]["fpr"]) <= CURVE_POINTS
        assert (plots["roc"]["fpr"][0], plots["roc"]["tpr"][-1]) == (0.0, 1.0)
    json.dumps([plot.data for plot in report.plots], allow_nan=False)
    assert all(plot.learned_from == PLAIN for plot in report.plots)


def test_rows_of_one_class_have_no_roc() -> None:
    report = classification_report(
        np.zeros(3, dtype=int), np.array([[0.9, 0.1]] * 3), (False, True), learned_from=PLAIN
    )
    assert report.metrics.keys() == {"accuracy", "log_loss", "f1"}
    assert report.plots[0].data["classes"] == ["false", "true"]


def test_a_regression_is_measured_as_scikit_learn_does() -> None:
    random = np.random.default_rng(0)
    actual = random.normal(100, 30, 2000)
    predicted = actual + random.normal(0, 10, 2000)
    report = regression_report(actual, predicted, learned_from=PLAIN)
    expected = {
        "r2": reference.r2_score(actual, predicted),
        "mae": reference.mean_absolute_error(actual, predicted),
        "rmse": reference.root_mean_squared_error(actual, predicted),
        "share_within_10pct": float(np.mean(np.abs(actual - predicted) <= 0.1 * np.abs(actual))),
    }
    assert report.metrics == pytest.approx(expected, rel=TOLERANCE)
    plots = {plot.kind: plot.data for plot in report.plots}
    assert len(plots["residuals"]["residual"]) == SAMPLE_POINTS
    assert len(plots["predicted"]["actual"]) == SAMPLE_POINTS
    assert "r2" not in regression_report(np.ones(3), np.zeros(3), learned_from=PLAIN).metrics


def test_coefficients_are_listed_heaviest_first() -> None:
    plot = coefficients_plot(["a", "b", "c"], np.array([[0.5, -2.0, 1.0]]), learned_from=PLAIN)
    assert plot.data == {"names": ["b", "c", "a"], "values": [-2.0, 1.0, 0.5]}
    many = coefficients_plot([f"x{i}" for i in range(100)], np.ones((3, 100)), learned_from=PLAIN)
    assert len(many.data["names"]) == 40
