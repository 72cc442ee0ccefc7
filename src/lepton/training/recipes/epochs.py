"""Epochs over the rows with every worker in step: early stopping, checkpoints, metrics; for frameworks without a loop.

A framework brings a `Learner`; all workers hold the same weights after each step, so worker 0's state is everybody's.
"""

from __future__ import annotations

import io
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from lepton.core.errors import InvalidInput
from lepton.training.context import TrainingContext
from lepton.training.recipes.port import Features, Material, Rows, Targets, check_loss, parts

Arrays = dict[str, npt.NDArray[Any]]
"""The state of a learner by name."""

SETTINGS: Mapping[str, Any] = MappingProxyType(
    {
        "epochs": 20,
        "batch_size": 64,
        "learning_rate": 0.001,
        "weight_decay": 0.0001,
        "optimizer": "adamw",
        "patience": 5,
        "hidden": (64, 32),
        "dropout": 0.0,
    }
)
"""What such a recipe can be told, with its defaults; ``hidden`` and ``dropout`` are of the network of ours."""
_ROWS = 4096
"""Rows that are scored at a time."""


class Learner(Protocol):
    """What a framework does with a batch."""

    def step(self, features: Features, targets: Targets, seed: int) -> float:
        """Take one step on the gradient averaged over all workers; return the mean loss of this worker's batch.

        Args:
            features: float32 [n, width].
            targets: [n].
            seed: Decides what is random in this step on this worker, 0 to 2^31 - 1.
        """

    def loss(self, features: Features, targets: Targets) -> float:
        """Return the mean loss of rows without learning from them."""

    def state(self) -> Arrays:
        """Return copies of all that steps change: weights, statistics, the state of the optimizer."""

    def restore(self, state: Arrays) -> None:
        """Go back to a state."""


@dataclass
class Cursor:
    """How far the training is, and what it has seen on the way.

    Attributes:
        step: Steps done.
        total: Sum of the losses of the steps of this epoch.
        best: Lowest mean loss on the rows to watch.
        waited: Epochs since then.
        over: Whether nothing is left to do.
    """

    step: int = 0
    total: float = 0.0
    best: float = math.inf
    waited: int = 0
    over: bool = False


@dataclass(frozen=True)
class Plan:
    """How long to learn.

    Attributes:
        epochs: Passes over the rows, at least 1.
        batch_size: Rows of a step on each worker, at least 1.
        patience: Epochs without a lower loss on the rows to watch after which to stop; 0: never.
    """

    epochs: int
    batch_size: int
    patience: int

    def __post_init__(self) -> None:
        for name, value, least in (
            ("epochs", self.epochs, 1),
            ("batch_size", self.batch_size, 1),
            ("patience", self.patience, 0),
        ):
            if value < least:
                raise InvalidInput(f"{name} is {value}; it must be at least {least}. Give another --param {name}=…")


def learn(learner: Learner, material: Material, context: TrainingContext, plan: Plan) -> Cursor:
    """Learn epoch by epoch, with the other workers, from the last checkpoint if there is one.

    The learner ends with the weights that had the lowest loss on ``material.valid``, or the last ones without it.

    Raises:
        TrainingDataError: if the loss is not finite.
    """
    return _Loop(learner, material, context, plan).run()


def pack(state: Mapping[str, npt.NDArray[Any]], **facts: object) -> bytes:
    """Write arrays and facts as ``.npz``, to be read by `unpack`."""
    file = io.BytesIO()
    told = np.frombuffer(json.dumps(facts).encode(), dtype=np.uint8)
    np.savez(file, allow_pickle=False, **{f"={name}": value for name, value in state.items()}, facts=told)
    return file.getvalue()


def unpack(data: bytes) -> tuple[Arrays, dict[str, Any]]:
    """Read what `pack` wrote."""
    with np.load(io.BytesIO(data), allow_pickle=False) as archive:
        arrays = {name[1:]: archive[name] for name in archive.files if name != "facts"}
        return arrays, json.loads(archive["facts"].tobytes())


def step_seed(seed: int, step: int, rank: int) -> int:
    """Return what decides the random numbers of a step on a worker, so that none has to be saved: 0 to 2^31 - 1."""
    return int(np.random.SeedSequence([seed, step, rank]).generate_state(1)[0] >> 1)


class _Loop:
    def __init__(self, learner: Learner, material: Material, context: TrainingContext, plan: Plan) -> None:
        self._learner, self._material, self._context, self._plan = learner, material, context, plan
        self._cursor = Cursor()
        self._best: Arrays | None = None
        self._steps = material.train.steps(plan.batch_size)

    def run(self) -> Cursor:
        self._begin()
        cursor, plan = self._cursor, self._plan
        while not cursor.over and cursor.step < plan.epochs * self._steps:
            epoch, done = divmod(cursor.step, self._steps)
            for features, targets in self._material.train.batches(plan.batch_size, epoch=epoch, skip=done):
                if self._step(features, targets):
                    cursor.over = True
                    break
        if self._best is not None:
            self._learner.restore(self._best)
        return cursor

    def _begin(self) -> None:
        found = self._context.checkpoints.restore(self._context.collective)
        data = found.state if found else self._context.collective.broadcast(self._packed())
        arrays, facts = unpack(data)
        self._cursor = Cursor(**facts)
        kept = {name[5:]: value for name, value in arrays.items() if name.startswith("best/")}
        self._best = kept or None
        self._learner.restore({name[4:]: value for name, value in arrays.items() if name.startswith("now/")})

    def _packed(self) -> bytes:
        arrays = {f"now/{name}": value for name, value in self._learner.state().items()}
        arrays |= {f"best/{name}": value for name, value in (self._best or {}).items()}
        return pack(arrays, **asdict(self._cursor))

    def _step(self, features: Features, targets: Targets) -> bool:
        """Learn from a batch; tell whether to stop."""
        cursor, context = self._cursor, self._context
        ours = self._learner.step(
            features, targets, step_seed(self._material.seed, cursor.step, context.collective.rank)
        )
        total, stops = context.collective.all_reduce([ours, float(context.should_stop())])
        cursor.step += 1
        cursor.total += check_loss(float(total) / context.collective.world_size, cursor.step)
        if cursor.step % self._steps == 0:
            self._end_epoch()
        if context.checkpoints.due(cursor.step):
            context.checkpoints.save(cursor.step, self._packed, context.collective)
        return cursor.over or stops > 0

    def _end_epoch(self) -> None:
        cursor, plan = self._cursor, self._plan
        epoch = cursor.step // self._steps
        metrics = {"loss": cursor.total / self._steps}
        cursor.total = 0.0
        if self._material.valid is not None:
            loss = metrics["valid_loss"] = check_loss(self._watch(self._material.valid), cursor.step)
            cursor.waited += 1
            if loss < cursor.best:
                cursor.best, cursor.waited, self._best = loss, 0, self._learner.state()
            cursor.over = 0 < plan.patience <= cursor.waited
        self._context.report(epoch, **metrics)
        self._context.progress(epoch / plan.epochs, f"epoch {epoch} of {plan.epochs}")

    def _watch(self, rows: Rows) -> float:
        """Return the mean loss on the rows of all workers."""
        total = 0.0
        for features, targets in parts(rows, _ROWS):
            total += self._learner.loss(features, targets) * len(features)
        summed, count = self._context.collective.all_reduce([total, float(rows.count)])
        return float(summed / count)
