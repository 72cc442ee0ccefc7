"""What recipes learn in tests: small problems, made of seeded numbers, whose answer is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lepton.training.problems import TrainingDataError
from lepton.training.recipes.port import Block, Features, Material, Part, Problem, Targets

NUMBERS, KINDS = 4, 3
BLOCKS = (
    *(Block(f"x{n}", "number", n, 1) for n in range(NUMBERS)),
    Block("kind", "category", NUMBERS, KINDS, size=2),
)
"""Four numbers, of which two matter, and a category of three."""
TRAIN_ROWS, OTHER_ROWS = 480, 160
_WEIGHTS = np.array([2.0, -1.0, 0.0, 0.0, -1.0, 0.0, 1.0])
_OTHER_WEIGHTS = np.array([-1.0, -2.0, 0.0, 0.0, 0.5, 0.0, -0.5])


@dataclass(frozen=True)
class Task:
    """A problem with its rows, before they are dealt out to workers.

    Attributes:
        problem: What is to be learned.
        train: Features [480, 7] and targets [480] to learn from.
        valid: The same [160] to watch.
        fixed: The same [160] that nobody learns from.
    """

    problem: Problem
    train: tuple[Features, Targets]
    valid: tuple[Features, Targets]
    fixed: tuple[Features, Targets]

    def material(self, rank: int = 0, workers: int = 1, *, seed: int = 0, valid: bool = True) -> Material:
        """Return the material of one worker: every `workers`-th row."""
        return Material(
            self.problem,
            self._part(self.train, rank, workers, seed),
            self._part(self.valid, rank, workers, seed) if valid else None,
            seed,
        )

    @staticmethod
    def _part(rows: tuple[Features, Targets], rank: int, workers: int, seed: int) -> Part:
        features, targets = rows
        longest = -(-len(features) // workers)
        return Part(features[rank::workers], targets[rank::workers], longest=longest, seed=seed)


WORDS, LENGTH = 12, 6
"""How many words there are, and the most of a text."""
_WORD_WEIGHTS = np.array([0.0, 3.0, -3.0, 2.0, -2.0, 0.0, 0.0, 1.5, -1.5, 0.0, 2.5, -2.5, 0.0])


def make_task(name: str) -> Task:
    """Return a task by name.

    ``binary`` and ``three`` have 2 and 3 classes, ``regression`` a number far from 0, ``noise`` 2 classes that nothing
    tells apart: what is learned there by heart makes validation worse. With ``words `` before it, the same is to be
    learned from texts of 3 to 6 words out of 12.

    Raises:
        TrainingDataError: if there is no such task.
    """
    texts, name = name.startswith("words "), name.removeprefix("words ")
    if name not in ("binary", "three", "regression", "noise"):
        raise TrainingDataError(f"There is no task {name!r}. Choose one of: binary, three, regression, noise.")
    random = np.random.default_rng(7)
    count = TRAIN_ROWS + 2 * OTHER_ROWS
    features = np.concatenate(
        [random.normal(size=(count, NUMBERS)), np.eye(KINDS)[random.integers(KINDS, size=count)]], axis=1
    )
    score, other = features @ _WEIGHTS, features @ _OTHER_WEIGHTS
    if texts:
        features = random.integers(1, WORDS + 1, size=(count, LENGTH)).astype(np.float64)
        features[np.arange(LENGTH) >= random.integers(3, LENGTH + 1, size=(count, 1))] = 0.0
        weights = _WORD_WEIGHTS[features.astype(np.int64)]
        score, other = weights.sum(axis=1), np.abs(weights).sum(axis=1) - 8.0
    targets: Targets
    classes: int | None = 2
    if name == "binary":
        targets = (score > 0).astype(np.int64)
    elif name == "noise":
        targets = random.integers(2, size=count)
    elif name == "three":
        classes = 3
        targets = np.argmax(np.stack([score, other, np.zeros(count)], axis=1), axis=1)
    else:
        classes = None
        targets = 500.0 + 20.0 * score + random.normal(size=count)
    given = features.astype(np.float32)
    first, second = TRAIN_ROWS, TRAIN_ROWS + OTHER_ROWS
    return Task(
        Problem((Block("text", "tokens", 0, LENGTH, WORDS + 1),) if texts else BLOCKS, classes, "target"),
        (given[:first], targets[:first]),
        (given[first:second], targets[first:second]),
        (given[second:], targets[second:]),
    )
