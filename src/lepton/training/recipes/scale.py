"""The scale of a target that is a number: networks learn it with mean 0 and deviation 1; graphs answer in its own."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from lepton.training.context import TrainingContext
from lepton.training.recipes.port import Material, Targets


@dataclass(frozen=True)
class Scale:
    """A line: what is learned times `deviation` plus `mean` is the target.

    Attributes:
        mean: Mean of the target over the rows of all workers.
        deviation: Its standard deviation, or 1 where that is 0 or not finite.
    """

    mean: float = 0.0
    deviation: float = 1.0

    @classmethod
    def of(cls, material: Material, context: TrainingContext) -> Scale:
        """Return the scale over all workers' rows to learn from; of classes, the one that changes nothing."""
        if material.problem.classes is not None:
            return cls()
        targets = np.asarray(material.train.targets, dtype=np.float64)
        total, count = context.collective.all_reduce([float(targets.sum()), float(len(targets))])
        mean = float(total / count)
        squares = float(context.collective.all_reduce(float(((targets - mean) ** 2).sum())))
        deviation = math.sqrt(squares / float(count))
        return cls(mean, deviation if math.isfinite(deviation) and deviation > 0 else 1.0)

    def learned(self, targets: Targets) -> Targets:
        """Return targets as they are learned: numbers with mean 0 and deviation 1, as float32; classes as they are."""
        if np.issubdtype(targets.dtype, np.integer):
            return targets
        return ((targets - self.mean) / self.deviation).astype(np.float32)  # type: ignore[return-value]
