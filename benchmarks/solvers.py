"""Lepton's linear models against scikit-learn's: CPU time to the optimum, one thread, the same process and data.

Run: python benchmarks/solvers.py [rows] [columns]

Every solver gets the tolerance at which it is used here; how near it came is in the table, so that a fast answer that
is a worse one can be seen: "gap" is the objective above the lowest one found, "off" the largest difference of a weight
from a solution computed to 1e-12; "passes" are those that the solver counts (Lepton's Newton also looks at all
rows once before, and iterates on a 2% sample). The tables are synthetic, standardized and seeded. Best of three runs,
taken in turn.
"""
# ruff: noqa: E402

import os

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"  # before NumPy is loaded

import sys
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import sklearn
from sklearn import linear_model as peers
from sklearn.exceptions import ConvergenceWarning

import lepton

REPEATS = 3
Table = tuple[np.ndarray, np.ndarray]


def draw(rows: int, columns: int, classes: int) -> Table:
    """Return standardized, correlated features and labels; for 0 classes, numbers."""
    random = np.random.default_rng(0)
    mixed = random.normal(size=(rows, columns)) @ (np.eye(columns) + 0.3 * random.normal(size=(columns, columns)))
    features = (mixed - mixed.mean(axis=0)) / mixed.std(axis=0)
    score = features @ (random.normal(size=columns) / np.sqrt(columns))
    if classes == 0:
        return features, score + random.normal(size=rows)
    noisy = score + random.logistic(size=rows)
    return features, np.digitize(noisy, np.quantile(noisy, np.arange(1, classes) / classes))


def weights(model: Any) -> np.ndarray:
    return np.append(np.ravel(model.coef_), np.ravel(model.intercept_))


def logistic_objective(model: Any, table: Table) -> float:
    """Mean loss plus penalty, l2 = 1."""
    features, target = table
    chosen = model.predict_log_proba(features)[np.arange(len(target)), target]
    return float(-chosen.mean() + 0.5 * np.sum(model.coef_**2) / len(target))


def linear_objective(model: Any, table: Table) -> float:
    features, target = table
    return float(0.5 * np.mean((model.predict(features) - target) ** 2))


def compare(
    title: str, table: Table, solvers: dict[str, Callable[[], Any]], best: Any, objective: Callable[[Any, Table], float]
) -> None:
    """Print a row a solver; the first one is Lepton's and the unit of the ratio."""
    taken: dict[str, list[float]] = {name: [] for name in solvers}
    fitted = {}
    for _ in range(REPEATS):
        for name, make in solvers.items():  # in turn, so that a busy moment hits all of them
            model = make()
            start = time.process_time()
            fitted[name] = model.fit(*table)
            taken[name].append(time.process_time() - start)
    unit = min(next(iter(taken.values())))
    values = {name: objective(model, table) for name, model in fitted.items()}
    lowest = min([objective(best, table), *values.values()])
    print(f"\n{title}, {table[0].shape[0]:,} rows x {table[0].shape[1]} columns")
    print(f"{'solver':<38} {'CPU s':>8} {'ratio':>7} {'passes':>7} {'gap':>9} {'off':>9}")
    for name, model in fitted.items():
        passes = int(np.max(model.n_iter_)) if getattr(model, "n_iter_", None) is not None else 1
        off = np.max(np.abs(weights(model) - weights(best)))
        print(
            f"{name:<38} {min(taken[name]):>8.3f} {min(taken[name]) / unit:>6.1f}x {passes:>7} "
            f"{values[name] - lowest:>9.1e} {off:>9.1e}"
        )


def main() -> None:
    rows, columns = (int(sys.argv[i]) if len(sys.argv) > i else default for i, default in ((1, 200_000), (2, 50)))
    warnings.simplefilter("ignore", ConvergenceWarning)
    print(f"lepton {lepton.__version__}, scikit-learn {sklearn.__version__}, NumPy {np.__version__}, one thread")
    for classes in (2, 3):
        table = draw(rows, columns, classes)
        solvers: dict[str, Callable[[], Any]] = {
            "lepton newton": lambda: lepton.LogisticRegression(solver="newton"),
            "lepton lbfgs": lambda: lepton.LogisticRegression(solver="lbfgs"),
            "scikit-learn newton-cholesky": lambda: peers.LogisticRegression(solver="newton-cholesky", tol=1e-6),
            "scikit-learn lbfgs": lambda: peers.LogisticRegression(solver="lbfgs", tol=1e-6, max_iter=1000),
            "scikit-learn newton-cg": lambda: peers.LogisticRegression(solver="newton-cg", tol=1e-6, max_iter=1000),
        }
        best = peers.LogisticRegression(solver="newton-cholesky", tol=1e-12, max_iter=100).fit(*table)
        compare(f"Logistic regression of {classes} classes", table, solvers, best, logistic_objective)
    table = draw(rows, columns, 0)
    solvers = {
        "lepton exact": lambda: lepton.LinearRegression(solver="exact"),
        "scikit-learn LinearRegression": peers.LinearRegression,
        "scikit-learn Ridge(1e-12, cholesky)": lambda: peers.Ridge(alpha=1e-12, solver="cholesky"),
    }
    compare("Linear regression", table, solvers, peers.LinearRegression().fit(*table), linear_objective)


if __name__ == "__main__":
    main()
