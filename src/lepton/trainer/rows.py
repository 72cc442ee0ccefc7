"""The rows of a dataset version as a worker sees them: the target of all, and its own part as a matrix."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from lepton.core.errors import InvalidInput
from lepton.models.commanded import Plan
from lepton.models.features import Features
from lepton.models.fitting import fit_features, only
from lepton.models.frames import transform
from lepton.models.parameters import Settings
from lepton.models.prediction import Session
from lepton.models.shards import share_of_rows
from lepton.models.signature import Input
from lepton.models.target import Mask, Target, hold_out, part, read_target
from lepton.trainer.platform import PlatformOfRun
from lepton.trainer.source import Source
from lepton.trainer.spool import Spool, SpooledPart
from lepton.training.recipes.port import Features as Matrix
from lepton.training.recipes.port import Part, Rows

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True)
class Split:
    """Which rows are for what, as masks [N] over all rows of the dataset.

    Attributes:
        target: Of all rows.
        train: To learn from.
        valid: To watch the learning on; none are if nobody wants to.
        test: Held out, to measure the model on.
    """

    target: Target
    train: Mask
    valid: Mask
    test: Mask


def split(platform: PlatformOfRun, plan: Plan, settings: Settings) -> Split:
    """Read the target and choose the rows, the same on every worker.

    Raises:
        InvalidInput: if there is nothing to learn or to measure; for a trial also if there is nothing to watch.
    """
    request = plan.request
    column = platform.read(str(request.dataset), [plan.target.name]).to_series()
    target = read_target(column, plan.target.type, settings.kind)
    target, train, test = part(target, request.test_fraction, request.seed)
    valid = np.zeros_like(train)
    if settings.validation_fraction > 0:
        try:
            train, valid = hold_out(target.only(train), settings.validation_fraction, request.seed + 1)
        except InvalidInput:  # too few rows: all of them are learned from
            if request.trial:
                raise
    return Split(target, train, valid, test)


def source(platform: PlatformOfRun, plan: Plan, count: int, settings: Settings) -> Source:
    """Return where the columns that may be learned from are read."""
    return Source(
        platform,
        str(plan.request.dataset),
        [column.name for column in plan.columns],
        rows=count,
        memory_bytes=settings.memory_bytes,
        folder=Path.cwd(),
    )


def fit(rows: Source, plan: Plan, train: Mask, settings: Settings) -> Features:
    """Find the features in the training rows; all rows are copied for it, and read from the copy from then on."""
    from lepton.store.parquet import mapped_errors

    names = [column.name for column in plan.columns]
    named, keep = plan.request.features is not None, settings.keep_constant
    with mapped_errors():
        chosen = only(rows.keep(), names, train)
        return fit_features(chosen, plan.columns, named=named, tokens=settings.tokens, keep_constant=keep)


class Reader:
    """Reads rows through the features' graph.

    Args:
        rows: Where they are.
        inputs: Columns of the graph.
        session: The graph.
        memory_bytes: What a part may take of memory; a larger one lies on the disk, encrypted.
    """

    def __init__(self, rows: Source, inputs: Sequence[Input], session: Session, *, memory_bytes: int) -> None:
        self._rows, self._inputs, self._session, self._memory_bytes = rows, inputs, session, memory_bytes

    def part(self, target: Target, chosen: Mask, *, rank: int, workers: int, seed: int) -> Rows:
        """Return a worker's part of the chosen rows."""
        first, end = share_of_rows(chosen, rank, workers)
        targets = target.values[first:end][chosen[first:end]]
        longest = -(-int(chosen.sum()) // workers)
        features: Matrix = np.empty((0, 0), np.float32)
        spool: Spool | None = None
        at = 0
        for _, frame in self.frames(chosen, first, end):
            block = transform(self._session, frame, self._inputs)
            if not at and len(targets) * block.shape[1] * 4 > self._memory_bytes:
                spool = Spool(Path.cwd(), block.shape[1])
            elif not at:
                features = np.empty((len(targets), block.shape[1]), np.float32)
            if spool is None:
                features[at : at + len(block)] = block
            else:
                spool.append(block.astype(np.float32))
            at += len(block)
        if spool is not None:
            return SpooledPart(spool, targets, longest=longest, seed=seed)
        return Part(features, targets, longest=longest, seed=seed)

    def frames(
        self, chosen: Mask, first: int = 0, end: int | None = None
    ) -> Iterator[tuple[npt.NDArray[np.int64], pl.DataFrame]]:
        """Read chosen rows of a range in blocks; yields the positions of each block's rows, and them."""
        import polars as pl

        end = len(chosen) if end is None else end
        with self._rows.frames(first, end, [column.name for column in self._inputs]) as blocks:
            for block in blocks:
                here = chosen[first : first + block.height]
                if here.any():
                    yield first + np.flatnonzero(here), block.filter(pl.Series(here))
                first += block.height
