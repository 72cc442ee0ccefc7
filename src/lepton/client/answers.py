"""What the platform answers, turned from JSON into frozen dataclasses that also keep the body as it came.

The records themselves live beside their verbs: ``datasets.py``, ``runs.py``, ``models.py``, ``endpoints.py``.
"""

from __future__ import annotations

import dataclasses
import types
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import TypeVar, Union, cast, get_args, get_origin, get_type_hints

import orjson

from lepton.core.errors import Internal

T = TypeVar("T")
Cell = str | int | float | bool | None
"""One value of a table as JSON carries it."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What every answer has.

    Attributes:
        body: The JSON exactly as the platform sent it; empty on records that came inside another answer.
    """

    body: bytes = field(default=b"", repr=False, compare=False)


class Items(list[T]):
    """A list that keeps the JSON it came from in ``body``."""

    def __init__(self, items: list[T], body: bytes) -> None:
        super().__init__(items)
        self.body = body


class _MismatchError(Exception):
    """The JSON does not have the shape that the record needs; the text is the place."""


def decode(kind: type[T], body: bytes) -> T:
    """Build a record from a JSON body.

    Keys the record does not know are skipped, so that an older client understands a newer platform.

    Raises:
        Internal: if the body lacks what the record needs.
    """
    value = _parse(kind.__name__, body)
    try:
        record = _value(kind, value, kind.__name__)
    except _MismatchError as mismatch:
        raise _not_understood(str(mismatch)) from None
    if isinstance(record, Answer):
        object.__setattr__(record, "body", body)
    return cast(T, record)


def decode_items(kind: type[T], body: bytes) -> Items[T]:
    """Build the records of a ``{"items": […]}`` body.

    Raises:
        Internal: if the body lacks what the records need.
    """
    value = _parse("items", body)
    items = value.get("items") if isinstance(value, dict) else None
    if not isinstance(items, list):
        raise _not_understood("items")
    try:
        return Items([cast(T, _value(kind, item, f"{kind.__name__}[{i}]")) for i, item in enumerate(items)], body)
    except _MismatchError as mismatch:
        raise _not_understood(str(mismatch)) from None


def _parse(what: str, body: bytes) -> object:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        raise _not_understood(what) from None


def _not_understood(place: str) -> Internal:
    return Internal(
        f"The platform's answer was not understood ({place} is missing or of another type). "
        "The client and the platform may have different versions; compare: lepton version"
    )


@cache
def _fields(kind: type) -> tuple[tuple[str, str, object, bool], ...]:
    """Name, JSON key, type and whether it may be absent, of each field of a record."""
    hints = get_type_hints(kind)
    return tuple(
        (f.name, f.metadata.get("json", f.name), hints[f.name], _has_default(f))
        for f in dataclasses.fields(kind)
        if f.name != "body"
    )


def _has_default(f: dataclasses.Field[object]) -> bool:
    return f.default is not dataclasses.MISSING or f.default_factory is not dataclasses.MISSING


def _record(kind: type, value: object, place: str) -> object:
    if not isinstance(value, dict):
        raise _MismatchError(place)
    arguments = {}
    for name, key, hint, optional in _fields(kind):
        if key in value:
            arguments[name] = _value(hint, value[key], f"{place}.{key}")
        elif not optional:
            raise _MismatchError(f"{place}.{key}")
    return kind(**arguments)


def _value(hint: object, value: object, place: str) -> object:
    if hint is object:
        return value
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return _union(get_args(hint), value, place)
    if origin is tuple:
        if not isinstance(value, list):
            raise _MismatchError(place)
        return tuple(_value(get_args(hint)[0], item, f"{place}[{i}]") for i, item in enumerate(value))
    if origin is Mapping:
        if not isinstance(value, dict):
            raise _MismatchError(place)
        return {key: _value(get_args(hint)[1], item, f"{place}.{key}") for key, item in value.items()}
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        return _record(hint, value, place)
    return _scalar(hint, value, place)


def _union(kinds: tuple[object, ...], value: object, place: str) -> object:
    if value is None and type(None) in kinds:
        return None
    for kind in kinds:
        try:
            return _value(kind, value, place)
        except _MismatchError:
            continue
    raise _MismatchError(place)


def _scalar(hint: object, value: object, place: str) -> object:
    if hint is datetime and isinstance(value, str):
        try:
            return datetime.fromisoformat(value)
        except ValueError:
            raise _MismatchError(place) from None
    if hint is float and type(value) is int:
        return float(value)
    if type(value) is hint:  # not isinstance: True is no number here
        return value
    raise _MismatchError(place)
