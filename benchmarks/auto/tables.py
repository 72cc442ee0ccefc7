"""The tables that are learned from: scikit-learn's bundled ones and generated ones; nothing is downloaded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn import datasets

Array = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Table:
    """A table with a quarter of its rows held out.

    Attributes:
        name: How it is called.
        classes: Number of classes; 0: a number is predicted.
        train: float32 features, standardized on these rows, and targets.
        test: The same for the rows that are held out.
    """

    name: str
    classes: int
    train: tuple[npt.NDArray[np.float32], npt.NDArray[np.generic]]
    test: tuple[npt.NDArray[np.float32], npt.NDArray[np.generic]]


def _crossed(rows: int) -> tuple[Array, Array]:
    """Classes by products and steps of a few of many columns, with noise."""
    rng = np.random.default_rng(11)
    features = rng.normal(size=(rows, 15))
    score = 1.5 * features[:, 0] * features[:, 1] + np.where(features[:, 2] > 0.3, 1.0, -1.0) + features[:, 3]
    return features, (score + rng.logistic(size=rows) > 0).astype(float)


MAKERS: dict[str, tuple[int, Callable[[], tuple[Array, Array]]]] = {
    "breast cancer": (2, lambda: datasets.load_breast_cancer(return_X_y=True)),
    "wine": (3, lambda: datasets.load_wine(return_X_y=True)),
    "digits": (10, lambda: datasets.load_digits(return_X_y=True)),
    "blobs of 3 classes": (
        3,
        lambda: datasets.make_classification(
            4_000, 25, n_informative=8, n_redundant=5, n_classes=3, n_clusters_per_class=3, flip_y=0.05, random_state=3
        ),
    ),
    "moons": (2, lambda: datasets.make_moons(2_000, noise=0.3, random_state=4)),
    "crossed columns": (2, lambda: _crossed(6_000)),
    "diabetes": (0, lambda: datasets.load_diabetes(return_X_y=True)),
    "friedman 1": (0, lambda: datasets.make_friedman1(2_000, 12, noise=1.0, random_state=5)),
    "friedman 2": (0, lambda: datasets.make_friedman2(2_000, noise=100.0, random_state=6)),
    "sparse lines": (
        0,
        lambda: datasets.make_regression(1_500, 60, n_informative=10, noise=30.0, random_state=7),
    ),
}
"""By name: number of classes, and how it is made."""


def make(name: str) -> Table:
    """Return a table, the same every time."""
    classes, maker = MAKERS[name]
    features, targets = maker()
    order = np.random.default_rng(0).permutation(len(features))
    held = len(features) // 4
    test, train = order[:held], order[held:]
    mean, scale = features[train].mean(axis=0), features[train].std(axis=0)
    even = ((features - mean) / np.where(scale > 0, scale, 1.0)).astype(np.float32)
    known = targets.astype(np.int64 if classes else np.float64)
    return Table(name, classes, (even[train], known[train]), (even[test], known[test]))
