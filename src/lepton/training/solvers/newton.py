"""Newton's method on several workers: a pass over the rows gives gradient and Hessian, their sums give the step.

Source: J. Nocedal, S. Wright, "Numerical Optimization", 2nd ed., sections 3.1 (Armijo's condition) and 3.4 (a multiple
of the identity makes the Hessian positive definite).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from lepton.training.context import TrainingContext
from lepton.training.losses import CurvedLoss
from lepton.training.solvers.objective import Objective
from lepton.training.solvers.solution import Solution

Floats = NDArray[np.float64]
_ARMIJO = 1e-4
_SHORTEST_STEP = 2.0**-30


def newton(
    loss: CurvedLoss,
    objective: Objective,
    start: Floats,
    *,
    max_iterations: int,
    tolerance: float,
    context: TrainingContext,
) -> Solution:
    """Minimize from ``start`` [outputs, width].

    Ends with a full step whose length, measured in the Hessian, is at most 100 * tolerance: near the optimum the error
    left is about the square of that length, 1e-8 at the default tolerance.
    """
    weights, accepted, step_size = start, start, 0.0
    direction, promised, lowest = np.zeros_like(start), 0.0, math.inf
    curve: list[float] = []
    while len(curve) < max_iterations:
        value, gradient, hessian = objective.hessian(loss, weights)
        if value > lowest + _ARMIJO * step_size * promised + 1e-13 * abs(lowest) and step_size > _SHORTEST_STEP:
            step_size /= 2.0  # the step went too far: the quadratic model does not hold there
            weights = accepted + step_size * direction
            curve.append(lowest)
            continue
        curve.append(value)
        context.report(len(curve), loss=value)
        accepted, lowest, step_size = weights, value, 1.0
        direction = -_solve(hessian, gradient.ravel(), loss.outputs).reshape(weights.shape)
        promised = float(np.sum(gradient * direction))
        weights = accepted + direction
        if math.sqrt(max(-promised, 0.0)) <= 100.0 * tolerance:
            return Solution(weights, tuple(curve), converged=True)
        if context.stop_agreed():
            return Solution(accepted, tuple(curve), converged=False, stopped=True)
    advice = (
        f"Newton's method stopped after max_iterations={len(curve)}; raise it, scale the columns or set l2 above 0."
    )
    return Solution(accepted, tuple(curve), converged=False, advice=advice)


def _solve(hessian: Floats, gradient: Floats, outputs: int) -> Floats:
    """Return the Newton step; a small ridge holds flat directions (equal columns, equal shifts of all classes)."""
    size = len(gradient)
    diagonal = hessian.diagonal()
    if outputs > 1:  # adding one number to a column's weights of all classes changes no probability
        width = size // outputs
        shifts = np.tile(np.eye(width), (outputs, outputs)) / outputs
        hessian = hessian + shifts * (diagonal.mean() or 1.0)
    ridge = 1e-12 * max(float(diagonal.max(initial=0.0)), 1e-300)
    while True:
        held = hessian + ridge * np.eye(size)
        try:
            np.linalg.cholesky(held)  # only to see that it is positive definite
        except np.linalg.LinAlgError:
            ridge *= 100.0
            continue
        return np.asarray(np.linalg.solve(held, gradient), dtype=np.float64)
