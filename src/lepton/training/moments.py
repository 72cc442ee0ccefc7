"""Means and co-moments of columns in one pass, over chunks and over workers, without losing digits.

Source: T. Chan, G. Golub, R. LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances",
Stanford STAN-CS-79-773, 1979.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lepton.training.collective import Collective


@dataclass
class Moments:
    """Rows, means [m] and sums of centred products: [m, m] if full, otherwise only its diagonal [m]."""

    rows: float
    mean: NDArray[np.float64]
    products: NDArray[np.float64]

    @classmethod
    def empty(cls, columns: int, *, full: bool) -> Moments:
        """Return the moments of no rows."""
        return cls(0.0, np.zeros(columns), np.zeros((columns, columns) if full else columns))

    @property
    def full(self) -> bool:
        """Whether products between different columns are kept."""
        return self.products.ndim == 2

    @property
    def variance(self) -> NDArray[np.float64]:
        """Variance of each column [m], divided by rows; exactly 0 where rounding is all there is."""
        variance = (np.diagonal(self.products) if self.full else self.products) / max(self.rows, 1.0)
        noise = (16 * np.finfo(np.float64).eps * np.abs(self.mean)) ** 2
        return np.where(variance <= noise, 0.0, variance)

    def add(self, block: NDArray[np.float64]) -> None:
        """Take in rows [n, m]."""
        rows = len(block)
        if rows == 0:
            return
        mean = block.mean(axis=0)
        centered = block - mean
        missed = centered.mean(axis=0)  # what rounding left over; the "corrected two-pass algorithm" of the source
        products = centered.T @ centered if self.full else np.einsum("ij,ij->j", centered, centered)
        products -= self._squared(missed) * rows
        mean += missed
        total = self.rows + rows
        shift = mean - self.mean
        self.products += products + self._squared(shift) * (self.rows * rows / total)
        self.mean += shift * (rows / total)
        self.rows = total

    def over_workers(self, collective: Collective) -> Moments:
        """Return the moments of the rows of all workers, the same bits on each."""
        sums = collective.all_reduce(np.concatenate([[self.rows], self.rows * self.mean]))
        mean = sums[1:] / max(sums[0], 1.0)
        moved = self.products + self._squared(self.mean - mean) * self.rows
        return Moments(float(sums[0]), mean, collective.all_reduce(moved))

    def second(self, columns: int, *, intercept: bool) -> NDArray[np.float64]:
        """Return the mean of x x' of the first columns, with a 1 appended to x for an intercept.

        Shape [width, width] if full, otherwise its diagonal [width].
        """
        part = slice(0, columns)
        mean = np.append(self.mean[part], 1.0) if intercept else self.mean[part]
        products = self.products[part, part] if self.full else self.products[part]
        spread = np.zeros((len(mean), len(mean)) if self.full else len(mean))
        spread[(part, part) if self.full else part] = products / self.rows
        return spread + self._squared(mean)

    def _squared(self, vector: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.outer(vector, vector) if self.full else vector * vector
