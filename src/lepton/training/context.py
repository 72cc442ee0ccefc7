"""What a solver may ask of the run it is part of: the other workers, a place for metrics, and whether to stop."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from lepton.training.collective import Collective, LocalCollective


def _ignore(metrics: Mapping[str, float], step: int) -> None:
    """Log nothing."""


def _never() -> bool:
    return False


@dataclass(frozen=True)
class TrainingContext:
    """One worker's view of a training run; the default is a single worker that logs nothing and never stops early.

    Args:
        collective: the workers of the run.
        log: called on worker 0 with metrics (``{"loss": 0.3}``) and the number of the iteration, from 1.
        should_stop: asked once an iteration; if any worker says yes, all stop and keep what they have.
    """

    collective: Collective = field(default_factory=LocalCollective)
    log: Callable[[Mapping[str, float], int], None] = _ignore
    should_stop: Callable[[], bool] = _never

    def report(self, step: int, **metrics: float) -> None:
        """Log metrics on worker 0; on the others do nothing."""
        if self.collective.rank == 0:
            self.log(metrics, step)

    def stop_agreed(self) -> bool:
        """Ask all workers whether one of them was told to stop; the answer is the same on each."""
        return float(self.collective.all_reduce(float(self.should_stop()))) > 0.0
