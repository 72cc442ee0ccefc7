"""What an endpoint bounds, over the real server: rates, predictions at one time, and how long anybody waits."""

from __future__ import annotations

import asyncio
import http.client
import json
import time
import timeit
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from endpoints.models import NUMERIC, FakeRuntime, shape_of
from endpoints.serving_here import Here, deployment, serving, tokens

from lepton.core.errors import LeptonError, TooManyRequests
from lepton.endpoints.replica.batcher import Batcher
from lepton.endpoints.replica.config import Limits
from lepton.endpoints.replica.inputs import Inputs
from lepton.endpoints.replica.outputs import Outputs
from lepton.endpoints.replica.rates import Gate
from lepton.endpoints.replica.served import Call, Served
from lepton.endpoints.replica.traffic import Traffic
from lepton.models.prediction import Arrays

ROW = json.dumps([{"area": 1.0, "rooms": 2.0}]).encode()


class FakeClock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


class FakeSlowRuntime(FakeRuntime):
    """A model that takes a while for every run, however many its rows."""

    def __init__(self, seconds: float, *, max_rows: int = 8) -> None:
        super().__init__(NUMERIC, max_rows=max_rows)
        self._seconds = seconds

    def predict(self, inputs: Arrays) -> Arrays:
        time.sleep(self._seconds)  # the model's own work, in its own thread
        return super().predict(inputs)


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Here]:
    with serving(tmp_path_factory.mktemp("limits"), prices=NUMERIC) as found:
        yield found


def ask(here: Here, body: bytes = ROW, method: str = "POST", path: str = "/predict/prices") -> tuple[int, Any, Any]:
    connection = http.client.HTTPConnection(here.address, timeout=20)
    try:
        connection.request(method, path, body, {"Authorization": "Bearer good"})
        response = connection.getresponse()
        return response.status, response.headers, json.loads(response.read())
    finally:
        connection.close()


def test_beyond_the_rate_comes_429_in_the_one_shape_with_retry_after_and_is_counted(here: Here) -> None:
    (traffic,) = here.traffic
    clock = FakeClock()
    before = traffic.main.counts.limited
    traffic.gate = Gate(Limits(max_rate=2, max_token_rate=0), clock)
    try:
        assert [ask(here)[0] for _ in range(2)] == [200, 200]
        status, headers, body = ask(here)
        assert (status, headers["Retry-After"], body["error"]["code"]) == (429, "1", "too_many_requests")
        assert "max_rate" in body["error"]["message"]
        assert ask(here, b"", "GET", "/predict/prices/openapi.json")[0] == 200  # only predictions count
        assert ask(here, path="/v2/models/prices/infer")[2]["code"] == "too_many_requests"
        assert traffic.main.counts.limited == before + 2
        clock.now_s += 0.5
        assert ask(here)[0] == 200
    finally:
        traffic.gate = None


def test_more_predictions_at_a_time_than_allowed_get_429_and_room_is_made_by_answers_and_refusals(here: Here) -> None:
    (traffic,) = here.traffic
    traffic.gate = gate = Gate(Limits(max_concurrency=1))
    try:
        gate.enter()  # somebody else is being answered
        status, headers, body = ask(here)
        assert (status, headers["Retry-After"], "max_concurrency" in body["error"]["message"]) == (429, "1", True)
        gate.leave()
        for _ in range(3):
            assert ask(here)[0] == 200
            assert ask(here, b'[{"area": "wide", "rooms": 1}]')[0] == 400
    finally:
        traffic.gate = None


def test_a_slow_model_refuses_at_once_what_it_could_not_answer_in_time() -> None:
    """400 requests of 2 rows come in a second, and 8 rows take 0.05 s: 5 s of work, of which half a second may wait."""
    seconds, most_wait_s, answered, refused = 0.05, 0.5, [], Counter[str]()

    async def overload() -> float:
        batcher = Batcher(FakeSlowRuntime(seconds), shape_of(NUMERIC), max_wait_s=most_wait_s)
        batcher.warm_up()
        left = 400
        over = asyncio.Event()
        slowest_refusal_s = 0.0

        def ended() -> None:
            nonlocal left
            left -= 1
            if not left:
                over.set()

        def call() -> Call:
            began = time.perf_counter()

            def done(_outputs: Outputs, _start: int, _stop: int) -> None:
                answered.append(time.perf_counter() - began)
                ended()

            def fail(error: LeptonError) -> None:
                refused[error.message] += 1
                ended()

            return Call(Inputs(2, b"\0" * 32), done, fail)

        for _ in range(400):
            came = time.perf_counter()
            try:
                batcher.submit(call())
            except TooManyRequests as error:
                slowest_refusal_s = max(slowest_refusal_s, time.perf_counter() - came)
                refused[error.message] += 1
                ended()
            await asyncio.sleep(0.002)
        await asyncio.wait_for(over.wait(), 30)
        batcher.close()
        return slowest_refusal_s

    slowest_refusal_s = asyncio.run(overload())
    assert len(answered) + refused.total() == 400
    assert len(answered) >= 40
    assert refused.total() >= 40
    assert all("More predictions are waiting" in message for message in refused)
    # The batch that runs is not among what is waited for, and the machine may be busy with something else.
    assert sorted(answered)[int(0.95 * len(answered))] < most_wait_s + 2 * seconds + 0.2
    assert slowest_refusal_s < 0.05


def test_an_endpoint_without_limits_pays_under_a_third_of_a_microsecond(tmp_path: Path) -> None:
    """The look before the body and the way through `Traffic.submit`, against going to the batcher directly."""

    class FakeBatcher:
        """Takes jobs and forgets them."""

        def submit(self, job: object) -> None:
            """Do nothing."""

        def close(self) -> None:
            """Do nothing."""

    async def made() -> float:
        traffic = Traffic([Served(deployment(tmp_path, NUMERIC, "prices"))], tokens())
        traffic.close()
        served: Any = traffic.main
        served.batcher = FakeBatcher()
        known = {"traffic": traffic, "served": served, "call": None}
        through = timeit.repeat("traffic.gate is not None; traffic.submit(served, call)", globals=known, number=20_000)
        directly = timeit.repeat("served.batcher.submit(call)", globals=known, number=20_000)
        return (min(through) - min(directly)) / 20_000

    assert asyncio.run(made()) < 0.3e-6
