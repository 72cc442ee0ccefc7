"""What is measured of anything that runs commands: how long until the first line, and how many a minute."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

PROGRAM = "import time\nprint(f'{time.time():.6f}', flush=True)\n"
"""What each run does: it says when its first line was reached, by the clock that the benchmark has too."""
FILE = "main.py"


class Runner(Protocol):
    """What runs commands.

    Attributes:
        name: What people call it.
    """

    name: str

    def submit(self, key: int) -> str:
        """Ask for one run of the program, on one processor; return its id."""

    def unfinished(self, ids: Sequence[str]) -> int:
        """Return how many of these, the newest, have not ended."""

    def wait(self, run_id: str) -> None:
        """Return when a run has ended."""

    def said(self, run_id: str) -> str:
        """Return what a run has written; raise if it did not end well."""

    def cpu_s(self) -> float | None:
        """Return the CPU seconds of all of its processes so far, those of its runs included; None if nobody knows."""


@dataclass(frozen=True)
class Latency:
    """Seconds from asking to the first line of the program."""

    p50_s: float
    p95_s: float
    longest_s: float

    @classmethod
    def of(cls, runner: Runner, count: int) -> Latency:
        """Measure runs one after the other, on a platform that does nothing else; the first is not counted."""
        seconds = []
        for number in range(count + 1):
            asked = time.time()
            run_id = runner.submit(number)
            runner.wait(run_id)
            seconds.append(float(runner.said(run_id).split()[-1]) - asked)
        cuts = statistics.quantiles(seconds[1:], n=20, method="inclusive")
        return cls(cuts[9], cuts[18], max(seconds[1:]))


@dataclass(frozen=True)
class Throughput:
    """Many runs, asked for at once by one client.

    Attributes:
        count: How many.
        seconds: From asking for the first to the end of the last.
        submit_s: Until all were asked for.
        errors: How many did not end well, or have not said what they were to say.
        cpu_ms: CPU of a run, all processes, without that of the client; None if nobody knows.
    """

    count: int
    seconds: float
    submit_s: float
    errors: int
    cpu_ms: float | None

    @property
    def per_minute(self) -> float:
        """Runs that ended in a minute."""
        return self.count / self.seconds * 60

    @classmethod
    def of(cls, runner: Runner, count: int) -> Throughput:
        """Ask for so many, and wait for all of them."""
        before, began = runner.cpu_s(), time.monotonic()
        ids = [runner.submit(1_000_000 + number) for number in range(count)]
        submitted = time.monotonic()
        while runner.unfinished(ids):
            time.sleep(0.25)
        ended, after = time.monotonic(), runner.cpu_s()
        errors = sum(not _is_well(runner, run_id) for run_id in ids)
        cpu_ms = None if before is None or after is None else (after - before) / count * 1000
        return cls(count, ended - began, submitted - began, errors, cpu_ms)


def _is_well(runner: Runner, run_id: str) -> bool:
    try:
        return float(runner.said(run_id).split()[-1]) > 0
    except (RuntimeError, ValueError, IndexError):
        return False
