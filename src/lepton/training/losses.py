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

    def evaluate(self, scores: Floats, targets: NDArray[Any]) -> tuple[Floats, Floats]:
        """Return the loss of each row [n] and its derivative in the scores [n, outputs]."""


class CurvedLoss(Loss, Protocol):
    """A loss that Newton's method can use."""

    def curvature(
        self, features: NDArray[np.floating], slope: Floats, targets: NDArray[Any], weights: Floats | None
    ) -> Floats:
        """Return the sum of second derivatives in the weights [outputs * m, outputs * m] for features [n, m].

        ``slope`` is the derivative that ``evaluate`` returned for the same rows; ``weights`` [n] are how much each row
        counts, None for 1.
        """


def weigh(losses: Floats, slope: Floats, weights: Floats | None) -> tuple[float, Floats]:
    """Return the sum of losses and the derivative, each row counted as often as its weight says; None for once."""
    if weights is None:
        return float(losses.sum()), slope
    return float(weights @ losses), slope * weights[:, None]


@dataclass(frozen=True)
class SquaredLoss:
    """Half the squared distance of a number."""

    outputs: int = 1
    smoothness: float = 1.0

    def evaluate(self, scores: Floats, targets: NDArray[Any]) -> tuple[Floats, Floats]:
        """Return half the squared residuals and the residuals."""
        residual = scores - targets[:, None]
        return 0.5 * residual[:, 0] ** 2, residual


@dataclass(frozen=True)
class LogisticLoss:
    """Negative log-likelihood of two classes, 0 and 1.

    Source: Hastie, Tibshirani, Friedman, "The Elements of Statistical Learning", 2nd ed., section 4.4.1.
    """

    outputs: int = 1
    smoothness: float = 0.25

    def evaluate(self, scores: Floats, targets: NDArray[Any]) -> tuple[Floats, Floats]:
        """Return the losses and probability minus target."""
        z = scores[:, 0]
        # exp(-|z|) never overflows: log(1 + e^z) = max(z, 0) + log1p(e^-|z|)
        decay = np.exp(-np.abs(z))
        losses = np.maximum(z, 0.0) + np.log1p(decay) - z * targets
        probability = np.where(z >= 0, 1.0, decay) / (1.0 + decay)
        return losses, (probability - targets)[:, None]

    def curvature(
        self, features: NDArray[np.floating], slope: Floats, targets: NDArray[Any], weights: Floats | None
    ) -> Floats:
        """Return X' diag(w p (1 - p)) X."""
        probability = slope[:, 0] + targets
        curve = np.maximum(probability * (1.0 - probability), 0.0)
        root = np.sqrt(curve if weights is None else curve * weights).astype(features.dtype, copy=False)
        weighted = features * root[:, None]
        return np.asarray(weighted.T @ weighted, dtype=np.float64)


@dataclass(frozen=True)
class SoftmaxLoss:
    """Negative log-likelihood of several classes, 0 to ``outputs`` - 1.

    Source: C. Bishop, "Pattern Recognition and Machine Learning", section 4.3.4; the bound of the second derivative is
    D. Böhning, "Multinomial logistic regression algorithm", Ann. Inst. Statist. Math. 44, 1992.
    """

    outputs: int
    smoothness: float = 0.5

    def evaluate(self, scores: Floats, targets: NDArray[Any]) -> tuple[Floats, Floats]:
        """Return the losses and probabilities minus one-hot targets."""
        rows = np.arange(len(scores))
        probability = scores - scores.max(axis=1, keepdims=True)
        chosen = probability[rows, targets]
        np.exp(probability, out=probability)
        sums = probability.sum(axis=1, keepdims=True)
        losses: Floats = np.log(sums[:, 0]) - chosen
        probability /= sums
        probability[rows, targets] -= 1.0
        return losses, probability

    def curvature(
        self, features: NDArray[np.floating], slope: Floats, targets: NDArray[Any], weights: Floats | None
    ) -> Floats:
        """Return the sum over rows of w (diag(p) - p p') times x x' (Kronecker)."""
        rows, width = features.shape
        probability = slope.copy()
        probability[np.arange(rows), targets] += 1.0
        features = features.astype(np.float64, copy=False)
        if weights is not None:
            features = features * np.sqrt(weights)[:, None]
        joined = (probability[:, :, None] * features[:, None, :]).reshape(rows, -1)
        hessian: Floats = -(joined.T @ joined)
        for k in range(self.outputs):
            weighted = features * np.sqrt(np.maximum(probability[:, k], 0.0))[:, None]
            block = slice(k * width, (k + 1) * width)
            hessian[block, block] += weighted.T @ weighted
        return hessian
