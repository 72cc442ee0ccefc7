"""A thinned curve keeps its extremes, its ends and its order, and fits."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from lepton.runs.points import Points, pack, unpack
from lepton.runs.thinning import Window, thinned

VALUES = st.lists(st.floats(allow_nan=True, allow_infinity=False, width=32), min_size=1, max_size=300)


def curve(values: list[float], steps: list[int] | None = None) -> bytes:
    steps = list(range(len(values))) if steps is None else steps
    return pack(Points("loss", steps, [step % 1000 for step in steps], values))


def read(data: bytes) -> list[tuple[int, float]]:
    return [(point.step, point.value) for point in unpack("loss", data)]


@given(VALUES, st.integers(4, 60))
def test_it_fits_and_keeps_the_extremes_and_both_ends(values: list[float], most: int) -> None:
    found = read(thinned(curve(values), Window(most)))
    finite = [value for value in values if math.isfinite(value)]
    assert len(found) <= max(most, 4)
    assert [step for step, _ in found] == sorted(step for step, _ in found)
    assert all(value == values[step] or math.isnan(value) for step, value in found)
    if finite:
        shown = [value for _, value in found if math.isfinite(value)]
        assert (min(shown), max(shown)) == (min(finite), max(finite))
        assert shown[0] == finite[0]
        assert shown[-1] == finite[-1]


def test_a_peak_of_one_point_among_a_million_is_seen() -> None:
    values = [0.0] * 1_000_000
    values[765_432] = 1.0
    found = read(thinned(curve(values), Window(500)))
    assert (765_432, 1.0) in found
    assert len(found) <= 500


def test_a_window_has_its_steps_and_one_neighbor_on_each_side() -> None:
    data = curve([float(step) for step in range(0, 100, 10)], list(range(0, 100, 10)))
    assert [step for step, _ in read(thinned(data, Window(first=25, last=50)))] == [20, 30, 40, 50, 60]
    assert [step for step, _ in read(thinned(data, Window(first=25)))] == [20, 30, 40, 50, 60, 70, 80, 90]
    assert [step for step, _ in read(thinned(data, Window(last=15)))] == [0, 10, 20]
    assert [step for step, _ in read(thinned(data, Window(first=1000)))] == [90]


def test_steps_that_came_out_of_order_are_put_in_order() -> None:
    assert read(thinned(curve([3.0, 1.0, 2.0], [3, 1, 2]), Window(100))) == [(1, 1.0), (2, 2.0), (3, 3.0)]


def test_far_steps_and_values_that_are_not_there_are_no_trouble() -> None:
    far = [-(2**63) + 1, 0, 2**63 - 1]
    assert [step for step, _ in read(thinned(curve([1.0, 2.0, 3.0], far), Window(2)))] == [far[0], far[2]]
    assert [step for step, _ in read(thinned(curve([2.0, 1.0, 3.0], far), Window(2)))] == far
    assert read(thinned(curve([math.nan] * 9), Window(2))) == []
    assert thinned(b"", Window(2)) == b""
