"""Least squares from sums alone: one pass over the rows, however many workers.

Source: Hastie, Tibshirani, Friedman, "The Elements of Statistical Learning", 2nd ed., equations 3.6 and 3.44 (ridge),
on standardized columns; flat directions are left at 0 as in the Moore-Penrose inverse. With an L1 penalty by coordinate
descent on the same sums.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lepton.training.moments import Moments
from lepton.training.shards import Scaling
from lepton.training.solvers.coordinates import minimize_quadratic
from lepton.training.solvers.solution import Solution

Floats = NDArray[np.float64]


def least_squares(moments: Moments, scaling: Scaling, *, l1: float, l2: float, start: Floats | None = None) -> Solution:
    """Solve for the weights of scaled columns [1, width] from full moments of the features and the target (last).

    Args:
        start: where the descent with an L1 penalty begins [1, width]; None for 0.
    """
    gram, right, spread = normal_equations(moments, scaling)
    columns, total = len(scaling.shift), moments.rows
    gram = gram + np.diag(scaling.penalty(l2, total)[:columns])
    sparsity = scaling.sparsity(l1, total)[:columns]
    if l1 > 0:
        begin = np.zeros(columns) if start is None else start[0, :columns]
        own = minimize_quadratic(gram, right, sparsity, begin)
    else:
        own = invert(gram) @ right
    # loss plus penalty, of which own' A own is twice the quadratic part
    fitted = 0.5 * spread - own @ right + 0.5 * own @ gram @ own + sparsity @ np.abs(own)
    weights = np.append(own, moments.mean[-1]) if scaling.intercept else own
    return Solution(weights[None, :], (max(float(fitted), 0.0),), converged=True)


def normal_equations(moments: Moments, scaling: Scaling) -> tuple[Floats, Floats, float]:
    """Return means over rows: X'X of scaled columns [d, d], X'y [d] and y'y, centred if there is an intercept."""
    columns, total = len(scaling.shift), moments.rows
    products = moments.products
    if not scaling.intercept:
        products = products + total * np.outer(moments.mean, moments.mean)
    scale = scaling.scale
    gram = products[:columns, :columns] / np.outer(scale, scale) / total
    return gram, products[:columns, -1] / scale / total, float(products[-1, -1] / total)


def invert(matrix: Floats) -> Floats:
    """Return the Moore-Penrose inverse of a symmetric matrix; what is only rounding counts as flat."""
    values, vectors = np.linalg.eigh(matrix)
    kept = ~flat(values)
    inverse = np.where(kept, 1.0 / np.where(kept, values, 1.0), 0.0)
    return np.asarray((vectors * inverse) @ vectors.T, dtype=np.float64)


def flat(eigenvalues: Floats) -> NDArray[np.bool_]:
    """Tell which eigenvalues [m] of a sum of squares are 0 but for rounding."""
    largest = max(float(eigenvalues.max(initial=0.0)), 1e-300)
    return np.asarray(eigenvalues <= max(len(eigenvalues), 10) * np.finfo(np.float64).eps * largest)
