"""Which rows judge and which rows teach: folds with equal shares of every class."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from lepton.training.problems import TrainingDataError
from lepton.training.recipes.port import Targets

Positions = npt.NDArray[np.int64]
FEWEST_ROWS = 10


def usual(rows: int) -> int:
    """Return how many folds a table of so many rows gets: 5, 3 above 20,000 rows, and 1 above 100,000."""
    return 5 if rows <= 20_000 else 3 if rows <= 100_000 else 1


def split(targets: Targets, folds: int, *, classes: int | None, seed: int) -> list[Positions]:
    """Deal rows to folds.

    Args:
        targets: [n].
        folds: How many parts; 1: one part of a fifth of the rows, at most 50,000.
        classes: Number of classes; None: the target is a number.
        seed: Decides the order.

    Returns:
        For each fold the rows that judge, in ascending order; all others teach.

    Raises:
        TrainingDataError: if there are too few rows.
    """
    rows = len(targets)
    if rows < FEWEST_ROWS:
        raise TrainingDataError(
            f"There are {rows} rows to learn from; trying several ways needs at least {FEWEST_ROWS}. Bring more rows, "
            "or train one recipe, for example --recipe linear_regression."
        )
    rng = np.random.default_rng([seed, folds])
    order = rng.permutation(rows)
    if classes is not None:  # classes one after the other, so that dealing in turn gives each fold its share
        order = order[np.argsort(targets[order], kind="stable")]
    parts = folds if folds > 1 else max(5, -(-rows // 50_000))
    dealt = [np.sort(order[first::parts]).astype(np.int64) for first in range(min(parts, rows // 2))]
    return dealt[: max(folds, 1)]
