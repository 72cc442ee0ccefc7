"""What both linear estimators do alike: check parameters, set up gradient descent, warn, keep the solution."""

from __future__ import annotations

import numbers
import warnings
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_is_fitted

from lepton.training.context import TrainingContext
from lepton.training.curve import Curve
from lepton.training.inference import Inference
from lepton.training.losses import Loss
from lepton.training.problems import CollinearWarning, TrainingDataError
from lepton.training.shards import Scaling, Shard
from lepton.training.solvers.gradient_descent import (
    Descent,
    gradient_descent,
    longest_row,
    mini_batch_descent,
    safe_learning_rate,
)
from lepton.training.solvers.solution import Solution
from lepton.training.summary import Summary, summarize
from lepton.training.survey import Batches, Survey

_NAMED = 8


class LinearEstimator(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Parameters and steps shared by LinearRegression and LogisticRegression."""

    solver: str
    l1: float
    l2: float
    fit_intercept: bool
    learning_rate: float | str
    batch_size: int | None
    max_iterations: int
    tolerance: float
    random_state: Any
    warm_start: bool
    loss_curve_: list[float]
    n_iter_: int
    n_features_in_: int
    inference_: Inference | None
    collinear_: list[int]

    def summary(self, *, level: float = 0.95, names: Sequence[str] | None = None) -> Summary:
        """Return coefficients with standard errors, tests and intervals, and how well the model fits its rows.

        Args:
            level: of the confidence intervals, above 0 and below 1.
            names: of the columns; None takes those of the table it was fitted to, or x0, x1, ….

        Raises:
            TrainingDataError: the solver kept nothing to infer from.
        """
        check_is_fitted(self)
        if self.inference_ is None:
            raise TrainingDataError(
                f"The solver {self.solver_!r} has kept nothing to infer from; fit up to 1,000 weights with "
                "solver='auto' and, for a classification, statistics=True."
            )
        known = names if names is not None else getattr(self, "feature_names_in_", None)
        columns = [f"x{i}" for i in range(self.n_features_in_)] if known is None else [str(name) for name in known]
        if len(columns) != self.n_features_in_:
            raise TrainingDataError(f"{len(columns)} names do not fit {self.n_features_in_} columns.")
        classes = [str(label) for label in getattr(self, "classes_", ())]
        notes = (
            ("Rows count by class, so errors and tests do not hold.",) if getattr(self, "class_weight", None) else ()
        )
        return summarize(self.inference_, columns, classes, level=level, notes=notes)

    def plot_history(self) -> Curve:
        """Return the loss at each pass as a drawing that moves in a notebook, without a network; ``save`` writes it."""
        check_is_fitted(self)
        return Curve(tuple(self.loss_curve_), f"{type(self).__name__}, {self.solver_}")

    def _check(self, solvers: Sequence[str]) -> None:
        """Raise for a parameter that no solver can use."""
        if self.solver not in solvers:
            raise TrainingDataError(f"There is no solver {self.solver!r}; choose one of {', '.join(solvers)}.")
        check_number("l1", self.l1, at_least=0.0)
        check_number("l2", self.l2, at_least=0.0)
        if self.l1 > 0 and self.solver in ("gd", "lbfgs"):
            raise TrainingDataError(
                f"l1 is not for solver={self.solver!r}, which cannot make weights exactly 0; leave solver='auto'."
            )
        check_number("tolerance", self.tolerance, at_least=0.0)
        check_number("max_iterations", self.max_iterations, at_least=1, whole=True)
        if self.batch_size is not None:
            check_number("batch_size", self.batch_size, at_least=1, whole=True)
            if self.solver != "gd":
                raise TrainingDataError("batch_size is for gradient descent only; add solver='gd' or leave it out.")
        if self.learning_rate != "auto":
            check_number("learning_rate", self.learning_rate, at_least=1e-300)

    def _begin(self, outputs: int, scaling: Scaling) -> NDArray[np.float64]:
        """Return the weights to start from [outputs, width]: 0, or with warm_start those of the last fit."""
        coefficients = getattr(self, "coef_", None) if self.warm_start else None
        if coefficients is None or np.atleast_2d(coefficients).shape != (outputs, len(scaling.shift)):
            return np.zeros((outputs, scaling.width))
        return scaling.rescale(np.atleast_2d(coefficients), np.atleast_1d(self.intercept_))

    def _descend(
        self,
        loss: Loss,
        batches: Batches,
        found: Survey,
        context: TrainingContext,
        by_class: NDArray[np.float64] | None = None,
    ) -> Solution:
        """Run gradient descent on the columns as they are; ``by_class`` is how much more rows of each class count."""
        scaling = Scaling.none(found.columns, intercept=self.fit_intercept)
        shard = Shard.whole(batches, found, scaling, by_class)
        total, heaviest = found.total, 1.0
        if by_class is not None and found.counts is not None:
            total = float(found.counts @ by_class)
            heaviest = float(by_class.max()) * found.total / total
        penalty = scaling.penalty(self.l2, total)
        if self.learning_rate == "auto":
            second = found.moments.second(found.columns, intercept=self.fit_intercept) * heaviest
            batch = None
            if self.batch_size is not None:
                longest = longest_row(shard, context) * found.rows / total
                batch = (self.batch_size, found.rows, longest)
            learning_rate = safe_learning_rate(loss, second, penalty, batch=batch)
        else:
            learning_rate = float(self.learning_rate)
        seed = int(np.random.default_rng(self.random_state).integers(1 << 32)) if self.batch_size else 0
        plan = Descent(learning_rate, penalty, self.max_iterations, self.tolerance, self.batch_size, seed)
        self.learning_rate_ = learning_rate
        walk = gradient_descent if self.batch_size is None else mini_batch_descent
        return walk(loss, shard, plan, self._begin(loss.outputs, scaling), context)

    def _keep(self, solution: Solution, found: Survey, collinear: Sequence[int] = ()) -> None:
        self.loss_curve_, self.n_iter_ = list(solution.loss_curve), len(solution.loss_curve)
        self.n_features_in_ = found.columns
        if solution.advice:
            warnings.warn(solution.advice, ConvergenceWarning, stacklevel=4)
        self.collinear_ = [] if solution.advice or self.l1 or self.l2 else list(collinear)

    def _warn_of_collinear(self) -> Self:
        """Name collinear columns to who fits in memory; a run of many workers finds them in ``collinear_``."""
        if self.collinear_:
            warnings.warn(self._said_of(self.collinear_), CollinearWarning, stacklevel=3)
        return self

    def _said_of(self, columns: Sequence[int]) -> str:
        names = getattr(self, "feature_names_in_", None)
        said = [repr(str(names[j])) if names is not None else f"column {j}" for j in columns[:_NAMED]]
        more = f" and {len(columns) - _NAMED} more" if len(columns) > _NAMED else ""
        return (
            f"Columns add up to each other or to a constant: {', '.join(said)}{more}. Predictions are not harmed, but "
            "their weights are one choice among many; leave one out, or set l2 above 0."
        )


def check_number(name: str, value: object, *, at_least: float, whole: bool = False) -> None:
    """Raise unless a parameter is a finite number of at least so much."""
    kind = numbers.Integral if whole else numbers.Real
    if isinstance(value, kind) and not isinstance(value, bool) and at_least <= float(value) < float("inf"):
        return
    what = "a whole number" if whole else "a number"
    raise TrainingDataError(f"{name}={value!r} is not possible; give {what} of at least {at_least:g}.")
