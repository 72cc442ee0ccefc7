"""The port of recipes: a framework learns from matrices, with other workers, and leaves an ONNX graph.

A recipe knows arrays and nothing of datasets, runs or models; `lepton.trainer` gives it its rows and takes its graph.
`lepton.testing.recipes` holds what every recipe must do. Which recipes there are: ``lepton.training.recipes.known``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from lepton.training.context import TrainingContext
from lepton.training.problems import TrainingDataError

_BLOCK_ROWS = 4096

Features = npt.NDArray[np.float32]
"""[n, width]: numbers scaled, categories and words as 0 and 1, tokens as their numbers."""
Targets = npt.NDArray[np.int64] | npt.NDArray[np.float64]
"""[n]: the position of the class, or a number."""
Scores = npt.NDArray[np.float64]
"""Probabilities [n, K], or numbers [n]."""
Parameters = Mapping[str, Any]
"""Settings of a recipe by name, as they are typed: text, numbers, booleans."""


@dataclass(frozen=True)
class Block:
    """Columns of the matrix that come from one column of the table.

    Attributes:
        column: Name of the table's column.
        kind: ``number`` (one, scaled), ``category`` (0 or 1 for each), ``words`` (0 or 1 for each) or ``tokens`` (the
            numbers of the words in their order, 0 for none).
        first: Position of the first.
        width: How many.
        size: For ``tokens``: how many numbers there are, 0 included; else 2 or 0.
        values: For ``category``: the category of each, "" for a missing one; empty if nobody knows.
    """

    column: str
    kind: str
    first: int
    width: int
    size: int = 0
    values: tuple[str, ...] = ()


@dataclass(frozen=True)
class Problem:
    """What is to be learned.

    Attributes:
        blocks: What the columns of the matrix are, in order.
        classes: Number of classes K; None: the target is a number.
        target: Name of the target.
    """

    blocks: tuple[Block, ...]
    classes: int | None
    target: str = "target"

    @property
    def width(self) -> int:
        """Number of columns of the matrix."""
        return sum(block.width for block in self.blocks)

    @property
    def outputs(self) -> int:
        """How many numbers a network answers for a row: K logits, or 1."""
        return self.classes or 1


class Rows(Protocol):
    """The rows of one worker; every worker has another part of them."""

    @property
    def count(self) -> int:
        """How many rows this worker has."""

    @property
    def targets(self) -> Targets:
        """The targets of all rows of this worker, in their order."""

    def matrix(self) -> tuple[Features, Targets]:
        """Return all rows of this worker at once, in their order: for what cannot learn from fewer."""

    def blocks(self) -> Iterator[tuple[Features, Targets]]:
        """Pass over all rows of this worker once, in their order, as many at a time as memory should hold."""

    def steps(self, size: int) -> int:
        """Return how many batches of `size` rows an epoch has: the same on every worker."""

    def batches(self, size: int, *, epoch: int | None = None, skip: int = 0) -> Iterator[tuple[Features, Targets]]:
        """Pass over the rows once, `steps` batches.

        Args:
            size: Rows in a batch; the last one may have fewer.
            epoch: Decides the order, with the seed; None keeps the order of the rows.
            skip: How many batches to leave out at the beginning: those that were learned from before a checkpoint.
        """


@dataclass(frozen=True)
class Material:
    """What a recipe learns from.

    Attributes:
        problem: What is to be learned.
        train: This worker's rows to learn from.
        valid: This worker's rows to watch the learning on, for early stopping; None: there are none.
        seed: Decides whatever is random.
    """

    problem: Problem
    train: Rows
    valid: Rows | None
    seed: int = 0


@dataclass(frozen=True)
class Fitted:
    """What was learned; worker 0 has it.

    Attributes:
        graph: An ONNX graph with one input, float32 [n, width], and one floating-point output: probabilities [n, K],
            or numbers [n] or [n, 1]. It may have other outputs, of whole numbers or text, which are dropped.
        scores: The framework's own answer for rows, with which the graph's is compared.
        notes: What is to be said with the model, a sentence each.
        plots: What is to be drawn with the model, by kind, as JSON.
    """

    graph: bytes
    scores: Callable[[Features], Scores]
    notes: tuple[str, ...] = ()
    plots: Mapping[str, Mapping[str, object]] | None = None


class Recipe(Protocol):
    """One way to learn."""

    @property
    def name(self) -> str:
        """What it is called in ``--recipe``."""

    @property
    def needs(self) -> Sequence[str]:
        """The modules that have to be there, such as ``torch``; ``known.py`` says how to get them."""

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The parameters it knows, with their defaults; None for what the framework decides."""

    def fit(
        self, material: Material, context: TrainingContext, parameters: Parameters, model: object | None
    ) -> Fitted | None:
        """Learn, together with the other workers.

        Training goes on from ``context.checkpoints`` if there is one: on CPU to the same bits as if it had never
        stopped. Metrics are told with ``context.report``; ``context.stop_agreed()`` is asked now and then.

        Args:
            material: What to learn from.
            context: The other workers, and where to tell how it goes.
            parameters: As asked for; those that are not named have their defaults.
            model: What a user brings: an estimator, a network, or a function that makes one and may take the
                `Problem`; None for the recipe's own.

        Returns:
            What was learned; None on workers other than 0.

        Raises:
            InvalidInput: if a parameter or the model is not possible.
            TrainingDataError: if nothing can be learned from these rows.
        """


class Part:
    """Rows in memory: the part of one worker."""

    def __init__(self, features: Features, targets: Targets, *, longest: int | None = None, seed: int = 0) -> None:
        """Take rows.

        Args:
            features: float32 [n, width], n > 0.
            targets: [n].
            longest: Rows of the worker that has the most; None: of this one.
            seed: Decides the order of the rows in an epoch.
        """
        check_count(len(features))
        self._features, self._targets, self._seed = features, targets, seed
        self._longest = max(longest or 0, len(features))

    @property
    def count(self) -> int:
        """How many rows this worker has."""
        return len(self._features)

    @property
    def targets(self) -> Targets:
        """The targets of all rows of this worker, in their order."""
        return self._targets

    def matrix(self) -> tuple[Features, Targets]:
        """Return all rows of this worker at once, in their order."""
        return self._features, self._targets

    def blocks(self) -> Iterator[tuple[Features, Targets]]:
        """Pass over all rows once, in their order."""
        for first in range(0, self.count, _BLOCK_ROWS):
            part = slice(first, first + _BLOCK_ROWS)
            yield self._features[part], self._targets[part]

    def steps(self, size: int) -> int:
        """Return how many batches of `size` rows an epoch has: the same on every worker."""
        return -(-self._longest // size)

    def batches(self, size: int, *, epoch: int | None = None, skip: int = 0) -> Iterator[tuple[Features, Targets]]:
        """Pass over the rows once, `steps` batches; a worker with fewer rows than others takes its first ones again."""
        order = np.arange(self.count)
        if epoch is not None:
            order = np.random.default_rng([self._seed, epoch]).permutation(self.count)
        order = np.resize(order, self._longest)
        for step in range(skip, self.steps(size)):
            chosen = order[step * size : (step + 1) * size]
            yield self._features[chosen], self._targets[chosen]


def check_count(rows: int) -> None:
    """Check that a worker has rows.

    Raises:
        TrainingDataError: if not.
    """
    if not rows:
        raise TrainingDataError(
            "This worker has no rows to learn from: there are more workers than rows. Take fewer workers."
        )


def parts(rows: Rows, size: int) -> Iterator[tuple[Features, Targets]]:
    """Pass over all rows of a worker once, in their order, at most `size` at a time."""
    for features, targets in rows.blocks():
        for first in range(0, len(features), size):
            yield features[first : first + size], targets[first : first + size]


def check_loss(loss: float, step: int) -> float:
    """Return the loss of a step.

    Raises:
        TrainingDataError: if it is not finite.
    """
    if math.isfinite(loss):
        return loss
    raise TrainingDataError(
        f"The loss is not a finite number at step {step}. Take a smaller learning rate, for example "
        "--param learning_rate=0.0001, or look for values of extreme size in the columns."
    )
