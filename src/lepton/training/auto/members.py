"""A candidate that was fitted, and how it answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from lepton.training.recipes.port import Features

Answers = npt.NDArray[np.float32]
"""Probabilities [n, K], or standardized numbers [n]."""


@dataclass(frozen=True)
class Member:
    """A fitted estimator and what its classes are.

    Attributes:
        estimator: What was fitted.
        present: Positions of the classes that it knows; empty: it answers numbers.
        classes: Number of all classes; None: numbers.
    """

    estimator: Any
    present: tuple[int, ...] = ()
    classes: int | None = None
    family: str = field(default="", compare=False)

    def answers(self, features: Features) -> Answers:
        """Return probabilities [n, K], or standardized numbers [n]."""
        if self.classes is None:
            return np.asarray(self.estimator.predict(features), dtype=np.float32).reshape(len(features))
        known = np.asarray(self.estimator.predict_proba(features), dtype=np.float32)
        if len(self.present) == self.classes:
            return known
        found = np.zeros((len(features), self.classes), dtype=np.float32)
        found[:, self.present] = known
        return found
