"""A worker's part of a table as matrices: read in blocks, through the features graph, kept in memory if they fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import numpy.typing as npt

from lepton.models.frames import transform
from lepton.models.prediction import Session
from lepton.models.signature import Input

if TYPE_CHECKING:
    import polars as pl

BLOCK_ROWS = 16_384
MEMORY_BYTES = 1 << 30
"""What one worker keeps of its transformed rows; more is read and transformed again in every pass."""

Batch = tuple[npt.NDArray[np.float64], npt.NDArray[np.generic]]
Mask = npt.NDArray[np.bool_]
Blocks: TypeAlias = "Callable[[], Iterator[tuple[int, pl.DataFrame]]]"
"""Passes over rows in order, in blocks, each with the number of its first row."""


def share_of_rows(chosen: Mask, rank: int, world_size: int) -> tuple[int, int]:
    """Return the range of rows (first, end) of a worker, so that each has the same number of chosen rows."""
    before = np.cumsum(chosen)
    total = int(before[-1]) if len(before) else 0
    first, end = (
        0 if part == 0 else int(np.searchsorted(before, part * total // world_size)) + 1 for part in (rank, rank + 1)
    )
    return first, end


class Shard:
    """Chosen rows of a range of a table, as batches of features and target."""

    def __init__(
        self,
        blocks: Blocks,
        *,
        inputs: Sequence[Input],
        session: Session,
        target: npt.NDArray[np.generic],
        chosen: Mask,
        rows: tuple[int, int],
    ) -> None:
        """Describe a shard; nothing is read yet.

        Args:
            blocks: Reads the rows of the range, as `read_blocks` does.
            inputs: Columns of the features graph.
            session: The features graph.
            target: Target of all rows of the table [N].
            chosen: Which rows of the table to take [N].
            rows: First and end of the range.
        """
        self._blocks = blocks
        self._inputs = inputs
        self._session = session
        self._target = target
        self._chosen = chosen
        self._kept: list[Batch] | None = None
        self.rows = int(chosen[rows[0] : rows[1]].sum())

    def batches(self) -> Iterator[Batch]:
        """Pass over the rows once: features float64 [n, d] and targets [n], the same batches in each pass."""
        if self._kept is not None:
            yield from self._kept
            return
        kept: list[Batch] | None = []
        size_bytes = 0
        for start, frame in self._blocks():
            here = self._chosen[start : start + frame.height]
            if not here.any():
                continue
            features = transform(self._session, frame.filter(here), self._inputs)
            batch = (features, self._target[start : start + frame.height][here])
            size_bytes += features.nbytes
            if kept is not None:
                kept.append(batch)
                kept = kept if size_bytes <= MEMORY_BYTES else None
            yield batch
        self._kept = kept


def read_blocks(plan: pl.LazyFrame, first: int = 0) -> Iterator[tuple[int, pl.DataFrame]]:
    """Read rows, in order, in blocks of `BLOCK_ROWS`; yields each with its first row's number, counted from `first`."""
    from lepton.store.parquet import mapped_errors

    with mapped_errors():
        for frame in plan.collect_batches(chunk_size=BLOCK_ROWS, maintain_order=True, engine="streaming"):
            yield first, frame
            first += frame.height
