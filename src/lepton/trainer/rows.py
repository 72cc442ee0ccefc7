"""The rows of a dataset version as a worker sees them: the target of all, and its own part as a matrix."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from lepton.core.errors import InvalidInput
from lepton.models.commanded import Plan
from lepton.models.features import Features
from lepton.models.fitting import fit_features
from lepton.models.frames import transform
from lepton.models.parameters import Settings
from lepton.models.prediction import Session
from lepton.models.shards import share_of_rows
from lepton.models.signature import Input
from lepton.models.target import Mask, Target, hold_out, part, read_target
from lepton.trainer.platform import PlatformOfRun
from lepton.training.recipes.port import Part

if TYPE_CHECKING:
    import polars as pl

BLOCK_ROWS = 65_536
"""Rows that are read at once."""


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


def fit(platform: PlatformOfRun, plan: Plan, train: Mask, settings: Settings) -> Features:
    """Find the features in the training rows."""
    import polars as pl

    names = [column.name for column in plan.columns]
    frame = platform.read(str(plan.request.dataset), names).filter(pl.Series(train))
    named, keep = plan.request.features is not None, settings.keep_constant
    return fit_features(frame.lazy(), plan.columns, named=named, tokens=settings.tokens, keep_constant=keep)


class Reader:
    """Reads rows through the features' graph."""

    def __init__(self, platform: PlatformOfRun, plan: Plan, inputs: Sequence[Input], session: Session) -> None:
        self._platform, self._plan = platform, plan
        self._inputs, self._session = inputs, session

    def part(self, target: Target, chosen: Mask, *, rank: int, workers: int, seed: int) -> Part:
        """Return a worker's part of the chosen rows."""
        first, end = share_of_rows(chosen, rank, workers)
        found = [
            (transform(self._session, frame, self._inputs).astype(np.float32), target.values[rows])
            for rows, frame in self.frames(chosen, first, end)
        ]
        features = np.concatenate([one for one, _ in found]) if found else np.empty((0, 0), np.float32)
        targets = np.concatenate([one for _, one in found]) if found else np.empty(0)
        return Part(features, targets, longest=-(-int(chosen.sum()) // workers), seed=seed)

    def frames(self, chosen: Mask, first: int = 0, end: int | None = None) -> Iterator[tuple[Mask, pl.DataFrame]]:
        """Read chosen rows of a range in blocks; yields the mask [N] of each block's rows, and them."""
        import polars as pl

        names = [column.name for column in self._inputs]
        for start in range(first, len(chosen) if end is None else end, BLOCK_ROWS):
            stop = min(start + BLOCK_ROWS, len(chosen) if end is None else end)
            here = chosen[start:stop]
            if here.any():
                frame = self._platform.read(str(self._plan.request.dataset), names, (start, stop))
                rows = np.zeros(len(chosen), dtype=bool)
                rows[start:stop] = here
                yield rows, frame.filter(pl.Series(here))
