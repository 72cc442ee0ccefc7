"""How wrong answers are: cross-entropy of probabilities, squares of standardized numbers."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lepton.training.recipes.port import Targets

Losses = npt.NDArray[np.float64]
LEAST = 1e-6
"""No probability counts as less: an answer that was sure and wrong must not decide alone."""


def of_truth(answers: npt.NDArray[np.floating], targets: Targets, classes: int | None) -> Losses:
    """Return for each row the probability of its true class, or the error of its number. Both may be averaged."""
    if classes is None:
        return np.asarray(answers, dtype=np.float64).reshape(len(targets)) - targets
    return np.asarray(answers[np.arange(len(targets)), targets.astype(np.int64)], dtype=np.float64)


def from_truth(truth: Losses, classes: int | None) -> Losses:
    """Return the loss of each row from what `of_truth` gave."""
    if classes is None:
        return truth**2
    return -np.log(np.clip(truth, LEAST, 1.0))


def row_losses(answers: npt.NDArray[np.floating], targets: Targets, classes: int | None) -> Losses:
    """Return the loss of each row: cross-entropy in nats, or the squared error."""
    return from_truth(of_truth(answers, targets, classes), classes)
