"""What linear models minimise: each loss as a function of the scores, with its first and second derivative."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Loss(Protocol):
    """A loss of scores [n, outputs] against targets [n]."""

    @property
    def outputs(self) -> int:
        """Scores per row."""

    @property
    def smoothness(self) -> float:
        """Upper bound of the second derivative in the scores."""

    def evaluate(self, scores: Floats, targets: NDArray[Any]) -> tuple[float, Floats]:
        """Return the sum of losses and its derivative in the scores [n, outputs]."""


class CurvedLoss(Loss, Protocol):
    """A loss that Newton's method can use."""

    def curvature(self, features: Floats, slope: Floats, targets: NDArray[Any]) -> Floats:
        """Return the sum of second derivatives in the weights [outputs * m, outputs * m] for features [n, m].

        ``slope`` is the derivative that ``evaluate`` returned for the same rows.
        """


@dataclass(frozen=True)
class SquaredLoss:
    """Half the squared distance of a number."""

    outputs: int = 1
    smoothness: float = 1.0

    def evaluate(self, scores: Floats, targets: NDArray[Any]) -> tuple[float, Floats]:
        """Return the sum of losses and the residuals."""
        residual = scores - targets[:, None]
        return 0.5 * float(np.vdot(residual, residual)), residual


@dataclass(frozen=True)
class LogisticLoss:
    """Negative log-likelihood of two classes, 0 and 1.

    Source: Hastie, Tibshirani, Friedman, "The Elements of Statistical Learning", 2nd ed., section 4.4.1.
    """

    outputs: int = 1
    smoothness: float = 0.25

    def evaluate(self, scores: Floats, targets: NDArray[Any]) -> tuple[float, Floats]:
        """Return the sum of losses and probability minus target."""
        z = scores[:, 0]
        # exp(-|z|) never overflows: log(1 + e^z) = max(z, 0) + log1p(e^-|z|)
        decay = np.exp(-np.abs(z))
        total = float(np.sum(np.maximum(z, 0.0) + np.log1p(decay)) - z @ targets)
        probability = np.where(z >= 0, 1.0, decay) / (1.0 + decay)
        return total, (probability - targets)[:, None]

    def curvature(self, features: Floats, slope: Floats, targets: NDArray[Any]) -> Floats:
        """Return X' diag(p (1 - p)) X."""
        probability = slope[:, 0] + targets
        weighted: Floats = features * np.sqrt(np.maximum(probability * (1.0 - probability), 0.0))[:, None]
        return weighted.T @ weighted


@dataclass(frozen=True)
class SoftmaxLoss:
    """Negative log-likelihood of several classes, 0 to ``outputs`` - 1.

    Source: C. Bishop, "Pattern Recognition and Machine Learning", section 4.3.4; the bound of the second derivative is
    D. Böhning, "Multinomial logistic regression algorithm", Ann. Inst. Statist. Math. 44, 1992.
    """

    outputs: int
    smoothness: float = 0.5

    def evaluate(self, scores: Floats, targets: NDArray[Any]) -> tuple[float, Floats]:
        """Return the sum of losses and probabilities minus one-hot targets."""
        rows = np.arange(len(scores))
        probability = scores - scores.max(axis=1, keepdims=True)
        chosen = probability[rows, targets]
        np.exp(probability, out=probability)
        sums = probability.sum(axis=1, keepdims=True)
        total = float(np.sum(np.log(sums)) - np.sum(chosen))
        probability /= sums
        probability[rows, targets] -= 1.0
        return total, probability

    def curvature(self, features: Floats, slope: Floats, targets: NDArray[Any]) -> Floats:
        """Return the sum over rows of (diag(p) - p p') times x x' (Kronecker)."""
        rows, width = features.shape
        probability = slope.copy()
        probability[np.arange(rows), targets] += 1.0
        joined = (probability[:, :, None] * features[:, None, :]).reshape(rows, -1)
        hessian: Floats = -(joined.T @ joined)
        for k in range(self.outputs):
            weighted = features * np.sqrt(np.maximum(probability[:, k], 0.0))[:, None]
            block = slice(k * width, (k + 1) * width)
            hessian[block, block] += weighted.T @ weighted
        return hessian
