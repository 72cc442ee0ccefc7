"""A worker's part of the rows, handed out in chunks that stay in the processor's cache."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lepton.training.moments import Moments
from lepton.training.problems import TrainingDataError
from lepton.training.survey import Batches, RowWeights, Survey, chunk_rows

Chunk = tuple[NDArray[np.floating], NDArray[Any], RowWeights]
"""Features with the shift taken off [n, width], targets [n], how much each row counts [n]."""


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
    def standard(cls, moments: Moments, columns: int, *, intercept: bool, single: bool = False) -> Scaling:
        """Bring each column to mean 0 and deviation 1, but for rounding; without an intercept, to mean square 1.

        With ``single`` the shift is one that float32 holds exactly, for rows of that type.
        """
        mean, variance = moments.mean[:columns], moments.variance[:columns]
        scale = np.sqrt(variance if intercept else variance + mean**2)
        found = cls(mean if intercept else np.zeros(columns), np.where(scale > 0, scale, 1.0), intercept)
        return found.single() if single else found

    def single(self) -> Scaling:
        """Return the same with a shift that float32 holds exactly."""
        return Scaling(self.shift.astype(np.float32).astype(np.float64), self.scale, self.intercept)

    @property
    def width(self) -> int:
        """Number of columns that solvers see."""
        return len(self.shift) + self.intercept

    @property
    def stretch(self) -> NDArray[np.float64]:
        """What is left to do with a column once its shift is off: a factor for each [width]."""
        return np.append(1.0 / self.scale, 1.0) if self.intercept else 1.0 / self.scale

    def penalty(self, l2: float, total: float) -> NDArray[np.float64]:
        """Return the ridge penalty on the mean loss per scaled weight [width]; the intercept has none.

        Weights are punished in the data's own units, so the scaling does not change what the optimum is.
        """
        own = l2 / (total * self.scale**2)
        return np.append(own, 0.0) if self.intercept else own

    def sparsity(self, l1: float, total: float) -> NDArray[np.float64]:
        """Return the L1 penalty on the mean loss per scaled weight [width]; the intercept has none."""
        own = l1 / (total * self.scale)
        return np.append(own, 0.0) if self.intercept else own

    def rescale(self, coefficients: NDArray[np.float64], intercepts: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return weights [k, width] of scaled columns for coefficients [k, d] and intercepts [k] of the data's own."""
        weights = coefficients * self.scale
        return np.column_stack([weights, intercepts + coefficients @ self.shift]) if self.intercept else weights

    def unscale(self, weights: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return coefficients [k, d] and intercepts [k] in the data's own units."""
        coefficients = weights[:, : len(self.scale)] / self.scale
        if not self.intercept:
            return coefficients, np.zeros(len(weights))
        return coefficients, weights[:, -1] - coefficients @ self.shift


@dataclass(frozen=True)
class Shard:
    """One worker's rows with their targets already encoded.

    Args:
        batches: each call is one pass over the rows.
        targets: one array a batch.
        weights: how much rows count, one array or None a batch.
        scaling: how solvers see the columns.
    """

    batches: Batches
    targets: tuple[NDArray[Any], ...]
    weights: tuple[RowWeights, ...]
    scaling: Scaling

    @classmethod
    def whole(
        cls, batches: Batches, found: Survey, scaling: Scaling, by_class: NDArray[np.float64] | None = None
    ) -> Shard:
        """Return all rows of this worker; ``by_class`` is how much more a row of each class counts [k]."""
        weights = tuple(_times(by_class, codes, one) for codes, one in zip(found.targets, found.weights, strict=True))
        return cls(batches, found.targets, weights, scaling)

    @classmethod
    def sampled(cls, found: Survey, scaling: Scaling, by_class: NDArray[np.float64] | None = None) -> Shard:
        """Return the rows that the survey kept as a sample."""
        targets = tuple(codes for _, codes, _ in found.sample)
        weights = tuple(_times(by_class, codes, one) for _, codes, one in found.sample)
        return cls(lambda: ((features, codes) for features, codes, _ in found.sample), targets, weights, scaling)

    @property
    def total(self) -> float:
        """Sum of the weights of this worker's rows."""
        pairs = zip(self.targets, self.weights, strict=True)
        return float(sum(len(codes) if one is None else one.sum() for codes, one in pairs))

    def chunks(self) -> Iterator[Chunk]:
        """Yield the rows in chunks; the features' memory is reused by the next chunk.

        Features of float32 stay so: with the shift off they have as many digits as they came with.
        """
        step = chunk_rows(self.scaling.width)
        buffer: NDArray[np.floating] = np.ones((0, self.scaling.width))
        for features, target, weights in self._batches():
            by_column = features.strides[0] < features.strides[1]
            kind = np.float32 if features.dtype == np.float32 else np.float64
            if not len(buffer) or buffer.dtype != kind or buffer.flags.c_contiguous == by_column:
                # the order of what comes is copied fastest
                buffer = np.ones((step, self.scaling.width), dtype=kind, order="F" if by_column else "C")
            for start in range(0, len(features), step):
                part = slice(start, start + step)
                shifted = self._shifted(features[part], buffer)
                yield shifted, target[part], None if weights is None else weights[part]

    def mini_batches(self, size: int, random: np.random.Generator) -> Iterator[Chunk]:
        """Yield the rows in mini-batches of ``size``, shuffled within each batch of the source."""
        buffer: NDArray[np.floating] = np.ones((size, self.scaling.width))
        for features, target, weights in self._batches():
            order = random.permutation(len(features))
            for start in range(0, len(features), size):
                chosen = order[start : start + size]
                shifted = self._shifted(features[chosen], buffer)
                yield shifted, target[chosen], None if weights is None else weights[chosen]

    def _batches(self) -> Iterator[tuple[NDArray[np.floating], NDArray[Any], RowWeights]]:
        changed = TrainingDataError("The batches changed between two passes; they must be the same each time.")
        remaining = iter(zip(self.targets, self.weights, strict=True))
        for features, *_ in self.batches():
            target, weights = next(remaining, (None, None))
            if target is None or len(features) != len(target):
                raise changed
            yield features, target, weights
        if next(remaining, None) is not None:
            raise changed

    def _shifted(self, features: NDArray[np.floating], buffer: NDArray[np.floating]) -> NDArray[np.floating]:
        out = buffer[: len(features)]
        inner = out[:, : len(self.scaling.shift)]
        # a shift rounded like the features is taken off exactly; `Scaling.single` has rounded it before for all to know
        np.subtract(features, self.scaling.shift.astype(buffer.dtype), out=inner, casting="same_kind")
        return out


def _times(by_class: NDArray[np.float64] | None, codes: NDArray[Any], weights: RowWeights) -> RowWeights:
    if by_class is None:
        return weights
    return np.asarray(by_class[codes] if weights is None else by_class[codes] * weights)
