"""What a program that tracks a run sends at a time, read from JSON and checked. Pure: no SQL, no clock."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

import msgspec

from lepton.core.errors import InvalidInput
from lepton.runs.points import MAX_INT, Points, microseconds

Key = Annotated[str, msgspec.Meta(min_length=1, max_length=250)]
Value = Annotated[str, msgspec.Meta(max_length=8000)]
Whole = Annotated[int, msgspec.Meta(ge=-(2**63), le=MAX_INT)]
Micros = Annotated[int, msgspec.Meta(ge=-62_135_596_800_000_000, le=253_402_300_799_999_999)]


class _Strict(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Point(_Strict, frozen=True):
    """One point; a value that is null is one that was not finite."""

    key: Key
    value: float | None
    step: Whole = 0
    time: datetime | None = None


class Columns(_Strict, frozen=True):
    """Many points of one curve."""

    key: Key
    steps: list[Whole]
    times_us: list[Micros]
    values: list[float | None]


class Batch(_Strict, frozen=True):
    """What is sent at a time.

    Attributes:
        client: Who sends: a name that no other program uses for this run.
        batch: Its number; one that is not higher than the highest of the client was kept before. 0, which only this
            process can say, is the one after the highest.
        after: The highest number of the client that is kept; if it is another, nothing is. None does not care.
        metrics: Points one by one.
        curves: Points by curve, which is faster to read.
        params: Settings of the run.
        tags: Words about the run.
    """

    client: Annotated[str, msgspec.Meta(min_length=1, max_length=64)]
    batch: Annotated[int, msgspec.Meta(ge=1, le=MAX_INT)]
    after: Annotated[int, msgspec.Meta(ge=0, le=MAX_INT)] | None = None
    metrics: list[Point] = []
    curves: list[Columns] = []
    params: dict[Key, Value] = {}
    tags: dict[Key, Value] = {}

    def points(self, now: datetime) -> list[Points]:
        """Return all points by curve; those that do not say when they were measured get `now`."""
        found = [Points(c.key, c.steps, c.times_us, c.values) for c in self.curves if c.steps]
        single: dict[str, tuple[list[int], list[int], list[float | None]]] = {}
        now_us = microseconds(now)
        for point in self.metrics:
            steps, times, values = single.setdefault(point.key, ([], [], []))
            steps.append(point.step)
            times.append(now_us if point.time is None else microseconds(point.time))
            values.append(point.value)
        return [*found, *(Points(key, *columns) for key, columns in single.items())]


_DECODER = msgspec.json.Decoder(Batch)


def decode(body: bytes) -> Batch:
    """Read a batch.

    Raises:
        InvalidInput: if it is not one; says where, and quotes no value.
    """
    try:
        batch = _DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(
            f"The batch is not one: {str(error)[:200]}. See /v1/openapi.json for what is needed."
        ) from None
    for curve in batch.curves:
        if not len(curve.steps) == len(curve.times_us) == len(curve.values):
            raise InvalidInput(
                f"The columns of curve {curve.key[:60]!r} differ in length. Send as many steps as times and values."
            )
    for point in batch.metrics:
        if point.time is not None and point.time.tzinfo is None:
            raise InvalidInput("A time has no time zone. End it with 'Z' or an offset such as '+02:00'.")
    _check_texts([*batch.params.items(), *batch.tags.items()], [p.key for p in batch.metrics + batch.curves])
    return batch


def check_fields(fields: Mapping[str, str]) -> None:
    """Check params or tags that come without a batch.

    Raises:
        InvalidInput: if one cannot be kept.
    """
    try:
        msgspec.convert(dict(fields), dict[Key, Value])
    except msgspec.ValidationError:
        raise InvalidInput("A param or tag has a name of 1 to 250 characters and a value of at most 8,000.") from None
    _check_texts([*fields.items()], [])


def _check_texts(pairs: list[tuple[str, str]], keys: list[str]) -> None:
    for text in [*keys, *(part for pair in pairs for part in pair)]:
        if "\0" in text:  # no text of PostgreSQL holds one
            raise InvalidInput("A name or a value holds the character of number 0. Leave it out.")


BATCH_SCHEMA: dict[str, object] = {
    "type": "object",
    "required": ["client", "batch"],
    "additionalProperties": False,
    "properties": {
        "client": {"type": "string", "description": "A name that no other program uses for this run."},
        "batch": {"type": "integer", "description": "Higher than the one before of the same client."},
        "after": {"type": "integer", "description": "Keep it only if this is the highest number kept; 0 if none is."},
        "metrics": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["key", "value"],
                "properties": {
                    "key": {"type": "string"},
                    "value": {"type": "number", "nullable": True},
                    "step": {"type": "integer"},
                    "time": {"type": "string", "format": "date-time"},
                },
            },
        },
        "curves": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["key", "steps", "times_us", "values"],
                "properties": {
                    "key": {"type": "string"},
                    "steps": {"type": "array", "items": {"type": "integer"}},
                    "times_us": {"type": "array", "items": {"type": "integer"}},
                    "values": {"type": "array", "items": {"type": "number", "nullable": True}},
                },
            },
        },
        "params": {"type": "object", "additionalProperties": {"type": "string"}},
        "tags": {"type": "object", "additionalProperties": {"type": "string"}},
    },
}
"""The same for people: OpenAPI does not read what msgspec does."""
