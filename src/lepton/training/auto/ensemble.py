"""Which candidates answer together: greedy selection with replacement over answers for rows that did not teach them.

Source: Caruana, Niculescu-Mizil, Crew and Ksikes (2004), Ensemble Selection from Libraries of Models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from lepton.training.auto.losses import Losses, from_truth

_ROUNDS = 40
_MOST_MEMBERS = 8


@dataclass(frozen=True)
class Chosen:
    """What answers together.

    Attributes:
        weights: By position of the candidate, adding up to 1.
        gain: By how much the mean loss is below that of the best alone, on rows that did not choose the weights.
        noise: Standard error of that.
    """

    weights: dict[int, float]
    gain: float = 0.0
    noise: float = 0.0


def choose(truth: npt.NDArray[np.float64], classes: int | None, *, seed: int, stack: bool = True) -> Chosen:
    """Choose candidates and their weights.

    The weights are kept only if, chosen on one half of the rows, they do better on the other half than the best
    candidate alone by more than one standard error of the difference.

    Args:
        truth: [candidates, rows]: for each what `losses.of_truth` gave.
        classes: Number of classes; None: numbers.
        seed: Decides the halves.
        stack: False: only the best alone.
    """
    losses = from_truth(truth, classes)
    best = int(losses.mean(axis=1).argmin())
    alone = Chosen({best: 1.0})
    rows = truth.shape[1]
    if not stack or len(truth) == 1 or rows < 8:
        return alone
    halves = np.random.default_rng([seed, rows]).permutation(rows)
    gains: list[Losses] = []
    for mine, other in ((halves[::2], halves[1::2]), (halves[1::2], halves[::2])):
        weights = greedy(truth[:, mine], classes)
        gains.append(losses[best, other] - from_truth(_mix(truth[:, other], weights), classes))
    gain = np.concatenate(gains)
    noise = float(gain.std() / np.sqrt(rows))
    if float(gain.mean()) <= noise:
        return Chosen(alone.weights, float(gain.mean()), noise)
    return Chosen(greedy(truth, classes), float(gain.mean()), noise)


def greedy(truth: npt.NDArray[np.float64], classes: int | None) -> dict[int, float]:
    """Take, again and again, the candidate that helps the mean most; weights are how often each was taken."""
    taken: list[int] = []
    total = np.zeros(truth.shape[1])
    scores: list[float] = []
    for step in range(_ROUNDS):
        pool: Sequence[int] = sorted(set(taken)) if len(set(taken)) >= _MOST_MEMBERS else range(len(truth))
        mixed = (total + truth[pool, :]) / (step + 1)
        means = from_truth(mixed, classes).mean(axis=1)
        at = int(means.argmin())
        taken.append(pool[at])
        total = total + truth[pool[at]]
        scores.append(float(means[at]))
    kept = taken[: int(np.argmin(scores)) + 1]
    return {one: kept.count(one) / len(kept) for one in dict.fromkeys(kept)}


def _mix(truth: npt.NDArray[np.float64], weights: dict[int, float]) -> Losses:
    return sum((weight * truth[one] for one, weight in weights.items()), np.zeros(truth.shape[1]))
