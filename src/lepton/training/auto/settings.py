"""One number or choice that is tuned: a place between 0 and 1, and the value that it stands for."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Value = float | int | str
Values = Mapping[str, Value]
Place = npt.NDArray[np.float64]
"""[settings]: each from 0 to 1."""


@dataclass(frozen=True)
class Setting:
    """What may be tuned.

    Attributes:
        name: As the candidate knows it.
        low: Smallest value.
        high: Largest value.
        start: The value that is tried first.
        whole: Whether only whole numbers are possible.
        even: Whether steps are of equal size instead of equal ratio.
    """

    name: str
    low: float
    high: float
    start: float
    whole: bool = False
    even: bool = False

    def value(self, place: float) -> Value:
        """Return the value at a place from 0 to 1."""
        apart = self.high - self.low
        found = self.low + place * apart if self.even else self.low * (self.high / self.low) ** place
        return round(found) if self.whole else float(f"{found:.6g}")

    def place(self, value: Value) -> float:
        """Return where a value lies, from 0 to 1."""
        number = min(max(float(value), self.low), self.high)
        if self.high == self.low:
            return 0.0
        if self.even:
            return (number - self.low) / (self.high - self.low)
        return math.log(number / self.low) / math.log(self.high / self.low)


def first(settings: Sequence[Setting]) -> dict[str, Value]:
    """Return the values that are tried first."""
    return {one.name: round(one.start) if one.whole else one.start for one in settings}


def somewhere(settings: Sequence[Setting], rng: np.random.Generator) -> dict[str, Value]:
    """Return values drawn evenly."""
    return {one.name: one.value(float(rng.random())) for one in settings}


def nearby(settings: Sequence[Setting], values: Values, width: float, rng: np.random.Generator) -> dict[str, Value]:
    """Return values around others: normal steps in about half of the settings, at least one.

    Args:
        settings: What may be tuned.
        values: Where to start from.
        width: Standard deviation of a step, as a share of the whole range.
        rng: Where chance comes from.
    """
    moved = rng.random(len(settings)) < 0.5
    if settings:
        moved[rng.integers(len(settings))] = True
    steps = rng.normal(0.0, width, len(settings))
    return {
        one.name: one.value(float(np.clip(one.place(values[one.name]) + step, 0.0, 1.0))) if move else values[one.name]
        for one, step, move in zip(settings, steps, moved, strict=True)
    }
