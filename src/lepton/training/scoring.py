"""How good predictions are: arrays in, numbers out. Probabilities and scores come from ``predict_proba``.

Note that ``(y_pred == y_test).mean()`` is NumPy's own arithmetic: no library can warn about it. For predicted numbers
it says nothing, since two measurements are hardly ever equal to the last digit; ``accuracy`` and ``exact_match`` warn.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lepton.training.labels import encode
from lepton.training.problems import TrainingDataError

_USE_INSTEAD = (
    "Exact equality says nothing about predicted numbers, which are hardly ever equal to the last digit. "
    "Use r2, mean_absolute_error, root_mean_squared_error or share_within(y_true, y_pred, 0.10) instead."
)
_MANY_VALUES = 20


def accuracy(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Return the share of equal labels, 0 to 1; warn if these are measurements rather than labels."""
    true, predicted = _pair(y_true, y_pred)
    if _is_measured(true) or _is_measured(predicted):
        warnings.warn(_USE_INSTEAD, UserWarning, stacklevel=2)
    return float(np.mean(true == predicted))


def exact_match(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Return the share of exactly equal values, 0 to 1; the same as ``accuracy``, warning included."""
    true, predicted = _pair(y_true, y_pred)
    if _is_measured(true) or _is_measured(predicted):
        warnings.warn(_USE_INSTEAD, UserWarning, stacklevel=2)
    return float(np.mean(true == predicted))


def confusion_matrix(y_true: ArrayLike, y_pred: ArrayLike, classes: ArrayLike) -> NDArray[np.int64]:
    """Return counts [k, k]: row of the true class, column of the predicted one, both in the order of ``classes``."""
    true, predicted = _pair(y_true, y_pred)
    labels = np.asarray(classes)
    rows, columns = encode(true, labels), encode(predicted, labels)
    if (rows < 0).any() or (columns < 0).any():
        raise TrainingDataError("Some labels are not among the classes given; pass classes_ of the model.")
    counts = np.bincount(rows * len(labels) + columns, minlength=len(labels) ** 2)
    return counts.reshape(len(labels), len(labels)).astype(np.int64)


def roc_curve(
    y_true: ArrayLike, scores: ArrayLike
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return false positive rates, true positive rates and thresholds, from the strictest to the mildest.

    Args:
        y_true: whether each row is of the positive class [n], boolean or 0 and 1.
        scores: the higher, the more the positive class is expected [n].

    Raises:
        TrainingDataError: only one of the two classes occurs.
    """
    positive, value = _pair(y_true, scores)
    positive, value = positive.astype(bool), value.astype(np.float64)
    if positive.all() or not positive.any():
        raise TrainingDataError("A ROC curve needs rows of both classes; these hold only one.")
    order = np.argsort(-value, kind="stable")
    positive, value = positive[order], value[order]
    last = np.append(np.flatnonzero(np.diff(value)), len(value) - 1)  # equal scores are one step of the curve
    hits = np.cumsum(positive)[last]
    false_alarms = last + 1 - hits
    rates = [np.concatenate([[0.0], counts / counts[-1]]) for counts in (false_alarms, hits)]
    return rates[0], rates[1], np.concatenate([[np.inf], value[last]])


def roc_auc(y_true: ArrayLike, scores: ArrayLike) -> float:
    """Return the chance that a positive row scores above a negative one, ties counting half, 0 to 1.

    Source: T. Fawcett, "An introduction to ROC analysis", Pattern Recognition Letters 27, 2006.
    """
    false_rate, true_rate, _ = roc_curve(y_true, scores)
    return float(np.trapezoid(true_rate, false_rate))


def roc_auc_one_vs_rest(y_true: ArrayLike, probabilities: ArrayLike, classes: ArrayLike) -> float:
    """Return the mean ROC AUC of each class [k] against all others, over the classes that occur.

    Args:
        probabilities: [n, k], in the order of ``classes``.
    """
    true, scores, labels = np.asarray(y_true), np.asarray(probabilities, dtype=np.float64), np.asarray(classes)
    codes = encode(true, labels)
    areas = [roc_auc(codes == k, scores[:, k]) for k in range(len(labels)) if 0 < np.sum(codes == k) < len(codes)]
    if not areas:
        raise TrainingDataError("A ROC AUC needs rows of two classes or more; these hold only one.")
    return float(np.mean(areas))


def log_loss(y_true: ArrayLike, probabilities: ArrayLike, classes: ArrayLike) -> float:
    """Return the mean of -log(probability of the true class) in nats; 0 is perfect.

    Args:
        probabilities: [n, k], in the order of ``classes``.
    """
    codes = encode(np.asarray(y_true), np.asarray(classes))
    if (codes < 0).any():
        raise TrainingDataError("Some labels are not among the classes given; pass classes_ of the model.")
    chosen = np.asarray(probabilities, dtype=np.float64)[np.arange(len(codes)), codes]
    return float(-np.mean(np.log(np.maximum(chosen, np.finfo(np.float64).tiny))))


def r2(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Return the share of the target's variance that is explained: 1 is perfect, 0 as good as the mean, below is worse.

    Raises:
        TrainingDataError: all true values are equal, so there is no variance to explain.
    """
    true, predicted = _numbers(y_true, y_pred)
    spread = float(np.sum((true - true.mean()) ** 2))
    if spread == 0.0:
        raise TrainingDataError("R² has no meaning where all true values are equal; use mean_absolute_error.")
    return 1.0 - float(np.sum((true - predicted) ** 2)) / spread


def mean_absolute_error(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Return the mean distance, in the unit of the target."""
    true, predicted = _numbers(y_true, y_pred)
    return float(np.mean(np.abs(true - predicted)))


def root_mean_squared_error(y_true: ArrayLike, y_pred: ArrayLike) -> float:
    """Return the root of the mean squared distance, in the unit of the target."""
    true, predicted = _numbers(y_true, y_pred)
    return float(np.sqrt(np.mean((true - predicted) ** 2)))


def share_within(y_true: ArrayLike, y_pred: ArrayLike, tolerance: float) -> float:
    """Return the share of rows, 0 to 1, whose prediction is at most ``tolerance`` times the true value away from it."""
    true, predicted = _numbers(y_true, y_pred)
    return float(np.mean(np.abs(true - predicted) <= tolerance * np.abs(true)))


def _is_measured(values: NDArray[Any]) -> bool:
    """Tell measurements from labels: numbers with decimals, or many different floating-point numbers."""
    if values.dtype.kind != "f":
        return False
    finite = values[np.isfinite(values)]
    return bool((finite != np.floor(finite)).any()) or len(np.unique(finite)) > _MANY_VALUES


def _pair(one: ArrayLike, other: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
    first, second = np.asarray(one), np.asarray(other)
    if first.ndim != 1 or first.shape != second.shape or not len(first):
        raise TrainingDataError(f"Two lists of one length are needed, not shapes {first.shape} and {second.shape}.")
    return first, second


def _numbers(one: ArrayLike, other: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    first, second = _pair(one, other)
    return first.astype(np.float64), second.astype(np.float64)
