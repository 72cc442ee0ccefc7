"""Logistic regression of two or more classes with scikit-learn's contract, on the rows of one worker or of many.

The methods are in ``solvers/``; ``fit`` is ``fit_batches`` with one worker.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassifierMixin
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from lepton.training.class_weights import ClassWeight, weights_of_classes
from lepton.training.context import TrainingContext
from lepton.training.estimator import LinearEstimator
from lepton.training.inference import MOST_WEIGHTS, of_likelihood
from lepton.training.losses import LogisticLoss, SoftmaxLoss
from lepton.training.shards import Scaling, Shard
from lepton.training.solvers.lbfgs import lbfgs
from lepton.training.solvers.newton import newton, sampled_steps
from lepton.training.solvers.objective import Objective
from lepton.training.solvers.solution import Solution
from lepton.training.survey import SAMPLE_EVERY, Batches, Survey, row_weights, survey

SOLVERS = ("auto", "newton", "lbfgs", "gd")
NEWTON_WEIGHTS = 1_000
"""Up to this many weights "auto" takes Newton's method; beyond, Hessians get slow."""
_SAMPLE_ROWS_PER_WEIGHT = 20
"""From so many on the optimum of the sample is worth starting from."""
_SAMPLE_ROWS_PER_WEIGHT_OF_HESSIAN = 400
"""And from so many on its Hessian is near that of all rows: a step with it leaves about a tenth of the error."""
_SEPARABLE_LOSS = 1e-6


class LogisticRegression(ClassifierMixin, LinearEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Predict the probability of each class from a weighted sum of columns.

    Minimizes the sum of -log(probability of the true class) + l1 * sum of abs(coef) + l2/2 * sum of coef**2 over all
    rows of all workers; the intercept is not penalized. In scikit-learn's terms l1 = l1_ratio / C and
    l2 = (1 - l1_ratio) / C.

    Source: C. Bishop, "Pattern Recognition and Machine Learning", sections 4.3.2 to 4.3.4 and, for the penalty, 3.1.4.

    Args:
        solver: "newton" (standardized columns, started from a 2% sample where there are enough rows), "lbfgs" (the same
            columns, for many weights), "gd" (gradient descent as in the textbooks, on the columns as they are); "auto"
            is "newton" up to 1,000 weights, then "lbfgs". All find the same optimum.
        l1: strength of the L1 penalty (lasso), 0 or more; makes weights exactly 0. For "newton".
        l2: strength of the ridge penalty, 0 or more; with 0, classes that a line separates have no finite optimum.
        fit_intercept: whether there is a constant term.
        learning_rate: of "gd": a number, or "auto" for the longest step that is sure not to overshoot.
        batch_size: of "gd": rows per update over all workers; None for all rows.
        max_iterations: most passes over the rows.
        tolerance: how near to the optimum to stop: "gd" and "lbfgs" when the gradient is shorter than this share of the
            first one, "newton" after a step no longer than 100 times this, on many rows than its root: what is left is
            about the square of that.
        random_state: of "gd" with a batch_size: seed of the shuffling.
        class_weight: how much more the rows of each class count: a dict, "balanced" for classes that count alike, or
            None.
        warm_start: whether to begin at the weights of the last fit.
        statistics: whether to keep what ``summary`` needs; takes one more pass on few rows. For "newton".

    Attributes:
        classes_: labels, sorted [k].
        coef_: weights [1, columns] for two classes (of the second one), else [k, columns].
        intercept_: constant terms [1] or [k].
        loss_curve_: mean loss plus penalty at each pass.
        n_iter_: passes over the rows.
        solver_: the method that "auto" chose.
        collinear_: columns whose weights are one choice among many, where no penalty chooses.
        inference_: what ``summary`` is made of; None if it was not asked for.

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
        l1: float = 0.0,
        l2: float = 1.0,
        fit_intercept: bool = True,
        learning_rate: float | Literal["auto"] = "auto",
        batch_size: int | None = None,
        max_iterations: int = 1000,
        tolerance: float = 1e-6,
        random_state: int | None = None,
        class_weight: ClassWeight = None,
        warm_start: bool = False,
        statistics: bool = True,
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
        self.class_weight = class_weight
        self.warm_start = warm_start
        self.statistics = statistics

    def fit(self, X: ArrayLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> Self:
        """Fit to features [n, d] and labels [n] (text, whole numbers or booleans) that are all here.

        A row of ``sample_weight`` 2 counts as two rows.

        Raises:
            TrainingDataError: a ``ValueError``; rows, labels or parameters cannot be used.
        """
        features, target = validate_data(self, X, y, dtype=np.float64)
        target = column_or_1d(target, warn=True)
        if sample_weight is None:
            return self.fit_batches(lambda: iter([(features, target)]))._warn_of_collinear()
        weights = row_weights(sample_weight, len(target))
        return self.fit_batches(lambda: iter([(features, target, weights)]))._warn_of_collinear()

    def fit_batches(self, batches: Batches, *, context: TrainingContext | None = None) -> Self:
        """Fit to the rows of all workers; every worker calls this with its own rows and ends with the same bits.

        Args:
            batches: each call is one pass over this worker's rows, always in the same order: pairs of features
                [n, d] and labels [n], or with a third of how much each row counts [n]. A worker need not hold rows
                of every class.
            context: the other workers, where metrics go, whether to stop.

        Raises:
            TrainingDataError: on every worker, if one of them met rows that cannot be used.
        """
        self._check(SOLVERS)
        context = context or TrainingContext()
        by_descent = self.solver == "gd"
        found = survey(batches, context.collective, classify=True, full=by_descent, sample=not by_descent)
        assert found.classes is not None and found.counts is not None  # noqa: PT018
        by_class = weights_of_classes(self.class_weight, found.classes, found.counts)
        classes = len(found.classes)
        loss = LogisticLoss() if classes == 2 else SoftmaxLoss(classes)
        width = loss.outputs * (found.columns + self.fit_intercept)
        self.solver_ = self.solver
        if self.solver == "auto":
            self.solver_ = "newton" if width <= NEWTON_WEIGHTS or self.l1 > 0 else "lbfgs"
        if by_descent:
            scaling = Scaling.none(found.columns, intercept=self.fit_intercept)
            solution = self._descend(loss, batches, found, context, by_class)
        else:
            scaling = Scaling.standard(found.moments, found.columns, intercept=self.fit_intercept, single=found.single)
            solution = self._optimize(loss, batches, found, scaling, by_class, context)
        counts = found.counts if by_class is None else found.counts * by_class
        self._infer(solution, scaling, counts)
        self.coef_, self.intercept_ = scaling.unscale(_centered(solution.weights, scaling, l1=self.l1))
        self.classes_ = found.classes
        self._keep(solution, found, self._loose_columns(found.columns))
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
        self,
        loss: LogisticLoss | SoftmaxLoss,
        batches: Batches,
        found: Survey,
        scaling: Scaling,
        by_class: NDArray[np.float64] | None,
        context: TrainingContext,
    ) -> Solution:
        """Find the optimum on standardized columns, from the optimum of a sample if that is large enough."""
        assert found.counts is not None
        total = found.total if by_class is None else float(found.counts @ by_class)
        penalty, sparsity = scaling.penalty(self.l2, total), scaling.sparsity(self.l1, total)
        shard = Shard.whole(batches, found, scaling, by_class)
        whole = Objective(shard, total, penalty, sparsity, context.collective)
        start = self._begin(loss.outputs, scaling)
        if self.solver_ == "lbfgs":
            solution = lbfgs(
                loss, whole, start, max_iterations=self.max_iterations, tolerance=self.tolerance, context=context
            )
            return _name_separable(solution, self.l2)
        walked: tuple[float, ...] = ()
        enough = 100.0 * self.tolerance
        if found.rows >= SAMPLE_EVERY * _SAMPLE_ROWS_PER_WEIGHT * start.size:
            part = Shard.sampled(found, scaling, by_class)
            weight = float(context.collective.all_reduce(part.total))
            sample = Objective(part, weight, penalty, sparsity, context.collective)
            start = self._start(loss, sample, start, context)
            if found.rows >= SAMPLE_EVERY * _SAMPLE_ROWS_PER_WEIGHT_OF_HESSIAN * start.size:
                enough = max(enough, math.sqrt(self.tolerance))
                near = sampled_steps(loss, whole, sample, start, enough=enough, context=context)
                start, walked = near.weights, near.loss_curve
        solution = newton(
            loss,
            whole,
            start,
            max_iterations=max(1, self.max_iterations - len(walked)),
            enough=enough,
            context=_later(context, len(walked)),
            exact_hessian=self.statistics and start.size <= MOST_WEIGHTS and not walked,
        )
        return _name_separable(replace(solution, loss_curve=(*walked, *solution.loss_curve)), max(self.l2, self.l1))

    def _start(
        self, loss: LogisticLoss | SoftmaxLoss, sample: Objective, start: NDArray[np.float64], context: TrainingContext
    ) -> NDArray[np.float64]:
        """Return the optimum of the sample, roughly: its own error is larger than what is left out here."""
        silent = TrainingContext(collective=context.collective, should_stop=context.should_stop)
        return newton(loss, sample, start, max_iterations=20, enough=1e-2, context=silent).weights

    def _infer(self, solution: Solution, scaling: Scaling, counts: NDArray[np.float64]) -> None:
        """Keep what can be said of the weights."""
        self.inference_ = None
        known = solution.hessian is not None and solution.loss is not None
        if self.statistics and known and solution.weights.size <= MOST_WEIGHTS:
            assert solution.hessian is not None and solution.loss is not None  # noqa: PT018
            weights = _centered(solution.weights, scaling, l1=self.l1)
            self.inference_ = of_likelihood(
                weights, solution.hessian, solution.loss, counts, scaling, l1=self.l1, l2=self.l2
            )

    def _loose_columns(self, columns: int) -> list[int]:
        if self.inference_ is None:
            return []
        loose = self.inference_.loose.reshape(self.inference_.weights.shape)[:, :columns].any(axis=0)
        return [int(j) for j in np.flatnonzero(loose)]


def _centered(weights: NDArray[np.float64], scaling: Scaling, *, l1: float) -> NDArray[np.float64]:
    """Equal shifts of all classes change no probability: take the weights that add up to 0 over the classes.

    With an L1 penalty the optimum has chosen the shift of all columns but the intercept.
    """
    if len(weights) == 1:
        return weights
    shift = weights.mean(axis=0)
    if l1 > 0:
        shift[: len(scaling.shift)] = 0.0
    return np.asarray(weights - shift)


def _later(context: TrainingContext, passes: int) -> TrainingContext:
    """Return a context that counts on after so many passes."""
    return replace(context, log=lambda metrics, step: context.log(metrics, step + passes))


def _name_separable(solution: Solution, penalty: float) -> Solution:
    """Warn where there is no finite optimum: some plane separates the classes and nothing holds the weights."""
    if penalty > 0 or solution.stopped or solution.loss_curve[-1] > _SEPARABLE_LOSS:
        return solution
    advice = (
        "The columns separate the classes perfectly, so with l2=0 the weights have no finite optimum; "
        "set l2 above 0 and check that no column gives the answer away."
    )
    return replace(solution, advice=advice)
