"""From a fitted estimator to a model: one graph, checked against the estimator and measured on the held-out rows."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import polars as pl

from lepton.core.errors import Internal
from lepton.models.evaluate import coefficients_plot
from lepton.models.features import Features
from lepton.models.frames import predict_frame, transform
from lepton.models.graph import Linear, Logistic, features_graph, model_graph
from lepton.models.prediction import Arrays, open_session
from lepton.models.records import Plot
from lepton.models.signature import LABEL, PREDICTION, PROBABILITIES, Signature
from lepton.models.summaries import Estimator, summary_plot
from lepton.models.values import Array
from lepton.training.linear import LinearRegression

TOLERANCE = 1e-6
"""How far the packed graph may be from the predictions of the trainer, relative to their size."""


def pack(features: Features, estimator: Estimator, signature: Signature) -> bytes:
    """Write features and predictor as one graph."""
    if isinstance(estimator, LinearRegression):
        return model_graph(features, Linear(estimator.coef_, float(estimator.intercept_)))
    return model_graph(features, Logistic(estimator.coef_, estimator.intercept_, signature.classes or ()))


def prove(
    graph: bytes, features: Features, estimator: Estimator, signature: Signature, frames: Iterable[pl.DataFrame]
) -> list[Arrays]:
    """Run the graph on rows and check every answer against the estimator.

    Returns:
        The outputs for each frame.

    Raises:
        Internal: if the graph predicts otherwise.
    """
    packed, trained = open_session(graph), open_session(features_graph(features))
    answers = []
    for frame in frames:
        outputs = predict_frame(packed, signature, frame)
        _check(estimator, transform(trained, frame, signature.inputs), signature, outputs)
        answers.append(outputs)
    return answers


def _check(estimator: Estimator, matrix: Array, signature: Signature, outputs: Arrays) -> None:
    if isinstance(estimator, LinearRegression):
        expected = estimator.predict(matrix)
        agrees = np.abs(outputs[PREDICTION] - expected) <= TOLERANCE * np.maximum(1.0, np.abs(expected))
    else:
        expected = estimator.predict_proba(matrix)
        agrees = np.abs(outputs[PROBABILITIES] - expected).max(axis=1) <= TOLERANCE
        labels = np.array(signature.classes, dtype=object)[expected.argmax(axis=1)]
        ranked = np.sort(expected, axis=1)
        agrees &= (outputs[LABEL] == labels) | (ranked[:, -1] - ranked[:, -2] <= TOLERANCE)
    if not agrees.all():
        raise Internal(
            f"The packed model predicts otherwise than in training on {int((~agrees).sum()):,} of {len(agrees):,} "
            "held-out rows, so it was not kept."
        )


def weights_plots(features: Features, estimator: Estimator, signature: Signature) -> tuple[Plot, ...]:
    """Say what the weights of an estimator are: the heaviest as a picture, all with their certainty as a table."""
    summary = summary_plot(features, estimator, signature)
    return (weights_plot(features, estimator, signature), *([] if summary is None else [summary]))


def weights_plot(features: Features, estimator: Estimator, signature: Signature) -> Plot:
    """List the heaviest columns of an estimator."""
    names = [name for item in features.made for name in item.names]
    weights: npt.NDArray[np.float64] = np.atleast_2d(estimator.coef_)
    return coefficients_plot(names, weights, learned_from=signature.classes_held)
