"""What scikit-learn's estimators answer, in the target's own unit and with a column for every class."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from lepton.training.collective import Collective
from lepton.training.recipes.port import Features, Problem, Scores, Targets


@dataclass(frozen=True)
class Unit:
    """What an estimator learns instead of the numbers themselves: (number - offset) / scale."""

    scale: float = 1.0
    offset: float = 0.0

    @classmethod
    def of(cls, targets: Targets, collective: Collective) -> Self:
        """Return the unit in which all workers' numbers have mean 0 and deviation 1; float32 holds both exactly."""
        total, count = collective.all_reduce([float(targets.sum()), float(len(targets))])
        mean = float(np.float32(total / count))
        squares = float(collective.all_reduce(float(((targets - mean) ** 2).sum())))
        return cls(float(np.float32(np.sqrt(squares / count))) or 1.0, mean)

    def take(self, targets: Targets) -> Targets:
        """Return numbers in this unit; classes stay what they are."""
        return targets if self == Unit() else (targets - self.offset) / self.scale


def scores_of(estimator: Any, problem: Problem, unit: Unit) -> Callable[[Features], Scores]:
    """Return the function that answers for rows [n, width]: probabilities [n, K], or numbers [n]."""

    def scores(features: Features) -> Scores:
        if problem.classes is None:
            return np.asarray(estimator.predict(features), np.float64).reshape(-1) * unit.scale + unit.offset
        shares = np.zeros((len(features), problem.classes))
        shares[:, np.asarray(estimator.classes_, np.int64)] = estimator.predict_proba(features)
        return shares

    return scores
