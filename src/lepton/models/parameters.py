"""What a training with a framework is told: settings that are the trainer's whatever the recipe, and parameters of the
recipe; both are given as parameters, and are checked before the training starts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from lepton.core.errors import InvalidInput
from lepton.models.records import TrainRequest
from lepton.models.requests import AUTO, LINEAR, LOGISTIC, check_request, has_framework
from lepton.training.recipes import known
from lepton.training.search import Dimension, edges

_TASKS = {"auto": AUTO, "regression": LINEAR, "classification": LOGISTIC}


@dataclass(frozen=True)
class Settings:
    """Settings of the trainer.

    Attributes:
        validation_fraction: Share of the training rows that is not learned from, but watched for early stopping.
        checkpoint_every: Steps between two checkpoints.
        tokens: How many words of a free text are kept in their order, for networks that read; 0: a bag of words.
        keep_constant: Whether columns of numbers that are the same in all rows stay, as pixels of a picture have to.
        memory_mb: What a worker keeps of its rows in memory; more lies on its disk, encrypted, and is shuffled in
            windows of 16 MB.
        task: ``classification``, ``regression``, or ``auto``: the target decides.
    """

    validation_fraction: float = 0.1
    checkpoint_every: int = 100
    tokens: int = 0
    keep_constant: bool = False
    memory_mb: int = 1024
    task: str = "auto"

    @property
    def memory_bytes(self) -> int:
        """The same in bytes."""
        return self.memory_mb << 20

    @property
    def kind(self) -> str:
        """The linear recipe of the same task, by which a target is read."""
        return _TASKS[self.task]


def check_parameters(request: TrainRequest) -> None:
    """Check what a training with a framework is told, as far as that is known without the framework and the rows.

    Raises:
        InvalidInput: if a name is unknown or a value is of another type, in the words in which the run would say it.
    """
    if has_framework(request):
        known.check(request.recipe, take(request.params)[1])


def check_searched(request: TrainRequest, space: Sequence[Dimension]) -> None:
    """Check that each setting that is searched can have the values that it may get.

    Raises:
        InvalidInput: like `check_parameters` and `check_request`.
    """
    for one in space:
        for value in edges(one):
            tried = replace(request, params={one.name: value})
            check_request(tried)
            check_parameters(tried)


def take(
    parameters: Mapping[str, Any],
    *,
    tokens: int = 0,
    watched: float = Settings.validation_fraction,
    keep_constant: bool = False,
) -> tuple[Settings, dict[str, Any]]:
    """Part the trainer's settings from those of the recipe.

    Args:
        parameters: All, by name.
        tokens: What is taken where nothing is said.
        watched: The same, for ``validation_fraction``.
        keep_constant: The same, for the setting of that name.

    Raises:
        InvalidInput: if one of the trainer's is not possible.
    """
    names = {field.name for field in fields(Settings)}
    usual: dict[str, Any] = {"tokens": tokens, "validation_fraction": watched, "keep_constant": keep_constant}
    settings = Settings(**{**usual, **{name: value for name, value in parameters.items() if name in names}})
    if not isinstance(settings.keep_constant, bool):
        raise InvalidInput("keep_constant must be true or false.")
    if not 0 <= _number(settings.validation_fraction) < 1:
        raise InvalidInput("validation_fraction must lie between 0 and 1, for example 0.1; 0 watches nothing.")
    for name in ("checkpoint_every", "tokens", "memory_mb"):
        if not isinstance(getattr(settings, name), int) or getattr(settings, name) < (name == "checkpoint_every"):
            raise InvalidInput(f"{name} must be a whole number from {int(name == 'checkpoint_every')}.")
    if settings.task not in _TASKS:
        raise InvalidInput(f"task must be one of: {', '.join(_TASKS)}.")
    return settings, {name: value for name, value in parameters.items() if name not in names}


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else -1.0
