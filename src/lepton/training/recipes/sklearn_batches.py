"""scikit-learn's ``partial_fit``: batches of all workers go to worker 0, which alone learns; only a batch is held there."""

from __future__ import annotations

import copy
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from lepton.core.errors import InvalidInput
from lepton.training.collective import Collective
from lepton.training.context import TrainingContext
from lepton.training.problems import TrainingDataError
from lepton.training.recipes.boosting import mean_loss
from lepton.training.recipes.estimator_state import CannotBeSaved, load_state, save_state
from lepton.training.recipes.gathering import gather_rows, pack_array, unpack_array
from lepton.training.recipes.port import Features, Material, Targets, check_loss
from lepton.training.recipes.sklearn_scores import Unit, scores_of


@dataclass
class _Watch:
    """How the rows that are watched fare: the smallest loss, and for how many epochs there was none smaller."""

    best_loss: float | None = None
    waited: int = 0


class _Learner:
    """The estimator on worker 0, the best one so far, and where it is."""

    def __init__(self, estimator: Any, material: Material, context: TrainingContext, unit: Unit) -> None:
        self.estimator, self.best = estimator, None
        self.watch = _Watch()
        self._problem, self._unit, self._context = material.problem, unit, context
        self._classes = None if material.problem.classes is None else np.arange(material.problem.classes)
        self._savable: bool | None = None

    def learn(self, features: Features, targets: Targets, step: int) -> None:
        """Learn from one batch."""
        extra = {} if self._classes is None else {"classes": self._classes}
        try:
            self.estimator.partial_fit(features, self._unit.take(targets), **extra)
        except ValueError as error:
            text = str(error).strip().partition("\n")[0][:300]
            raise TrainingDataError(
                f"scikit-learn refuses at step {step}: {text} If it is overflow, take a smaller learning rate."
            ) from None
        if self._classes is not None and not hasattr(self.estimator, "predict_proba"):
            raise InvalidInput(
                f"{type(self.estimator).__name__} gives no probabilities. Take one that does, for example SGDClassifier "
                "with --param loss=log_loss."
            )

    def loss(self, features: Features, targets: Targets) -> float:
        """Return the mean loss of rows."""
        scores = scores_of(self.estimator, self._problem, self._unit)(features)
        return mean_loss(scores, targets, self._problem.classes)

    def observe(self, loss: float) -> None:
        """Remember the estimator if it is the best so far."""
        self.watch.waited += 1
        if self.watch.best_loss is None or loss < self.watch.best_loss:
            self.best, self.watch = copy.deepcopy(self.estimator), _Watch(loss)

    def save(self, step: int) -> None:
        """Save a checkpoint, if the estimator can be saved."""
        if self._savable is None:
            self._savable = self._try()
        if self._savable:
            self._context.checkpoints.save(step, self._state, self._context.collective)

    def restore(self, state: bytes) -> None:
        """Be what was saved."""
        with np.load(io.BytesIO(state), allow_pickle=False) as held:
            self.watch = _Watch(**json.loads(held["watch"].tobytes()))
            best = held["best"].tobytes()
            if best:
                self.best = copy.deepcopy(self.estimator)
                load_state(best, self.best)
            load_state(held["now"].tobytes(), self.estimator)

    def _state(self) -> bytes:
        parts = {
            "watch": json.dumps(asdict(self.watch)).encode(),
            "now": save_state(self.estimator),
            "best": b"" if self.best is None else save_state(self.best),
        }
        file = io.BytesIO()
        np.savez(file, allow_pickle=False, **{name: np.frombuffer(part, np.uint8) for name, part in parts.items()})
        return file.getvalue()

    def _try(self) -> bool:
        try:
            save_state(self.estimator)
        except CannotBeSaved as error:
            self._context.say(
                f"{type(self.estimator).__name__} holds {error}, which is not saved without pickle: if the run is killed, "
                "it begins anew."
            )
            return False
        return True


def learn_in_batches(
    estimator: Any, material: Material, context: TrainingContext, told: Mapping[str, Any], unit: Unit
) -> Any | None:
    """Pass over the rows of all workers `epochs` times, or until those that are watched get no better.

    Args:
        estimator: One with ``partial_fit``.
        material: This worker's rows.
        context: The other workers, and where to tell how it goes.
        told: ``epochs``, ``batch_size`` (rows of each worker in a batch) and ``patience`` (epochs; 0: to the end).
        unit: What numbers are learned in.

    Returns:
        The estimator; None on workers other than 0.
    """
    collective, size = context.collective, told["batch_size"]
    learner = _Learner(estimator, material, context, unit)
    valid = None if material.valid is None else gather_rows(material.valid, collective)
    steps = material.train.steps(size)
    epochs = 1 if type(estimator).__module__ == "sklearn.naive_bayes" else told["epochs"]  # it counts: once is enough
    saved = context.checkpoints.restore(collective)
    step = saved.step if saved else 0
    if saved and collective.rank == 0:
        learner.restore(saved.state)
    while step < epochs * steps and not _over(learner, told["patience"], collective):
        epoch = step // steps
        for features, targets in _batches(material, size, epoch, step - epoch * steps, collective):
            step += 1
            if collective.rank == 0:
                learner.learn(features, targets, step)
            if step % steps and context.checkpoints.due(step):
                learner.save(step)
        if collective.rank == 0:
            metrics = {"loss": check_loss(learner.loss(features, targets), step)}
            if valid is not None:
                metrics["valid_loss"] = check_loss(learner.loss(*valid), step)
                learner.observe(metrics["valid_loss"])
            context.report(step, **metrics)
            context.progress(step / (epochs * steps), f"epoch {epoch + 1} of {epochs}")
        if context.checkpoints.due(step):
            learner.save(step)
        if context.stop_agreed():
            break
    if collective.rank:
        return None
    return learner.best if told["patience"] and learner.best is not None else learner.estimator


def _over(learner: _Learner, patience: int, collective: Collective) -> bool:
    """Whether worker 0 has waited long enough for the rows that are watched to get better."""
    waited = collective.rank == 0 and 0 < patience <= learner.watch.waited
    return float(collective.all_reduce(float(waited))) > 0.0


def _batches(
    material: Material, size: int, epoch: int, skip: int, collective: Collective
) -> Iterator[tuple[Features, Targets]]:
    """Pass over an epoch's batches: on worker 0 those of all workers in one, on the others their own."""
    for features, targets in material.train.batches(size, epoch=epoch, skip=skip):
        if collective.world_size == 1:
            yield features, targets
            continue
        held = [collective.gather(pack_array(array)) for array in (features, targets)]
        if collective.rank:
            yield features, targets
            continue
        whole = [np.concatenate([unpack_array(part) for part in parts or ()]) for parts in held]
        yield whole[0], whole[1]
