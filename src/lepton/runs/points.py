"""Points of curves as bytes that can be put one behind the other, and what is known of a curve without reading them.

A point is 24 bytes, little-endian: step (int64), time (int64, µs since 1970 in UTC), value (float64; NaN stands for
every value that is not finite). No SQL, no clock.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from lepton.runs.records import MetricPoint

POINT_BYTES = 24
CHUNK_POINTS = 64
"""So many points, or more that came at once, are put away together; fewer wait in the row of their curve."""
MAX_INT = 2**63 - 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NAN = float("nan")


@dataclass(frozen=True)
class Points:
    """Some points of one curve, in the order in which they were measured; the three have one length."""

    key: str
    steps: Sequence[int]
    times_us: Sequence[int]
    values: Sequence[float | None]


@dataclass(frozen=True)
class Curve:
    """What is known of a curve at once.

    Attributes:
        last_value: Value at the highest step, the later one of two; None if it was not finite.
        min_value: Smallest finite value, None if there is none.
        max_value: Largest finite value, None if there is none.
        points: How many there are.
    """

    last_step: int
    last_time_us: int
    last_value: float | None
    min_value: float | None
    max_value: float | None
    points: int


def microseconds(moment: datetime) -> int:
    """Return a moment as µs since 1970."""
    return (moment - _EPOCH) // timedelta(microseconds=1)


def moment(time_us: int) -> datetime:
    """Return what `microseconds` was given."""
    return _EPOCH + timedelta(microseconds=time_us)


def by_key(points: Sequence[MetricPoint]) -> list[Points]:
    """Sort points into curves; the order within each stays."""
    curves: dict[str, tuple[list[int], list[int], list[float | None]]] = {}
    for point in points:
        steps, times, values = curves.setdefault(point.key, ([], [], []))
        steps.append(point.step)
        times.append(microseconds(point.time))
        values.append(point.value)
    return [Points(key, *columns) for key, columns in curves.items()]


def pack(points: Points) -> bytes:
    """Write points as bytes."""
    flat: list[int | float] = [0] * (3 * len(points.steps))
    flat[0::3] = points.steps
    flat[1::3] = points.times_us
    flat[2::3] = [_NAN if v is None or v - v != 0 else v for v in points.values]
    return struct.pack("<" + "qqd" * len(points.steps), *flat)


def unpack(key: str, data: bytes) -> Iterator[MetricPoint]:
    """Read what `pack` wrote, once or several times one behind the other."""
    for step, time_us, value in struct.iter_unpack("<qqd", data):
        yield MetricPoint(key, step, moment(time_us), value)


def extended(curve: Curve | None, points: Points) -> Curve:
    """Return what is known of a curve with more points at its end."""
    top = max(points.steps)
    at = len(points.steps) - 1 - points.steps[::-1].index(top) if top != points.steps[-1] else len(points.steps) - 1
    last = (top, points.times_us[at], points.values[at])
    if curve is not None and curve.last_step > top:
        last = (curve.last_step, curve.last_time_us, curve.last_value)
    finite = [v for v in points.values if v is not None and v - v == 0]
    known = [] if curve is None else [v for v in (curve.min_value, curve.max_value) if v is not None]
    return Curve(
        last_step=last[0],
        last_time_us=last[1],
        last_value=last[2] if last[2] is not None and last[2] - last[2] == 0 else None,
        min_value=min([*finite, *known], default=None),
        max_value=max([*finite, *known], default=None),
        points=len(points.steps) + (curve.points if curve is not None else 0),
    )
