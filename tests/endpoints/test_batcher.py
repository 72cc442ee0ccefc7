"""What arrives together is predicted together, and nobody suffers for another's rows."""

from __future__ import annotations

import asyncio
import math
import struct
import threading
import time
from collections.abc import Awaitable, Callable
from typing import Any

import numpy as np
import pytest
from endpoints.models import NUMERIC, TEXTS, FakeRuntime
from hypothesis import given
from hypothesis import strategies as st

from lepton.core.errors import InvalidInput, LeptonError, TooManyRequests
from lepton.endpoints.replica.batcher import Batcher, Cost
from lepton.endpoints.replica.inputs import Inputs, Shape
from lepton.endpoints.replica.outputs import Outputs
from lepton.models.prediction import Arrays


class Asked:
    """A job that keeps what it was told."""

    def __init__(self, *areas: float, deadline: float = math.inf) -> None:
        self.inputs = Inputs(len(areas), b"".join(struct.pack("2d", area, 1.0) for area in areas))
        self.deadline = deadline
        self.expected = [area + 1.0 for area in areas]
        self.values: list[Any] | None = None
        self.error: LeptonError | None = None
        self.told = asyncio.Event()

    def done(self, outputs: Outputs, start: int, stop: int) -> None:
        assert not self.told.is_set()
        self.values = outputs.values("prediction", start, stop)
        self.told.set()

    def fail(self, error: LeptonError) -> None:
        assert not self.told.is_set()
        self.error = error
        self.told.set()


def play(script: Callable[[Batcher, FakeRuntime], Awaitable[None]], runtime: FakeRuntime | None = None) -> FakeRuntime:
    runtime = runtime or FakeRuntime(NUMERIC)

    async def go() -> None:
        batcher = Batcher(runtime, Shape(NUMERIC))
        await script(batcher, runtime)
        batcher.close()

    asyncio.run(go())
    return runtime


@given(st.lists(st.lists(st.integers(0, 9), min_size=1, max_size=20), min_size=1, max_size=12))
def test_everybody_gets_the_own_rows_back_and_no_batch_is_too_large(requests: list[list[int]]) -> None:
    async def script(batcher: Batcher, runtime: FakeRuntime) -> None:
        jobs = [Asked(*map(float, areas)) for areas in requests]
        for job in jobs:
            batcher.submit(job)
        await asyncio.gather(*(job.told.wait() for job in jobs))
        assert [job.values for job in jobs] == [job.expected for job in jobs]
        assert max(runtime.batches) <= runtime.max_rows
        assert sum(runtime.batches) == sum(map(len, requests))
        assert (batcher.queued, batcher.queued_rows) == (0, 0)

    play(script)


def test_requests_of_one_turn_are_one_batch_and_a_lone_one_does_not_wait() -> None:
    async def script(batcher: Batcher, runtime: FakeRuntime) -> None:
        jobs = [Asked(float(n)) for n in range(5)]
        for job in jobs:
            batcher.submit(job)
        await asyncio.sleep(0)
        assert all(job.told.is_set() for job in jobs)
        lone = Asked(3.0)
        batcher.submit(lone)
        await asyncio.sleep(0)
        assert lone.values == [4.0]

    assert play(script).batches == [5, 1]


def test_a_number_that_is_not_allowed_fails_only_its_own_request() -> None:
    async def script(batcher: Batcher, _runtime: FakeRuntime) -> None:
        good, bad, also_good = Asked(1.0), Asked(2.0, math.inf), Asked(3.0)
        for job in (good, bad, also_good):
            batcher.submit(job)
        await asyncio.sleep(0)
        assert isinstance(bad.error, InvalidInput)
        assert "Row 2: column 'area' holds NaN or infinity" in bad.error.message
        assert (good.values, also_good.values) == ([2.0], [4.0])

    play(script)


def test_rows_that_break_the_model_fail_only_their_own_request() -> None:
    async def script(batcher: Batcher, _runtime: FakeRuntime) -> None:
        good, bad = Asked(1.0), Asked(13.0)
        batcher.submit(good)
        batcher.submit(bad)
        await asyncio.sleep(0)
        assert good.values == [2.0]
        assert bad.error is not None
        assert bad.error.message == "Poisoned."

    play(script, FakeRuntime(NUMERIC, poison=13.0))


class SlowRuntime(FakeRuntime):
    """A model that takes its time, until it is let go."""

    def __init__(self) -> None:
        super().__init__(NUMERIC)
        self.go_on = threading.Event()
        self.threads: set[int] = set()

    def predict(self, inputs: Arrays) -> Arrays:
        self.threads.add(threading.get_ident())
        assert self.go_on.wait(10)
        return super().predict(inputs)


def test_slow_models_work_off_the_loop_and_what_arrives_meanwhile_is_the_next_batch() -> None:
    async def script(batcher: Batcher, runtime: FakeRuntime) -> None:
        assert isinstance(runtime, SlowRuntime)
        batcher.learn(1, 0.5)
        first, second, third = Asked(1.0), Asked(2.0), Asked(3.0)
        batcher.submit(first)
        await asyncio.sleep(0)
        assert not first.told.is_set()  # the loop is free
        batcher.submit(second)
        batcher.submit(third)
        runtime.go_on.set()
        await asyncio.gather(*(job.told.wait() for job in (first, second, third)))
        assert runtime.batches == [1, 2]
        assert threading.get_ident() not in runtime.threads

    play(script, SlowRuntime())


def test_who_would_wait_too_long_is_told_at_once() -> None:
    async def script(batcher: Batcher, _runtime: FakeRuntime) -> None:
        batcher.learn(1, 1.5)
        first = Asked(1.0)
        batcher.submit(first)
        with pytest.raises(TooManyRequests):
            batcher.submit(Asked(2.0))
        await first.told.wait()

    play(script)


def test_nothing_is_predicted_for_who_has_stopped_waiting() -> None:
    async def script(batcher: Batcher, _runtime: FakeRuntime) -> None:
        late, patient = Asked(1.0, deadline=time.monotonic() - 1), Asked(2.0)
        batcher.submit(late)
        batcher.submit(patient)
        await asyncio.sleep(0)
        assert isinstance(late.error, TooManyRequests)
        assert patient.values == [3.0]

    assert play(script).batches == [1]


def test_long_texts_are_not_cut_into_words_together() -> None:
    """The matrix of words has rows times the characters of the longest text."""
    texts = ["x" * (5 << 20), "y" * (5 << 20)]
    runtime = FakeRuntime(TEXTS)

    async def go() -> None:
        batcher = Batcher(runtime, Shape(TEXTS))
        told = []
        for text in texts:
            job = Asked()
            job.inputs = Inputs(1, b"", [[text]], len(text))
            job.done = lambda outputs, start, stop: told.append(stop - start)  # type: ignore[method-assign]
            batcher.submit(job)
        await asyncio.sleep(0)
        assert told == [1, 1]

    asyncio.run(go())
    assert runtime.batches == [1, 1]


@given(st.lists(st.tuples(st.integers(1, 5000), st.floats(1e-6, 1)), min_size=1), st.integers(1, 5000))
def test_more_rows_are_never_expected_to_be_cheaper_than_nothing(notes: list[tuple[int, float]], rows: int) -> None:
    cost = Cost()
    assert cost.expected_s(rows) == 0.0
    for known, seconds in notes:
        cost.note(known, seconds)
    expected = cost.expected_s(rows)
    assert 0.0 <= expected < math.inf
    assert not np.isnan(expected)


def test_an_answer_that_cannot_be_written_fails_only_its_own_request() -> None:
    async def script(batcher: Batcher, _runtime: FakeRuntime) -> None:
        first, broken, last = Asked(1.0), Asked(2.0), Asked(3.0)

        def done(_outputs: Outputs, _start: int, _stop: int) -> None:
            raise ZeroDivisionError

        broken.done = done  # type: ignore[method-assign]
        for job in (first, broken, last):
            batcher.submit(job)
        await asyncio.sleep(0)
        assert (first.values, last.values) == ([2.0], [4.0])
        assert broken.error is not None
        assert broken.error.message == "The answer could not be written."

    play(script)
