"""L-BFGS on several workers: for so many weights that a Hessian no longer fits.

Source: J. Nocedal, S. Wright, "Numerical Optimization", 2nd ed., algorithms 7.4 and 7.5, with the step of section 3.1,
cut back until Armijo's condition holds; pairs of points without curvature between them are left out.
"""

from __future__ import annotations

from collections import deque

import numpy as np
from numpy.typing import NDArray

from lepton.training.context import TrainingContext
from lepton.training.losses import Loss
from lepton.training.solvers.objective import Objective
from lepton.training.solvers.solution import Solution

Floats = NDArray[np.float64]
_MEMORY = 10
_ARMIJO = 1e-4
_SHORTEST_STEP = 2.0**-30


def lbfgs(
    loss: Loss, objective: Objective, start: Floats, *, max_iterations: int, tolerance: float, context: TrainingContext
) -> Solution:
    """Minimize from ``start`` [outputs, width] until the gradient is shorter than ``tolerance`` times the first one."""
    weights = start
    value, gradient = objective.gradient(loss, weights)
    reference = objective.gradient(loss, np.zeros_like(start))[1] if start.any() else gradient
    first_length = float(np.linalg.norm(reference))
    pairs: deque[tuple[Floats, Floats]] = deque(maxlen=_MEMORY)
    curve = [value]
    context.report(1, loss=value)
    while float(np.linalg.norm(gradient)) > tolerance * first_length:
        direction = -_two_loops(gradient, pairs)
        slope = float(np.sum(gradient * direction))
        step = 1.0 if pairs else min(1.0, 1.0 / float(np.linalg.norm(gradient)))
        while True:
            if len(curve) >= max_iterations:
                advice = f"L-BFGS stopped after max_iterations={len(curve)}; raise it or set l2 above 0."
                return Solution(weights, tuple(curve), converged=False, advice=advice)
            tried = weights + step * direction
            new_value, new_gradient = objective.gradient(loss, tried)
            curve.append(min(new_value, curve[-1]))
            if new_value <= value + _ARMIJO * step * slope + 1e-13 * abs(value) or step < _SHORTEST_STEP:
                break
            step /= 2.0
        context.report(len(curve), loss=new_value)
        moved, turned = tried - weights, new_gradient - gradient
        if float(np.sum(moved * turned)) > 1e-10 * float(np.linalg.norm(moved) * np.linalg.norm(turned)):
            pairs.append((moved, turned))
        weights, value, gradient = tried, new_value, new_gradient
        if context.stop_agreed():
            return Solution(weights, tuple(curve), converged=False, stopped=True)
    return Solution(weights, tuple(curve), converged=True)


def _two_loops(gradient: Floats, pairs: deque[tuple[Floats, Floats]]) -> Floats:
    """Return the approximate inverse Hessian times the gradient."""
    result = gradient.copy()
    shares: list[float] = []
    for moved, turned in reversed(pairs):
        share = float(np.sum(moved * result) / np.sum(moved * turned))
        result -= share * turned
        shares.append(share)
    if pairs:
        moved, turned = pairs[-1]
        result *= float(np.sum(moved * turned) / np.sum(turned * turned))
    for (moved, turned), share in zip(pairs, reversed(shares), strict=True):
        result += moved * (share - float(np.sum(turned * result) / np.sum(moved * turned)))
    return result
