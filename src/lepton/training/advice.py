"""Advice on what is about to be learned from: leaks, copies, identifiers, rare classes. A sentence each.

Works on the matrix and knows which columns of the table it comes from; reads no table.
"""

from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt

from lepton.training.recipes.port import Block, Features, Problem, Targets

PERFECT = 0.999
"""ROC AUC or R² of one column alone from which on it is said to tell the target."""
ENOUGH_ROWS = 50
ENOUGH_OF_A_CLASS = 10
_LOOKED_AT = 4_000
_SAID = 8


def advise(
    features: Features, targets: Targets, problem: Problem, *, seed: int = 0, limit_s: float = 60.0
) -> list[str]:
    """Look at the rows to learn from.

    Args:
        features: float32 [n, width].
        targets: [n].
        problem: What the columns are.
        seed: Decides which rows are looked at if there are many.
        limit_s: Columns that are not looked at after so many seconds are left alone.

    Returns:
        A sentence for each thing that may be wrong, with what to do next; no value of a cell is in it.
    """
    some = np.arange(len(features))
    if len(some) > _LOOKED_AT:
        some = np.sort(np.random.default_rng(seed).choice(some, _LOOKED_AT, replace=False))
    found: list[str] = []
    until = time.monotonic() + limit_s
    for block in problem.blocks:
        if time.monotonic() > until:
            break
        values = features[:, block.first : block.first + block.width]
        if (said := _of(block, values, targets, problem, some)) is not None:
            found.append(said)
    if len(found) > _SAID:
        found = [*found[:_SAID], f"{len(found) - _SAID} more columns look odd in the same ways; look at the profile."]
    return found + (rare(targets, problem) if problem.classes else [])


def _of(block: Block, values: Features, targets: Targets, problem: Problem, some: npt.NDArray[np.int64]) -> str | None:
    name, target = block.column, problem.target
    if (values == values[:1]).all():
        return f"Column {name} has one value in all rows, so nothing is learned from it. Leave it out with --feature."
    if len(values) >= ENOUGH_ROWS and _copies(values[some], targets[some], problem):
        return (
            f"Column {name} is a copy of {target} under another name. Leave it out: name the other columns with "
            "--feature."
        )
    if _identifies(block, values):
        return (
            f"Column {name} looks like an identifier: every row has a value of its own. It tells nothing of new rows; "
            "leave it out: name the other columns with --feature."
        )
    alone = alone_tells(values[some], targets[some], problem)
    if alone is not None and alone >= PERFECT:
        return (
            f"Column {name} alone tells {target} almost perfectly. If it is only known afterwards, it is a leak: leave "
            "it out by naming the other columns with --feature."
        )
    return None


def alone_tells(values: Features, targets: Targets, problem: Problem) -> float | None:
    """Return how well a column alone predicts rows that it did not learn from: mean ROC AUC of the classes, or R².

    Args:
        values: [n, width]: the columns of the matrix that come from one column of the table.
        targets: [n].
        problem: What is predicted.

    Returns:
        At most 1; None: there are too few rows to tell.
    """
    if len(values) < ENOUGH_ROWS or (problem.classes and len(np.unique(targets)) < 2):
        return None
    from sklearn.metrics import roc_auc_score
    from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

    halves = np.random.default_rng(len(values)).permutation(len(values)) % 2 == 0
    if problem.classes is None:
        answers = np.empty(len(values))
        for half in (halves, ~halves):
            tree = DecisionTreeRegressor(max_leaf_nodes=256, min_samples_leaf=2, random_state=0)
            answers[half] = tree.fit(values[~half], targets[~half]).predict(values[half])
        wrong = float(((targets - answers) ** 2).sum())
        if values.shape[1] == 1:  # a smooth curve is told better by its neighbors than by steps
            for half in (halves, ~halves):
                known, first = np.unique(values[~half, 0], return_index=True)
                answers[half] = np.interp(values[half, 0], known, targets[~half][first])
            wrong = min(wrong, float(((targets - answers) ** 2).sum()))
        spread = float(((targets - targets.mean()) ** 2).sum())
        return 1.0 - wrong / spread if spread > 0 else None
    chances = np.zeros((len(values), problem.classes))
    for half in (halves, ~halves):
        tree = DecisionTreeClassifier(max_leaf_nodes=64, min_samples_leaf=2, random_state=0).fit(
            values[~half], targets[~half]
        )
        chances[np.ix_(half, tree.classes_)] = tree.predict_proba(values[half])
    counts = np.bincount(targets.astype(np.int64), minlength=problem.classes)
    judged = [k for k in range(problem.classes) if ENOUGH_OF_A_CLASS <= counts[k] <= len(targets) - ENOUGH_OF_A_CLASS]
    if not judged or counts[judged].sum() < 0.8 * len(targets):
        return None
    return float(np.mean([roc_auc_score(targets == k, chances[:, k]) for k in judged]))


def _copies(values: Features, targets: Targets, problem: Problem) -> bool:
    """Whether a column is the target itself: a line of the number, or one value for each class."""
    if problem.classes is None:
        if values.shape[1] != 1:
            return False
        one, truth = values[:, 0].astype(np.float64), targets.astype(np.float64)
        if one.std() == 0 or truth.std() == 0:
            return False
        return abs(float(np.corrcoef(one, truth)[0, 1])) > 1 - 1e-9
    each = np.unique(values, axis=0, return_inverse=True)[1].ravel()
    pairs = len(np.unique(each.astype(np.int64) * problem.classes + targets.astype(np.int64)))
    seen = len(np.unique(targets))
    return pairs == seen == int(each.max()) + 1


def _identifies(block: Block, values: Features) -> bool:
    """Whether a column numbers the rows: all different and evenly spaced, or about a category for each row."""
    count = len(values)
    if count < ENOUGH_ROWS:
        return False
    if block.kind == "category":
        return block.width > count / 2
    if block.kind != "number":
        return False
    one = np.sort(values[:, 0].astype(np.float64))
    steps = np.diff(one)
    if (steps <= 0).any():
        return False
    usual = float(np.median(steps))
    return bool((np.abs(steps / usual - np.rint(steps / usual)) < 0.02 + 1e-6 * count).mean() > 0.99 and
                (one[-1] - one[0]) / usual < 1.5 * count)  # fmt: skip


def rare(targets: Targets, problem: Problem) -> list[str]:
    """Say if classes have too few rows to be learned or judged."""
    counts = np.bincount(targets.astype(np.int64), minlength=problem.classes or 0)
    few = int(((counts > 0) & (counts < ENOUGH_OF_A_CLASS)).sum())
    none = int((counts == 0).sum())
    said = []
    if few:
        least = int(counts[counts > 0].min())
        said.append(
            f"{few} of {len(counts)} classes of {problem.target} have fewer than {ENOUGH_OF_A_CLASS} rows (the rarest "
            f"{least}); answers for these are guesses. Bring more rows of them, or join rare classes."
        )
    if none:
        said.append(
            f"{none} of {len(counts)} classes of {problem.target} have no row to learn from and will not be answered. "
            "Bring rows of them."
        )
    return said


def unseen(targets: Targets, valid: Targets, problem: Problem) -> list[str]:
    """Say if there are classes among the rows to watch on that none of the rows to learn from has."""
    more = np.setdiff1d(valid, targets)
    if not len(more):
        return []
    return [
        f"{len(more)} classes of {problem.target} are only among the rows for validation, not among those to learn "
        "from. Split anew with equal shares of each class, or bring more rows."
    ]
