"""What a trained linear model says of its weights, in the columns' own units.

The arithmetic is in `lepton.training.inference`; scorecards are made of it in `scorecards.py`.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from lepton.models.features import CategoryFeature, Features, NumberFeature
from lepton.models.records import Plot
from lepton.models.signature import Signature, class_name
from lepton.training.linear import LinearRegression
from lepton.training.logistic import LogisticRegression
from lepton.training.scorecard import PER_UNIT, Part
from lepton.training.summary import summarize

Estimator = LinearRegression | LogisticRegression
Floats = npt.NDArray[np.float64]
SUMMARY = "summary"
"""Kind of the plot that holds it."""
_COMPARED = "Categories are compared with the most frequent one of their column, which is part of the intercept."


def summary_plot(features: Features, estimator: Estimator, signature: Signature) -> Plot | None:
    """Return coefficients with their certainty as numbers; None if the estimator has kept nothing to infer from."""
    found = estimator.inference_
    if found is None:
        return None
    names, matrix = _own_columns(features)
    if not found.intercept:
        matrix = matrix[:-1, :-1]
    classes = [class_name(label) for label in signature.classes or ()]
    notes = [_COMPARED] if features.categories else []
    if getattr(estimator, "class_weight", None):
        notes.append("Rows count by class, so errors and tests do not hold.")
    data = summarize(found.mapped(matrix), names, classes, notes=tuple(notes)).to_dict()
    if len(classes) == 2:
        data["card"] = _card(features, cast(LogisticRegression, estimator), classes)
    return Plot(SUMMARY, data, signature.classes_held)


def _own_columns(features: Features) -> tuple[list[str], Floats]:
    """Return names of terms, and the matrix [terms + 1, width + 1] that makes them of the weights, intercept last.

    A number's term is for one unit of its column; a category's is the difference to the first of its column.
    """
    width = features.width + 1
    names: list[str] = []
    rows: list[Floats] = []
    intercept = np.eye(width)[-1]
    at = 0
    for item in features.made:
        own = np.eye(width)[at : at + item.width]
        if isinstance(item, NumberFeature):
            rows.append(own[0] / item.std)
            intercept = intercept - own[0] * (item.mean / item.std)
            names += item.names
        elif isinstance(item, CategoryFeature):
            rows += [one - own[0] for one in own[1:]]
            intercept = intercept + own[0]
            names += item.names[1:]
        else:
            rows += list(own)
            names += item.names
        at += item.width
    return names, np.array([*rows, intercept])


def _card(features: Features, estimator: LogisticRegression, classes: list[str]) -> dict[str, Any]:
    """Return what each column adds to the log-odds of the second class."""
    weights = estimator.coef_[0]
    parts, start = list(_parts(features, weights)), float(estimator.intercept_[0])
    at = 0
    for item in features.made:
        if isinstance(item, NumberFeature):
            start -= float(weights[at]) * item.mean / item.std
        at += item.width
    return {"classes": classes, "intercept": start, "parts": [[p.column, p.condition, p.weight] for p in parts]}


def _parts(features: Features, weights: Floats) -> Iterator[Part]:
    at = 0
    for item in features.made:
        own, name = [float(weight) for weight in weights[at : at + item.width]], item.column.name
        at += item.width
        if isinstance(item, NumberFeature):
            yield Part(name, PER_UNIT, own[0] / item.std)
            yield Part(name, "missing", own[0] / item.std * item.median)
        elif isinstance(item, CategoryFeature):
            for category, weight in zip(item.categories, own, strict=True):
                yield Part(name, f"is {category}" if category else "missing", weight)
        else:
            for word, weight in zip(item.words, own, strict=True):
                yield Part(name, f"has {word}", weight)
