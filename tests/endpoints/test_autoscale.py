"""How many workers a load needs, without any worker."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lepton.endpoints.replica.autoscale import (
    HOLD_S,
    Scale,
    Seen,
    Target,
    begin,
    percentile_s,
    seen,
    step,
    within,
    woken,
)
from lepton.endpoints.replica.config import Workers
from lepton.endpoints.replica.link import LATENCY_BOUNDS_S, Load

RANGES = st.tuples(st.integers(0, 8), st.integers(1, 8)).map(lambda ends: Workers(min(ends), max(ends)))
LOADS = st.tuples(st.integers(0, 300), st.floats(0, 12))


def after(scale: Scale, workers: Workers, loads: list[tuple[int, float]], *, start_s: float = 0.0) -> list[Scale]:
    """The decisions, twice a second, when what was wanted a step ago is ready; cpu is limited by what is ready."""
    decided = []
    for number, (pending, cpu) in enumerate(loads):
        ready = scale.wanted
        observed = Seen(ready, pending, min(cpu, float(ready)), requests=int(cpu > 0))
        scale = step(scale, workers, observed, start_s + number / 2)
        decided.append(scale)
    return decided


@given(RANGES, st.lists(LOADS, min_size=1, max_size=200))
def test_there_are_never_fewer_or_more_than_allowed(workers: Workers, loads: list[tuple[int, float]]) -> None:
    for scale in after(begin(workers, 0.0), workers, loads):
        assert workers.min <= scale.wanted <= workers.max


@given(RANGES, LOADS)
def test_under_a_steady_load_their_number_settles_and_is_enough(workers: Workers, load: tuple[int, float]) -> None:
    decided = after(begin(workers, 0.0), workers, [load] * 1200)
    settled = {scale.wanted for scale in decided[-200:]}
    assert len(settled) == 1
    pending, cpu = load
    target = Target()
    needed = max(math.ceil(pending / target.pending), math.ceil(cpu / target.utilization))
    assert settled.pop() >= min(workers.max, max(workers.min, needed))


@given(RANGES, st.lists(LOADS, max_size=100))
def test_one_at_a_time_ends_and_only_after_a_while(workers: Workers, loads: list[tuple[int, float]]) -> None:
    before = begin(workers, 0.0)
    ended_s = -math.inf
    for number, scale in enumerate(after(before, workers, loads)):
        if scale.wanted < before.wanted:
            assert before.wanted - scale.wanted == 1
            assert number / 2 - ended_s >= HOLD_S or ended_s == -math.inf
            assert number / 2 >= HOLD_S
            ended_s = number / 2
        before = scale


def test_more_are_added_at_once_as_many_as_the_load_needs() -> None:
    assert step(begin(Workers(1, 8), 0.0), Workers(1, 8), Seen(1, 80, 0.9), 0.5).wanted == 5


def test_workers_that_are_busy_all_the_time_get_help_one_by_one() -> None:
    decided = after(begin(Workers(1, 4), 0.0), Workers(1, 4), [(1, 100.0)] * 100)
    assert [scale.wanted for scale in decided][-1] == 4
    assert all(later.wanted - earlier.wanted <= 1 for earlier, later in pairwise(decided))


def test_slow_answers_add_a_worker_when_there_is_a_goal_for_them() -> None:
    slow = Seen(1, 1, 0.1, 10, p99_s=0.5)
    assert step(begin(Workers(1, 4), 0.0), Workers(1, 4), slow, 5.0, Target(p99_s=0.1)).wanted == 2
    assert step(begin(Workers(1, 4), 0.0), Workers(1, 4), slow, 5.0).wanted == 1


def test_the_last_ends_when_nobody_has_asked_for_long_enough() -> None:
    workers = Workers(0, 4, idle_s=60.0)
    scale = step(begin(workers, 0.0), workers, Seen(1, 0, 0.0, requests=1), 10.0)
    assert step(scale, workers, Seen(1, 0, 0.0), 69.5).wanted == 1
    assert step(scale, workers, Seen(1, 1, 0.0), 70.5).wanted == 1
    asleep = step(scale, workers, Seen(1, 0, 0.0), 70.5)
    assert asleep.wanted == 0
    assert woken(asleep, 80.0).wanted == 1


def test_another_range_counts_at_once() -> None:
    assert within(begin(Workers(1, 1), 0.0), Workers(3, 4), 1.0).wanted == 3
    assert within(begin(Workers(4, 4), 0.0), Workers(1, 2), 1.0).wanted == 2


def test_what_workers_report_is_summed_up_since_the_last_look() -> None:
    counts = [0] * (len(LATENCY_BOUNDS_S) + 1)
    counts[3] = 99
    before = {1: Load(requests=10, cpu_s=1.0), 9: Load(requests=1000)}
    now = {1: Load(2, 1, 109, 0, 1.3, tuple(counts)), 2: Load(in_flight=1, requests=5, cpu_s=0.1)}
    observed = seen(before, now, 0.5)
    assert (observed.ready, observed.pending, observed.requests) == (2, 3, 104)
    assert observed.cpu == pytest.approx(0.8)
    assert observed.p99_s == LATENCY_BOUNDS_S[3]


@given(st.lists(st.integers(0, 50), min_size=len(LATENCY_BOUNDS_S) + 1, max_size=len(LATENCY_BOUNDS_S) + 1))
def test_a_percentile_has_that_share_at_or_below_it_and_no_smaller_bound_has(counts: list[int]) -> None:
    found = percentile_s(counts, 0.99)
    if not sum(counts):
        assert found is None
        return
    assert found is not None
    bounds = (*LATENCY_BOUNDS_S, math.inf)
    place = bounds.index(found)
    assert sum(counts[:place]) < 0.99 * sum(counts) <= sum(counts[: place + 1])
