"""Guessing passwords gets slow."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lepton.access.attempts import Attempts


def test_five_attempts_are_free_and_then_each_wait_is_twice_as_long(clock: Any) -> None:
    attempts = Attempts()
    assert [attempts.begin("ana", clock()).total_seconds() for _ in range(5)] == [0] * 5
    waits = []
    for _ in range(6):
        wait = attempts.begin("ana", clock())
        waits.append(wait.total_seconds())
        clock.now += wait
        assert attempts.begin("ana", clock()).total_seconds() == 0
    assert waits == [1, 2, 4, 8, 16, 32]


def test_waiting_never_takes_longer_than_a_quarter_of_an_hour(clock: Any) -> None:
    attempts = Attempts()
    for _ in range(100):
        clock.now += attempts.begin("ana", clock())
    assert attempts.begin("ana", clock()).total_seconds() <= 900


def test_the_right_password_forgives(clock: Any) -> None:
    attempts = Attempts()
    for _ in range(5):
        attempts.begin("ana", clock())
    attempts.succeeded("ana")
    assert attempts.begin("ana", clock()).total_seconds() == 0


def test_guessing_one_name_does_not_lock_out_another(clock: Any) -> None:
    attempts = Attempts()
    for _ in range(20):
        attempts.begin("ana", clock())
    assert attempts.begin("bo", clock()).total_seconds() == 0


def test_what_is_remembered_is_bounded(clock: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lepton.access.attempts._NAMES_REMEMBERED", 10)
    attempts = Attempts()
    for number in range(100):
        attempts.begin(str(number), clock())
    assert len(attempts._failures) == 10


def test_a_long_name_takes_no_more_room_than_a_short_one(clock: Any) -> None:
    attempts = Attempts()
    for name in ("ana", "ana" * 100_000, "\ud800"):
        attempts.begin(name, clock())
    assert {len(key) for key in attempts._failures} == {32}


@given(st.lists(st.floats(0, 2000), min_size=1, max_size=60))
def test_no_pattern_of_guessing_gets_more_than_its_share(pauses: list[float]) -> None:
    from datetime import UTC, datetime, timedelta

    attempts, now, tried = Attempts(), datetime(2026, 1, 1, tzinfo=UTC), []
    for pause in pauses:
        now += timedelta(seconds=pause)
        if not attempts.begin("ana", now):
            tried.append(now)
    later = tried[5:]
    assert all(after - before >= timedelta(seconds=1) for before, after in zip(tried[4:], later, strict=False))
