"""Rates hold over any stretch of time; a worker holds its share of them; what is over makes room."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lepton.core.errors import InvalidInput, TooManyRequests
from lepton.endpoints.replica import rates
from lepton.endpoints.replica.config import Limits
from lepton.endpoints.replica.rates import Gate, gate_of

PAUSES = st.lists(st.floats(0.0, 3.0), min_size=1, max_size=80)


class FakeClock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


def allowed(gate: Gate, clock: FakeClock, pauses: list[float], header: bytes = b"Bearer a") -> list[float]:
    """When requests were let in that came after these pauses."""
    found = []
    for pause in pauses:
        clock.now_s += pause
        if gate.refusal(header) is None:
            found.append(clock.now_s)
    return found


@given(st.floats(0.1, 20.0), st.floats(0.05, 1.0), PAUSES)
def test_no_stretch_of_time_lets_in_more_than_its_rate_and_one_second_at_once(
    rate: float, share: float, pauses: list[float]
) -> None:
    clock = FakeClock()
    gate = Gate(Limits(max_rate=rate), clock)
    gate.share(share)
    times = allowed(gate, clock, pauses)
    for first, last in itertools.combinations_with_replacement(range(len(times)), 2):
        span_s = times[last] - times[first]
        assert last - first + 1 <= max(1.0, rate * share) + span_s * rate * share + 1e-6


@given(st.floats(0.1, 20.0), PAUSES)
def test_who_waits_as_long_as_the_refusal_says_is_let_in(rate: float, pauses: list[float]) -> None:
    clock = FakeClock()
    gate = Gate(Limits(max_token_rate=rate), clock)
    for pause in pauses:
        clock.now_s += pause
        refusal = gate.refusal(b"Bearer a")
        if refusal is not None:
            assert refusal.retry_after_s >= 1
            clock.now_s += refusal.retry_after_s
            assert gate.refusal(b"Bearer a") is None


def test_one_token_does_not_use_up_what_others_may_ask_and_is_one_however_it_is_written() -> None:
    gate = Gate(Limits(max_token_rate=2), FakeClock())
    assert [gate.refusal(b"Bearer a") is None for _ in range(2)] == [True, True]
    refusal = gate.refusal(b"bearer   a ")
    assert refusal is not None
    assert "max_token_rate" in refusal.message
    assert gate.refusal(b"Bearer b") is None


def test_a_request_that_the_token_may_not_make_costs_the_others_nothing() -> None:
    gate = Gate(Limits(max_rate=3, max_token_rate=1), FakeClock())
    assert gate.refusal(b"Bearer a") is None
    assert all(gate.refusal(b"Bearer a") is not None for _ in range(20))
    assert gate.refusal(b"Bearer b") is None
    assert gate.refusal(b"Bearer c") is None
    refusal = gate.refusal(b"Bearer d")
    assert refusal is not None
    assert "max_rate" in refusal.message


def test_tokens_that_have_not_asked_for_a_while_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates, "MOST_TOKENS", 5)
    clock = FakeClock()
    gate = Gate(Limits(max_token_rate=1), clock)
    for number in range(5):
        assert gate.refusal(b"Bearer %d" % number) is None
    clock.now_s += 1.0
    assert gate.refusal(b"Bearer 5") is None
    assert len(gate._by_token) == 1


@given(st.integers(1, 20), st.floats(0.01, 1.0), st.lists(st.booleans(), max_size=60))
def test_never_more_predictions_at_a_time_than_this_workers_share(most: int, share: float, steps: list[bool]) -> None:
    gate = Gate(Limits(max_concurrency=most), FakeClock())
    gate.share(share)
    inside = 0
    for comes in steps:
        if comes:
            try:
                gate.enter()
            except TooManyRequests:
                assert inside >= most * share
            else:
                inside += 1
        elif inside:
            gate.leave()
            inside -= 1
        assert inside <= max(1, most * share + 1)


def test_without_limits_there_is_no_gate_and_zero_is_no_limit() -> None:
    assert gate_of(Limits()) is None
    assert gate_of(Limits(0, 0, 0)) is None
    assert gate_of(Limits(max_concurrency=1)) is not None


def test_a_limit_that_is_not_said_stays_as_it_was() -> None:
    assert Limits(max_rate=5).over(Limits(1, 2, 3)) == Limits(5, 2, 3)
    assert Limits(max_rate=0).over(Limits(1, 2, 3)) == Limits(0, 2, 3)


@pytest.mark.parametrize("wrong", [-1.0, float("nan"), float("inf"), 0.001])
def test_a_limit_that_is_none_is_refused(wrong: float) -> None:
    with pytest.raises(InvalidInput, match=r"must be from 0\.01 to 1,000,000, or 0 for none"):
        Limits(max_rate=wrong)
