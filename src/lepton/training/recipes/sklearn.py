"""The recipe ``sklearn``: any estimator of scikit-learn, or one that a user brings.

Those with ``partial_fit`` learn batch by batch (``sklearn_batches.py``), forests on all workers
(``sklearn_forests.py``), the rest at once, on worker 0.
"""

from __future__ import annotations

import copy
import importlib
import inspect
import warnings
from collections.abc import Mapping
from typing import Any, ClassVar

from lepton.core.errors import InvalidInput
from lepton.training.context import TrainingContext
from lepton.training.problems import TrainingDataError
from lepton.training.recipes.boosting import check_classes, mean_loss
from lepton.training.recipes.building import build_model
from lepton.training.recipes.gathering import gather_rows, share_rows
from lepton.training.recipes.graphs import finish_graph
from lepton.training.recipes.parameters import at_least, choose, read_parameters
from lepton.training.recipes.port import Features, Fitted, Material, Parameters, Problem, Targets
from lepton.training.recipes.sklearn_batches import learn_in_batches
from lepton.training.recipes.sklearn_forests import grow_forest, is_forest
from lepton.training.recipes.sklearn_scores import Unit, scores_of

_ENSEMBLE, _LINEAR = "sklearn.ensemble", "sklearn.linear_model"
ESTIMATORS: dict[str, tuple[str | None, str | None]] = {
    "hist_gradient_boosting": (
        f"{_ENSEMBLE}:HistGradientBoostingClassifier",
        f"{_ENSEMBLE}:HistGradientBoostingRegressor",
    ),
    "gradient_boosting": (f"{_ENSEMBLE}:GradientBoostingClassifier", f"{_ENSEMBLE}:GradientBoostingRegressor"),
    "random_forest": (f"{_ENSEMBLE}:RandomForestClassifier", f"{_ENSEMBLE}:RandomForestRegressor"),
    "extra_trees": (f"{_ENSEMBLE}:ExtraTreesClassifier", f"{_ENSEMBLE}:ExtraTreesRegressor"),
    "knn": ("sklearn.neighbors:KNeighborsClassifier", "sklearn.neighbors:KNeighborsRegressor"),
    "linear": (f"{_LINEAR}:LogisticRegression", f"{_LINEAR}:Ridge"),
    "logistic": (f"{_LINEAR}:LogisticRegression", None),
    "mlp": ("sklearn.neural_network:MLPClassifier", "sklearn.neural_network:MLPRegressor"),
    "naive_bayes": ("sklearn.naive_bayes:GaussianNB", None),
    "sgd": (f"{_LINEAR}:SGDClassifier", f"{_LINEAR}:SGDRegressor"),
    "svm": ("sklearn.svm:SVC", "sklearn.svm:SVR"),
}  # fmt: skip
"""By name: the class that tells classes apart, and the one for numbers; None: there is none."""
_SCALED = ("linear", "mlp", "sgd", "svm")
"""Those that learn numbers best when these have mean 0 and deviation 1; the result is in the target's own unit."""
_TARGET_OPSET = {"": 17, "ai.onnx.ml": 3}


class ScikitLearn:
    """Estimators of scikit-learn."""

    name = "sklearn"
    needs = ("sklearn", "skl2onnx")
    parameters: ClassVar[Mapping[str, Any]] = {
        "estimator": "hist_gradient_boosting",
        "epochs": 50,
        "batch_size": 200,
        "patience": 5,
    }

    def fit(
        self, material: Material, context: TrainingContext, parameters: Parameters, model: object | None
    ) -> Fitted | None:
        """Learn, together with the other workers: see `lepton.training.recipes.port.Recipe.fit`."""
        from threadpoolctl import threadpool_limits

        own = {name: value for name, value in parameters.items() if name in self.parameters}
        rest = {name: value for name, value in parameters.items() if name not in self.parameters}
        told = read_parameters(self.parameters, own)
        for name, least in (("epochs", 1), ("batch_size", 1), ("patience", 0)):
            at_least(name, told[name], least)
        estimator = _choose(told["estimator"], material.problem) if model is None else _take(model, material.problem)
        _set(estimator, rest, self.parameters, material.seed, context.threads)
        targets = material.train.targets
        unit = Unit()
        if material.problem.classes:
            check_classes(targets, material.problem.classes, context.collective)
        elif model is None and told["estimator"] in _SCALED:
            unit = Unit.of(targets, context.collective)
        with threadpool_limits(context.threads), warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            fitted = _learn(estimator, material, context, told, unit)
            if fitted is None:
                return None
            return _leave(fitted, material.problem, unit, _notes(caught))


def _choose(name: str, problem: Problem) -> Any:
    """Return an estimator by its name in `ESTIMATORS`."""
    choose("estimator", name, list(ESTIMATORS))
    path = ESTIMATORS[name][0 if problem.classes else 1]
    if path is None:
        possible = [other for other, paths in ESTIMATORS.items() if paths[1]]
        raise InvalidInput(
            f"The estimator {name} tells classes apart, and the target is a number. Choose one of: "
            f"{', '.join(possible)}."
        )
    module, _, kind = path.partition(":")
    made = getattr(importlib.import_module(module), kind)
    return made(loss="log_loss") if kind == "SGDClassifier" else made()


def _take(model: object, problem: Problem) -> Any:
    """Return a user's estimator, which stays as it is: what learns is a copy.

    Raises:
        InvalidInput: if it cannot learn, or learns something else.
    """
    from sklearn.base import is_classifier, is_regressor

    estimator: Any = build_model(model, problem)
    if not (hasattr(estimator, "fit") and hasattr(estimator, "predict") and hasattr(estimator, "get_params")):
        raise InvalidInput(
            f"A model for sklearn has fit, predict and get_params, as scikit-learn's estimators; "
            f"{type(estimator).__name__[:80]} does not. Derive it from sklearn.base.BaseEstimator."
        )
    wanted, other = ("classes", is_regressor) if problem.classes else ("a number", is_classifier)
    if other(estimator):
        raise InvalidInput(f"The target is {wanted}, which {type(estimator).__name__[:80]} does not learn.")
    return copy.deepcopy(estimator)


def _set(estimator: Any, given: Mapping[str, Any], own: Mapping[str, Any], seed: int, threads: int) -> None:
    """Set the estimator's own parameters, and its seed and threads where nothing was said.

    Raises:
        InvalidInput: if it has no such parameter.
    """
    held = estimator.get_params()
    read_parameters(dict.fromkeys([*own, *held]), given)
    for name, value in held.items():
        if name.rpartition("__")[2] == "random_state" and value is None:
            estimator.set_params(**{name: seed % 2**32})
        elif name.rpartition("__")[2] == "n_jobs" and value is None:
            estimator.set_params(**{name: threads})
    typed = {name: _as_tuple(value) if isinstance(held[name], tuple) else value for name, value in given.items()}
    estimator.set_params(**typed)


def _as_tuple(value: object) -> object:
    """Return layers such as ``64,32`` as the numbers they are."""
    if isinstance(value, str) and all(part.strip().isdigit() for part in value.split(",")):
        return tuple(int(part) for part in value.split(","))
    return tuple(value) if isinstance(value, list) else value


def _learn(
    estimator: Any, material: Material, context: TrainingContext, told: Mapping[str, Any], unit: Unit
) -> Any | None:
    """Return the estimator once it has learned; None on workers other than 0."""
    try:
        if hasattr(estimator, "partial_fit"):
            return learn_in_batches(estimator, material, context, told, unit)
        if is_forest(estimator):
            return _together(estimator, material, context, unit)
        return _at_once(estimator, material, context, told, unit)
    except ValueError as error:
        if isinstance(error, InvalidInput):
            raise
        raise TrainingDataError(f"scikit-learn refuses: {_first_line(error)}") from None


def _at_once(
    estimator: Any, material: Material, context: TrainingContext, told: Mapping[str, Any], unit: Unit
) -> Any | None:
    """Let worker 0 learn from the rows of all."""
    from sklearn.calibration import CalibratedClassifierCV

    train = gather_rows(material.train, context.collective)
    valid = None if material.valid is None else gather_rows(material.valid, context.collective)
    if train is None:
        return None
    if context.checkpoints.due(0):
        context.say(f"{type(estimator).__name__} learns in one step: if the run is killed, it begins anew.")
    extra = {}
    watches = "X_val" in inspect.signature(estimator.fit).parameters
    if watches and valid is not None and estimator.early_stopping is not False:
        estimator.set_params(early_stopping=True, n_iter_no_change=told["patience"] or estimator.n_iter_no_change)
        extra = {"X_val": valid[0], "y_val": unit.take(valid[1])}
    if material.problem.classes and not hasattr(estimator, "predict_proba"):
        estimator = CalibratedClassifierCV(estimator, ensemble=False)
    context.progress(0.0, f"{type(estimator).__name__} learns from {len(train[0])} rows")
    estimator.fit(train[0], unit.take(train[1]), **extra)
    curve = _curve(estimator) if watches else []
    for step, metrics in enumerate(curve, start=1):
        context.report(step, **metrics)
    if not curve:
        _report(estimator, train, valid, context, unit, material.problem)
    return estimator


def _curve(estimator: Any) -> list[dict[str, float]]:
    """Return the losses that histogram boosting has kept of its rounds; the first of them is from before."""
    if estimator.scoring != "loss" or not len(estimator.train_score_):
        return []
    factor = -2.0 if estimator.loss == "squared_error" else -1.0  # squares are halved, signs turned
    names = {"loss": estimator.train_score_, "valid_loss": estimator.validation_score_}
    columns = [[(name, factor * float(score)) for score in scores[1:]] for name, scores in names.items() if len(scores)]
    return [dict(row) for row in zip(*columns, strict=True)]


def _together(forest: Any, material: Material, context: TrainingContext, unit: Unit) -> Any | None:
    """Let all workers grow a forest, each from the rows of all."""
    rows = share_rows(material.train, context.collective)
    valid = None if material.valid is None else gather_rows(material.valid, context.collective)
    fitted = grow_forest(forest, rows, context)
    if fitted is not None:
        _report(fitted, rows, valid, context, unit, material.problem)
    return fitted


def _report(
    estimator: Any,
    train: tuple[Features, Targets],
    valid: tuple[Features, Targets] | None,
    context: TrainingContext,
    unit: Unit,
    problem: Problem,
) -> None:
    metrics = {"loss": mean_loss(scores_of(estimator, problem, unit)(train[0]), train[1], problem.classes)}
    if valid is not None:
        metrics["valid_loss"] = mean_loss(scores_of(estimator, problem, unit)(valid[0]), valid[1], problem.classes)
    context.report(1, **metrics)


def _leave(estimator: Any, problem: Problem, unit: Unit, notes: tuple[str, ...]) -> Fitted:
    """Return what was learned, with its graph.

    Raises:
        InvalidInput: if there is no way to write it as a graph.
    """
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType

    try:
        model = convert_sklearn(
            estimator,
            name="sklearn",
            initial_types=[("X", FloatTensorType([None, problem.width]))],
            options={id(estimator): {"zipmap": False}} if problem.classes else None,
            target_opset=_TARGET_OPSET,
        )
    except (
        RuntimeError,
        NotImplementedError,
        NameError,
        TypeError,
        ValueError,
    ) as error:  # it raises all of these
        raise InvalidInput(
            f"{type(estimator).__name__[:80]} cannot be written as an ONNX graph: {_first_line(error)} Take an "
            "estimator that skl2onnx knows."
        ) from None
    known = [int(code) for code in estimator.classes_] if problem.classes else []
    graph = finish_graph(model, classes=problem.classes, known=known, scale=unit.scale, offset=unit.offset)
    return Fitted(graph, scores_of(estimator, problem, unit), notes)


def _notes(caught: list[warnings.WarningMessage]) -> tuple[str, ...]:
    """Return what is to be said with the model: that learning has not come to its end."""
    from sklearn.exceptions import ConvergenceWarning

    found = {_first_line(warning.message) for warning in caught if issubclass(warning.category, ConvergenceWarning)}
    return tuple(sorted(f"scikit-learn says that it has not converged: {text}" for text in found))


def _first_line(error: object) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    text = lines[0][:300] if lines else type(error).__name__
    return text if text.endswith(".") else f"{text}."


RECIPE = ScikitLearn()
