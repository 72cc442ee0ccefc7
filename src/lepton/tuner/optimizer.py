"""What Optuna does in a search: which settings are next, whether a trial goes on, what mattered. Knows no platform."""

from __future__ import annotations

import math
import random
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.exceptions import ExperimentalWarning
from optuna.importance import get_param_importances
from optuna.trial import TrialState

from lepton.training.search import Dimension, Either, Value, grid

NOTES = "lepton:"
"""What this search notes with a study begins so; `lepton.models.studies` reads it."""
Direction = Literal["minimize", "maximize"]
_ENDED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


@dataclass(frozen=True)
class Tried:
    """A trial that Optuna waits for.

    Attributes:
        id: Its number in the journal.
        number: Its number in the study.
    """

    id: int
    number: int
    params: Mapping[str, Value]


class Optimizer:
    """One study.

    Args:
        storage: Where it is written.
        name: Of the study; it is made if there is none.
        direction: ``minimize`` or ``maximize``.
        space: What is searched.
        sampler: ``tpe``, ``cmaes``, ``random`` or ``grid``.
        pruner: ``none``, ``median``, ``hyperband`` or ``asha``.
        trials: How many a grid has at most.
        parallel: How many are tried at a time.
        seed: Decides what is drawn.
    """

    def __init__(  # noqa: PLR0913 - one call, with everything a study is
        self, storage: optuna.storages.BaseStorage, name: str, *, direction: Direction, space: Sequence[Dimension],
        sampler: str, pruner: str, trials: int, parallel: int, seed: int,
    ) -> None:  # fmt: skip
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        warnings.simplefilter("ignore", ExperimentalWarning)  # of parts that have been in use for years
        self._storage = storage
        self._distributions = {one.name: _distribution(one) for one in space}
        self._study = optuna.create_study(
            storage=storage, study_name=name, direction=direction, load_if_exists=True, pruner=_pruner(pruner)
        )
        # Another process that goes on with a study must not draw what the first one has drawn.
        self._study.sampler = _sampler(sampler, seed + len(self._trials()), parallel)
        self._is_grid = sampler == "grid"
        if self._is_grid:
            points = list(grid(space))
            random.Random(seed).shuffle(points)  # noqa: S311 - an order, no secret
            known = [trial.system_attrs.get("fixed_params", trial.params) for trial in self._trials()]
            for point in points[:trials]:
                if point not in known:
                    self._study.enqueue_trial(point)

    @property
    def notes(self) -> dict[str, Any]:
        """What was noted with the study."""
        found = self._study.user_attrs
        return {key.removeprefix(NOTES): value for key, value in found.items() if key.startswith(NOTES)}

    def note(self, key: str, value: object) -> None:
        """Note something with the study, unless it is noted already."""
        if self.notes.get(key) != value:
            self._study.set_user_attr(NOTES + key, value)

    def spent(self) -> int:
        """Return how many trials have been tried and have ended; not those that a kill left without settings."""
        return sum(
            trial.state in _ENDED and (trial.state is not TrialState.FAIL or f"{NOTES}error" in trial.user_attrs)
            for trial in self._trials()
        )

    def complete(self) -> int:
        """Return how many trials have ended well."""
        return sum(trial.state is TrialState.COMPLETE for trial in self._trials())

    def since_better(self) -> int:
        """Return how many trials have ended since the best one so far, in the order in which they ended."""
        ended = [trial for trial in self._trials() if trial.state in _ENDED]
        ended.sort(key=lambda trial: trial.datetime_complete or datetime.min)
        best, since, sign = math.inf, 0, -1 if self._study.direction.name == "MAXIMIZE" else 1
        for trial in ended:
            since += 1
            if trial.state is TrialState.COMPLETE and trial.value is not None and sign * trial.value < best:
                best, since = sign * trial.value, 0
        return since

    def ask(self) -> Tried | None:
        """Return the next settings to try, or None if a grid has no more."""
        if self._is_grid and not any(trial.state is TrialState.WAITING for trial in self._trials()):
            return None
        asked = self._study.ask(fixed_distributions=self._distributions)
        return Tried(asked._trial_id, asked.number, dict(asked.params))

    def left_running(self) -> list[Tried]:
        """Return the trials that an earlier process left; those without all settings end as failed, untried."""
        found = []
        for trial in self._trials():
            if trial.state is TrialState.RUNNING and set(self._distributions) <= set(trial.params):
                found.append(Tried(trial._trial_id, trial.number, dict(trial.params)))
            elif trial.state is TrialState.RUNNING:
                self._study.tell(trial.number, state=TrialState.FAIL)
        return found

    def note_run(self, tried: Tried, run_id: str) -> None:
        """Note which run tries a trial."""
        if self._storage.get_trial(tried.id).user_attrs.get(f"{NOTES}run") != run_id:
            self._storage.set_trial_user_attr(tried.id, f"{NOTES}run", run_id)

    def report(self, tried: Tried, points: Sequence[tuple[int, float]]) -> bool:
        """Report the points of a trial's curve that are worth it, and return whether it is to be ended early."""
        known = self._storage.get_trial(tried.id).intermediate_values
        for step, value in points:
            if step not in known and is_told(step):
                self._storage.set_trial_intermediate_value(tried.id, step, value)
                if self._study.pruner.prune(self._study, self._storage.get_trial(tried.id)):
                    return True
        return False

    def tell(self, tried: Tried, value: float) -> None:
        """Note what a trial reached; what is not a finite number is a failure."""
        if math.isfinite(value):
            self._study.tell(tried.number, value)
        else:
            self.fail(tried, "The metric is not a finite number.")

    def prune(self, tried: Tried) -> None:
        """Note that a trial was ended early."""
        self._study.tell(tried.number, state=TrialState.PRUNED)

    def fail(self, tried: Tried, why: str) -> None:
        """Note that a trial failed, and why."""
        self._storage.set_trial_user_attr(tried.id, f"{NOTES}error", why[:500])
        self._study.tell(tried.number, state=TrialState.FAIL)

    def best(self) -> Tried | None:
        """Return the best trial that ended well, or None."""
        if not self.complete():
            return None
        best = self._study.best_trial
        return Tried(best._trial_id, best.number, dict(best.params))

    def importance(self) -> dict[str, float]:
        """Return how much each setting mattered (fANOVA); empty if too little is known.

        Source: Hutter, Hoos, Leyton-Brown, "An Efficient Approach for Assessing Hyperparameter Importance", ICML 2014.
        """
        if self.complete() < 4:
            return {}
        try:
            return {name: float(share) for name, share in get_param_importances(self._study).items()}
        except (ValueError, RuntimeError):  # all values are the same
            return {}

    def _trials(self) -> list[optuna.trial.FrozenTrial]:
        found: list[optuna.trial.FrozenTrial] = self._study.get_trials(deepcopy=False)
        return found


def is_told(step: int) -> bool:
    """Whether the point of a step is reported: those with two significant digits, the same for all trials."""
    return step >= 0 and step % 10 ** max(0, len(str(step)) - 2) == 0


def _distribution(one: Dimension) -> BaseDistribution:
    if isinstance(one, Either):
        return CategoricalDistribution(one.choices)
    if one.whole:
        return IntDistribution(int(one.low), int(one.high), log=one.log, step=int(one.step or 1))
    return FloatDistribution(one.low, one.high, log=one.log, step=one.step)


def _sampler(name: str, seed: int, parallel: int) -> optuna.samplers.BaseSampler:
    seed %= 1 << 32
    if name == "tpe":
        # With several at a time, those that still run count as bad, so that not all try the same.
        return optuna.samplers.TPESampler(seed=seed, constant_liar=parallel > 1)
    if name == "cmaes":
        return optuna.samplers.CmaEsSampler(seed=seed, warn_independent_sampling=False)
    return optuna.samplers.RandomSampler(seed=seed)  # a grid is a queue of its points


def _pruner(name: str) -> optuna.pruners.BasePruner:
    if name == "median":
        return optuna.pruners.MedianPruner(n_startup_trials=4)
    if name == "hyperband":
        return optuna.pruners.HyperbandPruner()
    if name == "asha":
        # "auto" learns the first step to look at from trials that have ended, and compares nobody with those.
        return optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=3)
    return optuna.pruners.NopPruner()
