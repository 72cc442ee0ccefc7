"""Processes that run over or die cost nothing but themselves, and none is left behind."""

import os
import time

import numpy as np
import pytest

from lepton.training.auto.folds import split
from lepton.training.auto.seats import DIED, Seats
from lepton.training.auto.work import Outcome, Rows, Task

LONG = Task("judge", "slow#0", "random_forest", {"trees": 100_000, "columns": 1.0, "least": 1}, 10_000)
SHORT = Task("judge", "quick#0", "linear", {"strength": 1.0}, 10_000)
LIMIT_S = 120.0
"""How long a busy machine may take to start a process."""


def rows(count=300, width=4):
    rng = np.random.default_rng(0)
    features = rng.normal(size=(count, width)).astype(np.float32)
    targets = (features[:, 0] > 0).astype(np.int64)
    return Rows(features, targets, 2, split(targets, 3, classes=2, seed=0), (), 0)


def wait_for(seats):
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline:
        if done := seats.wait(1.0):
            return done
    raise AssertionError("nothing was finished")


@pytest.fixture(scope="module")
def seats():
    with Seats() as made:
        made.open(1, rows(), 2**30)
        yield made
        program = made._program
    assert program.returncode == 0


def test_what_runs_over_is_ended_and_the_next_task_is_done_by_another_process(seats):
    seats.submit(LONG, 0.0)
    assert seats.wait(0.1) == []
    seats.stop([LONG])
    assert seats.free == 1
    seats.submit(SHORT, 0.0)
    [(task, outcome)] = wait_for(seats)
    assert task is SHORT
    assert isinstance(outcome, Outcome)
    assert len(outcome.losses) == 3
    assert max(outcome.losses) < 0.4  # a line tells these classes apart; a coin has 0.69


def test_a_candidate_that_cannot_learn_is_one_word_and_the_process_goes_on(seats):
    seats.submit(Task("judge", "odd#0", "linear", {"strength": -1.0}, 10_000), 0.0)
    [(_, outcome)] = wait_for(seats)
    assert outcome == "InvalidParameterError"
    seats.submit(SHORT, 0.0)
    assert isinstance(wait_for(seats)[0][1], Outcome)


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="memory is bounded on Linux only")
def test_a_candidate_that_wants_more_memory_than_its_share_is_ended(seats):
    seats.open(1, rows(20_000, 50), 60 * 2**20)  # 1,275 products of 20,000 rows are 100 MB
    seats.submit(Task("judge", "wide#0", "products", {"strength": 1.0}, 10**9), 0.0)
    assert wait_for(seats)[0][1] == DIED
