"""What people type, turned into values: rows to predict, recipes, shares, parameters, durations."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from lepton.client import Client
from lepton.client.answers import Cell
from lepton.core.errors import Forbidden, InvalidInput

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def rows(arguments: Sequence[str], types: Callable[[], Mapping[str, str]]) -> Sequence[Mapping[str, object]]:
    """Read rows from ``name=value …``, from JSON or from ``@file``.

    Args:
        arguments: What was typed.
        types: Gives the type of each column; asked only for ``name=value``, which alone does not tell 1 from "1".

    Raises:
        InvalidInput: if it is none of the three.
    """
    first = arguments[0]
    if len(arguments) == 1 and first.startswith("@"):
        return _json_rows(_read(first[1:]), first[1:] if first != "@-" else "Standard input")
    if len(arguments) == 1 and first.lstrip()[:1] in ("{", "["):
        return _json_rows(first, "The argument")
    if not all("=" in argument for argument in arguments):
        raise InvalidInput("A row is given as NAME=VALUE …, as JSON, or as @FILE. See: lepton endpoints predict --help")
    known = types()
    return [{name: _typed(text, known.get(name)) for name, text in _split_pairs(arguments)}]


def types_of(client: Client, endpoint: str) -> Mapping[str, str]:
    """Return the type of each column an endpoint takes; nothing for somebody who may only predict."""
    try:
        signature = client.endpoints.get(endpoint).signature
    except Forbidden:
        return {}
    return {column.name: column.type for column in signature.inputs} if signature is not None else {}


def recipe(path: Path) -> Mapping[str, object]:
    """Read cleaning steps from a YAML or JSON file: ``steps: […]``, or the list alone.

    Raises:
        InvalidInput: if the file cannot be read or holds something else.
    """
    import yaml

    try:
        found = yaml.safe_load(path.read_text())
    except (OSError, UnicodeDecodeError):
        raise InvalidInput(f"The recipe {path} cannot be read. Check the path.") from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark is not None else ""
        raise InvalidInput(f"The recipe {path} is neither YAML nor JSON; look{where}.") from None
    steps = found.get("steps") if isinstance(found, dict) else found
    if not isinstance(steps, list):
        raise InvalidInput(f"The recipe {path} has no list of steps. Write: steps: [{{step: drop_duplicates}}]")
    return {"steps": steps}


def workers(text: str) -> int | tuple[int, int]:
    """Read ``2``, or ``0:4`` for the least and the most.

    Raises:
        InvalidInput: if it is neither.
    """
    least, colon, most = text.partition(":")
    if not least.isdecimal() or (colon and not most.isdecimal()):
        raise InvalidInput("--workers takes a number, such as 2, or the least and the most, such as 0:4.")
    return (int(least), int(most)) if colon else int(least)


def shares(parts: Sequence[str]) -> Mapping[str, float]:
    """Read ``train=0.8`` and the like.

    Raises:
        InvalidInput: if one has no name or no number.
    """
    found = {}
    for name, text in _split_pairs(parts):
        share = _typed(text, None)
        if not isinstance(share, int | float) or isinstance(share, bool):
            raise InvalidInput(f"The share of part {name!r} must be a number, for example {name}=0.8.")
        found[name] = float(share)
    return found


def pairs(arguments: Sequence[str]) -> Mapping[str, Cell]:
    """Read ``name=value``, the value as a number, true, false or text.

    Raises:
        InvalidInput: if one has no name.
    """
    return {name: _typed(text, None) for name, text in _split_pairs(arguments)}


def seconds(text: str) -> int:
    """Read a duration such as ``90d``, ``12h``, ``30m`` (or ``30min``) or ``45s``.

    Raises:
        InvalidInput: if it is none.
    """
    match = re.fullmatch(r"([1-9][0-9]{0,8})(s|min|m|h|d)", text)
    if match is None:
        raise InvalidInput(f"{text!r} is no duration. Write a whole number and s, m, h or d, for example 90d.")
    return int(match[1]) * _UNITS[match[2][0]]


def megabytes(text: str) -> int:
    """Read an amount of memory, such as ``512M``, ``16G`` or ``2T``, in MiB.

    Raises:
        InvalidInput: if it is none.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([MGT])(?:i?B)?", text.strip(), re.IGNORECASE)
    if match is None or float(match[1]) == 0:
        raise InvalidInput(f"{text!r} is not an amount of memory. Write it like 512M, 16G or 2T.")
    return math.ceil(float(match[1]) * {"M": 1, "G": 1024, "T": 1024**2}[match[2].upper()])


def _split_pairs(arguments: Sequence[str]) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for argument in arguments:
        name, equals, text = argument.partition("=")
        if not name or not equals:
            raise InvalidInput(f"{argument!r} is not of the form NAME=VALUE.")
        if any(name == other for other, _ in found):
            raise InvalidInput(f"{name!r} is given twice. Give each name once.")
        found.append((name, text))
    return found


def _typed(text: str, kind: str | None) -> Cell:
    """Read a value of a column of type `kind`; None means the type is not known, so its look decides."""
    if kind == "text":
        return text or None
    if text in ("", "null"):
        return None
    if text in ("true", "false"):
        return text == "true"
    for read in (int, float):
        try:
            value = read(text)
        except ValueError:
            continue
        return value if math.isfinite(value) else text
    return text


def _read(name: str) -> str:
    try:
        return sys.stdin.read() if name == "-" else Path(name).read_text()
    except (OSError, UnicodeDecodeError):
        raise InvalidInput(f"The file {name} cannot be read. Check the path.") from None


def _json_rows(text: str, where: str) -> Sequence[Mapping[str, object]]:
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        raise InvalidInput(f"{where} is not JSON: {error.msg} in line {error.lineno}, column {error.colno}.") from None
    if isinstance(found, dict) and isinstance(found.get("rows"), list):
        found = found["rows"]
    rows_found = [found] if isinstance(found, dict) else found
    if not isinstance(rows_found, list) or not all(isinstance(row, dict) for row in rows_found):
        raise InvalidInput(f'{where} does not hold rows. Write one as {{"area": 120}}, or several in a list.')
    return rows_found
