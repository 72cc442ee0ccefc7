"""Fewer points of a curve that look the same: of each stretch of steps, the lowest and the highest. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from lepton.runs.points import POINT_BYTES


@dataclass(frozen=True)
class Window:
    """Which part of a curve is wanted.

    Attributes:
        points: About so many at most, in how many there are; None: all.
        first: Step at which it begins; None: the first there is. The last point before it is kept, as lines lead to it.
        last: Step at which it ends; None: the last there is. The first point behind it is kept.
    """

    points: int | None = None
    first: int | None = None
    last: int | None = None


def thinned(data: bytes, window: Window) -> bytes:
    """Return the part of a curve that is wanted, in the order of its steps.

    Of as many stretches of equal length as are half the points, the lowest and the highest value stay, with their own
    steps and times, and so do both ends. Values that are not finite are left out when there is more than fits.

    Args:
        data: Points as `lepton.runs.points.pack` writes them, in any order.
        window: What is wanted.
    """
    import numpy as np

    points = np.frombuffer(data, dtype=[("step", "<i8"), ("time", "<i8"), ("value", "<f8")])
    assert points.itemsize == POINT_BYTES
    steps = points["step"]
    if (steps[1:] < steps[:-1]).any():
        points = points[np.argsort(steps, kind="stable")]
        steps = points["step"]
    begin = 0 if window.first is None else max(int(np.searchsorted(steps, window.first, "left")) - 1, 0)
    end = len(points) if window.last is None else int(np.searchsorted(steps, window.last, "right")) + 1
    points = points[begin:end]
    if window.points is None or len(points) <= window.points:
        return bytes(points.tobytes())
    points = points[np.isfinite(points["value"])]
    if len(points) <= window.points:
        return bytes(points.tobytes())
    # Steps rise, so that a stretch is a slice; its bounds are found without looking at each point.
    steps, values = points["step"], np.ascontiguousarray(points["value"])
    bounds = np.linspace(float(steps[0]), float(steps[-1]), max(window.points // 2 - 1, 1) + 1)[1:-1]
    starts = [0, *np.searchsorted(steps, bounds).tolist(), len(points)]
    kept = {0, len(points) - 1}
    for start, stop in pairwise(starts):
        if start < stop:
            kept |= {start + int(values[start:stop].argmin()), start + int(values[start:stop].argmax())}
    return bytes(points[sorted(kept)].tobytes())
