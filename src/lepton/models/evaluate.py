"""How good a model is on rows it has not seen: headline numbers, and numbers to draw.

The arithmetic of each number is in `lepton.training.scoring`.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lepton.core.columns import ColumnClass
from lepton.models.prediction import Arrays
from lepton.models.records import Plot
from lepton.models.signature import PREDICTION, PROBABILITIES, Label, Signature, class_name
from lepton.models.values import Array
from lepton.training import scoring
from lepton.training.problems import TrainingDataError

CURVE_POINTS = 200
SAMPLE_POINTS = 500
BINS = 10
COEFFICIENTS = 40

Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]
Classes = frozenset[ColumnClass]


@dataclass(frozen=True)
class Report:
    """Headline numbers by name, all finite, and plots."""

    metrics: dict[str, float]
    plots: tuple[Plot, ...]


def measure(
    signature: Signature, truth: Array, answers: Sequence[Arrays], *, classes: Mapping[str, ColumnClass]
) -> Report:
    """Measure answers against the truth: codes of classes, or numbers, [n] over all answers together.

    Args:
        signature: Of the model that answered.
        truth: What is true.
        answers: What it answered.
        classes: Sensitivity of the columns it was measured on, which may be stricter than those it was trained on.
    """
    learned_from = frozenset({signature.target_class, classes[signature.target]})
    name = PREDICTION if signature.classes is None else PROBABILITIES
    predicted = np.concatenate([outputs[name] for outputs in answers])
    if signature.classes is None:
        # Its plots show single rows, and an answer tells of the columns it was computed from.
        learned_from |= signature.classes_held | {classes[column.name] for column in signature.inputs}
        return regression_report(truth, predicted, learned_from=learned_from)
    return classification_report(truth, predicted, signature.classes, learned_from=learned_from)


def classification_report(
    codes: Codes, probabilities: Floats, classes: Sequence[Label], *, learned_from: Classes
) -> Report:
    """Measure predicted probabilities.

    Args:
        codes: True classes as positions in `classes`, [n], n > 0.
        probabilities: Predicted, [n, K].
        classes: The K classes.
        learned_from: Classes of the columns the plots tell of.

    Returns:
        ``accuracy``, ``log_loss``, ``f1`` (macro), ``roc_auc`` (one class against the rest, averaged, above two
        classes; left out if all rows are of one class).
    """
    positions = np.arange(len(classes))
    predicted = probabilities.argmax(axis=1)
    counts = scoring.confusion_matrix(codes, predicted, positions)
    metrics = {
        "accuracy": scoring.accuracy(codes, predicted),
        "log_loss": scoring.log_loss(codes, probabilities, positions),
        "f1": _macro_f1(counts),
    }
    names = [class_name(label) for label in classes]
    plots = [Plot("confusion", {"classes": names, "counts": counts.tolist()}, learned_from)]
    if len(np.unique(codes)) > 1:
        if len(classes) == 2:
            metrics["roc_auc"] = scoring.roc_auc(codes == 1, probabilities[:, 1])
            plots.append(_roc(codes == 1, probabilities[:, 1], metrics["roc_auc"], learned_from))
        else:
            metrics["roc_auc"] = scoring.roc_auc_one_vs_rest(codes, probabilities, positions)
    if len(classes) == 2:
        plots.append(_calibration(codes == 1, probabilities[:, 1], learned_from))
    else:
        plots.append(_calibration(codes == predicted, probabilities.max(axis=1), learned_from))
    return Report(_finite(metrics), tuple(plots))


def regression_report(actual: Floats, predicted: Floats, *, learned_from: Classes) -> Report:
    """Measure predicted numbers.

    Args:
        actual: True values [n], n > 0.
        predicted: Predicted values [n].
        learned_from: Classes of the columns the plots tell of.

    Returns:
        ``r2`` (left out if all true values are equal), ``mae`` and ``rmse`` in the unit of the target, and
        ``share_within_10pct``.
    """
    metrics = {
        "mae": scoring.mean_absolute_error(actual, predicted),
        "rmse": scoring.root_mean_squared_error(actual, predicted),
        "share_within_10pct": scoring.share_within(actual, predicted, 0.10),
    }
    with contextlib.suppress(TrainingDataError):  # all true values are equal: there is no variance to explain
        metrics = {"r2": scoring.r2(actual, predicted), **metrics}
    some = _spread(len(actual), SAMPLE_POINTS)
    shown, truth = predicted[some].tolist(), actual[some].tolist()
    plots = (
        Plot("predicted", {"predicted": shown, "actual": truth}, learned_from),
        Plot("residuals", {"predicted": shown, "residual": (actual - predicted)[some].tolist()}, learned_from),
    )
    return Report(_finite(metrics), plots)


def coefficients_plot(names: Sequence[str], weights: Floats, *, learned_from: Classes) -> Plot:
    """List the heaviest columns of a linear model.

    Args:
        names: What the d columns mean.
        weights: [1, d]; or [K, d] for more than two classes, of which the mean size is shown.
        learned_from: Classes of the columns the names tell of.
    """
    values = weights[0] if len(weights) == 1 else np.abs(weights).mean(axis=0)
    heaviest = np.argsort(-np.abs(values), kind="stable")[:COEFFICIENTS].tolist()
    data = {"names": [names[i] for i in heaviest], "values": [float(values[i]) for i in heaviest]}
    return Plot("coefficients", data, learned_from)


def _macro_f1(counts: npt.NDArray[np.int64]) -> float:
    """The mean over classes of 2·TP / (2·TP + FP + FN); classes that neither occur nor are predicted do not count."""
    hits = np.diag(counts).astype(np.float64)
    totals = counts.sum(axis=0) + counts.sum(axis=1)
    return float(np.mean(2 * hits[totals > 0] / totals[totals > 0]))


def _roc(positive: npt.NDArray[np.bool_], scores: Floats, auc: float, learned_from: Classes) -> Plot:
    false_rate, true_rate, _ = scoring.roc_curve(positive, scores)
    some = _spread(len(false_rate), CURVE_POINTS)
    return Plot("roc", {"fpr": false_rate[some].tolist(), "tpr": true_rate[some].tolist(), "auc": auc}, learned_from)


def _calibration(happened: npt.NDArray[np.bool_], predicted: Floats, learned_from: Classes) -> Plot:
    bins = np.minimum((predicted * BINS).astype(np.int64), BINS - 1)
    counts = np.bincount(bins, minlength=BINS)
    used = counts > 0
    data = {
        "predicted": (np.bincount(bins, weights=predicted, minlength=BINS)[used] / counts[used]).tolist(),
        "observed": (np.bincount(bins, weights=happened, minlength=BINS)[used] / counts[used]).tolist(),
        "counts": counts[used].tolist(),
    }
    return Plot("calibration", data, learned_from)


def _spread(length: int, most: int) -> npt.NDArray[np.int64]:
    """Positions of at most `most` of `length` things, evenly spread, the first and the last among them."""
    return np.unique(np.linspace(0, length - 1, min(length, most)).round().astype(np.int64))


def _finite(metrics: dict[str, float]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if math.isfinite(value)}
