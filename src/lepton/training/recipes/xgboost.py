"""The recipe ``xgboost``: boosted trees, on one worker or, if asked for, on all by XGBoost's own connections."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, ClassVar

import numpy as np

from lepton.core.errors import InvalidInput, Unavailable
from lepton.training.collective import Collective, LocalCollective
from lepton.training.context import TrainingContext
from lepton.training.problems import TrainingDataError
from lepton.training.recipes.boosting import (
    Progress,
    answers,
    boost,
    center,
    check_classes,
    mean_loss,
    native_parameters,
    settle_objective,
)
from lepton.training.recipes.building import build_model
from lepton.training.recipes.gathering import gather_rows
from lepton.training.recipes.graphs import finish_graph
from lepton.training.recipes.parameters import at_least, read_parameters
from lepton.training.recipes.port import Features, Fitted, Material, Parameters, Part, Rows, Scores

_NAMES = {
    "learning_rate": "learning_rate",
    "max_depth": "max_depth",
    "min_child_weight": "min_child_weight",
    "subsample": "subsample",
    "colsample": "colsample_bytree",
    "lambda": "reg_lambda",
    "max_bin": "max_bin",
}
_ALIASES = {"eta": "learning_rate", "lambda": "reg_lambda", "alpha": "reg_alpha", "gamma": "min_split_loss"}
_CENTERED = ("reg:squarederror", "reg:absoluteerror", "reg:pseudohubererror")
"""Objectives that do not change when all targets are moved by one number."""
_NUMBERS = (*_CENTERED, "count:poisson", "reg:gamma", "reg:tweedie")
_SAMPLED = ("subsample", "colsample_bytree", "colsample_bylevel", "colsample_bynode")
_OF_WRAPPER = ("n_estimators", "early_stopping_rounds", "missing", "enable_categorical", "callbacks", "importance_type")

_TRACKER_S = 300


class XGBoost:
    """Gradient boosting with XGBoost."""

    name = "xgboost"
    needs = ("xgboost", "onnxmltools")
    parameters: ClassVar[Mapping[str, Any]] = {
        "rounds": 200,
        "learning_rate": 0.1,
        "max_depth": 6,
        "min_child_weight": 1.0,
        "subsample": 1.0,
        "colsample": 1.0,
        "lambda": 1.0,
        "max_bin": 256,
        "patience": 20,
        "network": "",
    }

    def fit(
        self, material: Material, context: TrainingContext, parameters: Parameters, model: object | None
    ) -> Fitted | None:
        """Learn, alone or together with the other workers: see `lepton.training.recipes.port.Recipe.fit`."""
        import xgboost

        told = read_parameters(self.parameters, parameters)
        at_least("rounds", told["rounds"], 1)
        at_least("patience", told["patience"], 0)
        brought = None if model is None else build_model(model, material.problem)
        if brought is not None and not isinstance(brought, dict):
            told |= _of_wrapper(brought) | {name: told[name] for name in parameters}
        native = _native(told if brought is None else dict(parameters), brought, material, context)
        if context.collective.world_size > 1 and not told["network"]:
            alone = _on_worker_0(material, context)
            if alone is None:
                return None
            material, context = alone
        saved = context.checkpoints.restore(context.collective)
        progress, trees = Progress.unpack(saved.state) if saved else (Progress(), b"")
        try:
            with _joined(context.collective, told["network"]):
                ensemble = _Ensemble(material, context, native, trees)
                patience = told["patience"] if material.valid is not None else 0
                kept = boost(ensemble, progress, context, rounds=told["rounds"], patience=patience)
        except xgboost.core.XGBoostError as error:
            raise _explained(error, context.collective) from None
        return None if context.collective.rank else _leave(ensemble, kept, material)


def _native(
    given: dict[str, Any], model: object | None, material: Material, context: TrainingContext
) -> dict[str, Any]:
    """Return XGBoost's own parameters, under one name each."""
    import xgboost

    classes = material.problem.classes
    native = native_parameters(model, given, _NAMES, _of_estimator, "xgboost")
    for other, name in _ALIASES.items():
        if other in native:
            native[name] = native.pop(other)
    fit_for = ("binary:logistic",) if classes == 2 else ("multi:softprob",) if classes else _NUMBERS
    settle_objective(native, fit_for)
    if native.get("booster", "gbtree") != "gbtree":
        raise InvalidInput(
            f"The booster {str(native['booster'])[:80]!r} cannot be written as an ONNX graph. Take gbtree."
        )
    gpu = context.gpu is not None and bool(xgboost.build_info().get("USE_CUDA"))
    native.setdefault("device", f"cuda:{context.gpu}" if gpu else "cpu")
    native.setdefault("seed", material.seed)
    native.setdefault("nthread", context.threads)
    native.setdefault("tree_method", "hist")
    native.pop("eval_metric", None)
    return native | {
        **({"num_class": classes} if classes and classes > 2 else {}),
        "disable_default_eval_metric": True,
        "seed_per_iteration": True,
        "verbosity": 0,
    }


def _of_estimator(model: object) -> dict[str, Any] | None:
    """Return the parameters of an ``XGBClassifier`` or ``XGBRegressor``; None: it is neither."""
    import xgboost

    if not isinstance(model, xgboost.XGBModel):
        return None
    held = {name: value for name, value in model.get_xgb_params().items() if value is not None}
    classes_differ = held.get("objective") in ("binary:logistic", "multi:softmax", "multi:softprob")
    if classes_differ:
        del held["objective"]  # the estimator's default, whatever the number of classes
    return {name: value for name, value in held.items() if name not in _OF_WRAPPER}


def _of_wrapper(model: object) -> dict[str, Any]:
    """Return what XGBoost's estimators know that is the recipe's business."""
    rounds, patience = getattr(model, "n_estimators", None), getattr(model, "early_stopping_rounds", None)
    return ({"rounds": rounds} if rounds else {}) | ({"patience": patience} if patience else {})


def _on_worker_0(material: Material, context: TrainingContext) -> tuple[Material, TrainingContext] | None:
    """Return the rows of all workers, and a context in which worker 0 is alone; None on the others."""
    context.say(
        "XGBoost's own connections between workers are neither encrypted nor authenticated. The rows are sent to "
        "worker 0 over those of the run, which are, and worker 0 alone learns. To let all workers learn on a network "
        "that you trust, give the address of worker 0's machine: --param network=10.0.0.5"
    )
    parts = [gather_rows(rows, context.collective) for rows in (material.train, material.valid) if rows is not None]
    held = [Part(*part, seed=material.seed) for part in parts if part is not None]
    if not held:
        return None
    valid = held[1] if len(held) > 1 else None
    return replace(material, train=held[0], valid=valid), replace(context, collective=LocalCollective())


@contextmanager
def _joined(collective: Collective, address: str) -> Iterator[None]:
    """Let XGBoost in this thread work with the other workers until the end of the block."""
    import xgboost
    from xgboost.tracker import RabitTracker

    if collective.world_size == 1:
        yield
        return
    try:
        host = str(ipaddress.ip_address(address))
    except ValueError:
        raise InvalidInput(
            f"The parameter network is {address[:80]!r}; it must be the IP address of worker 0's machine, such as "
            "10.0.0.5."
        ) from None
    tracker, told = None, b""
    if collective.rank == 0:
        tracker = RabitTracker(n_workers=collective.world_size, host_ip=host, sortby="task", timeout=_TRACKER_S)
        tracker.start()
        told = json.dumps(tracker.worker_args()).encode()
    arguments = json.loads(collective.broadcast(told))
    with xgboost.collective.CommunicatorContext(**arguments, dmlc_task_id=f"{collective.rank:08d}"):
        yield
    if tracker is not None:
        tracker.wait_for(_TRACKER_S)


class _Ensemble:
    """XGBoost's trees; every worker that learns has them all."""

    def __init__(self, material: Material, context: TrainingContext, native: dict[str, Any], trees: bytes) -> None:
        import xgboost

        self._context, self._native, self._classes = context, native, material.problem.classes
        self.width = material.problem.width
        self.offset = 0.0
        targets = material.train.targets
        if self._classes:
            check_classes(targets, self._classes, context.collective)
        elif native["objective"] in _CENTERED:
            self.offset = center(targets, context.collective)
        self._sets = [self._data(material.train, None)]
        if material.valid is not None:
            self._sets.append(self._data(material.valid, self._sets[0]))
        self._targets = [rows.targets for rows in (material.train, material.valid) if rows is not None]
        self.booster = xgboost.Booster(native, self._sets)
        if trees:
            self.booster.load_model(bytearray(trees))
            self.booster.set_param(native)

    def grow(self, number: int) -> bool:
        """Grow the trees of a round: one, or one for each class."""
        if any(self._native.get(name, 1.0) < 1.0 for name in _SAMPLED):
            # XGBoost draws columns from a generator that it makes with its tree builder. A builder of another kind in
            # between makes it make a new one, from the seed of the round, as after a kill.
            method = self._native["tree_method"]
            self.booster.set_param({"tree_method": "hist" if method == "approx" else "approx"})
            self.booster.save_config()
            self.booster.set_param({"tree_method": method})
        self.booster.update(self._sets[0], number)
        return True

    def losses(self) -> tuple[float, float | None]:
        """Return the mean loss of all workers' rows."""
        counts = [float(len(targets)) for targets in self._targets]
        sums = [
            mean_loss(self.booster.predict(data) + self.offset, targets, self._classes) * len(targets)
            for data, targets in zip(self._sets, self._targets, strict=True)
        ]
        total = self._context.collective.all_reduce([*sums, *counts])
        means = total[: len(sums)] / total[len(sums) :]
        return float(means[0]), float(means[1]) if len(means) > 1 else None

    def trees(self) -> bytes:
        """Return the trees in XGBoost's own binary JSON."""
        return bytes(self.booster.save_raw("ubj"))

    def _data(self, rows: Rows, reference: Any) -> Any:
        """Return rows as bins, of which no more than a batch is held as numbers."""
        import xgboost

        offset = self.offset

        class Batches(xgboost.DataIter):
            """Rows as XGBoost asks for them, more than once."""

            def __init__(self) -> None:
                super().__init__()
                self.reset()

            def reset(self) -> None:
                """Begin again."""
                self._blocks = rows.blocks()

            def next(self, input_data: Any) -> bool:
                """Give the next rows; False: there are none."""
                for features, targets in self._blocks:
                    input_data(data=features, label=targets - offset)
                    return True
                return False

        return xgboost.QuantileDMatrix(
            Batches(),
            ref=reference,
            max_bin=int(self._native.get("max_bin", 256)),
            nthread=self._native["nthread"],
            missing=np.nan,
        )


def _explained(error: Exception, collective: Collective) -> InvalidInput | Unavailable:
    """Return XGBoost's error as ours: what it says of parameters, or that a worker was lost."""
    if collective.world_size > 1:
        return Unavailable("XGBoost lost the connection between workers; look at the logs of the others.")
    lines = [line for line in str(error).splitlines() if line.strip() and "Stack trace" not in line]
    text = lines[0].rpartition("Check failed:")[2].strip() if lines else "no reason was given"
    return InvalidInput(f"XGBoost refuses: {text.rpartition('.cc:')[2][:300]}")


def _leave(ensemble: _Ensemble, kept: int, material: Material) -> Fitted:
    """Return what was learned, with its graph."""
    import xgboost
    from onnxmltools.convert import convert_xgboost
    from onnxmltools.convert.common.data_types import FloatTensorType

    if not kept:
        raise TrainingDataError("XGBoost was stopped before it had grown a tree; let it run for longer.")
    classes, offset = material.problem.classes, ensemble.offset
    booster = ensemble.booster[:kept]
    booster.set_param({"device": "cpu", "nthread": 1})
    graph = convert_xgboost(
        booster, name="xgboost", initial_types=[("X", FloatTensorType([None, ensemble.width]))], target_opset=15
    )

    def scores(features: Features) -> Scores:
        found = np.asarray(booster.predict(xgboost.DMatrix(features, nthread=1)), np.float64)
        return answers(found, classes, offset)

    return Fitted(finish_graph(graph, classes=classes, offset=offset), scores)


RECIPE = XGBoost()
