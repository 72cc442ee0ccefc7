"""What both linear estimators do alike: check parameters, set up gradient descent, warn, keep the solution."""

from __future__ import annotations

import numbers
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning

from lepton.training.context import TrainingContext
from lepton.training.losses import Loss
from lepton.training.problems import TrainingDataError
from lepton.training.shards import Scaling, Shard
from lepton.training.solvers.gradient_descent import (
    Descent,
    gradient_descent,
    longest_row,
    mini_batch_descent,
    safe_learning_rate,
)
from lepton.training.solvers.solution import Solution
from lepton.training.survey import Batches, Survey


class LinearEstimator(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Parameters and steps shared by LinearRegression and LogisticRegression."""

    solver: str
    l2: float
    fit_intercept: bool
    learning_rate: float | str
    batch_size: int | None
    max_iterations: int
    tolerance: float
    random_state: Any
    loss_curve_: list[float]
    n_iter_: int
    n_features_in_: int

    def _check(self, solvers: Sequence[str]) -> None:
        """Raise for a parameter that no solver can use."""
        if self.solver not in solvers:
            raise TrainingDataError(f"There is no solver {self.solver!r}; choose one of {', '.join(solvers)}.")
        _check_number("l2", self.l2, at_least=0.0)
        _check_number("tolerance", self.tolerance, at_least=0.0)
        _check_number("max_iterations", self.max_iterations, at_least=1, whole=True)
        if self.batch_size is not None:
            _check_number("batch_size", self.batch_size, at_least=1, whole=True)
            if self.solver != "gd":
                raise TrainingDataError("batch_size is for gradient descent only; add solver='gd' or leave it out.")
        if self.learning_rate != "auto":
            _check_number("learning_rate", self.learning_rate, at_least=1e-300)

    def _descend(self, loss: Loss, batches: Batches, found: Survey, context: TrainingContext) -> Solution:
        """Run gradient descent on the columns as they are."""
        scaling = Scaling.none(found.columns, intercept=self.fit_intercept)
        shard = Shard(batches, found.targets, scaling)
        penalty = scaling.penalty(self.l2, found.rows)
        if self.learning_rate == "auto":
            second = found.moments.second(found.columns, intercept=self.fit_intercept)
            batch = None
            if self.batch_size is not None:
                batch = (self.batch_size, found.rows, longest_row(shard, context))
            learning_rate = safe_learning_rate(loss, second, penalty, batch=batch)
        else:
            learning_rate = float(self.learning_rate)
        seed = int(np.random.default_rng(self.random_state).integers(1 << 32)) if self.batch_size else 0
        plan = Descent(learning_rate, penalty, self.max_iterations, self.tolerance, self.batch_size, seed)
        self.learning_rate_ = learning_rate
        walk = gradient_descent if self.batch_size is None else mini_batch_descent
        return walk(loss, shard, plan, context)

    def _keep(self, solution: Solution, found: Survey) -> None:
        self.loss_curve_, self.n_iter_ = list(solution.loss_curve), len(solution.loss_curve)
        self.n_features_in_ = found.columns
        if solution.advice:
            warnings.warn(solution.advice, ConvergenceWarning, stacklevel=4)


def _check_number(name: str, value: object, *, at_least: float, whole: bool = False) -> None:
    kind = numbers.Integral if whole else numbers.Real
    if isinstance(value, kind) and not isinstance(value, bool) and at_least <= float(value) < float("inf"):
        return
    what = "a whole number" if whole else "a number"
    raise TrainingDataError(f"{name}={value!r} is not possible; give {what} of at least {at_least:g}.")
