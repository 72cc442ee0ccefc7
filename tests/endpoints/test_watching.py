"""Replicas are asked about once a second, and one that is silent slows nobody."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from lepton.core.errors import Unavailable
from lepton.endpoints.drift import Level
from lepton.endpoints.replica.control import Words
from lepton.endpoints.replica.metrics import Counts
from lepton.endpoints.replica.reports import Report, encode
from lepton.endpoints.watching import SILENT_S, Watching


class FakeReplica:
    """Tells of one deployment, or is silent; counts how often it was asked."""

    def __init__(self) -> None:
        self.counts = Counts()
        self.is_silent = False
        self.asked = 0

    def watch(self) -> Words:
        self.asked += 1
        if self.is_silent:
            raise Unavailable("silent")
        return Words({"0": encode([Report("size", "m@1", self.counts)])}, {})


class FakeClock:
    """Stands still until moved."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def pass_s(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


def test_a_replica_that_is_looked_at_twice_a_second_is_asked_once(clock: FakeClock) -> None:
    watching, replica = Watching(clock), FakeReplica()
    for _ in range(10):
        watching.look({"size": "e"}, replica.watch)
        clock.pass_s(0.5)
    assert replica.asked == 5


def test_what_was_done_of_late_is_known_by_endpoint_and_model(clock: FakeClock) -> None:
    watching, replica = Watching(clock), FakeReplica()
    watching.look({"size": "e"}, replica.watch)
    for status in (200, 200, 503):
        replica.counts.answered(status, 0.002)
    clock.pass_s(3)
    watching.look({"size": "e"}, replica.watch)
    recent = watching.recent("e", "m@1", 30)
    assert (recent.answers, recent.errors) == (3, 1)
    assert watching.recent("other", "m@1", 30).answers == 0
    assert watching.level("e", "m@1") is Level.STABLE
    (measures,) = watching.measures("e", "m@1", frozenset())
    assert (measures.requests, measures.requests_per_s, measures.errors_per_s) == ({200: 2, 503: 1}, 1.0, 1 / 3)
    assert (measures.p50_s, measures.comparison, len(measures.history)) == (0.002, None, 1)
    clock.pass_s(60)
    assert watching.measures("e", "m@1", frozenset())[0].requests_per_s == 0
    assert watching.measures("e", "m@1", frozenset())[0].requests == {200: 2, 503: 1}
    watching.forget("e")
    assert watching.recent("e", "m@1", 30).answers == 0


def test_a_silent_replica_is_put_up_with_and_left_alone_for_a_while(clock: FakeClock) -> None:
    watching, replica = Watching(clock), FakeReplica()
    replica.is_silent = True
    assert watching.look({"size": "e"}, replica.watch) == {}
    clock.pass_s(SILENT_S - 1)
    assert watching.look({"size": "e"}, replica.watch) == {}
    assert replica.asked == 1
    replica.is_silent = False
    clock.pass_s(1)
    watching.look({"size": "e"}, replica.watch)
    assert list(watching.tallies("e")) == ["m@1"]


def test_a_deployment_that_nobody_has_heard_of_is_there_with_nothing(clock: FakeClock) -> None:
    (measures,) = Watching(clock).measures("e", "m@1", frozenset())
    assert (measures.model, measures.requests, measures.p99_s, measures.history) == ("m@1", {}, None, ())
