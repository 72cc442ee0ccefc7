"""How sure a linear model is of its weights: covariances, tests and likelihoods, from what the fit has summed up.

No row is kept for it. What is shown of it is in ``summary.py``.

Sources: A. Agresti, "Foundations of Linear and Generalized Linear Models", 2015 (sections 2.4, 3.2 and 5.3: covariances
of estimates, Wald tests); with a ridge penalty the covariance is that of the posterior, G. Wahba, "Bayesian 'confidence
intervals' for the cross-validated smoothing spline", J. R. Stat. Soc. B 45, 1983; D. McFadden, "Conditional logit
analysis of qualitative choice behavior", 1974 (pseudo-R²); J. Fox, G. Monette, "Generalized collinearity diagnostics",
J. Am. Stat. Assoc. 87, 1992; D. Belsley, E. Kuh, R. Welsch, "Regression Diagnostics", 1980 (condition index).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lepton.training.moments import Moments
from lepton.training.shards import Scaling
from lepton.training.solvers.least_squares import flat, invert, normal_equations

Floats = NDArray[np.float64]
MOST_WEIGHTS = 1_000
"""Up to so many weights there is inference: it takes decompositions of a matrix of that size."""
_INVOLVED = 1e-6
"""Share of a flat direction from which a weight is said to be part of it."""


@dataclass(frozen=True)
class Inference:
    """Weights with their covariance, and how well the model fits the rows it learned from.

    Args:
        family: of the model; decides between t and normal distribution.
        weights: estimates in the data's own units [k, m], the intercept last.
        covariance: of the estimates, row by row [k * m, k * m]; None if there is none, as with an L1 penalty.
        directions: along which estimates can be moved without a change of any prediction, as columns are collinear
            [k * m, r]; 0 for an estimate that is not touched.
        intercept: whether the last of the m is an intercept.
        total: weight of the rows; their number, if all count alike.
        rank: how many weights the rows can tell apart.
        condition: largest condition index of the standardized columns.
        log_likelihood: of the rows.
        null_log_likelihood: of the rows, with an intercept alone.
        residuals: sum of squared residuals; None for a classification.
        spread: sum of squares that there is to explain; None for a classification.
        penalized: whether there was a penalty.
    """

    family: Literal["linear", "logistic"]
    weights: Floats
    covariance: Floats | None
    directions: Floats
    intercept: bool
    total: float
    rank: int
    condition: float
    log_likelihood: float
    null_log_likelihood: float
    residuals: float | None = None
    spread: float | None = None
    penalized: bool = False

    @property
    def loose(self) -> NDArray[np.bool_]:
        """Which estimates are only one choice among many [k * m]."""
        return np.asarray((self.directions != 0).any(axis=1))

    @property
    def errors(self) -> Floats:
        """Standard errors [k, m]; NaN where there is none."""
        if self.covariance is None:
            return np.full(self.weights.shape, np.nan)
        variance = np.where(self.loose, np.nan, np.maximum(self.covariance.diagonal(), 0.0))
        return np.asarray(np.sqrt(variance).reshape(self.weights.shape))

    @property
    def freedom(self) -> float:
        """Degrees of freedom of the residuals; infinite for a classification."""
        return self.total - self.rank if self.family == "linear" else math.inf

    @property
    def inflation(self) -> Floats:
        """Variance inflation factor of each column, of a single score [m]; NaN where there is none."""
        columns = self.weights.shape[1] - self.intercept
        factors = np.full(self.weights.shape[1], np.nan)
        if self.covariance is None or len(self.weights) > 1 or self.loose.any() or not columns:
            return factors
        own = self.covariance[:columns, :columns]
        if (own.diagonal() > 0).all():
            factors[:columns] = own.diagonal() * invert(own).diagonal()
        return factors

    def mapped(self, matrix: Floats) -> Inference:
        """Return the same for other weights, each a sum of these: ``matrix`` [m', m], the intercept last in both.

        A sum can be sure although its parts are not.
        """
        every = np.kron(np.eye(len(self.weights)), matrix)
        covariance = None if self.covariance is None else every @ self.covariance @ every.T
        directions = every @ self.directions
        directions[np.abs(directions) <= _INVOLVED * (np.abs(every) @ np.abs(self.directions))] = 0.0
        return replace(self, weights=self.weights @ matrix.T, covariance=covariance, directions=directions)


def of_least_squares(weights: Floats, moments: Moments, scaling: Scaling, *, l1: float, l2: float) -> Inference:
    """Infer from the moments of the features and the target (last), and the weights of scaled columns [1, width]."""
    gram, right, spread = normal_equations(moments, scaling)
    columns, total = len(scaling.shift), moments.rows
    own = weights[0, :columns]
    residuals = max(total * float(spread - 2 * own @ right + own @ gram @ own), 0.0)
    alone, penalty = np.eye(scaling.width), np.diag(scaling.penalty(l2, total))
    alone[:columns, :columns] = gram
    directions = _flat_directions(alone)
    rank = scaling.width - directions.shape[1]
    freedom = total - rank
    covariance = None
    if l1 == 0 and freedom > 0:
        covariance = invert(alone + penalty) * (residuals / freedom / total)
    likelihood = _normal_likelihood(residuals, total)
    found = Inference(
        family="linear",
        weights=weights,
        covariance=covariance,
        directions=_clean(directions if l2 == 0 else directions[:, :0]),
        intercept=scaling.intercept,
        total=total,
        rank=rank,
        condition=_condition(gram),
        log_likelihood=likelihood,
        null_log_likelihood=_normal_likelihood(total * spread, total),
        residuals=residuals,
        spread=total * spread,
        penalized=l1 > 0 or l2 > 0,
    )
    return found.mapped(own_units(scaling))


def of_likelihood(
    weights: Floats, hessian: Floats, loss: float, counts: Floats, scaling: Scaling, *, l1: float, l2: float
) -> Inference:
    """Infer from the second derivative of the mean penalized loss at the weights of scaled columns [k, width].

    Args:
        loss: mean loss without penalty.
        counts: weight of the rows of each class [classes].
    """
    outputs, total = len(weights), float(counts.sum())
    information = hessian - np.diag(np.tile(scaling.penalty(l2, total), outputs))
    seen = _Seen.of(information, outputs, vectors=l2 == 0)
    covariance = None
    if l1 == 0:
        covariance = (seen.inverse() if l2 == 0 else _without_shifts(hessian, outputs)) / total
    null = counts[counts > 0]
    found = Inference(
        family="logistic",
        weights=weights,
        covariance=covariance,
        directions=np.empty((weights.size, 0)) if seen.vectors is None else _clean(seen.flat_directions()),
        intercept=scaling.intercept,
        total=total,
        rank=seen.rank,
        condition=seen.condition,
        log_likelihood=-total * loss,
        null_log_likelihood=float(null @ np.log(null / total)) if scaling.intercept else -total * math.log(len(counts)),
        penalized=l1 > 0 or l2 > 0,
    )
    return found.mapped(own_units(scaling))


@dataclass(frozen=True)
class _Seen:
    """What the rows tell of the weights: the spectrum of the information, but for shifts of all classes alike."""

    values: Floats
    vectors: Floats | None
    scale: Floats
    shifts: Floats | None

    @classmethod
    def of(cls, information: Floats, outputs: int, *, vectors: bool) -> _Seen:
        size = len(information)
        if outputs > 1:  # adding one number to a weight of all classes changes nothing: look at what is left
            shifts = _shifts(outputs, size // outputs)
            information, scale = information - shifts @ information @ shifts, np.ones(size)
        else:
            shifts, scale = None, np.sqrt(np.maximum(information.diagonal(), 0.0))
            scale = np.where(scale > 0, scale, 1.0)
            information = information / np.outer(scale, scale)
        if not vectors:
            return cls(np.asarray(np.linalg.eigvalsh(information), dtype=np.float64), None, scale, shifts)
        values, vectors_ = np.linalg.eigh(information)
        return cls(np.asarray(values), np.asarray(vectors_), scale, shifts)

    @property
    def rank(self) -> int:
        return int((~flat(self.values)).sum())

    @property
    def condition(self) -> float:
        hidden = 0 if self.shifts is None else round(float(self.shifts.trace()))
        seen = self.values[~flat(self.values)]
        return math.inf if len(seen) < len(self.values) - hidden else float(math.sqrt(seen[-1] / seen[0]))

    def flat_directions(self) -> Floats:
        assert self.vectors is not None
        directions = self.vectors[:, flat(self.values)] / self.scale[:, None]
        if self.shifts is None:
            return np.asarray(directions / np.linalg.norm(directions, axis=0))
        directions = directions - self.shifts @ directions
        values, vectors = np.linalg.eigh(directions.T @ directions)
        return np.asarray(directions @ vectors[:, values > 0.5])

    def inverse(self) -> Floats:
        assert self.vectors is not None
        kept = ~flat(self.values)
        root = self.vectors[:, kept] / np.sqrt(self.values[kept]) / self.scale[:, None]
        return np.asarray(root @ root.T)


def _shifts(outputs: int, width: int) -> Floats:
    """Return the projection on what adds one number to a weight of all classes."""
    return np.kron(np.full((outputs, outputs), 1.0 / outputs), np.eye(width))


def _without_shifts(hessian: Floats, outputs: int) -> Floats:
    """Return the inverse of a Hessian with a ridge penalty, whose intercepts alone can be shifted freely."""
    if outputs == 1:
        return invert(hessian) if not (hessian.diagonal() > 0).all() else np.asarray(np.linalg.inv(hessian))
    kept = np.eye(len(hessian)) - _shifts(outputs, len(hessian) // outputs)
    return np.asarray(kept @ invert(kept @ hessian @ kept) @ kept)


def own_units(scaling: Scaling) -> Floats:
    """Return the matrix [width, width] that turns weights of scaled columns into those of the data's own units."""
    matrix = np.diag(np.append(1.0 / scaling.scale, [1.0] if scaling.intercept else []))
    if scaling.intercept:
        matrix[-1, :-1] = -scaling.shift / scaling.scale
    return matrix


def collinear_columns(moments: Moments, scaling: Scaling) -> list[int]:
    """Return the columns whose weights the rows cannot tell apart, from full moments; constant ones are not named."""
    columns = len(scaling.shift)
    products = moments.products[:columns, :columns]
    if not scaling.intercept:
        products = products + moments.rows * np.outer(moments.mean[:columns], moments.mean[:columns])
    varied = np.flatnonzero(products.diagonal() > 0)
    scale = np.sqrt(products.diagonal()[varied])
    directions = _flat_directions(products[np.ix_(varied, varied)] / np.outer(scale, scale))
    return [int(j) for j in varied[(_clean(directions) != 0).any(axis=1)]]


def _flat_directions(matrix: Floats) -> Floats:
    """Return an orthonormal basis [m, r] of what a sum of squares [m, m] does not see."""
    values, vectors = np.linalg.eigh(matrix)
    return np.asarray(vectors[:, flat(values)])


def _clean(directions: Floats) -> Floats:
    """Return the directions with exact zeros for what is only rounding."""
    return np.where(np.abs(directions) > _INVOLVED, directions, 0.0)


def _condition(matrix: Floats) -> float:
    """Return the largest condition index of a sum of squares, its columns brought to one length."""
    varied = matrix.diagonal() > 0
    if not varied.any():
        return math.inf
    scale = np.sqrt(matrix.diagonal()[varied])
    values = np.linalg.eigvalsh(matrix[np.ix_(varied, varied)] / np.outer(scale, scale))
    return math.inf if flat(values).any() else float(math.sqrt(values[-1] / values[0]))


def _normal_likelihood(squares: float, total: float) -> float:
    if squares <= 0:
        return math.inf
    return -0.5 * total * (math.log(2 * math.pi * squares / total) + 1)
