"""Runs from submit to end, in real worker processes, on both catalogs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from runs.small_platform import CANARY, Platform

from lepton.access.records import Actor
from lepton.core.errors import Conflict
from lepton.core.settings import Settings
from lepton.runs import rows
from lepton.runs.controller import RunController
from lepton.runs.engines import folder
from lepton.runs.engines.port import EnginePhase
from lepton.runs.records import LogPage, Run, RunState
from lepton.testing.engines import eventually, is_running


def submit(platform: Platform, actor: Actor, do: str, *, workers: int = 1, **arguments: Any) -> Run:
    with platform.guard.allow(actor, "models.train") as tx:
        return platform.runs.submit(
            actor,
            tx,
            project="default",
            task="models.train",
            arguments={"do": do, **arguments},
            workers=workers,
            inputs=["dataset:d@1"],
            params={"solver": "gd", "l2": 0.5},
        )


def ended(platform: Platform, actor: Actor, run: Run) -> Run:
    eventually(lambda: platform.runs.get(actor, run.id).state.has_ended, "the run has ended")
    return platform.runs.get(actor, run.id)


def texts(platform: Platform, actor: Actor, run: Run, *, rank: int | None = None) -> list[str]:
    page = platform.runs.logs(actor, run.id)
    return [line.text for line in page.lines if (line.rank == rank if rank is not None else line.rank >= 0)]


def pids(platform: Platform, actor: Actor, run: Run) -> list[int]:
    def said() -> list[int]:
        lines = platform.runs.logs(actor, run.id).lines
        return [int(line.text) for line in sorted(lines, key=lambda line: line.rank) if line.text.isdecimal()]

    eventually(lambda: len(said()) == run.workers, "all workers have said who they are")
    return said()


def test_two_workers_add_up_and_the_result_is_committed(controlled: Platform, ann: Actor) -> None:
    run = submit(controlled, ann, "add", workers=2)
    assert (run.state, run.message) == (RunState.QUEUED, "waiting for free workers")
    done = ended(controlled, ann, run)
    assert (done.state, done.error_message) == (RunState.SUCCEEDED, None)
    assert (done.progress, done.message, done.outputs) == (1.0, "done", ("model:m@1",))
    assert (done.params, done.inputs, done.submitted_by) == ({"solver": "gd", "l2": 0.5}, ("dataset:d@1",), "ann")
    assert done.started_at is not None
    assert done.ended_at is not None
    assert done.created_at <= done.started_at <= done.ended_at
    points = controlled.runs.metrics(ann, run.id)
    assert [(p.key, p.step, p.value) for p in points] == [("loss", s, 1.0 / s) for s in (1, 2, 3)]
    assert sorted(texts(controlled, ann, run)) == ["the sum is 3"] * 2


def test_a_killed_worker_fails_the_run_in_one_clear_sentence(controlled: Platform, ann: Actor) -> None:
    run = submit(controlled, ann, "wait_for_each_other", workers=2)
    os.kill(pids(controlled, ann, run)[1], signal.SIGKILL)
    failed = ended(controlled, ann, run)
    assert (failed.state, failed.error_code) == (RunState.FAILED, "worker_lost")
    assert failed.error_message == (
        "Worker 2 of 2 was ended by SIGKILL (often: out of memory). "
        f"Nothing was half-written; start it again with: lepton runs retry {run.id}"
    )
    assert failed.outputs == ()


def test_the_error_of_a_task_is_the_error_of_the_run(controlled: Platform, ann: Actor) -> None:
    # Worker 2 refuses, worker 1 then loses its peer: the cause is what counts.
    failed = ended(controlled, ann, submit(controlled, ann, "refuse", workers=2))
    assert (failed.state, failed.error_code) == (RunState.FAILED, "invalid_input")
    assert failed.error_message == f"The column {CANARY!r} is not there. Name one that is."


def test_a_foreign_error_shows_where_but_never_what(controlled: Platform, ann: Actor) -> None:
    run = submit(controlled, ann, "crash")
    failed = ended(controlled, ann, run)
    assert (failed.error_code, CANARY in str(failed.error_message)) == ("internal", False)
    log = "\n".join(texts(controlled, ann, run))
    assert "builtins.ValueError at" in log
    assert "runs/small_platform.py:" in log
    assert " crash" in log
    assert CANARY not in log


def test_a_task_that_makes_nothing_has_failed(controlled: Platform, ann: Actor) -> None:
    failed = ended(controlled, ann, submit(controlled, ann, "nothing"))
    assert failed.state is RunState.FAILED
    assert "ended without a result" in str(failed.error_message)


def test_a_full_disk_is_told_as_such(controlled: Platform, ann: Actor) -> None:
    failed = ended(controlled, ann, submit(controlled, ann, "fill"))
    assert (failed.error_code, failed.error_message) == ("storage_full", "No space is left. Free some.")


def test_a_worker_that_somebody_else_told_to_end_is_lost(controlled: Platform, ann: Actor) -> None:
    failed = ended(controlled, ann, submit(controlled, ann, "end_itself"))
    assert (failed.state, failed.error_code) == (RunState.FAILED, "worker_lost")
    assert "SIGTERM" in str(failed.error_message)


def test_cancel_ends_a_running_run(controlled: Platform, ann: Actor, tmp_path: Path) -> None:
    run = submit(controlled, ann, "wait", workers=2, go=str(tmp_path / "go"))
    processes = pids(controlled, ann, run)
    eventually(lambda: controlled.runs.get(ann, run.id).progress == 0.25, "progress is seen")
    assert controlled.runs.cancel(ann, run.id).cancel_asked
    cancelled = ended(controlled, ann, run)
    assert (cancelled.state, cancelled.error_code, cancelled.message) == (RunState.CANCELLED, None, "cancelled")
    assert not any(map(is_running, processes))
    assert texts(controlled, ann, run).count("stopping") == 2
    with pytest.raises(Conflict, match="already cancelled"):
        controlled.runs.cancel(ann, run.id)


def test_a_failed_run_can_be_retried_with_the_same_arguments(controlled: Platform, ann: Actor, tmp_path: Path) -> None:
    go = tmp_path / "go"
    run = submit(controlled, ann, "wait", go=str(go))
    os.kill(pids(controlled, ann, run)[0], signal.SIGKILL)
    failed = ended(controlled, ann, run)
    assert str(failed.error_message).startswith("The worker was ended by SIGKILL")
    go.touch()
    again = controlled.runs.retry(ann, run.id)
    assert (again.retry_of, again.params, again.inputs, again.workers) == (run.id, run.params, run.inputs, 1)
    done = ended(controlled, ann, again)
    assert done.state is RunState.SUCCEEDED
    with pytest.raises(Conflict, match="only failed and cancelled"):
        controlled.runs.retry(ann, again.id)


def test_a_watch_shows_the_run_and_its_log_and_says_when_all_is_told(
    controlled: Platform, ann: Actor, tmp_path: Path
) -> None:
    run = submit(controlled, ann, "wait", go=str(tmp_path / "go"))
    look = controlled.runs.watch_log(ann, run.id)
    pids(controlled, ann, run)
    eventually(lambda: controlled.runs.get(ann, run.id).progress == 0.25, "progress is seen")
    first, page = look(0)
    assert (len(page.lines), page.ended) == (1, False)
    assert look(page.next) == (first, LogPage((), page.next, ended=False))
    (tmp_path / "go").touch()
    eventually(lambda: look(page.next)[1].ended, "the watch says that all is told")
    assert look(page.next)[0].state is RunState.SUCCEEDED
    without_log = controlled.runs.watch(ann, run.id)(0)
    assert (without_log[0].state, without_log[1]) == (RunState.SUCCEEDED, LogPage((), 0, ended=True))


def controller_process(settings: Settings) -> subprocess.Popen[bytes]:
    """A control plane of runs alone, to be killed."""
    code = f"""
import sys, signal
sys.path.insert(0, {str(Path(__file__).parent.parent)!r})
from pathlib import Path
from lepton.core.settings import Settings
from lepton.runs.controller import RunController
from runs.small_platform import Platform
platform = Platform(Settings(Path({str(settings.home)!r}), {settings.catalog!r}))
RunController(platform.runs.dispatch, check_every_s=0.02).start()
signal.pause()
"""
    return subprocess.Popen([sys.executable, "-c", code], start_new_session=True)


def test_a_run_ends_well_while_the_control_plane_is_dead(platform: Platform, ann: Actor, tmp_path: Path) -> None:
    controller = controller_process(platform.settings)
    run = submit(platform, ann, "wait", workers=2, go=str(tmp_path / "go"))
    pids(platform, ann, run)
    os.killpg(controller.pid, signal.SIGKILL)
    controller.wait()
    assert platform.runs.get(ann, run.id).state is RunState.RUNNING
    (tmp_path / "go").touch()
    assert ended(platform, ann, run).state is RunState.SUCCEEDED


def test_a_later_control_plane_adopts_what_runs(platform: Platform, ann: Actor, tmp_path: Path) -> None:
    controller = controller_process(platform.settings)
    runs = [submit(platform, ann, "wait", go=str(tmp_path / "go")) for _ in range(2)]
    (lost,), (kept,) = (pids(platform, ann, run) for run in runs)
    os.killpg(controller.pid, signal.SIGKILL)
    controller.wait()
    os.kill(lost, signal.SIGKILL)
    second = RunController(platform.runs.dispatch, check_every_s=0.02)
    second.start()
    assert ended(platform, ann, runs[0]).error_code == "worker_lost"
    assert is_running(kept)
    platform.runs.cancel(ann, runs[1].id)
    assert ended(platform, ann, runs[1]).state is RunState.CANCELLED
    second.stop()


def test_a_run_whose_start_was_cut_short_is_started_by_the_next_tick(platform: Platform, ann: Actor) -> None:
    # As after a kill between the commit of "running" and the start of the workers.
    run = submit(platform, ann, "add")
    with platform.database.begin() as tx:
        assert rows.move(tx, run.id, RunState.RUNNING)
    platform.runs.dispatch.tick()
    assert platform.engine.status(run.id).phase is EnginePhase.RUNNING
    assert ended(platform, ann, run).state is RunState.SUCCEEDED


def test_a_killed_supervisor_fails_the_run(controlled: Platform, ann: Actor, tmp_path: Path) -> None:
    run = submit(controlled, ann, "wait", workers=2, go=str(tmp_path / "go"))
    processes = pids(controlled, ann, run)
    supervisor = folder.claimed_by(controlled.settings.runs / run.id)
    assert supervisor is not None
    os.kill(supervisor.pid, signal.SIGKILL)
    failed = ended(controlled, ann, run)
    assert (failed.state, failed.error_code) == (RunState.FAILED, "worker_lost")
    eventually(lambda: not any(map(is_running, processes)), "no worker is left")


def test_nothing_of_a_run_is_readable_on_disk(controlled: Platform, ann: Actor) -> None:
    run = submit(controlled, ann, "refuse", labels={CANARY: "b"})
    assert CANARY in str(ended(controlled, ann, run).error_message)
    ended(controlled, ann, submit(controlled, ann, "add", workers=2))
    with controlled.database.read() as tx:
        stored = [str(tuple(row)) for row in tx.execute(rows.runs.select())]
    assert len(stored) == 2
    assert not any(CANARY in row for row in stored)
    files = [path for path in controlled.settings.home.rglob("*") if path.is_file()]
    assert not any(CANARY.encode() in path.read_bytes() for path in files)
