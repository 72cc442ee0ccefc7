"""The recipe ``lightgbm``: boosted trees, on all workers at once. Their sums travel by ``lightgbm_network.py``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np

from lepton.core.errors import InvalidInput
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
from lepton.training.recipes.gathering import broadcast_array, gather_rows
from lepton.training.recipes.graphs import finish_graph
from lepton.training.recipes.lightgbm_network import Network, joined
from lepton.training.recipes.parameters import at_least, read_parameters
from lepton.training.recipes.port import Features, Fitted, Material, Parameters, Part, Rows, Scores

_NAMES = {
    "learning_rate": "learning_rate",
    "leaves": "num_leaves",
    "max_depth": "max_depth",
    "min_rows": "min_data_in_leaf",
    "subsample": "bagging_fraction",
    "colsample": "feature_fraction",
    "lambda": "lambda_l2",
    "max_bin": "max_bin",
}
_CENTERED = ("regression", "regression_l1", "huber", "quantile")
"""Objectives that do not change when all targets are moved by one number."""
_NUMBERS = (*_CENTERED, "poisson", "gamma", "tweedie")
_SAMPLE_ROWS, _SAMPLE_BYTES = 200_000, 1 << 28
"""From how many rows of all workers the bins are taken; LightGBM takes as many from one worker's."""


class LightGBM:
    """Gradient boosting with LightGBM."""

    name = "lightgbm"
    needs = ("lightgbm", "onnxmltools")
    parameters: ClassVar[Mapping[str, Any]] = {
        "rounds": 200,
        "learning_rate": 0.1,
        "leaves": 31,
        "max_depth": -1,
        "min_rows": 20,
        "subsample": 1.0,
        "colsample": 1.0,
        "lambda": 0.0,
        "max_bin": 255,
        "patience": 20,
    }

    def fit(
        self, material: Material, context: TrainingContext, parameters: Parameters, model: object | None
    ) -> Fitted | None:
        """Learn, together with the other workers: see `lepton.training.recipes.port.Recipe.fit`."""
        import lightgbm

        told = read_parameters(self.parameters, parameters)
        at_least("rounds", told["rounds"], 1)
        at_least("patience", told["patience"], 0)
        brought = None if model is None else build_model(model, material.problem)
        native = _native(told if brought is None else dict(parameters), brought, material, context)
        rounds = int(native.pop("num_iterations", None) or told["rounds"])
        if "rounds" in parameters:
            rounds = told["rounds"]
        resumable = _is_resumable(native)
        if not resumable:
            context.say("LightGBM does not go on from a checkpoint with this kind of sampling: a kill begins anew.")
        saved = context.checkpoints.restore(context.collective)
        progress, trees = Progress.unpack(saved.state) if saved else (Progress(), b"")
        try:
            ensemble = _Ensemble(material, context, native, trees.decode())
            with joined(context.collective) as network:
                ensemble.start(network)
                patience = told["patience"] if material.valid is not None else 0
                kept = boost(ensemble, progress, context, rounds=rounds, patience=patience, resumable=resumable)
        except lightgbm.basic.LightGBMError as error:
            text = str(error).splitlines()[0].partition(" at /")[0].removeprefix("Check failed: ")
            raise InvalidInput(f"LightGBM refuses: {text[:300]}") from None
        if context.collective.rank:
            return None
        return _leave(ensemble, kept, material)


def _native(
    given: dict[str, Any], model: object | None, material: Material, context: TrainingContext
) -> dict[str, Any]:
    """Return LightGBM's own parameters, under its own names."""
    from lightgbm.basic import _choose_param_value

    classes = material.problem.classes
    native = native_parameters(model, given, _NAMES, _of_estimator, "lightgbm")
    for name in (
        *_NAMES.values(), "objective", "num_iterations", "bagging_freq", "bagging_seed", "seed", "boosting",
        "data_sample_strategy", "pos_bagging_fraction", "neg_bagging_fraction", "extra_trees", "num_threads",
    ):  # fmt: skip
        native = _choose_param_value(main_param_name=name, params=native, default_value=None)
        if native[name] is None:
            del native[name]
    fit_for = ("binary",) if classes == 2 else ("multiclass",) if classes else _NUMBERS
    settle_objective(native, fit_for)
    if native.get("bagging_fraction", 1.0) < 1.0 and not native.get("bagging_freq"):
        native["bagging_freq"] = 1
    native.setdefault("seed", material.seed)
    native.setdefault("num_threads", context.threads)
    workers = context.collective.world_size
    return native | {
        **({"num_class": classes} if classes and classes > 2 else {}),
        "metric": "None",
        "verbosity": -1,
        "deterministic": True,
        "force_row_wise": True,
        "feature_pre_filter": False,  # it would judge by the sample that bins are taken from
        "tree_learner": "data" if workers > 1 else "serial",
        "num_machines": workers,
    }


def _of_estimator(model: object) -> dict[str, Any] | None:
    """Return the parameters of an ``LGBMClassifier`` or ``LGBMRegressor``; None: it is neither."""
    import lightgbm

    if not isinstance(model, lightgbm.LGBMModel):
        return None
    held = {name: value for name, value in model.get_params().items() if value is not None}
    if "class_weight" in held:
        raise InvalidInput("The recipe lightgbm knows no class_weight. Take is_unbalance or scale_pos_weight instead.")
    held.pop("importance_type", None)
    if not held.get("subsample_freq"):
        held.pop("subsample", None)  # LightGBM's estimators sample only if both are set
    return held


def _is_resumable(native: Mapping[str, Any]) -> bool:
    """Whether trees alone are enough to go on to the same bits; dropped trees and GOSS depend on more."""
    balanced = native.get("pos_bagging_fraction", 1.0) < 1.0 or native.get("neg_bagging_fraction", 1.0) < 1.0
    return (
        native.get("boosting", "gbdt") in ("gbdt", "gbrt")
        and native.get("data_sample_strategy", "bagging") == "bagging"
        and not balanced
    )


class _Ensemble:
    """LightGBM's trees; every worker has them all."""

    def __init__(self, material: Material, context: TrainingContext, native: dict[str, Any], trees: str) -> None:
        import lightgbm

        self._context, self._native, self._classes = context, native, material.problem.classes
        self._network: Network | None = None
        features, targets = material.train.matrix()
        self.offset = 0.0
        if self._classes:
            check_classes(targets, self._classes, context.collective)
        elif native["objective"] in _CENTERED:
            self.offset = center(targets, context.collective)
        self._targets = [targets]
        self._old = lightgbm.Booster(model_str=trees) if trees else None
        self.width = features.shape[1]
        train = self._dataset(features, targets, _bins(material, context, native))
        self._sets = [train.construct()]
        if material.valid is not None:
            features, targets = material.valid.matrix()
            self._targets.append(targets)
            self._sets.append(self._dataset(features, targets, train).construct())

    def start(self, network: Network) -> None:
        """Begin, or go on from the trees of a checkpoint."""
        import lightgbm
        from lightgbm.basic import _LIB, _safe_call

        self._network = network
        self.booster = lightgbm.Booster(self._native, self._sets[0])
        network.check()
        if self._old is not None:
            _safe_call(_LIB.LGBM_BoosterMerge(self.booster._handle, self._old._handle))
        for data in self._sets[1:]:
            self.booster.add_valid(data, "valid")

    def grow(self, number: int) -> bool:
        """Grow the trees of a round: one, or one for each class."""
        for change in self._seeds(number):
            self.booster.reset_parameter(change)
        before = self.booster.current_iteration()
        self.booster.update()
        assert self._network is not None
        self._network.check()
        return bool(self.booster.current_iteration() > before)

    def losses(self) -> tuple[float, float | None]:
        """Return the mean loss of all workers' rows."""
        told = self.booster.eval_train(self._loss(0))
        if len(self._sets) > 1:
            told += self.booster.eval_valid(self._loss(1))
        counts = [float(len(targets)) for targets in self._targets]
        sums = [float(item[2]) * count for item, count in zip(told, counts, strict=True)]
        total = self._context.collective.all_reduce([*sums, *counts])
        means = total[: len(sums)] / total[len(sums) :]
        return float(means[0]), float(means[1]) if len(means) > 1 else None

    def trees(self) -> bytes:
        """Return the trees in LightGBM's own text."""
        text: str = self.booster.model_to_string(num_iteration=-1)
        return text.encode()

    def _loss(self, which: int) -> Any:
        """Return a function as LightGBM asks for: it is called with predictions and the data."""

        def loss(scores: Scores, _: object) -> tuple[str, float, bool]:
            return "loss", mean_loss(scores + self.offset, self._targets[which], self._classes), False

        return loss

    def _seeds(self, number: int) -> list[dict[str, Any]]:
        """Return what to change before a round, so that it is drawn from its number and not from those before it."""
        seed, fraction = int(self._native["seed"]), self._native.get("bagging_fraction", 1.0)
        changes: list[dict[str, Any]] = []
        drawn: dict[str, Any] = {}
        if fraction < 1.0:
            # It makes its generator anew only when the fraction changes, and must not be told the same again, nor 1:
            # LightGBM 4.7 would then go on with settings whose memory it has given back (`bagging.hpp`, `config_`).
            changes.append({"bagging_fraction": fraction * (1.0 - 1e-6)})
            period = number // self._native["bagging_freq"]
            drawn |= {
                "bagging_fraction": fraction,
                "bagging_seed": _mix(self._native.get("bagging_seed", seed), period),
            }
        if self._native.get("feature_fraction", 1.0) < 1.0:
            drawn["feature_fraction_seed"] = _mix(seed + 1, number)
        if self._native.get("extra_trees"):
            drawn["extra_seed"] = _mix(seed + 2, number)
        return [*changes, drawn] if drawn else []

    def _dataset(self, features: Features, targets: Any, reference: Any) -> Any:
        import lightgbm

        start = self._old.predict(features, raw_score=True) if self._old is not None else None
        return lightgbm.Dataset(
            features, targets - self.offset, reference=reference, init_score=start, params=self._native
        )


def _bins(material: Material, context: TrainingContext, native: Mapping[str, Any]) -> Any:
    """Return a dataset whose bins all workers share, made of a sample of all rows; None: the only worker makes them."""
    import lightgbm

    collective = context.collective
    if collective.world_size == 1:
        return None
    rows = material.train
    counts = collective.all_reduce(np.eye(collective.world_size)[collective.rank] * rows.count)
    limit = min(_SAMPLE_ROWS, max(1_000, _SAMPLE_BYTES // (4 * material.problem.width)))
    gathered = gather_rows(_sample(rows, min(1.0, limit / float(counts.sum())), material.seed), collective)
    features = broadcast_array(None if gathered is None else gathered[0], collective)
    return lightgbm.Dataset(features, params=dict(native)).construct()


def _sample(rows: Rows, share: float, seed: int) -> Rows:
    if share >= 1.0:
        return rows
    features, targets = rows.matrix()
    count = max(1, int(len(features) * share))
    chosen = np.sort(np.random.default_rng(seed).choice(len(features), count, replace=False))
    return Part(features[chosen], targets[chosen])


def _leave(ensemble: _Ensemble, kept: int, material: Material) -> Fitted:
    """Return what was learned, with its graph."""
    import lightgbm
    from onnxmltools.convert import convert_lightgbm
    from onnxmltools.convert.common.data_types import FloatTensorType

    if not kept:
        raise TrainingDataError("LightGBM was stopped before it had grown a tree; let it run for longer.")
    classes, offset = material.problem.classes, ensemble.offset
    booster = lightgbm.Booster(model_str=ensemble.booster.model_to_string(num_iteration=kept))
    graph = convert_lightgbm(
        booster,
        name="lightgbm",
        initial_types=[("X", FloatTensorType([None, ensemble.width]))],
        target_opset=15,
        zipmap=False,
    )

    def scores(features: Features) -> Scores:
        found = np.asarray(booster.predict(features, num_threads=1), np.float64)
        return answers(found, classes, offset)

    return Fitted(finish_graph(graph, classes=classes, offset=offset), scores)


def _mix(seed: int, number: int) -> int:
    """Return a seed for a round, far from those of its neighbors: LightGBM gives each block of rows the next one."""
    return int(np.random.SeedSequence([abs(seed), number]).generate_state(1)[0] >> 2)


RECIPE = LightGBM()
