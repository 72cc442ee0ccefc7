"""What every solver returns."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Solution:
    """Weights and how they were found; the same bits on every worker.

    Args:
        weights: [outputs, width], in scaled columns, the intercept last.
        loss_curve: mean loss plus penalty, one value for each pass over the rows.
        converged: whether the tolerance was reached.
        stopped: whether the run was asked to stop first.
        hessian: second derivative of the mean loss plus penalty at the weights [outputs * width, outputs * width], if
            the solver knows it.
        loss: mean loss without penalties next to the weights, if the solver knows it.
        advice: for a warning when the solver did not converge or found the optimum at infinity; else empty.
    """

    weights: NDArray[np.float64]
    loss_curve: tuple[float, ...]
    converged: bool
    stopped: bool = False
    hessian: NDArray[np.float64] | None = None
    loss: float | None = None
    advice: str = ""
