"""What is made of the ways in which workers end, and which run is next."""

from __future__ import annotations

import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lepton.runs.engines.port import EnginePhase, EngineStatus, Exit
from lepton.runs.records import RunState, Stopping, WorkerExit
from lepton.runs.verdict import backoff_s, judge


def verdict(*exits: Exit, cancel_asked: bool = False, workers: int = 2) -> tuple[str | None, str]:
    found = judge("R1", workers, EngineStatus(EnginePhase.EXITED, exits), cancel_asked=cancel_asked)
    assert found.state is (RunState.CANCELLED if cancel_asked else RunState.FAILED)
    return found.code, found.message or ""


def test_the_first_worker_that_ended_by_itself_is_to_blame() -> None:
    code, message = verdict(
        Exit(0, WorkerExit.PEER_LOST, None), Exit(1, None, signal.SIGKILL), Exit(2, None, signal.SIGTERM, stopped=True)
    )
    assert code == "worker_lost"
    assert message.startswith("Worker 2 of 2 was ended by SIGKILL (often: out of memory). Nothing was half-written")
    assert message.endswith("lepton runs retry R1")


@pytest.mark.parametrize(
    ("exits", "code", "says"),
    [
        ([Exit(0, 0, None)], "internal", "without a result"),
        ([Exit(0, None, signal.SIGSEGV)], "worker_lost", "Worker 1 of 2 was ended by SIGSEGV."),
        ([Exit(0, None, 250)], "worker_lost", "signal 250"),
        ([Exit(0, 3, None)], "internal", "ended with exit code 3. See: lepton runs logs R1"),
        ([Exit(0, WorkerExit.FAILED, None)], "internal", "ended with exit code 1"),
        ([Exit(0, WorkerExit.STORAGE_FULL, None)], "storage_full", "No space is left"),
        ([Exit(0, WorkerExit.PEER_LOST, None), Exit(1, WorkerExit.PEER_LOST, None)], "worker_lost", "lost contact"),
        ([Exit(0, WorkerExit.STOPPED, None)], "worker_lost", "by SIGTERM, but not by Lepton"),
    ],
)
def test_each_way_to_end_has_its_sentence(exits: list[Exit], code: str, says: str) -> None:
    found, message = verdict(*exits)
    assert found == code
    assert says in message


def test_a_single_worker_is_not_counted() -> None:
    assert verdict(Exit(0, None, signal.SIGKILL), workers=1)[1].startswith("The worker was ended by SIGKILL")


def test_a_run_that_was_to_end_is_cancelled_however_it_ended() -> None:
    assert verdict(Exit(0, None, signal.SIGKILL, stopped=True), cancel_asked=True) == (None, "")


def test_a_run_lost_with_its_supervisor_can_be_retried() -> None:
    found = judge("R1", 2, EngineStatus(EnginePhase.LOST), cancel_asked=False)
    assert (found.state, found.code) == (RunState.FAILED, "worker_lost")
    assert "lepton runs retry R1" in str(found.message)


@pytest.mark.parametrize(
    ("stopping", "state", "code"),
    [(Stopping.TIMED_OUT, RunState.FAILED, "timed_out"), (Stopping.PREEMPTED, RunState.QUEUED, None)],
)
def test_a_run_that_was_told_to_end_ended_for_that_reason(
    stopping: Stopping, state: RunState, code: str | None
) -> None:
    status = EngineStatus(EnginePhase.EXITED, (Exit(0, WorkerExit.STOPPED, None, stopped=True),))
    found = judge("R1", 1, status, cancel_asked=False, stopping=stopping)
    assert (found.state, found.code, found.again) == (state, code, False)
    assert judge("R1", 1, status, cancel_asked=True, stopping=stopping).state is RunState.CANCELLED


@given(st.integers(1, 1000))
def test_each_failure_waits_longer_than_the_one_before_up_to_ten_minutes(failures: int) -> None:
    assert 5 <= backoff_s(failures) <= backoff_s(failures + 1) <= 600
