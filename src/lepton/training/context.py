"""What a training may ask of the run it is part of: the other workers, places for what it tells, whether to stop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from lepton.training.checkpoints import Checkpoints
from lepton.training.collective import Collective, LocalCollective


def _ignore(metrics: Mapping[str, float], step: int) -> None:
    """Log nothing."""


def _silent(text: str) -> None:
    """Say nothing."""


def _unseen(fraction: float, message: str) -> None:
    """Show nothing."""


def _never() -> bool:
    return False


@dataclass(frozen=True)
class TrainingContext:
    """One worker's view of a training run; the default is a single worker that logs nothing and never stops early.

    Args:
        collective: the workers of the run.
        log: called on worker 0 with metrics (``{"loss": 0.3}``) and the number of the iteration, from 1.
        should_stop: asked once an iteration; if any worker says yes, all stop and keep what they have.
        say: adds a line to the run's log; nothing out of the data.
        progress: told how far the training is, 0 to 1, and what it is doing.
        checkpoints: where to save what to go on from.
        gpu: number of the GPU of this worker among those that it sees; None: it has none.
        threads: processors of this worker.
    """

    collective: Collective = field(default_factory=LocalCollective)
    log: Callable[[Mapping[str, float], int], None] = _ignore
    should_stop: Callable[[], bool] = _never
    say: Callable[[str], None] = _silent
    progress: Callable[[float, str], None] = _unseen
    checkpoints: Checkpoints = field(default_factory=Checkpoints)
    gpu: int | None = None
    threads: int = 1

    def report(self, step: int, **metrics: float) -> None:
        """Log metrics on worker 0; on the others do nothing."""
        if self.collective.rank == 0:
            self.log(metrics, step)

    def stop_agreed(self) -> bool:
        """Ask all workers whether one of them was told to stop; the answer is the same on each."""
        return float(self.collective.all_reduce(float(self.should_stop()))) > 0.0
