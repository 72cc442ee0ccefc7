"""What a task is given to work with: its run, its arguments, and a way to tell how it goes.

Progress and metrics are written by a thread of their own, a few times a second, so that no training step waits for a
disk. Whatever a task logs is for its submitter: it must never hold a value of the data.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from lepton.access.records import Actor
from lepton.core.clock import Clock, utc_now
from lepton.runs.records import Arguments, MetricPoint, Run

if TYPE_CHECKING:  # the control plane reads this module and does no arithmetic
    import numpy as np
    import numpy.typing as npt

LOG = logging.getLogger(__name__)
WRITE_EVERY_S = 0.2
_KEY_LENGTH = 64


class Collective(Protocol):
    """How workers talk; `lepton.training.collective` has the implementations."""

    @property
    def rank(self) -> int:
        """This worker, from 0."""

    @property
    def world_size(self) -> int:
        """Number of workers."""

    def all_reduce(self, array: npt.NDArray[np.float64], /) -> npt.NDArray[np.float64]:
        """Return the sum over all workers, the same bits on each."""

    def broadcast(self, data: bytes | None, /) -> bytes:
        """Return what rank 0 gave."""

    def gather(self, data: bytes, /) -> list[bytes] | None:
        """Return what each worker gave, in rank order, on rank 0; None on the others."""

    def barrier(self) -> None:
        """Wait until every worker is here."""


class Recorder(Protocol):
    """Where progress and metrics go; `lepton.runs.operations.Runs` is one."""

    def record_metrics(self, run_id: str, points: Sequence[MetricPoint]) -> None:
        """Keep points until the next progress is written."""

    def record_progress(self, run_id: str, fraction: float, message: str) -> None:
        """Write how far the run is, and the points."""


@dataclass
class TaskContext:
    """One worker's view of its run.

    Attributes:
        run: The run as it was when the worker began.
        actor: The submitter, with the roles it has now.
        arguments: What the verb that submitted the run wanted the task to know.
        rank: Which worker this is, from 0. Only rank 0 commits, and only its metrics and progress are kept.
        world_size: How many workers there are.
        collective: How they talk.
    """

    run: Run
    actor: Actor
    arguments: Arguments = field(repr=False)
    rank: int
    world_size: int
    collective: Collective
    recorder: Recorder
    clock: Clock = utc_now
    write_line: Callable[[str], None] = print
    stop_asked: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._latest = (self.run.progress, self.run.message)
        self._dirty = threading.Event()
        self._closing = threading.Event()
        self._writer: threading.Thread | None = None

    def log(self, message: str) -> None:
        """Add a line to the run's log."""
        self.write_line(message)

    def metric(self, key: str, value: float, step: int = 0) -> None:
        """Add a point to a curve of the run; does nothing on ranks above 0.

        Args:
            key: Name of the curve, 1 to 64 characters, nothing out of the data.
            value: The value; NaN and infinities are kept as "not finite".
            step: Iteration or epoch.
        """
        if self.rank == 0:
            point = MetricPoint(key[:_KEY_LENGTH], int(step), self.clock(), float(value))
            self.recorder.record_metrics(self.run.id, [point])
            self._wake()

    def progress(self, fraction: float, message: str) -> None:
        """Say how far the run is (0 to 1) and what it is doing now; does nothing on ranks above 0."""
        if self.rank == 0:
            self._latest = (min(max(float(fraction), 0.0), 1.0), message)
            self._wake()

    def should_stop(self) -> bool:
        """Whether the run has been cancelled: leave as soon as possible and commit nothing."""
        return self.stop_asked.is_set()

    def close(self) -> None:
        """Write what has not been written yet."""
        self._closing.set()
        self._dirty.set()
        if self._writer is not None:
            self._writer.join()
            self._writer = None

    def _wake(self) -> None:
        self._dirty.set()
        if self._writer is None:
            self._writer = threading.Thread(target=self._write, name="progress", daemon=True)
            self._writer.start()

    def _write(self) -> None:
        last = False
        while not last:
            self._dirty.wait()
            self._dirty.clear()  # before the look at closing, or its last call could be missed
            last = self._closing.is_set()
            try:
                self.recorder.record_progress(self.run.id, *self._latest)
            except Exception as error:  # noqa: BLE001 - an edge: a run does not fail because its progress is not seen
                LOG.warning("progress was not written: %s", type(error).__name__)
            self._closing.wait(WRITE_EVERY_S)
