"""The mean loss over the rows of all workers plus ridge penalty, with its derivatives: one pass and one sum each.

objective(W) = 1/n * sum of losses + 1/2 * sum over weights of penalty * weight**2
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lepton.training.collective import Collective
from lepton.training.losses import CurvedLoss, Loss
from lepton.training.shards import Shard

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Objective:
    """One function that all workers evaluate together.

    Args:
        rows: rows of all workers.
        penalty: ridge penalty on the mean loss, per column of the weights [width].
    """

    shard: Shard
    rows: int
    penalty: Floats
    collective: Collective

    def gradient(self, loss: Loss, weights: Floats) -> tuple[float, Floats]:
        """Return the value and the gradient, shaped like the weights [outputs, width]."""
        total, slope = 0.0, np.zeros_like(weights)
        for features, targets in self.shard.chunks():
            part, residual = loss.evaluate(features @ weights.T, targets)
            total += part
            slope += residual.T @ features
        sums = self.collective.all_reduce(np.append(slope.ravel(), total))
        return self._penalized(float(sums[-1]), sums[:-1].reshape(weights.shape), weights)

    def hessian(self, loss: CurvedLoss, weights: Floats) -> tuple[float, Floats, Floats]:
        """Return the value, the gradient and the Hessian [outputs * width, outputs * width]."""
        total, slope = 0.0, np.zeros_like(weights)
        curvature = np.zeros((weights.size, weights.size))
        for features, targets in self.shard.chunks():
            part, residual = loss.evaluate(features @ weights.T, targets)
            total += part
            slope += residual.T @ features
            curvature += loss.curvature(features, residual, targets)
        sums = self.collective.all_reduce(np.concatenate([curvature.ravel(), slope.ravel(), [total]]))
        value, gradient = self._penalized(float(sums[-1]), sums[curvature.size : -1].reshape(weights.shape), weights)
        hessian = sums[: curvature.size].reshape(curvature.shape) / self.rows
        hessian[np.diag_indices_from(hessian)] += np.tile(self.penalty, len(weights))
        return value, gradient, hessian

    def _penalized(self, total: float, slope: Floats, weights: Floats) -> tuple[float, Floats]:
        value = total / self.rows + 0.5 * float(np.sum(self.penalty * weights**2))
        return value, slope / self.rows + self.penalty * weights
