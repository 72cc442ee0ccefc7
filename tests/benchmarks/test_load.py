"""The load generator counts what it says it counts."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from benchmarks.servers import FakeServer, running
from benchmarks.serving.load import Load
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

REQUEST = b"POST /%d HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\n\r\n%d"
REQUESTS = [REQUEST % (n, n) for n in range(3)]


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.integers(0, 2**40), min_size=1, max_size=300))
def test_percentiles_of_the_histogram_are_at_most_one_percent_above_the_true_ones(
    load_program: Path, values: list[int]
) -> None:
    lines = "\n".join(map(str, values))
    printed = subprocess.run([load_program, "--percentiles"], input=lines, capture_output=True, text=True, check=True)
    found = json.loads(printed.stdout)
    for name, share in (("p50_ns", 50), ("p90_ns", 90), ("p99_ns", 99), ("p999_ns", 99.9)):
        true = np.percentile(values, share, method="inverted_cdf")
        assert true <= found[name] <= true * 1.008 + 1, name  # 128 steps an octave
    assert found["max_ns"] == max(values)
    assert found["mean_ns"] == pytest.approx(np.mean(values), abs=1)


def test_the_closed_loop_asks_again_as_soon_as_it_is_answered(load_program: Path) -> None:
    with (
        running(FakeServer()) as server,
        Load(load_program, REQUESTS, port=server.port, connections=2, seconds=0.2) as load,
    ):
        warm = load.warm(0.05)
        result = load.go()
        samples = list(load.samples())
    assert warm.answered > 0
    assert server.answered == warm.answered + result.answered
    assert (result.errors, result.wrong_status, result.unanswered) == (0, 0, 0)
    assert result.seconds >= 0.2
    assert set(server.bodies) == {b"0", b"1", b"2"}
    assert {sample.body for sample in samples} == {b"hello"}
    assert {sample.request for sample in samples} == {0, 1, 2}


def test_an_answer_in_chunks_is_read_whole(load_program: Path) -> None:
    with (
        running(FakeServer(chunked=True)) as server,
        Load(load_program, REQUESTS, port=server.port, connections=1, seconds=0.1) as load,
    ):
        result = load.go()
    assert result.answered == server.answered > 1
    assert (result.errors, result.reconnects) == (0, 0)


def test_every_answer_that_is_not_200_is_counted(load_program: Path) -> None:
    with (
        running(FakeServer(status=503)) as server,
        Load(load_program, REQUESTS, port=server.port, connections=1, seconds=0.1) as load,
    ):
        result = load.go()
    assert result.wrong_status == result.answered > 1
    assert result.last_status == 503


def test_the_open_loop_keeps_its_rate(load_program: Path) -> None:
    with (
        running(FakeServer()) as server,
        Load(load_program, REQUESTS, port=server.port, connections=4, seconds=0.5, rate=200) as load,
    ):
        result = load.go()
    assert result.answered + result.unanswered == 100


def test_a_stall_is_seen_by_every_request_that_was_due_meanwhile(load_program: Path) -> None:
    # 200 requests a second for 1 s, and the server sleeps for 0.5 s: half of the requests were due while it slept, and
    # wait 0.25 s at the median of that half. A generator that only times what it sent would report one slow answer a
    # connection: a p90 far below 0.3 s.
    stalling = FakeServer(stall_s=0.5, stall_at=20)
    with (
        running(stalling) as server,
        Load(load_program, REQUESTS, port=server.port, connections=2, seconds=1.0, rate=200) as load,
    ):
        result = load.go()
    assert result.answered + result.unanswered == 200
    assert result.max_ns >= 0.49e9
    assert result.p90_ns >= 0.35e9
    assert result.mean_ns >= 0.5 * 0.25 * 0.9e9


def test_a_server_that_never_answers_again_does_not_look_fast(load_program: Path) -> None:
    stalling = FakeServer(stall_s=60, stall_at=5)
    with (
        running(stalling) as server,
        Load(load_program, REQUESTS, port=server.port, connections=2, seconds=0.5, rate=100, patience_s=0.5) as load,
    ):
        result = load.go()
    assert result.answered == 5
    assert result.unanswered == 45
    assert result.p50_ns >= 0.7e9  # those due in the middle waited from 0.25 s until the generator gave up at 1 s


def test_an_answer_to_nothing_that_was_asked_is_counted(load_program: Path) -> None:
    with (
        running(FakeServer(answers=2)) as server,
        Load(load_program, REQUESTS, port=server.port, connections=1, seconds=0.1) as load,
    ):
        result = load.go()
    assert result.surplus > 0
