"""A worker's part of the rows, handed out in chunks that stay in the processor's cache."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.training.moments import Moments
from lepton.training.problems import TrainingDataError
from lepton.training.survey import Batches, Survey, chunk_rows


@dataclass(frozen=True)
class Scaling:
    """Columns as solvers see them: (x - shift) / scale, so that each has about the same size.

    Args:
        shift: [d].
        scale: [d], never 0.
        intercept: whether a last column of ones is added.
    """

    shift: NDArray[np.float64]
    scale: NDArray[np.float64]
    intercept: bool

    @classmethod
    def none(cls, columns: int, *, intercept: bool) -> Scaling:
        """Leave the columns as they are."""
        return cls(np.zeros(columns), np.ones(columns), intercept)

    @classmethod
    def standard(cls, moments: Moments, columns: int, *, intercept: bool) -> Scaling:
        """Bring each column to mean 0 and deviation 1; without an intercept, to mean square 1."""
        mean, variance = moments.mean[:columns], moments.variance[:columns]
        scale = np.sqrt(variance if intercept else variance + mean**2)
        return cls(mean if intercept else np.zeros(columns), np.where(scale > 0, scale, 1.0), intercept)

    @property
    def width(self) -> int:
        """Number of columns that solvers see."""
        return len(self.shift) + self.intercept

    def penalty(self, l2: float, rows: int) -> NDArray[np.float64]:
        """Return the penalty on the mean loss per scaled weight [width]; the intercept has none.

        Weights are punished in the data's own units, so the scaling does not change what the optimum is.
        """
        own = l2 / (rows * self.scale**2)
        return np.append(own, 0.0) if self.intercept else own

    def unscale(self, weights: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return coefficients [k, d] and intercepts [k] in the data's own units."""
        coefficients = weights[:, : len(self.scale)] / self.scale
        if not self.intercept:
            return coefficients, np.zeros(len(weights))
        return coefficients, weights[:, -1] - coefficients @ self.shift


@dataclass(frozen=True)
class Shard:
    """One worker's rows with their targets already encoded."""

    batches: Batches
    targets: tuple[NDArray[Any], ...]
    scaling: Scaling

    @classmethod
    def whole(cls, batches: Batches, found: Survey, scaling: Scaling) -> Shard:
        """Return all rows of this worker."""
        return cls(batches, found.targets, scaling)

    @classmethod
    def sampled(cls, found: Survey, scaling: Scaling) -> Shard:
        """Return the rows that the survey kept as a sample."""
        return cls(lambda: iter(found.sample), tuple(target for _, target in found.sample), scaling)

    @property
    def rows(self) -> int:
        """Number of rows of this worker."""
        return sum(map(len, self.targets))

    def chunks(self) -> Iterator[tuple[NDArray[np.float64], NDArray[Any]]]:
        """Yield scaled features [n, width] and targets [n]; the features' memory is reused by the next chunk."""
        step = chunk_rows(self.scaling.width)
        buffer = np.ones((step, self.scaling.width))
        for features, target in self._pairs():
            for start in range(0, len(features), step):
                yield self._scaled(features[start : start + step], buffer), target[start : start + step]

    def mini_batches(
        self, size: int, random: np.random.Generator
    ) -> Iterator[tuple[NDArray[np.float64], NDArray[Any]]]:
        """Yield the rows in mini-batches of ``size``, shuffled within each batch of the source."""
        buffer = np.ones((size, self.scaling.width))
        for features, target in self._pairs():
            order = random.permutation(len(features))
            for start in range(0, len(features), size):
                chosen = order[start : start + size]
                yield self._scaled(features[chosen], buffer), target[chosen]

    def _pairs(self) -> Iterator[tuple[NDArray[np.float64], NDArray[Any]]]:
        changed = TrainingDataError("The batches changed between two passes; they must be the same each time.")
        remaining = iter(self.targets)
        for features, _ in self.batches():
            target = next(remaining, None)
            if target is None or len(features) != len(target):
                raise changed
            yield features, target
        if next(remaining, None) is not None:
            raise changed

    def _scaled(self, features: NDArray[np.float64], buffer: NDArray[np.float64]) -> NDArray[np.float64]:
        out = buffer[: len(features)]
        inner = out[:, : len(self.scaling.shift)]
        np.subtract(features, self.scaling.shift, out=inner)
        inner /= self.scaling.scale
        return out
