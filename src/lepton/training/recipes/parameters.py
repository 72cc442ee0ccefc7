"""What a recipe may be told, checked against its defaults before anything is learned."""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping, Sequence
from typing import Any

from lepton.core.errors import InvalidInput
from lepton.training.recipes.port import Parameters


def read_parameters(defaults: Mapping[str, Any], given: Parameters) -> dict[str, Any]:
    """Return the defaults with what was asked for put over them.

    The type of a default is the type that is asked for: a whole number is taken where a number is asked for, and a
    list of numbers may be typed as ``64,32`` or, for one, as ``64``. Where the default is None, anything may stand.

    Raises:
        InvalidInput: if a name is not among the defaults, or a value is not of the type of its default.
    """
    read = dict(defaults)
    for name, value in given.items():
        if name not in defaults:
            close = difflib.get_close_matches(name.lower(), list(defaults), n=1, cutoff=0.6)
            meant = f" Did you mean {close[0]}?" if close else ""
            raise InvalidInput(
                f"There is no parameter {name[:80]!r} here.{meant} Choose among: {', '.join(defaults) or 'none'}."
            )
        read[name] = value if defaults[name] is None else _typed(name, value, defaults[name])
    return read


def choose(name: str, value: str, allowed: Sequence[str]) -> str:
    """Return the value of a parameter that is one of a few words.

    Raises:
        InvalidInput: if it is none of them.
    """
    if value not in allowed:
        raise InvalidInput(f"The parameter {name} is {value[:80]!r}. Choose one of: {', '.join(allowed)}.")
    return value


def at_least(name: str, value: float, least: float) -> None:
    """Check a parameter that has a smallest value.

    Raises:
        InvalidInput: if it is smaller.
    """
    if value < least:
        raise InvalidInput(f"The parameter {name} is {value:g}; it must be {least:g} or more.")


def _typed(name: str, value: object, default: object) -> object:
    """Return the value in the type of its default; bool comes first, since it is an int to Python."""
    if isinstance(default, bool):
        if isinstance(value, bool):
            return value
        raise _wrong(name, value, "true or false")
    if isinstance(default, int):
        if isinstance(value, (int, float)) and not isinstance(value, bool) and float(value).is_integer():
            return int(value)
        raise _wrong(name, value, "a whole number")
    if isinstance(default, float):
        if isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value):
            return float(value)
        raise _wrong(name, value, "a number")
    if isinstance(default, str):
        if isinstance(value, str):
            return value
        raise _wrong(name, value, "text")
    if isinstance(default, (tuple, list)):
        return _whole_numbers(name, value)
    return value


def _whole_numbers(name: str, value: object) -> tuple[int, ...]:
    parts = value.split(",") if isinstance(value, str) else value if isinstance(value, (tuple, list)) else (value,)
    try:
        numbers = tuple(int(part) for part in parts if not isinstance(part, (bool, float)))
    except (TypeError, ValueError):
        raise _wrong(name, value, "whole numbers such as 64,32") from None
    if len(numbers) != len(parts):
        raise _wrong(name, value, "whole numbers such as 64,32")
    return numbers


def _wrong(name: str, value: object, wanted: str) -> InvalidInput:
    return InvalidInput(f"The parameter {name} is {str(value)[:80]!r}; it must be {wanted}.")
