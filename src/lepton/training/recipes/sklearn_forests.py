"""scikit-learn's forests, grown by all workers: each grows some of the trees, on the rows of all.

Which worker grows a tree does not matter to it: its seed is the one that scikit-learn draws for it, so the forest is the
one that scikit-learn grows from these rows alone.
"""

from __future__ import annotations

import copy
import io
from typing import Any

import numpy as np

from lepton.training.context import TrainingContext
from lepton.training.recipes.port import Features, Targets

_TREES = 8
"""How many trees a worker grows before the workers meet: enough to keep its processors busy."""


def is_forest(estimator: object) -> bool:
    """Whether it is a forest of scikit-learn whose trees can be grown apart."""
    from sklearn import ensemble

    kinds = (
        ensemble.RandomForestClassifier,
        ensemble.RandomForestRegressor,
        ensemble.ExtraTreesClassifier,
        ensemble.ExtraTreesRegressor,
    )
    return type(estimator) in kinds and not estimator.oob_score  # type: ignore[attr-defined]


def grow_forest(forest: Any, rows: tuple[Features, Targets], context: TrainingContext) -> Any | None:
    """Grow the trees of a forest on all workers.

    Args:
        forest: One for which `is_forest` holds; its ``random_state`` is a number.
        rows: Features float32 [n, width] and targets [n] of all workers, the same on each.
        context: The other workers, and where to save what has been grown.

    Returns:
        The forest; None on workers other than 0.
    """
    collective = context.collective
    wanted, together = forest.n_estimators, _TREES * max(1, context.threads)
    saved = context.checkpoints.restore(collective)
    grown = saved.step if saved else 0
    shell = _shell(forest, rows) if collective.rank == 0 else None
    trees = _unpack(saved.state, shell) if saved and shell is not None else []
    while grown < wanted:
        first = min(grown + collective.rank * together, wanted)
        last = min(first + together, wanted)
        own = _grow(forest, rows, first, last) if first < last else []
        end = min(grown + collective.world_size * together, wanted)
        if collective.world_size == 1:
            trees += own
        else:
            told = collective.gather(_pack(own))
            trees += [tree for part in told or () for tree in _unpack(part, shell)]
        before, grown = grown, end
        context.progress(grown / wanted, f"{grown} of {wanted} trees")
        if any([context.checkpoints.due(count) for count in range(before + 1, grown + 1)]):
            context.checkpoints.save(grown, lambda: _pack(trees), collective)
        if context.stop_agreed():
            break
    if shell is None:
        return None
    shell.estimators_ = trees
    return shell.set_params(n_estimators=len(trees), warm_start=False)


def _grow(forest: Any, rows: tuple[Features, Targets], first: int, last: int) -> list[Any]:
    """Return trees `first` to `last` - 1 of a forest: it believes that those before have been grown already."""
    part = copy.deepcopy(forest).set_params(n_estimators=last, warm_start=True)
    part.estimators_ = [None] * first
    part.fit(*rows)
    return list(part.estimators_[first:])


def _shell(forest: Any, rows: tuple[Features, Targets]) -> Any:
    """Return a forest of one tree, which knows all but the other trees."""
    shell = copy.deepcopy(forest).set_params(n_estimators=1, warm_start=False)
    return shell.fit(*rows)


def _pack(trees: list[Any]) -> bytes:
    """Return trees as arrays of their nodes."""
    arrays: dict[str, Any] = {}
    for number, tree in enumerate(trees):
        state = tree.tree_.__getstate__()
        arrays[f"nodes{number}"], arrays[f"values{number}"] = state["nodes"], state["values"]
        arrays[f"told{number}"] = np.array([state["max_depth"], state["node_count"], tree.random_state], np.int64)
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **arrays)
    return file.getvalue()


def _unpack(data: bytes, shell: Any) -> list[Any]:
    """Return trees out of their nodes; the first tree of a forest of the same rows lends whatever else they have."""
    from sklearn.tree._tree import Tree

    pattern, trees = shell.estimators_[0], []
    with np.load(io.BytesIO(data), allow_pickle=False) as held:
        for number in range(len(held.files) // 3):
            depth, count, seed = held[f"told{number}"].tolist()
            classes = np.atleast_1d(np.asarray(getattr(pattern, "n_classes_", 1), np.intp))
            tree = Tree(pattern.n_features_in_, classes, pattern.n_outputs_)
            nodes, values = held[f"nodes{number}"], held[f"values{number}"]
            tree.__setstate__({"max_depth": depth, "node_count": count, "nodes": nodes, "values": values})
            grown = copy.copy(pattern)
            grown.tree_, grown.random_state = tree, seed
            trees.append(grown)
    return trees
