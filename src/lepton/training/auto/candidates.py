"""What the recipe tries: families of estimators with what may be tuned, cheap ones first.

Each runs in a process of its own with one thread. How its answer becomes a graph: ``graphs.py``.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lepton.training.auto.settings import Setting, Values
from lepton.training.recipes.port import Features

MOST_NODES = 2_000_000
"""Nodes of a forest: a graph of some 80 MB."""
_FLOAT = 4


@dataclass(frozen=True)
class Size:
    """How large a problem is.

    Attributes:
        rows: Rows to learn from.
        width: Columns of the matrix.
        classes: Number of classes K; None: a number is predicted.
    """

    rows: int
    width: int
    classes: int | None

    @property
    def bytes(self) -> int:
        """Bytes of the matrix."""
        return self.rows * self.width * _FLOAT


@dataclass(frozen=True)
class Family:
    """One way to learn.

    Attributes:
        name: How it is asked for.
        title: How people call it.
        settings: What may be tuned, for a problem of a size.
        build: Makes an estimator: values, size, seed.
        refuses: Says why it is not tried on a problem, or nothing.
        copies: How many times the matrix it needs in memory while it learns, as a rough bound.
        modules: What has to be installed.
    """

    name: str
    title: str
    settings: Callable[[Size], tuple[Setting, ...]]
    build: Callable[[Values, Size, int], Any]
    refuses: Callable[[Size], str] = lambda _: ""
    copies: Callable[[Size], float] = lambda _: 3.0
    modules: tuple[str, ...] = ()


class Products:
    """A linear estimator on the columns and all products of two of them, standardized.

    Args:
        inner: What learns from them.
    """

    def __init__(self, inner: Any) -> None:
        self.inner = inner

    def fit(self, features: Features, targets: npt.NDArray[Any]) -> Products:
        """Learn from features [n, width] and targets [n]."""
        self.left, self.right = np.triu_indices(features.shape[1])
        wide = self._wide(features)
        self.mean = wide.mean(axis=0, dtype=np.float64).astype(np.float32)
        spread = wide.std(axis=0, dtype=np.float64).astype(np.float32)
        self.scale = np.where(spread > 1e-6, spread, 1.0).astype(np.float32)
        self.inner.fit((wide - self.mean) / self.scale, targets)
        return self

    def predict(self, features: Features) -> npt.NDArray[Any]:
        """Return numbers [n]."""
        return np.asarray(self.inner.predict((self._wide(features) - self.mean) / self.scale))

    def predict_proba(self, features: Features) -> npt.NDArray[Any]:
        """Return probabilities [n, K]."""
        return np.asarray(self.inner.predict_proba((self._wide(features) - self.mean) / self.scale))

    def _wide(self, features: Features) -> Features:
        return np.hstack([features, features[:, self.left] * features[:, self.right]])


def _linear(values: Values, size: Size, seed: int) -> Any:
    from sklearn.linear_model import LogisticRegression, Ridge

    if size.classes is None:
        return Ridge(alpha=values["strength"], random_state=seed)
    return LogisticRegression(C=1.0 / float(values["strength"]), max_iter=300, random_state=seed)


def _sparse(values: Values, size: Size, seed: int) -> Any:
    from sklearn.linear_model import ElasticNet, LogisticRegression

    if size.classes is None:
        strength = float(values["strength"]) / 100.0
        return ElasticNet(alpha=strength, l1_ratio=values["share"], max_iter=500, random_state=seed)
    return LogisticRegression(
        C=1.0 / float(values["strength"]), l1_ratio=values["share"], solver="saga", tol=1e-3, max_iter=100,
        random_state=seed,
    )  # fmt: skip


def _products(values: Values, size: Size, seed: int) -> Any:
    return Products(_linear(values, size, seed))


def _neighbors(values: Values, size: Size, seed: int) -> Any:  # noqa: ARG001
    from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor

    kind = KNeighborsRegressor if size.classes is None else KNeighborsClassifier
    return kind(n_neighbors=min(int(values["neighbors"]), size.rows), p=1, algorithm="brute")


def _boosting(values: Values, size: Size, seed: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    kind = HistGradientBoostingRegressor if size.classes is None else HistGradientBoostingClassifier
    return kind(
        learning_rate=values["rate"], max_iter=values["rounds"], max_leaf_nodes=values["leaves"],
        min_samples_leaf=values["least"], l2_regularization=values["strength"], max_features=values["columns"],
        early_stopping=False, random_state=seed,
    )  # fmt: skip


def _forest(values: Values, size: Size, seed: int, *, extra: bool = False) -> Any:
    from sklearn import ensemble

    name = f"{'ExtraTrees' if extra else 'RandomForest'}{'Regressor' if size.classes is None else 'Classifier'}"
    trees = int(values["trees"])
    least = max(int(values["least"]), math.ceil(2 * size.rows * trees / MOST_NODES))
    return getattr(ensemble, name)(
        n_estimators=trees, max_features=values["columns"], min_samples_leaf=least, n_jobs=1, random_state=seed
    )


def _extra(values: Values, size: Size, seed: int) -> Any:
    return _forest(values, size, seed, extra=True)


def _network(values: Values, size: Size, seed: int) -> Any:
    from sklearn.neural_network import MLPClassifier, MLPRegressor

    kind = MLPRegressor if size.classes is None else MLPClassifier
    many = size.rows >= 500
    return kind(
        hidden_layer_sizes=(int(values["units"]),) * int(values["layers"]), alpha=values["strength"],
        learning_rate_init=values["rate"], max_iter=150 if many else 300, early_stopping=many, n_iter_no_change=12,
        random_state=seed,
    )  # fmt: skip


def _lightgbm(values: Values, size: Size, seed: int) -> Any:
    import lightgbm

    kind: Any = lightgbm.LGBMRegressor if size.classes is None else lightgbm.LGBMClassifier
    return kind(
        learning_rate=values["rate"], n_estimators=values["rounds"], num_leaves=values["leaves"],
        min_child_samples=values["least"], reg_lambda=values["strength"], colsample_bytree=values["columns"],
        subsample=0.9, subsample_freq=1, n_jobs=1, random_state=seed, verbose=-1, deterministic=True,
        force_row_wise=True,
    )  # fmt: skip


def _xgboost(values: Values, size: Size, seed: int) -> Any:
    import xgboost

    kind = xgboost.XGBRegressor if size.classes is None else xgboost.XGBClassifier
    return kind(
        learning_rate=values["rate"], n_estimators=values["rounds"], max_depth=values["depth"],
        min_child_weight=values["least"], reg_lambda=values["strength"], colsample_bytree=values["columns"],
        subsample=0.9, tree_method="hist", n_jobs=1, random_state=seed, verbosity=0,
    )  # fmt: skip


def _strength(_: Size) -> tuple[Setting, ...]:
    return (Setting("strength", 1e-3, 1e4, 1.0),)


def _boosted(size: Size) -> tuple[Setting, ...]:
    rounds = 600 if (size.classes or 0) <= 3 else max(60, 1500 // (size.classes or 1))
    return (
        Setting("rate", 0.01, 0.3, 0.1),
        Setting("rounds", 30, rounds, min(100, rounds), whole=True),
        Setting("leaves", 4, 128, 15 if size.rows < 2_000 else 31, whole=True),
        Setting("least", 2, 100, 20 if size.rows > 500 else 8, whole=True),
        Setting("strength", 1e-3, 10.0, 0.01),
        Setting("columns", 0.3, 1.0, 0.9, even=True),
    )


def _deep(size: Size) -> tuple[Setting, ...]:
    return (
        *(one for one in _boosted(size) if one.name not in ("leaves", "least")),
        Setting("depth", 2, 10, 5, whole=True),
        Setting("least", 0.1, 30.0, 1.0),
    )


def _wooded(size: Size, columns: float | None = None) -> tuple[Setting, ...]:
    usual = 0.6 if size.classes is None else 1.0 / math.sqrt(size.width)
    return (
        Setting("trees", 60, 300, 120, whole=True),
        Setting("columns", 0.05, 1.0, min(max(columns or usual, 0.05), 1.0)),
        Setting("least", 1, 30, 1, whole=True),
    )


_NETWORK = (
    Setting("units", 16, 256, 64, whole=True),
    Setting("layers", 1, 3, 2, whole=True, even=True),
    Setting("strength", 1e-6, 1.0, 1e-3),
    Setting("rate", 3e-4, 2e-2, 3e-3),
)


def _too_many_products(size: Size) -> str:
    return "" if size.width <= 60 else f"it would need {size.width * (size.width + 1) // 2:,} products of columns"


def _too_many_neighbors(size: Size) -> str:
    return "" if size.rows <= 5_000 and size.width <= 100 else "it is for up to 5,000 rows of 100 columns"


FAMILIES: dict[str, Family] = {
    one.name: one
    for one in (
        Family("linear", "Linear model", _strength, _linear),
        Family(
            "neighbors", "Nearest neighbors", lambda size: (Setting("neighbors", 1, max(2, min(60, size.rows // 3)),
            min(10, max(1, size.rows // 3)), whole=True),), _neighbors, refuses=_too_many_neighbors,
        ),
        Family("lightgbm", "LightGBM", _boosted, _lightgbm, modules=("lightgbm", "onnxmltools")),
        Family("boosting", "Boosted trees", _boosted, _boosting, copies=lambda _: 4.0),
        Family(
            "extra_trees", "Extremely random trees",
            lambda size: _wooded(size, 0.9 if size.classes is None else None), _extra,
        ),
        Family("random_forest", "Random forest", _wooded, _forest),
        Family("xgboost", "XGBoost", _deep, _xgboost, modules=("xgboost", "onnxmltools")),
        Family(
            "products", "Linear model with products of columns", _strength, _products, refuses=_too_many_products,
            copies=lambda size: 3.0 + 3.0 * (size.width + 1) / 2,
        ),
        Family(
            "sparse", "Sparse linear model",
            lambda _: (Setting("strength", 1e-2, 1e3, 1.0), Setting("share", 0.05, 1.0, 0.5, even=True)), _sparse,
        ),
        Family("network", "Neural network", lambda _: _NETWORK, _network, copies=lambda _: 4.0),
    )
}  # fmt: skip
"""By name, in the order in which they are tried first."""


def available(size: Size, wanted: Sequence[str], share_bytes: float) -> tuple[list[Family], list[str]]:
    """Return what can be tried, and why something else is not.

    Args:
        size: Of the problem.
        wanted: Names to choose from; empty: all.
        share_bytes: Memory that one process may take.

    Returns:
        The families in their order, and a sentence for each that was left out and that one might have expected.
    """
    found, notes = [], []
    for family in FAMILIES.values():
        if wanted and family.name not in wanted:
            continue
        if any(importlib.util.find_spec(module) is None for module in family.modules):
            if wanted:
                notes.append(f"{family.title} was not tried: it is not installed. Install it where runs work.")
            continue
        why = family.refuses(size)
        need = family.copies(size) * size.bytes
        if not why and need > share_bytes:
            why = f"it needs about {need / 2**20:,.0f} MB and {share_bytes / 2**20:,.0f} MB are there for each process"
        if why:
            notes.append(f"{family.title} was not tried: {why}.")
        else:
            found.append(family)
    return found, notes
