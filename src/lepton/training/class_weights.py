"""How much more the rows of one class count than those of another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.training.problems import TrainingDataError

ClassWeight = Mapping[Any, float] | str | None


def weights_of_classes(
    wanted: ClassWeight, classes: NDArray[Any], counts: NDArray[np.float64]
) -> NDArray[np.float64] | None:
    """Return a factor for the rows of each class [k]; None if all count alike.

    Args:
        wanted: factors by class, 1 for one that is not named; "balanced" for rows / (classes * rows of the class), so
            that all classes count alike; None for 1.
        classes: the labels [k].
        counts: weight of the rows of each class [k].

    Raises:
        TrainingDataError: a factor is not possible, or there is no such class.
    """
    if wanted is None:
        return None
    if isinstance(wanted, str):
        if wanted != "balanced":
            raise TrainingDataError(
                f"class_weight={wanted!r} is not possible; give 'balanced', a number for each class, or None."
            )
        present = counts > 0
        even = counts.sum() / (present.sum() * np.where(present, counts, 1.0))
        return np.where(present, even, 1.0)
    labels = classes.tolist()
    found = np.ones(len(labels))
    for label, factor in wanted.items():
        if label not in labels:
            raise TrainingDataError("class_weight names a class that the rows do not have; see classes_ for those.")
        if not isinstance(factor, int | float | np.number) or not 0 <= float(factor) < float("inf"):
            raise TrainingDataError(f"A class weight of {factor!r} is not possible; give a number of at least 0.")
        found[labels.index(label)] = float(factor)
    if not float(found @ counts) > 0:
        raise TrainingDataError("No class has a weight above 0, so there is nothing to learn from.")
    return found
