"""Our linear models as a command: what `lepton.models.linear` trains, on rows that are asked of the platform.

That is where commands run on other machines; on its own one the platform trains them itself, from its files.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING

from lepton.core.errors import Internal
from lepton.models import linear
from lepton.models.commanded import Plan
from lepton.models.features import Features
from lepton.models.parameters import Settings
from lepton.models.shards import Blocks
from lepton.models.target import Mask
from lepton.trainer import platform, rows
from lepton.trainer.finishing import bring
from lepton.trainer.source import Source
from lepton.training.collective import Collective
from lepton.training.context import TrainingContext

if TYPE_CHECKING:
    import polars as pl


class Asked:
    """The rows of a training, asked of the platform."""

    def __init__(self, asked: platform.PlatformOfRun, plan: Plan) -> None:
        self._asked, self._plan = asked, plan
        self._rows: Source | None = None

    def target(self) -> pl.Series:
        """Return the column to predict, of all rows."""
        column = self._asked.read(str(self._plan.request.dataset), [self._plan.target.name]).to_series()
        self._rows = rows.source(self._asked, self._plan, len(column), Settings())
        return column

    def fit(self, train: Mask) -> Features:
        """Find the features in these rows."""
        return rows.fit(self._source, self._plan, train, Settings())

    def blocks(self, names: Sequence[str], rows: tuple[int, int] | None = None) -> Blocks:
        """Return what reads rows in blocks."""
        return partial(self._read, names, (0, self._source.rows) if rows is None else rows)

    def _read(self, names: Sequence[str], span: tuple[int, int]) -> Iterator[tuple[int, pl.DataFrame]]:
        first, end = span
        with self._source.frames(first, end, names) as frames:
            for frame in frames:
                yield first, frame
                first += frame.height

    @property
    def _source(self) -> Source:
        if self._rows is None:
            raise Internal("The target is read first: it tells how many rows there are.")
        return self._rows


def train(asked: platform.PlatformOfRun, plan: Plan, collective: Collective, stop: threading.Event) -> None:
    """Train together with the other workers; worker 0 brings the model, or tells how what was only tried does."""
    context = TrainingContext(
        collective=collective,
        log=asked.metrics,
        should_stop=stop.is_set,
        say=platform.say,
        progress=asked.progress,
    )
    trained = linear.train(plan, Asked(asked, plan), context)
    if trained is not None:
        trial = plan.request.trial
        bring(asked, trained, linear.told(trained, trial=trial), trial=trial)
