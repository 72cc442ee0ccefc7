"""What is made of the ways in which workers end, and which run is next."""

from __future__ import annotations

import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lepton.runs.commands import Command
from lepton.runs.engines.port import EnginePhase, EngineStatus, Exit
from lepton.runs.records import LaunchExit, Resources, RunState, Stopping, WorkerExit
from lepton.runs.verdict import backoff_s, judge, judge_command


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
        ([Exit(0, None, signal.SIGKILL, hung=True)], "worker_lost", "Worker 1 of 2 hung: its process was stopped or"),
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


def test_whatever_of_a_run_has_hung_it_is_tried_again_and_says_so() -> None:
    lost = EngineStatus(EnginePhase.LOST, hung=True)
    launcher = EngineStatus(EnginePhase.EXITED, (Exit(1, None, signal.SIGKILL, hung=True),))
    command = EngineStatus(EnginePhase.EXITED, (Exit(1, LaunchExit.HUNG, None),))
    for status, says in (
        (lost, "The process that watched the workers hung: it was stopped"),
        (launcher, "Worker 2 of 4 hung: what keeps its command was stopped"),
        (command, "Worker 2 of 4 hung: a process of its command was stopped"),
    ):
        found = judge_command("R1", 4, status, LIMITED, cancel_asked=False)
        assert (found.code, found.again) == ("worker_lost", True)
        assert says in str(found.message)


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


LIMITED = Command(("python", "train.py"), workers=4, resources=Resources(memory_mb=512), timeout_s=3600)


def command_verdict(*exits: Exit, workers: int = 4, cancel_asked: bool = False) -> tuple[RunState, str | None, str]:
    status = EngineStatus(EnginePhase.EXITED, exits)
    found = judge_command("R1", workers, status, LIMITED, cancel_asked=cancel_asked)
    return found.state, found.code, found.message or ""


def test_a_command_that_was_told_to_end_but_was_done_has_succeeded() -> None:
    def judged(*exits: Exit) -> RunState:
        status = EngineStatus(EnginePhase.EXITED, exits)
        return judge_command("R1", 2, status, LIMITED, cancel_asked=False, stopping=Stopping.PREEMPTED).state

    assert judged(Exit(0, 0, None), Exit(1, 0, None)) is RunState.SUCCEEDED
    assert judged(Exit(0, 0, None), Exit(1, None, signal.SIGTERM, stopped=True)) is RunState.QUEUED


def test_a_command_has_succeeded_when_all_of_its_workers_ended_well() -> None:
    well = [Exit(rank, 0, None) for rank in range(4)]
    assert command_verdict(*well) == (RunState.SUCCEEDED, None, "")
    assert command_verdict(*well, cancel_asked=True)[0] is RunState.CANCELLED
    assert command_verdict(*well[:3], Exit(3, 0, None, stopped=True))[1] == "worker_lost"


@pytest.mark.parametrize(
    ("code", "number", "kind", "told"),
    [
        (3, None, "worker_failed", "Worker 3 of 4 ended with exit code 3. "),
        (None, signal.SIGSEGV, "worker_failed", "Worker 3 of 4 was ended by SIGSEGV. "),
        (None, signal.SIGKILL, "worker_failed", "Worker 3 of 4 was ended by SIGKILL (often: out of memory). "),
        (
            LaunchExit.OUT_OF_MEMORY, None, "out_of_memory",
            "Worker 3 of 4 used more than the 512M it asked for and was ended. Ask for more: --memory 1G. ",
        ),
        (
            LaunchExit.TIMED_OUT, None, "timed_out",
            "Worker 3 of 4 took longer than the 3,600 s it was given and was ended. Give it more: --timeout. ",
        ),
    ],
)  # fmt: skip
def test_the_first_worker_of_a_command_that_failed_by_itself_is_to_blame(
    code: int | None, number: int | None, kind: str, told: str
) -> None:
    others = (Exit(0, LaunchExit.ALONE, None), Exit(1, None, signal.SIGTERM, stopped=True))
    assert command_verdict(*others, Exit(2, code, number), Exit(3, 9, None)) == (
        RunState.FAILED, kind, f"{told}See: lepton runs logs R1",
    )  # fmt: skip


@pytest.mark.parametrize("code", LaunchExit)
def test_every_exit_of_a_launcher_is_one_sentence_also_when_the_command_cannot_be_read_any_more(
    code: LaunchExit,
) -> None:
    status = EngineStatus(EnginePhase.EXITED, (Exit(0, code, None),))
    found = judge_command("R1", 1, status, None, cancel_asked=False)
    assert found.state is RunState.FAILED
    assert found.message is not None
    assert "{" not in found.message
    assert found.message.endswith("See: lepton runs logs R1")
