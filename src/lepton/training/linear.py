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
from lepton.training.inference import MOST_WEIGHTS, collinear_columns, of_least_squares
from lepton.training.losses import SquaredLoss
from lepton.training.shards import Scaling
from lepton.training.solvers.least_squares import least_squares
from lepton.training.survey import Batches, Survey, row_weights, survey

SOLVERS = ("auto", "exact", "gd")


class LinearRegression(RegressorMixin, LinearEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Predict a number as a weighted sum of columns.

    Minimizes 1/2 * sum of (y - prediction)**2 + l1 * sum of abs(coef) + l2/2 * sum of coef**2 over all rows of all
    workers; the intercept is not penalized. So ``l2`` alone is ``alpha`` of scikit-learn's ``Ridge``; its
    ``ElasticNet`` has l1 = rows * alpha * l1_ratio and l2 = rows * alpha * (1 - l1_ratio). Without both these are
    ordinary least squares.

    Source: Hastie, Tibshirani, Friedman, "The Elements of Statistical Learning", 2nd ed., equations 3.41 and 3.54.

    Args:
        solver: "exact" solves the normal equations of standardized columns from sums gathered in one pass, with l1 by
            coordinate descent on the same sums; collinear columns share their weight. "gd" is gradient descent as in
            the textbooks, on the columns as they are. "auto" is "exact" up to 5,000 columns.
        l1: strength of the L1 penalty (lasso), 0 or more; makes weights exactly 0. For "exact".
        l2: strength of the ridge penalty, 0 or more.
        fit_intercept: whether there is a constant term.
        learning_rate: of "gd": a number, or "auto" for the longest step that is sure not to overshoot.
        batch_size: of "gd": rows per update over all workers; None for all rows.
        max_iterations: of "gd": most passes over the rows.
        tolerance: of "gd": ends when the gradient is shorter than this share of the first one.
        random_state: of "gd" with a batch_size: seed of the shuffling.
        warm_start: whether "gd" and the descent for l1 begin at the weights of the last fit.

    Attributes:
        coef_: weights [columns].
        intercept_: constant term.
        loss_curve_: mean loss (half the mean squared error, plus penalty) at each pass.
        n_iter_: passes over the rows.
        solver_: the method that "auto" chose.
        rank_: how many weights, the intercept included, the rows can tell apart; None from 1,000 columns on.
        collinear_: columns whose weights are one choice among many, where no penalty chooses.
        inference_: what ``summary`` is made of.

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
        l1: float = 0.0,
        l2: float = 0.0,
        fit_intercept: bool = True,
        learning_rate: float | Literal["auto"] = "auto",
        batch_size: int | None = None,
        max_iterations: int = 1000,
        tolerance: float = 1e-6,
        random_state: int | None = None,
        warm_start: bool = False,
    ) -> None:
        self.solver = solver
        self.l1 = l1
        self.l2 = l2
        self.fit_intercept = fit_intercept
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.max_iterations = max_iterations
        self.tolerance = tolerance
        self.random_state = random_state
        self.warm_start = warm_start

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit to features [n, d] and numbers [n] that are all here; a row of ``sample_weight`` 2 counts as two rows.

        Raises:
            TrainingDataError: a ``ValueError``; rows, target or parameters cannot be used.
        """
        features, target = validate_data(self, X, y, dtype=np.float64, y_numeric=True)
        target = column_or_1d(target, warn=True)
        if sample_weight is None:
            return self.fit_batches(lambda: iter([(features, target)]))._warn_of_collinear()
        weights = row_weights(sample_weight, len(target))
        return self.fit_batches(lambda: iter([(features, target, weights)]))._warn_of_collinear()

    def fit_batches(self, batches: Batches, *, context: TrainingContext | None = None) -> Self:
        """Fit to the rows of all workers; every worker calls this with its own rows and ends with the same bits.

        Args:
            batches: each call is one pass over this worker's rows, always in the same order: pairs of features
                [n, d] and numbers [n], or with a third of how much each row counts [n].
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
            start = self._begin(1, scaling)
            solution = least_squares(found.moments, scaling, l1=self.l1, l2=self.l2, start=start)
            context.report(1, loss=solution.loss_curve[-1])
        else:
            scaling = Scaling.none(found.columns, intercept=self.fit_intercept)
            solution = self._descend(SquaredLoss(), batches, found, context)
        self._infer(found, scaling.unscale(solution.weights))
        coefficients, intercepts = scaling.unscale(solution.weights)
        self.coef_, self.intercept_ = coefficients[0], float(intercepts[0])
        self._keep(solution, found, () if self.inference_ is None else collinear_columns(found.moments, scaling))
        return self

    def predict(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return predicted numbers [n] for features [n, d]."""
        check_is_fitted(self)
        features = validate_data(self, X, dtype=np.float64, reset=False)
        return np.asarray(features @ self.coef_ + self.intercept_, dtype=np.float64)

    def _infer(self, found: Survey, solved: tuple[NDArray[np.float64], NDArray[np.float64]]) -> None:
        """Keep what can be said of the weights, given in the data's own units."""
        self.inference_, self.rank_ = None, None
        if found.moments.full and found.columns < MOST_WEIGHTS:
            scaling = Scaling.standard(found.moments, found.columns, intercept=self.fit_intercept)
            weights = scaling.rescale(*solved)
            self.inference_ = of_least_squares(weights, found.moments, scaling, l1=self.l1, l2=self.l2)
            self.rank_ = self.inference_.rank
