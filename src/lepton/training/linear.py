"""Linear regression with scikit-learn's contract, on the rows of one worker or of many.

The methods are in ``solvers/``; ``fit`` is ``fit_batches`` with one worker.
"""

from __future__ import annotations

from typing import Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import RegressorMixin
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from lepton.training.context import TrainingContext
from lepton.training.estimator import LinearEstimator
from lepton.training.losses import SquaredLoss
from lepton.training.shards import Scaling
from lepton.training.solvers.least_squares import least_squares
from lepton.training.survey import Batches, survey

SOLVERS = ("auto", "exact", "gd")


class LinearRegression(RegressorMixin, LinearEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Predict a number as a weighted sum of columns.

    Minimizes 1/2 * sum of (y - prediction)**2 + l2/2 * sum of coef**2 over all rows of all workers; the intercept is
    not penalized. So ``l2`` is ``alpha`` of scikit-learn's ``Ridge``, and 0 is ordinary least squares.

    Source: Hastie, Tibshirani, Friedman, "The Elements of Statistical Learning", 2nd ed., equation 3.41.

    Args:
        solver: "exact" solves the normal equations of standardized columns from sums gathered in one pass; collinear
            columns share their weight. "gd" is gradient descent as in the textbooks, on the columns as they are. "auto"
            is "exact" up to 5,000 columns.
        l2: strength of the ridge penalty, 0 or more.
        fit_intercept: whether there is a constant term.
        learning_rate: of "gd": a number, or "auto" for the longest step that is sure not to overshoot.
        batch_size: of "gd": rows per update over all workers; None for all rows.
        max_iterations: of "gd": most passes over the rows.
        tolerance: of "gd": ends when the gradient is shorter than this share of the first one.
        random_state: of "gd" with a batch_size: seed of the shuffling.

    Attributes:
        coef_: weights [columns].
        intercept_: constant term.
        loss_curve_: mean loss (half the mean squared error, plus penalty) at each pass.
        n_iter_: passes over the rows.
        solver_: the method that "auto" chose.

    Examples:
        >>> import numpy as np
        >>> from lepton import LinearRegression
        >>> area, price = np.array([[50.0], [80.0], [100.0]]), np.array([110.0, 170.0, 210.0])
        >>> LinearRegression().fit(area, price).predict([[60.0]]).round(6)
        array([130.])
    """

    def __init__(  # noqa: PLR0913  # scikit-learn reads the parameters from this signature
        self,
        *,
        solver: Literal["auto", "exact", "gd"] = "auto",
        l2: float = 0.0,
        fit_intercept: bool = True,
        learning_rate: float | Literal["auto"] = "auto",
        batch_size: int | None = None,
        max_iterations: int = 1000,
        tolerance: float = 1e-6,
        random_state: int | None = None,
    ) -> None:
        self.solver = solver
        self.l2 = l2
        self.fit_intercept = fit_intercept
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.max_iterations = max_iterations
        self.tolerance = tolerance
        self.random_state = random_state

    def fit(self, X: ArrayLike, y: ArrayLike) -> Self:
        """Fit to features [n, d] and numbers [n] that are all here.

        Raises:
            TrainingDataError: a ``ValueError``; rows, target or parameters cannot be used.
        """
        features, target = validate_data(self, X, y, dtype=np.float64, y_numeric=True)
        target = column_or_1d(target, warn=True)
        return self.fit_batches(lambda: iter([(features, target)]))

    def fit_batches(self, batches: Batches, *, context: TrainingContext | None = None) -> Self:
        """Fit to the rows of all workers; every worker calls this with its own rows and ends with the same bits.

        Args:
            batches: each call is one pass over this worker's rows, always in the same order: pairs of features
                [n, d] float64 and numbers [n].
            context: the other workers, where metrics go, whether to stop.

        Raises:
            TrainingDataError: on every worker, if one of them met rows that cannot be used.
        """
        self._check(SOLVERS)
        context = context or TrainingContext()
        found = survey(batches, context.collective, classify=False, full=True)
        self.solver_ = self.solver
        if self.solver == "auto":
            self.solver_ = "exact" if found.moments.full else "gd"
        if self.solver_ == "exact":
            scaling = Scaling.standard(found.moments, found.columns, intercept=self.fit_intercept)
            solution = least_squares(found.moments, scaling, l2=self.l2)
            context.report(1, loss=solution.loss_curve[-1])
        else:
            scaling = Scaling.none(found.columns, intercept=self.fit_intercept)
            solution = self._descend(SquaredLoss(), batches, found, context)
        coefficients, intercepts = scaling.unscale(solution.weights)
        self.coef_, self.intercept_ = coefficients[0], float(intercepts[0])
        self._keep(solution, found)
        return self

    def predict(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return predicted numbers [n] for features [n, d]."""
        check_is_fitted(self)
        features = validate_data(self, X, dtype=np.float64, reset=False)
        return np.asarray(features @ self.coef_ + self.intercept_, dtype=np.float64)
