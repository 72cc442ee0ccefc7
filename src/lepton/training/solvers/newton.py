"""Newton's method on several workers: a pass over the rows gives gradient and Hessian, their sums give the step.

Source: J. Nocedal, S. Wright, "Numerical Optimization", 2nd ed., sections 3.1 (Armijo's condition) and 3.4 (a multiple
of the identity makes the Hessian positive definite). Steps from a sample's Hessian: F. Roosta-Khorasani, M. Mahoney,
"Sub-sampled Newton methods", Mathematical Programming 174, 2019. With an L1 penalty each step is a proximal one:
J. Lee, Y. Sun, M. Saunders, "Proximal Newton-type methods for minimizing composite functions", SIAM J. Optim. 24, 2014.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from lepton.training.context import TrainingContext
from lepton.training.losses import CurvedLoss
from lepton.training.solvers.coordinates import sparse_step
from lepton.training.solvers.objective import Objective
from lepton.training.solvers.solution import Solution

Floats = NDArray[np.float64]
_ARMIJO = 1e-4
_SHORTEST_STEP = 2.0**-30
_SAMPLED_STEPS = 4
_SETTLED = 3e-5
"""After a step this short the Hessian before it is the one after it to about four digits."""


def newton(
    loss: CurvedLoss,
    objective: Objective,
    start: Floats,
    *,
    max_iterations: int,
    enough: float,
    context: TrainingContext,
    exact_hessian: bool = False,
) -> Solution:
    """Minimize from ``start`` [outputs, width].

    Ends with a full step whose length, measured in the Hessian, is at most ``enough``: near the optimum the error left
    is about the square of that length. With ``exact_hessian`` the Hessian returned is that of the last weights even if
    the last step was long for that, at the price of one more pass.
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
        direction, promised, length = _step(objective, hessian, gradient, accepted)
        weights = accepted + direction
        if length <= enough:
            looked_at = accepted
            if exact_hessian and length > _SETTLED:
                value, _, hessian = objective.hessian(loss, weights)
                looked_at = weights
                curve.append(value)
                context.report(len(curve), loss=value)
            alone = value - objective.penalties(looked_at)
            return Solution(weights, tuple(curve), converged=True, hessian=hessian, loss=alone)
        if context.stop_agreed():
            return Solution(accepted, tuple(curve), converged=False, stopped=True)
    advice = (
        f"Newton's method stopped after max_iterations={len(curve)}; raise it, scale the columns or set l2 above 0."
    )
    return Solution(accepted, tuple(curve), converged=False, hessian=hessian, advice=advice)


def sampled_steps(
    loss: CurvedLoss, objective: Objective, sample: Objective, start: Floats, *, enough: float, context: TrainingContext
) -> Solution:
    """Come near the optimum by gradients of all rows and the Hessian of a sample, which is much cheaper to have.

    Each step cuts the error to about twice the root of (weights / rows of the sample), by the law of Marchenko and
    Pastur; the walk ends where the next step would be short enough, or when one does not do that, which leaves the rest
    to ``newton``.

    Args:
        start: the optimum of the sample [outputs, width].
        enough: length from which ``newton`` takes its last step.
    """
    _, _, hessian = sample.hessian(loss, start)
    rate = 2.0 * math.sqrt(start.size / sample.total)
    weights, before = start, math.inf
    curve: list[float] = []
    for _ in range(_SAMPLED_STEPS):
        value, gradient = objective.gradient(loss, weights)
        direction, _, length = _step(objective, hessian, gradient, weights)
        if curve and (value > curve[-1] or length > before / 3.0):
            break
        curve.append(value)
        context.report(len(curve), loss=value)
        rate = max(rate, length / before)
        weights, before = weights + direction, length
        if rate * length <= enough or context.stop_agreed():
            break
    return Solution(weights, tuple(curve), converged=False)


def _step(objective: Objective, hessian: Floats, gradient: Floats, weights: Floats) -> tuple[Floats, float, float]:
    """Return the step, how far the objective would fall at its slope there, and its length in the Hessian."""
    outputs = len(weights)
    if objective.sparsity.any():
        target = sparse_step(hessian, gradient.ravel(), weights.ravel(), np.tile(objective.sparsity, outputs))
        step = target - weights.ravel()
        shrunk = float(np.tile(objective.sparsity, outputs) @ (np.abs(target) - np.abs(weights.ravel())))
        length = math.sqrt(max(float(step @ hessian @ step), 0.0))
        return step.reshape(weights.shape), float(gradient.ravel() @ step) + shrunk, length
    direction = -_solve(hessian, gradient.ravel(), outputs).reshape(weights.shape)
    promised = float(np.sum(gradient * direction))
    return direction, promised, math.sqrt(max(-promised, 0.0))


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
