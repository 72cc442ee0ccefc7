"""What boosting by rounds has in common: metrics, early stopping, checkpoints. The trees are ``lightgbm.py``'s and
``xgboost.py``'s.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import numpy as np

from lepton.core.errors import InvalidInput
from lepton.training.collective import Collective
from lepton.training.context import TrainingContext
from lepton.training.problems import TrainingDataError
from lepton.training.recipes.port import Scores, Targets, check_loss

_LEAST_SHARE = 1e-15


class Ensemble(Protocol):
    """Trees that grow round by round, the same on every worker."""

    def grow(self, number: int) -> bool:
        """Grow the trees of a round, counted from 0; False: nothing is left to be learned, and none has grown."""

    def losses(self) -> tuple[float, float | None]:
        """Return the mean loss of all workers' rows, and of those to watch; None: there are none."""

    def trees(self) -> bytes:
        """Return all trees, in the library's own format."""


@dataclass
class Progress:
    """How far boosting is.

    Attributes:
        rounds: How many rounds were done.
        best_round: The number of rounds at which the loss of the rows to watch was smallest.
        best_loss: That loss; None: there is none yet.
    """

    rounds: int = 0
    best_round: int = 0
    best_loss: float | None = None

    def pack(self, trees: bytes) -> bytes:
        """Return this and the trees as one state of a checkpoint."""
        return json.dumps(asdict(self)).encode() + b"\n" + trees

    @classmethod
    def unpack(cls, state: bytes) -> tuple[Progress, bytes]:
        """Return what `pack` was made of."""
        told, _, trees = state.partition(b"\n")
        return cls(**json.loads(told)), trees

    def watch(self, loss: float) -> None:
        """Remember the round if it is the best so far."""
        if self.best_loss is None or loss < self.best_loss:
            self.best_loss, self.best_round = loss, self.rounds

    def over(self, rounds: int, patience: int) -> bool:
        """Whether all rounds are done, or none of the last `patience` was the best; 0: it goes on to the end."""
        waited = self.rounds - self.best_round if patience and self.best_loss is not None else -1
        return self.rounds >= rounds or waited >= patience > 0


def boost(
    ensemble: Ensemble,
    progress: Progress,
    context: TrainingContext,
    *,
    rounds: int,
    patience: int,
    resumable: bool = True,
) -> int:
    """Grow trees until all rounds are done, watching is of no more use, or the run is told to stop.

    Args:
        ensemble: What grows.
        progress: Where to begin; changed in place.
        context: Where to tell how it goes.
        rounds: How many rounds there are to be in all.
        patience: After how many rounds without a better loss to stop; 0 never.
        resumable: Whether going on from a checkpoint gives the same bits; if not, none are saved.

    Returns:
        How many rounds to keep.
    """
    while not progress.over(rounds, patience):
        if not ensemble.grow(progress.rounds):
            break
        progress.rounds += 1
        loss, valid_loss = ensemble.losses()
        metrics = {"loss": check_loss(loss, progress.rounds)}
        if valid_loss is not None:
            metrics["valid_loss"] = valid_loss
            progress.watch(valid_loss)
        context.report(progress.rounds, **metrics)
        context.progress(progress.rounds / rounds, f"round {progress.rounds} of {rounds}")
        if resumable and context.checkpoints.due(progress.rounds):
            state = lambda: progress.pack(ensemble.trees())  # noqa: E731
            context.checkpoints.save(progress.rounds, state, context.collective)
        if context.stop_agreed():
            break
    return progress.best_round if patience and progress.best_loss is not None else progress.rounds


def mean_loss(scores: Scores, targets: Targets, classes: int | None) -> float:
    """Return the mean negative log-probability of the true classes, or the mean squared error.

    Args:
        scores: Probabilities [n, K], or [n] of the second of two classes; or numbers [n].
        targets: [n].
        classes: K; None: the target is a number.
    """
    if classes is None:
        return float(np.mean((np.asarray(scores, np.float64) - targets) ** 2))
    shares = np.asarray(scores, np.float64)
    if shares.ndim == 1:
        shares = np.stack([1.0 - shares, shares], axis=1)
    true = shares[np.arange(len(targets)), targets.astype(np.int64)]
    return float(-np.log(np.maximum(true, _LEAST_SHARE)).mean())


def center(targets: Targets, collective: Collective) -> float:
    """Return the mean of all workers' numbers, which is taken off before learning and added to what was learned.

    Numbers far from 0 lose digits in float32, and LightGBM begins with the mean of the workers' means instead.
    """
    total, count = collective.all_reduce([float(np.sum(targets)), float(len(targets))])
    mean = float(total / count)
    if not math.isfinite(mean):
        raise TrainingDataError("The mean of the target is not a finite number; look for values of extreme size in it.")
    return float(np.float32(mean))


def check_classes(targets: Targets, classes: int, collective: Collective) -> None:
    """Check that there is something to tell apart.

    Raises:
        TrainingDataError: if all rows of all workers are of one class.
    """
    seen = collective.all_reduce(np.bincount(targets.astype(np.int64), minlength=classes) > 0)
    if np.count_nonzero(seen) < 2:
        raise TrainingDataError("All rows to learn from are of one class; at least two classes are needed.")


def native_parameters(
    model: object,
    given: dict[str, Any],
    names: dict[str, str],
    wrapper: Callable[[object], dict[str, Any] | None],
    library: str,
) -> dict[str, Any]:
    """Return the library's own parameters: those of a user's model under those that were named for the run.

    Args:
        model: What a user brings: a dict of the library's parameters, or one of its estimators; None: nothing.
        given: Parameters of the recipe to be used.
        names: The library's names for the recipe's.
        wrapper: Returns the parameters of an estimator of the library; None: it is none.
        library: What to call it.

    Raises:
        InvalidInput: if the model is something else.
    """
    if model is None:
        held: dict[str, Any] | None = {}
    elif isinstance(model, dict):
        held = dict(model)
    else:
        held = wrapper(model)
    if held is None:
        raise InvalidInput(
            f"A model for {library} is a dict of its parameters or one of its estimators, not "
            f"{type(model).__name__[:80]}."
        )
    return held | {names[name]: value for name, value in given.items() if name in names}


def settle_objective(native: dict[str, Any], fit_for: Sequence[str]) -> None:
    """Take the first objective that fits the target if none was named.

    Args:
        native: The library's own parameters; changed here.
        fit_for: The objectives that fit.

    Raises:
        InvalidInput: if another one was named.
    """
    native.setdefault("objective", fit_for[0])
    if native["objective"] not in fit_for:
        raise InvalidInput(
            f"The objective {str(native['objective'])[:80]!r} is not possible here. Choose one of: "
            f"{', '.join(fit_for)}."
        )


def answers(found: Scores, classes: int | None, offset: float) -> Scores:
    """Return probabilities [n, K], or numbers [n] in the target's unit, for what the library predicts."""
    if classes == 2:
        return np.stack([1.0 - found, found], axis=1)
    return found if classes else found + offset
