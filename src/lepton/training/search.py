"""What is searched when a model is tuned: one line for each setting, such as ``max_depth=2..10``. Pure: only text.

    max_depth=2..10             whole numbers from 2 to 10
    learning_rate=0.001..0.3 log    numbers, small ones as often as large ones
    dropout=0..0.5 step 0.1     0, 0.1, 0.2, 0.3, 0.4, 0.5
    optimizer=adamw|sgd         one of these

How the values are chosen is `lepton.tuner`'s; what a recipe knows is the recipe's.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from lepton.core.errors import InvalidInput

Value = str | int | float | bool
MOST_DIMENSIONS = 100
MOST_CHOICES = 1000
_NAME = re.compile(r"[A-Za-z_][\w.-]{0,127}")
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
_RANGE = re.compile(rf"({_NUMBER})\.\.({_NUMBER})((?:\s+log)?)(?:\s+step\s+({_NUMBER}))?((?:\s+log)?)")
_WHOLE = re.compile(r"[+-]?\d+")
_EXAMPLE = (
    "Write for example max_depth=2..10, 'learning_rate=0.001..0.3 log', 'dropout=0..0.5 step 0.1' or depth=2|4|8."
)


@dataclass(frozen=True)
class Between:
    """Numbers in a range, both ends included.

    Attributes:
        whole: Whether only whole numbers are meant.
        log: Whether every factor of size is as likely as every other; else every number.
        step: Distance of the values from each other, from `low` on; None: any, or 1 for whole numbers.
    """

    name: str
    low: float
    high: float
    whole: bool = False
    log: bool = False
    step: float | None = None

    def values(self) -> tuple[Value, ...] | None:
        """Return all values there are, or None if there is no end of them."""
        if self.step is None and not self.whole:
            return None
        step = self.step or 1.0
        count = math.floor((self.high - self.low) / step + 1e-9) + 1
        if count > MOST_CHOICES:
            return None
        found = [self.low + number * step for number in range(count)]
        return tuple(int(value) for value in found) if self.whole else tuple(round(value, 12) for value in found)

    @property
    def text(self) -> str:
        """The line it can be read from."""
        low, high = (_written(value, self.whole) for value in (self.low, self.high))
        step = "" if self.step is None else f" step {_written(self.step, self.whole)}"
        return f"{self.name}={low}..{high}{' log' if self.log else ''}{step}"


@dataclass(frozen=True)
class Either:
    """One of some values."""

    name: str
    choices: tuple[Value, ...]

    def values(self) -> tuple[Value, ...]:
        """Return all values there are."""
        return self.choices

    @property
    def text(self) -> str:
        """The line it can be read from."""
        return f"{self.name}={'|'.join(_plain(choice) for choice in self.choices)}"


Dimension = Between | Either


def parse(line: str) -> Dimension:
    """Read one line.

    Raises:
        InvalidInput: if it says nothing that can be searched.
    """
    name, equals, text = (part.strip() for part in line.partition("="))
    if not equals or not _NAME.fullmatch(name):
        raise InvalidInput(f"{line[:80]!r} is nothing to search. {_EXAMPLE}")
    found = _RANGE.fullmatch(text)
    if found is not None:
        return _between(name, found)
    if ".." in text and "|" not in text:
        raise InvalidInput(f"The range {text[:60]!r} of {name} cannot be read. {_EXAMPLE}")
    choices = tuple(typed(part.strip()) for part in text.split("|"))
    if len(choices) < 2 or "" in choices:
        raise InvalidInput(
            f"{name} has {'an empty choice' if '' in choices and len(choices) > 1 else 'one value'}, and a search "
            f"needs two different ones at least. Set a single value with --param {name}=VALUE. {_EXAMPLE}"
        )
    if len(choices) > MOST_CHOICES or len({(type(one), one) for one in choices}) < len(choices):
        raise InvalidInput(f"The choices of {name} must be different, and {MOST_CHOICES} at most. {_EXAMPLE}")
    return Either(name, choices)


def parse_all(lines: Sequence[str]) -> tuple[Dimension, ...]:
    """Read a search space.

    Raises:
        InvalidInput: if a line cannot be read, there is none, or a name comes twice.
    """
    if not 1 <= len(lines) <= MOST_DIMENSIONS:
        raise InvalidInput(f"A search has 1 to {MOST_DIMENSIONS} settings, not {len(lines)}. {_EXAMPLE}")
    found = tuple(map(parse, lines))
    names = [one.name for one in found]
    for name in names:
        if names.count(name) > 1:
            raise InvalidInput(f"{name!r} is searched twice. Give each setting one line.")
    return found


def written(space: Mapping[str, object]) -> list[str]:
    """Return the lines of a search space that is a mapping: a range as text, choices as a list, ``(low, high)``."""
    lines = []
    for name, meant in space.items():
        if isinstance(meant, tuple) and len(meant) == 2 and all(type(end) in (int, float) for end in meant):
            low, high = (_written(end, isinstance(end, int)) for end in meant)
            lines.append(f"{name}={low}..{high}")
        elif isinstance(meant, Sequence) and not isinstance(meant, str):
            lines.append(f"{name}={'|'.join(_plain(choice) for choice in meant)}")
        else:
            lines.append(f"{name}={meant}")
    return lines


def grid_size(space: Sequence[Dimension]) -> int:
    """Return how many combinations there are.

    Raises:
        InvalidInput: if a range has no step.
    """
    return math.prod(len(values) for values in _all_values(space))


def grid(space: Sequence[Dimension]) -> Iterator[dict[str, Value]]:
    """Iterate over all combinations.

    Raises:
        InvalidInput: if a range has no step.
    """
    names = [one.name for one in space]
    for values in itertools.product(*_all_values(space)):
        yield dict(zip(names, values, strict=True))


def edges(one: Dimension) -> tuple[Value, ...]:
    """Return values to see whether a setting can have what it may get: all choices; ends of a range, and between."""
    if isinstance(one, Either):
        return one.choices
    if one.whole:
        return int(one.low), int(one.high)
    return one.low, one.low + (one.step or (one.high - one.low) / math.pi), one.high


def typed(text: str) -> Value:
    """Read a value by its look: true and false, whole numbers, numbers, else text."""
    if text in ("true", "false"):
        return text == "true"
    if _WHOLE.fullmatch(text):
        return int(text)
    if re.fullmatch(_NUMBER, text) and math.isfinite(float(text)):
        return float(text)
    return text


def _between(name: str, found: re.Match[str]) -> Between:
    low_text, high_text, before, step_text, behind = found.groups()
    log, numbers = bool(before or behind), [low_text, high_text, *([step_text] if step_text else [])]
    whole = all(_WHOLE.fullmatch(number) for number in numbers)
    low, high = float(low_text), float(high_text)
    step = float(step_text) if step_text else None
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise InvalidInput(f"The range of {name} must begin below its end, not {low_text}..{high_text}. {_EXAMPLE}")
    if max(abs(low), abs(high)) >= 1 << 53 and whole:
        raise InvalidInput(f"The range of {name} goes beyond what whole numbers are exact for. Take a smaller one.")
    if log and low <= 0:
        raise InvalidInput(f"'log' needs a range above 0, and that of {name} begins at {low_text}. Begin above 0.")
    if log and step is not None:
        raise InvalidInput(f"{name} can have 'log' or 'step', not both: steps of a log range have no one size.")
    if step is not None and not 0 < step <= high - low:
        raise InvalidInput(f"The step of {name} must be above 0 and fit into the range, not {step_text}. {_EXAMPLE}")
    return Between(name, low, high, whole, log, step)


def _all_values(space: Sequence[Dimension]) -> list[tuple[Value, ...]]:
    found = []
    for one in space:
        values = one.values()
        if values is None:
            raise InvalidInput(
                f"A grid needs the values of {one.name}, and {one.text!r} has no end of them. Give it a step, such as "
                f"'{one.name}=0.1..0.9 step 0.2', or choices, such as {one.name}=0.1|0.3|1."
            )
        found.append(values)
    return found


def _written(value: float, whole: bool) -> str:
    if whole:
        return str(int(value))
    return repr(float(value))


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
