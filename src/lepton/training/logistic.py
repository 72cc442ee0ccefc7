"""Logistic regression of two or more classes with scikit-learn's contract, on the rows of one worker or of many.

The methods are in ``solvers/``; ``fit`` is ``fit_batches`` with one worker.
"""

from __future__ import annotations

from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from lepton.training.context import TrainingContext
from lepton.training.estimator import LinearEstimator
from lepton.training.losses import LogisticLoss, SoftmaxLoss
from lepton.training.shards import Scaling, Shard
from lepton.training.solvers.lbfgs import lbfgs
from lepton.training.solvers.newton import newton
from lepton.training.solvers.objective import Objective
from lepton.training.solvers.solution import Solution
from lepton.training.survey import SAMPLE_EVERY, Batches, Survey, survey

SOLVERS = ("auto", "newton", "lbfgs", "gd")
NEWTON_WEIGHTS = 1_000
"""Up to this many weights "auto" takes Newton's method; beyond, Hessians get slow."""
_SAMPLE_ROWS_PER_WEIGHT = 20
_SEPARABLE_LOSS = 1e-6


class LogisticRegression(ClassifierMixin, LinearEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Predict the probability of each class from a weighted sum of columns.

    Minimizes the sum of -log(probability of the true class) + l2/2 * sum of coef**2 over all rows of all workers; the
    intercept is not penalized. So ``l2`` is ``1 / C`` of scikit-learn's ``LogisticRegression``.

    Source: C. Bishop, "Pattern Recognition and Machine Learning", sections 4.3.2 to 4.3.4 and, for the penalty, 3.1.4.

    Args:
        solver: "newton" (standardized columns, started from a 2% sample where there are enough rows), "lbfgs" (the same
            columns, for many weights), "gd" (gradient descent as in the textbooks, on the columns as they are); "auto"
            is "newton" up to 1,000 weights, then "lbfgs". All find the same optimum.
        l2: strength of the ridge penalty, 0 or more; with 0, classes that a line separates have no finite optimum.
        fit_intercept: whether there is a constant term.
        learning_rate: of "gd": a number, or "auto" for the longest step that is sure not to overshoot.
        batch_size: of "gd": rows per update over all workers; None for all rows.
        max_iterations: most passes over the rows.
        tolerance: how near to the optimum to stop: "gd" and "lbfgs" when the gradient is shorter than this share of the
            first one, "newton" after a step no longer than 100 times this.
        random_state: of "gd" with a batch_size: seed of the shuffling.

    Attributes:
        classes_: labels, sorted [k].
        coef_: weights [1, columns] for two classes (of the second one), else [k, columns].
        intercept_: constant terms [1] or [k].
        loss_curve_: mean loss plus penalty at each pass.
        n_iter_: passes over the rows.
        solver_: the method that "auto" chose.

    Examples:
        >>> from lepton import LogisticRegression
        >>> model = LogisticRegression().fit([[18], [25], [40], [52]], ["no", "no", "yes", "yes"])
        >>> model.predict([[20], [60]])
        array(['no', 'yes'], dtype='<U3')
    """

    def __init__(  # noqa: PLR0913  # scikit-learn reads the parameters from this signature
        self,
        *,
        solver: Literal["auto", "newton", "lbfgs", "gd"] = "auto",
        l2: float = 1.0,
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
        """Fit to features [n, d] and labels [n] (text, whole numbers or booleans) that are all here.

        Raises:
            TrainingDataError: a ``ValueError``; rows, labels or parameters cannot be used.
        """
        features, target = validate_data(self, X, y, dtype=np.float64)
        target = column_or_1d(target, warn=True)
        return self.fit_batches(lambda: iter([(features, target)]))

    def fit_batches(self, batches: Batches, *, context: TrainingContext | None = None) -> Self:
        """Fit to the rows of all workers; every worker calls this with its own rows and ends with the same bits.

        Args:
            batches: each call is one pass over this worker's rows, always in the same order: pairs of features
                [n, d] float64 and labels [n]. A worker need not hold rows of every class.
            context: the other workers, where metrics go, whether to stop.

        Raises:
            TrainingDataError: on every worker, if one of them met rows that cannot be used.
        """
        self._check(SOLVERS)
        context = context or TrainingContext()
        by_descent = self.solver == "gd"
        found = survey(batches, context.collective, classify=True, full=by_descent, sample=not by_descent)
        assert found.classes is not None
        classes = len(found.classes)
        loss = LogisticLoss() if classes == 2 else SoftmaxLoss(classes)
        width = loss.outputs * (found.columns + self.fit_intercept)
        self.solver_ = self.solver
        if self.solver == "auto":
            self.solver_ = "newton" if width <= NEWTON_WEIGHTS else "lbfgs"
        if by_descent:
            scaling = Scaling.none(found.columns, intercept=self.fit_intercept)
            solution = self._descend(loss, batches, found, context)
        else:
            scaling = Scaling.standard(found.moments, found.columns, intercept=self.fit_intercept)
            solution = self._optimize(loss, Shard(batches, found.targets, scaling), found, context)
        weights = solution.weights
        if classes > 2:  # equal shifts of all classes change nothing; take the one whose intercepts add up to 0
            weights = weights - weights.mean(axis=0)
        self.coef_, self.intercept_ = scaling.unscale(weights)
        self.classes_ = found.classes
        self._keep(solution, found)
        return self

    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return the scores: [n], above 0 for the second class, or [n, k] of which the largest wins."""
        check_is_fitted(self)
        features = validate_data(self, X, dtype=np.float64, reset=False)
        scores: NDArray[np.float64] = features @ self.coef_.T + self.intercept_
        return scores[:, 0] if len(self.classes_) == 2 else scores

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Return the most probable class of each row [n]."""
        scores = self.decision_function(X)
        winners = (scores > 0).astype(np.intp) if scores.ndim == 1 else scores.argmax(axis=1)
        return np.asarray(self.classes_[winners])

    def predict_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return the probabilities of the classes [n, k], in the order of ``classes_``."""
        return np.exp(self.predict_log_proba(X))

    def predict_log_proba(self, X: ArrayLike) -> NDArray[np.float64]:
        """Return the logarithms of the probabilities [n, k]."""
        scores = self.decision_function(X)
        if scores.ndim == 1:
            return -np.logaddexp(0.0, np.column_stack([scores, -scores]))
        scores = scores - scores.max(axis=1, keepdims=True)
        return np.asarray(scores - np.log(np.exp(scores).sum(axis=1, keepdims=True)))

    def _optimize(
        self, loss: LogisticLoss | SoftmaxLoss, shard: Shard, found: Survey, context: TrainingContext
    ) -> Solution:
        """Find the optimum on standardized columns, from the optimum of a sample if that is large enough."""
        penalty = shard.scaling.penalty(self.l2, found.rows)
        start = np.zeros((loss.outputs, shard.scaling.width))
        whole = Objective(shard, found.rows, penalty, context.collective)
        if self.solver_ == "lbfgs":
            solution = lbfgs(
                loss, whole, start, max_iterations=self.max_iterations, tolerance=self.tolerance, context=context
            )
        else:
            if found.rows >= SAMPLE_EVERY * _SAMPLE_ROWS_PER_WEIGHT * start.size:
                sample = Shard(lambda: iter(found.sample), tuple(target for _, target in found.sample), shard.scaling)
                start = self._start(loss, sample, penalty, context)
            solution = newton(
                loss, whole, start, max_iterations=self.max_iterations, tolerance=self.tolerance, context=context
            )
        return _name_separable(solution, self.l2)

    def _start(
        self, loss: LogisticLoss | SoftmaxLoss, sample: Shard, penalty: NDArray[np.float64], context: TrainingContext
    ) -> NDArray[np.float64]:
        """Return the optimum of the sample, roughly: its own error is larger than what is left out here."""
        silent = TrainingContext(collective=context.collective, should_stop=context.should_stop)
        rows = int(context.collective.all_reduce(float(sample.rows)))
        part = Objective(sample, rows, penalty, context.collective)
        return newton(
            loss,
            part,
            np.zeros((loss.outputs, sample.scaling.width)),
            max_iterations=20,
            tolerance=1e-4,
            context=silent,
        ).weights


def _name_separable(solution: Solution, l2: float) -> Solution:
    """Warn where there is no finite optimum: some plane separates the classes and nothing holds the weights."""
    if l2 > 0 or solution.stopped or solution.loss_curve[-1] > _SEPARABLE_LOSS:
        return solution
    advice = (
        "The columns separate the classes perfectly, so with l2=0 the weights have no finite optimum; "
        "set l2 above 0 and check that no column gives the answer away."
    )
    return Solution(solution.weights, solution.loss_curve, solution.converged, solution.stopped, advice)
