"""Least squares from sums alone: one pass over the rows, however many workers.

Source: Hastie, Tibshirani, Friedman, "The Elements of Statistical Learning", 2nd ed., equations 3.6 and 3.44 (ridge),
on standardized columns; flat directions are left at 0 as in the Moore-Penrose inverse.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lepton.training.moments import Moments
from lepton.training.shards import Scaling
from lepton.training.solvers.solution import Solution

Floats = NDArray[np.float64]


def least_squares(moments: Moments, scaling: Scaling, *, l2: float) -> Solution:
    """Solve for the weights of scaled columns [1, width] from full moments of the features and the target (last)."""
    columns, rows = len(scaling.shift), moments.rows
    products = moments.products if scaling.intercept else moments.products + rows * np.outer(moments.mean, moments.mean)
    scale = scaling.scale
    gram = products[:columns, :columns] / np.outer(scale, scale) / rows
    right = products[:columns, -1] / scale / rows
    gram[np.diag_indices_from(gram)] += scaling.penalty(l2, int(rows))[:columns]
    values, vectors = np.linalg.eigh(gram)
    kept = values > max(columns, 10) * np.finfo(np.float64).eps * max(float(values.max(initial=0.0)), 1e-300)
    inverse = np.where(kept, 1.0 / np.where(kept, values, 1.0), 0.0)
    own = vectors @ (inverse * (vectors.T @ right))
    fitted = 0.5 * float(products[-1, -1] / rows - own @ right)  # loss plus penalty at the optimum
    weights = np.append(own, moments.mean[-1]) if scaling.intercept else own
    return Solution(weights[None, :], (max(fitted, 0.0),), converged=True)
