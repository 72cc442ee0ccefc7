"""A quadratic with an L1 penalty, minimized exactly: what a pass over the rows has summed up is all it needs.

Sources: J. Friedman, T. Hastie, R. Tibshirani, "Regularization paths for generalized linear models via coordinate
descent", Journal of Statistical Software 33, 2010, section 2.2; and, for the weights whose signs are known, H. Lee,
A. Battle, R. Raina, A. Ng, "Efficient sparse coding algorithms", NIPS 2006 ("feature-sign search").
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_TRIES = 200
_ROUNDS = 5
_SETTLED = 1e-11
"""How far the slope may be from 0 at the end, as a share of what it was made of."""


def minimize_quadratic(matrix: Floats, right: Floats, sparsity: Floats, start: Floats) -> Floats:
    """Minimize 1/2 w'Aw - b'w + sum of sparsity * |w| over w [m].

    A few rounds of coordinate descent guess which weights are 0 and the signs of the others; for these, what is left
    is a system of equations. The guess was right when its solution has those signs and no weight wants to leave 0.

    Args:
        matrix: A, positive semi-definite [m, m].
        right: b [m].
        sparsity: 0 or more [m].
        start: where to begin [m].
    """
    weights = start.copy()
    diagonal = matrix.diagonal()
    movable = np.flatnonzero(diagonal > 1e-14 * float(diagonal.max(initial=0.0)))
    weights[np.setdiff1d(np.arange(len(weights)), movable)] = 0.0
    enough = _SETTLED * max(float(np.abs(right).max(initial=0.0)), 1e-300)
    for _ in range(_TRIES):
        slope = matrix @ weights - right
        for _ in range(_ROUNDS):
            _round(matrix, weights, slope, sparsity, movable)
        for _ in range(len(weights) + 1):
            weights, done = _solve_for_signs(matrix, right, sparsity, weights, movable)
            if done:
                break
        slope = matrix @ weights - right
        size = enough + _SETTLED * float(np.abs(matrix).max(initial=0.0) * np.abs(weights).max(initial=0.0))
        if _distance(slope, weights, sparsity)[movable].max(initial=0.0) <= size:
            break
    return weights


def sparse_step(hessian: Floats, gradient: Floats, weights: Floats, sparsity: Floats) -> Floats:
    """Return the weights [m] that minimize the quadratic model around ``weights`` plus the L1 penalty."""
    return minimize_quadratic(hessian, hessian @ weights - gradient, sparsity, weights)


def _round(matrix: Floats, weights: Floats, slope: Floats, sparsity: Floats, chosen: NDArray[np.intp]) -> None:
    """Minimize along each chosen coordinate in turn, in place."""
    for j in chosen.tolist():
        own = matrix[j, j]
        moved = weights[j] - slope[j] / own
        shrunk = max(abs(moved) - sparsity[j] / own, 0.0)
        change = (shrunk if moved > 0 else -shrunk) - weights[j]
        if change != 0.0:
            weights[j] += change
            slope += change * matrix[j]


def _solve_for_signs(
    matrix: Floats, right: Floats, sparsity: Floats, weights: Floats, movable: NDArray[np.intp]
) -> tuple[Floats, bool]:
    """Return the optimum for the signs that the weights have, or the place on the way to it where one of them ends.

    The second value says whether it is the optimum.
    """
    active = movable[(weights[movable] != 0.0) | (sparsity[movable] == 0.0)]
    if not len(active):
        return weights, True
    before, own = weights[active], matrix[np.ix_(active, active)]
    signs = np.sign(before) * (sparsity[active] > 0)
    wanted = right[active] - sparsity[active] * signs
    solved, *_ = np.linalg.lstsq(own, wanted, rcond=1e-13)
    downhill = wanted - own @ solved
    if np.abs(downhill).max() > 1e-9 * np.abs(wanted).max():
        # Equal columns have weights: along the line on which they change nothing else the penalty falls without end.
        step, reach = downhill, np.inf
    else:
        step, reach = solved - before, 1.0
    towards = (signs != 0) & (step * signs < 0)
    shares = np.full(len(active), np.inf)
    shares[towards] = before[towards] / -step[towards]
    share = min(reach, float(shares.min()))
    result = weights.copy()
    if np.isfinite(share):
        result[active] = before + share * step
        result[active[shares <= share]] = 0.0
    return result, not np.isfinite(share) or share == 1.0


def _distance(slope: Floats, weights: Floats, sparsity: Floats) -> Floats:
    """Return how far each coordinate is from having 0 among its subgradients."""
    moved = np.abs(slope + sparsity * np.sign(weights))
    return np.asarray(np.where(weights == 0.0, np.maximum(np.abs(slope) - sparsity, 0.0), moved))
