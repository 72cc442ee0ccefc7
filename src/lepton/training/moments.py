"""Weighted means and co-moments of columns in one pass, over chunks and over workers, without losing digits.

Source: T. Chan, G. Golub, R. LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances",
Stanford STAN-CS-79-773, 1979; each chunk is summed around the mean of the rows before it.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lepton.training.collective import Collective

Floats = NDArray[np.float64]


@dataclass
class Moments:
    """Sum of row weights, means [m] and sums of centred products: [m, m] if full, otherwise only its diagonal [m]."""

    rows: float
    mean: Floats
    products: Floats
    _buffer: Floats = field(default_factory=lambda: np.ones((0, 0)), repr=False)

    @classmethod
    def empty(cls, columns: int, *, full: bool) -> Moments:
        """Return the moments of no rows."""
        return cls(0.0, np.zeros(columns), np.zeros((columns, columns) if full else columns))

    @property
    def full(self) -> bool:
        """Whether products between different columns are kept."""
        return self.products.ndim == 2

    @property
    def variance(self) -> Floats:
        """Variance of each column [m], divided by rows; exactly 0 where rounding is all there is."""
        variance = (np.diagonal(self.products) if self.full else self.products) / max(self.rows, 1e-300)
        noise = (16 * np.finfo(np.float64).eps * np.abs(self.mean)) ** 2
        return np.where(variance <= noise, 0.0, variance)

    def add(self, block: NDArray[np.floating], last: Floats | None = None, *, weights: Floats | None = None) -> bool:
        """Take in rows [n, m], or [n, m - 1] with ``last`` as their last column; say whether all sums are finite.

        Args:
            block: the rows; float32 is summed as float64.
            last: one more column [n].
            weights: how much each row counts [n], None for 1.
        """
        rows = len(block)
        total = float(rows if weights is None else weights.sum())
        if total == 0:
            return bool(np.isfinite(block).all())
        with np.errstate(over="ignore", invalid="ignore"):
            place = self.mean
            if self.rows == 0:  # a first guess of where the columns are
                place = np.append(block.mean(axis=0, dtype=np.float64), [] if last is None else last.mean())
                place = np.where(np.isfinite(place), place, 0.0)
            around = self._around(block, place, last)
            heavy = around if weights is None else around * np.sqrt(weights)[:, None]
            if self.full:
                sums = heavy.T @ heavy  # the last column is of ones, so the last row is the sum of each column
                shift, products = sums[-1, :-1] / total, sums[:-1, :-1]
            else:
                ones = np.ones(rows) if weights is None else weights
                shift = (ones @ around)[:-1] / total
                products = np.einsum("ij,ij->j", heavy, heavy)[:-1]
            products = products - self._squared(shift) * total
            self._join(total, place + shift, products)
            return bool(np.isfinite(shift).all() and np.isfinite(products).all())

    def over_workers(self, collective: Collective) -> Moments:
        """Return the moments of the rows of all workers, the same bits on each."""
        sums = collective.all_reduce(np.concatenate([[self.rows], self.rows * self.mean]))
        mean = sums[1:] / (sums[0] or 1.0)
        moved = self.products + self._squared(self.mean - mean) * self.rows
        return Moments(float(sums[0]), mean, collective.all_reduce(moved))

    def second(self, columns: int, *, intercept: bool) -> Floats:
        """Return the mean of x x' of the first columns, with a 1 appended to x for an intercept.

        Shape [width, width] if full, otherwise its diagonal [width].
        """
        part = slice(0, columns)
        mean = np.append(self.mean[part], 1.0) if intercept else self.mean[part]
        products = self.products[part, part] if self.full else self.products[part]
        spread = np.zeros((len(mean), len(mean)) if self.full else len(mean))
        spread[(part, part) if self.full else part] = products / self.rows
        return spread + self._squared(mean)

    def _around(self, block: NDArray[np.floating], place: Floats, last: Floats | None) -> Floats:
        """Return rows minus a place, and a column of ones, in memory that the next chunk uses again."""
        rows, columns = block.shape
        width = len(self.mean) + 1
        by_column = block.strides[0] < block.strides[1]
        if self._buffer.shape[0] < rows or self._buffer.flags.c_contiguous == by_column:
            self._buffer = np.ones((rows, width), order="F" if by_column else "C")
        around = self._buffer[:rows]
        np.subtract(block, place[:columns], out=around[:, :columns])
        if last is not None:
            np.subtract(last, place[-1], out=around[:, columns])
        return around

    def _join(self, rows: float, mean: Floats, products: Floats) -> None:
        total = self.rows + rows
        shift = mean - self.mean
        self.products += products + self._squared(shift) * (self.rows * rows / total)
        self.mean += shift * (rows / total)
        self.rows = total

    def _squared(self, vector: Floats) -> Floats:
        return np.outer(vector, vector) if self.full else vector * vector
