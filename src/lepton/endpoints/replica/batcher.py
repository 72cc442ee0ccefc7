"""Micro-batching: what arrives in one turn of the event loop is predicted together. No timer, so nobody waits idle.

While the model works off the loop, requests gather and make the next batch. Never more rows than the model's maximum.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Protocol

import numpy as np

from lepton.core.errors import Internal, InvalidInput, LeptonError, TooManyRequests, Unavailable
from lepton.endpoints.replica.inputs import Inputs, Shape
from lepton.endpoints.replica.outputs import Outputs
from lepton.endpoints.replica.runtime import Runtime
from lepton.models.prediction import Arrays
from lepton.models.values import TEXT_BUDGET

OFFLOAD_S = 0.001
"""Batches that are expected to take longer run in a thread, so that the loop goes on reading and answering."""


class Job(Protocol):
    """One request that waits for its rows to be predicted."""

    inputs: Inputs
    deadline: float
    """By `time.monotonic`, when nobody waits for the answer any more; infinite if there is no such moment."""

    def done(self, outputs: Outputs, start: int, stop: int) -> None:
        """Take the answer: rows `start` to `stop` of a batch."""

    def fail(self, error: LeptonError) -> None:
        """Take the reason why there is none."""


Ran = tuple[Outputs | LeptonError, float]
"""What a run of the model gave, and the seconds it took."""
Result = tuple[Sequence[Job], int, Ran]
"""Jobs that were predicted together, their rows, and what came of it."""


class Cost:
    """How long a batch takes by its number of rows: running means for each power of two, of seconds and of rows."""

    def __init__(self) -> None:
        self._means: list[float] = []
        self._rows: list[float] = []

    def note(self, rows: int, seconds: float) -> None:
        """Take one more measurement into account."""
        power = rows.bit_length()
        while len(self._means) <= power:
            self._means.append(0.0)
            self._rows.append(0.0)
        known = self._means[power]
        share = 1.0 if known == 0.0 else 0.1
        # Twice the mean at most: a batch during which the machine was busy elsewhere says little about the next.
        self._means[power] = known + share * (min(seconds, 2 * known or seconds) - known)
        self._rows[power] += share * (rows - self._rows[power])

    def expected_s(self, rows: int) -> float:
        """How long a batch of so many rows will take, by those of its size or the next smaller."""
        power = rows.bit_length()
        for near in range(min(power, len(self._means) - 1), 0, -1):
            if self._means[near]:
                return self._means[near] * max(1.0, rows / self._rows[near])
        return 0.0


class Batcher:
    """Predicts jobs in batches, on one model.

    Args:
        runtime: The model.
        shape: How its rows lie in memory.
        max_wait_s: A job that would have to wait longer is refused at once.
        observe: Called with the rows and the seconds of every batch.
    """

    def __init__(
        self,
        runtime: Runtime,
        shape: Shape,
        *,
        max_wait_s: float = 2.0,
        observe: Callable[[int, float], None] = lambda _rows, _seconds: None,
    ) -> None:
        self._runtime = runtime
        self._shape = shape
        self._max_wait_s = max_wait_s
        self._observe = observe
        self._loop = asyncio.get_running_loop()
        self._jobs: deque[Job] = deque()
        self._turn_is_due = False
        self._busy = False
        self._threads: ThreadPoolExecutor | None = None
        self.cost = Cost()
        self._most_queued = 0
        """Rows that may wait, 0 if that has to be found out: of costs that change with every batch."""
        self.queued_rows = 0

    @property
    def queued(self) -> int:
        """Requests that wait."""
        return len(self._jobs)

    def submit(self, job: Job) -> None:
        """Predict a job with the others of this turn; `done` or `fail` is called once, from the loop.

        Raises:
            TooManyRequests: if it would have to wait too long.
        """
        if self.queued_rows and self.queued_rows >= self._allowed_rows():
            raise TooManyRequests(
                "More predictions are waiting than can be made in time. Try again in a second, or add workers."
            )
        self._jobs.append(job)
        self.queued_rows += job.inputs.rows
        if not self._turn_is_due and not self._busy:
            self._turn_is_due = True
            self._loop.call_soon(self._turn)

    def warm_up(self) -> None:
        """Run the model on rows without meaning: the first request is as fast as the next, and costs are known."""
        for rows in (1, 1, 2, 16, 64):
            inputs = Inputs(
                rows, b"\0" * (8 * self._shape.width * rows), [[""] * rows] * len(self._shape.signature.texts)
            )
            result, seconds = self._run(self._shape.arrays([inputs]))
            if isinstance(result, LeptonError):
                raise result
            self.learn(rows, seconds)

    def close(self) -> None:
        """Let go of the thread and the model; jobs that wait are not answered any more."""
        if self._threads is None:
            self._runtime.close()
        else:
            self._threads.submit(self._runtime.close)  # behind the batch that it may be at
            self._threads.shutdown(wait=False)

    def learn(self, rows: int, seconds: float) -> None:
        """Learn from a batch how long the next will take, and with that how many rows may wait."""
        self.cost.note(rows, seconds)
        self._most_queued = 0

    def _allowed_rows(self) -> int:
        """Return how many rows may wait; more would wait longer than is allowed, as far as it is known."""
        if not self._most_queued:
            most = self._runtime.max_rows
            batches = self._max_wait_s / max(self.cost.expected_s(most), 1e-9)
            self._most_queued = max(1, int(batches * most))
        return self._most_queued

    def _turn(self) -> None:
        self._turn_is_due = False
        while self._jobs and not self._busy:
            jobs, rows = self._take()
            if not jobs:
                continue
            try:
                parts = [job.inputs for job in jobs]
                arrays = self._shape.arrays(parts)
                if not self._shape.fits(arrays, is_finite=all(part.is_finite for part in parts)):
                    jobs, rows = self._without_wrong(jobs)
                    if not jobs:
                        continue
                    arrays = self._shape.arrays([job.inputs for job in jobs])
            except Exception:  # noqa: BLE001 - an edge: one odd request must not take the worker with it
                _fail(jobs, Internal("The rows could not be put together. Nothing was predicted."))
                continue
            if self._runtime.off_loop or self.cost.expected_s(rows) > OFFLOAD_S:
                self._offload(jobs, rows, arrays)
            else:
                self._finish(self._predict(jobs, rows, arrays))

    def _take(self) -> tuple[list[Job], int]:
        """Take as many jobs as make a batch; those nobody waits for any more are dropped."""
        most = self._runtime.max_rows
        now = time.monotonic()
        taken: list[Job] = []
        rows = longest = 0
        while self._jobs:
            job = self._jobs[0]
            inputs = job.inputs
            if job.deadline < now:
                self._jobs.popleft()
                self.queued_rows -= inputs.rows
                job.fail(TooManyRequests("The prediction could not be made before its deadline. Try again."))
                continue
            longest = max(longest, inputs.longest)
            if taken and (rows + inputs.rows > most or (rows + inputs.rows) * longest > TEXT_BUDGET):
                break
            taken.append(job)
            rows += inputs.rows
            self._jobs.popleft()
        self.queued_rows -= rows
        return taken, rows

    def _without_wrong(self, jobs: Sequence[Job]) -> tuple[list[Job], int]:
        """Fail the jobs whose numbers are not allowed and return the others."""
        good: list[Job] = []
        for job in jobs:
            try:
                self._shape.check(job.inputs)
            except InvalidInput as error:
                job.fail(error)
            else:
                good.append(job)
        return good, sum(job.inputs.rows for job in good)

    def _predict(self, jobs: Sequence[Job], rows: int, arrays: Arrays) -> list[Result]:
        """Predict jobs together, or each alone if one of them breaks the batch; safe in any thread."""
        ran = self._run(arrays)
        if len(jobs) == 1 or not isinstance(ran[0], LeptonError) or isinstance(ran[0], Unavailable):
            return [(jobs, rows, ran)]
        return [([job], job.inputs.rows, self._run(self._shape.arrays([job.inputs]))) for job in jobs]

    def _run(self, arrays: Arrays) -> Ran:
        """Run the model on a batch, in parts if it is over the maximum; safe in any thread."""
        started = time.perf_counter()
        try:
            outputs = self._in_parts(arrays)
        except LeptonError as error:
            return error, time.perf_counter() - started
        except Exception:  # noqa: BLE001 - an edge: what a model raises may quote values
            return Internal("The model failed on these rows."), time.perf_counter() - started
        seconds = time.perf_counter() - started
        return Outputs(self._shape.signature, outputs, seconds), seconds

    def _in_parts(self, arrays: Arrays) -> Arrays:
        most, rows = self._runtime.max_rows, len(next(iter(arrays.values())))
        if rows <= most:
            return self._runtime.predict(arrays)
        parts = [
            self._runtime.predict({name: array[first : first + most] for name, array in arrays.items()})
            for first in range(0, rows, most)
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _offload(self, jobs: Sequence[Job], rows: int, arrays: Arrays) -> None:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(1, thread_name_prefix="model")
        self._busy = True

        def back(results: list[Result]) -> None:
            self._busy = False
            self._finish(results)
            self._turn()

        def work() -> None:
            results = self._predict(jobs, rows, arrays)
            with suppress(RuntimeError):  # the loop was closed meanwhile: nobody waits
                self._loop.call_soon_threadsafe(back, results)

        self._threads.submit(work)

    def _finish(self, results: Sequence[Result]) -> None:
        for jobs, rows, (result, seconds) in results:
            if isinstance(result, LeptonError):
                _fail(jobs, result)
                continue
            self.learn(rows, seconds)
            self._observe(rows, seconds)
            start = 0
            for job in jobs:
                stop = start + job.inputs.rows
                try:
                    job.done(result, start, stop)
                except Exception:  # noqa: BLE001 - an edge: the others of the batch are still to be answered
                    job.fail(Internal("The answer could not be written."))
                start = stop


def _fail(jobs: Sequence[Job], error: LeptonError) -> None:
    for job in jobs:
        job.fail(error)
