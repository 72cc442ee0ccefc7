"""The mean loss over the rows of all workers plus penalties, with its derivatives: one pass and one sum each.

objective(W) = 1/total * sum of losses + sum over weights of (1/2 * penalty * weight**2 + sparsity * |weight|)

The derivatives are those of the smooth part, without the last term.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lepton.training.collective import Collective
from lepton.training.losses import CurvedLoss, Loss, weigh
from lepton.training.shards import Shard

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Objective:
    """One function that all workers evaluate together.

    Args:
        total: weight of the rows of all workers.
        penalty: ridge penalty on the mean loss, per column of the weights [width].
        sparsity: L1 penalty on the mean loss, per column of the weights [width].
    """

    shard: Shard
    total: float
    penalty: Floats
    sparsity: Floats
    collective: Collective

    def gradient(self, loss: Loss, weights: Floats) -> tuple[float, Floats]:
        """Return the value and the gradient, shaped like the weights [outputs, width]."""
        total, slope = 0.0, np.zeros_like(weights)
        stretch = self.shard.scaling.stretch
        for features, targets, counted in self.shard.chunks():
            scores = features @ (weights * stretch).T.astype(features.dtype)
            part, residual = weigh(*loss.evaluate(scores.astype(np.float64, copy=False), targets), counted)
            total += part
            slope += residual.T.astype(features.dtype, copy=False) @ features
        sums = self.collective.all_reduce(np.append((slope * stretch).ravel(), total))
        return self._penalized(float(sums[-1]), sums[:-1].reshape(weights.shape), weights)

    def hessian(self, loss: CurvedLoss, weights: Floats) -> tuple[float, Floats, Floats]:
        """Return the value, the gradient and the Hessian [outputs * width, outputs * width]."""
        total, slope = 0.0, np.zeros_like(weights)
        curvature = np.zeros((weights.size, weights.size))
        stretch = self.shard.scaling.stretch
        for features, targets, counted in self.shard.chunks():
            scores = features @ (weights * stretch).T.astype(features.dtype)
            losses, residual = loss.evaluate(scores.astype(np.float64, copy=False), targets)
            curvature += loss.curvature(features, residual, targets, counted)
            part, residual = weigh(losses, residual, counted)
            total += part
            slope += residual.T.astype(features.dtype, copy=False) @ features
        every = np.tile(stretch, len(weights))
        curvature *= np.outer(every, every)
        sums = self.collective.all_reduce(np.concatenate([curvature.ravel(), (slope * stretch).ravel(), [total]]))
        value, gradient = self._penalized(float(sums[-1]), sums[curvature.size : -1].reshape(weights.shape), weights)
        hessian = sums[: curvature.size].reshape(curvature.shape) / self.total
        hessian[np.diag_indices_from(hessian)] += np.tile(self.penalty, len(weights))
        return value, gradient, hessian

    def penalties(self, weights: Floats) -> float:
        """Return what the penalties add to the mean loss."""
        return float(0.5 * np.sum(self.penalty * weights**2) + np.sum(self.sparsity * np.abs(weights)))

    def _penalized(self, total: float, slope: Floats, weights: Floats) -> tuple[float, Floats]:
        return total / self.total + self.penalties(weights), slope / self.total + self.penalty * weights
