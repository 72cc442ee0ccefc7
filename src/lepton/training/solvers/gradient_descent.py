"""Gradient descent on several workers: the textbook method, step by step.

1. Partition: every worker holds its own rows (the shard).
2. Initialize: every worker starts from the same weights.
3. Gradient: every worker computes it on its own rows.
4. Aggregate: the gradients are added up over the workers (all-reduce).
5. Update: every worker takes the same step, so the weights stay equal everywhere.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lepton.training.context import TrainingContext
from lepton.training.losses import Loss, weigh
from lepton.training.problems import TrainingDataError
from lepton.training.shards import Chunk, Shard
from lepton.training.solvers.solution import Solution

Floats = NDArray[np.float64]
_PATIENCE = 5


@dataclass(frozen=True)
class Descent:
    """How to walk down.

    Args:
        learning_rate: length of a step, as a multiple of the gradient of the mean loss.
        penalty: ridge penalty on the mean loss, per column of the weights [width].
        max_iterations: passes over the rows.
        tolerance: the walk ends when the gradient is shorter than this share of the first one; with mini-batches, when
            the loss of five passes in a row is not lower by this share.
        batch_size: rows per update, of all workers together; None for all rows.
        seed: of the shuffling of mini-batches.
    """

    learning_rate: float
    penalty: Floats
    max_iterations: int
    tolerance: float
    batch_size: int | None = None
    seed: int = 0


def gradient_descent(loss: Loss, shard: Shard, plan: Descent, start: Floats, context: TrainingContext) -> Solution:
    """Minimize the mean loss by steps against the gradient of all rows; ``shard`` is this worker's partition (1)."""
    weights = start  # 2. initialize
    curve: list[float] = []
    first_length = _length_at_zero(loss, shard, plan, start, context) if start.any() else 0.0
    for _ in range(plan.max_iterations):
        mine = _sums(loss, shard.chunks(), weights)  # 3. gradient on this worker's rows
        everyone = context.collective.all_reduce(mine)  # 4. aggregate
        value, gradient = _mean(everyone, weights, plan.penalty)
        curve.append(value)
        context.report(len(curve), loss=value)
        _refuse_divergence(curve, plan.learning_rate, slack=2.0)
        length = float(np.linalg.norm(gradient))
        first_length = first_length or length
        if length <= plan.tolerance * first_length:
            return Solution(weights, tuple(curve), converged=True)
        if context.stop_agreed():
            return Solution(weights, tuple(curve), converged=False, stopped=True)
        weights = weights - plan.learning_rate * gradient  # 5. update
    return _out_of_iterations(weights, curve)


def mini_batch_descent(loss: Loss, shard: Shard, plan: Descent, start: Floats, context: TrainingContext) -> Solution:
    """Minimize the mean loss with an update after every few rows; steps shrink with the root of the pass's number.

    Every worker takes its share of ``batch_size`` for each update; one that runs out of rows before the others adds
    nothing to the rest of the pass.
    """
    collective = context.collective
    size = max(1, round((plan.batch_size or 1) / collective.world_size))
    random = np.random.default_rng([plan.seed, collective.rank])
    weights = start
    curve: list[float] = []
    for epoch in range(1, plan.max_iterations + 1):
        portions = shard.mini_batches(size, random)
        total = rows = 0.0
        while True:
            everyone = collective.all_reduce(
                _sums(loss, [portion] if (portion := next(portions, None)) else [], weights)
            )
            if everyone[-1] == 0:  # nobody has rows left: the pass is over
                break
            if everyone[-2] == 0:  # these rows do not count
                continue
            value, gradient = _mean(everyone, weights, plan.penalty)
            total, rows = total + value * everyone[-2], rows + everyone[-2]
            weights = weights - plan.learning_rate / math.sqrt(epoch) * gradient
        curve.append(float(total / rows))
        context.report(epoch, loss=curve[-1])
        _refuse_divergence(curve, plan.learning_rate, slack=1e4)
        if _has_settled(curve, plan.tolerance):
            return Solution(weights, tuple(curve), converged=True)
        if context.stop_agreed():
            return Solution(weights, tuple(curve), converged=False, stopped=True)
    return _out_of_iterations(weights, curve)


def _length_at_zero(loss: Loss, shard: Shard, plan: Descent, start: Floats, context: TrainingContext) -> float:
    """Measure what a walk from 0 would begin with, so that one from near the optimum ends at the same place."""
    zero = np.zeros_like(start)
    _, gradient = _mean(context.collective.all_reduce(_sums(loss, shard.chunks(), zero)), zero, plan.penalty)
    return float(np.linalg.norm(gradient))


def safe_learning_rate(
    loss: Loss, second_moment: Floats, penalty: Floats, *, batch: tuple[int, int, float] | None = None
) -> float:
    """Return 1 / L, where L bounds how fast the gradient changes, so that a step never overshoots.

    L is the loss's second derivative times the largest eigenvalue of the mean of x x', plus the penalty. Mini-batches
    see single rows, so their bound lies between that and the longest row.

    Source: Y. Nesterov, "Lectures on Convex Optimization", 2nd ed., section 2.1.5; for mini-batches R. Gower et al.,
    "SGD: General Analysis and Improved Rates", ICML 2019, expected smoothness of b-nice sampling.

    Args:
        second_moment: mean of x x' [width, width], or only its diagonal [width], whose sum is the bound then.
        batch: rows per update, rows of all workers, largest squared length of a row; None for all rows at once.
    """
    wide = second_moment.ndim == 1
    largest = float(second_moment.sum() if wide else np.linalg.eigvalsh(second_moment)[-1])
    if batch is not None:
        size, rows, longest = min(batch[0], batch[1]), batch[1], batch[2]
        if rows > 1:
            largest = (rows * (size - 1) * largest + (rows - size) * longest) / (size * (rows - 1))
    bound = loss.smoothness * largest + float(penalty.max(initial=0.0))
    return 1.0 / bound if bound > 0 else 1.0


def longest_row(shard: Shard, context: TrainingContext) -> float:
    """Return the largest squared length of a row of any worker, times its weight."""
    lengths = ((np.einsum("ij,ij->i", rows, rows), weights) for rows, _, weights in shard.chunks())
    mine = max((float((long if weights is None else long * weights).max()) for long, weights in lengths), default=0.0)
    place = np.zeros(context.collective.world_size)
    place[context.collective.rank] = mine
    return float(context.collective.all_reduce(place).max())


def _sums(loss: Loss, portions: Iterable[Chunk], weights: Floats) -> Floats:
    """Return gradient, loss, weight and number of this worker's rows, in one array to add up over workers."""
    slope, total, counted, some = np.zeros_like(weights), 0.0, 0.0, 0.0
    with np.errstate(over="ignore", invalid="ignore"):  # a too long step is reported by _refuse_divergence
        for features, targets, rows in portions:
            value, residual = weigh(*loss.evaluate(features @ weights.T, targets), rows)
            slope += residual.T @ features
            total += value
            counted += len(features) if rows is None else float(rows.sum())
            some += len(features)
    return np.concatenate([slope.ravel(), [total, counted, some]])


def _mean(sums: Floats, weights: Floats, penalty: Floats) -> tuple[float, Floats]:
    """Return mean loss plus penalty and its gradient, from the sums of all workers."""
    with np.errstate(over="ignore", invalid="ignore"):
        value = sums[-3] / sums[-2] + 0.5 * np.sum(penalty * weights**2)
        return float(value), sums[:-3].reshape(weights.shape) / sums[-2] + penalty * weights


def _refuse_divergence(curve: list[float], learning_rate: float, *, slack: float) -> None:
    if not math.isfinite(curve[-1]) or curve[-1] > slack * curve[0] + 1e-12:
        raise TrainingDataError(
            f"Gradient descent moves away from the optimum with learning_rate={learning_rate:g}; "
            "choose a smaller one, scale the columns, or leave learning_rate='auto'."
        )


def _has_settled(curve: list[float], tolerance: float) -> bool:
    if len(curve) <= _PATIENCE:
        return False
    best_before = min(curve[:-_PATIENCE])
    return min(curve[-_PATIENCE:]) >= best_before - tolerance * abs(best_before)


def _out_of_iterations(weights: Floats, curve: list[float]) -> Solution:
    advice = (
        f"Gradient descent stopped after max_iterations={len(curve)} before it reached the optimum; "
        "scale the columns (z-score or min-max), raise max_iterations, or leave solver='auto'."
    )
    return Solution(weights, tuple(curve), converged=False, advice=advice)
