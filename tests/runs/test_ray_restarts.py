"""What the Ray engine does when it was killed half-way, refused, or has no disk left: on a real cluster of one node."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from ray_cluster import RayCluster

from lepton.core.errors import Unavailable
from lepton.core.ids import new_id
from lepton.runs.engines import ray_jobs
from lepton.runs.engines.port import EnginePhase, EngineSpec
from lepton.runs.engines.ray import RayEngine
from lepton.testing.engines import LOG_KEY, eventually, python

pytest.importorskip("ray", reason="Ray is an extra, and not installed")
WAIT = python("import signal; print('here', flush=True); signal.pause()")


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    with RayCluster(nodes=1) as cluster:
        yield cluster


def make(cluster: RayCluster, folder: Path) -> RayEngine:
    return RayEngine(
        cluster.address.removeprefix("ray://"), folder, grace_s=1.0, cpus=0.1,
        environment={"RAY_AUTH_TOKEN": cluster.token},
    )  # fmt: skip


def test_one_killed_before_it_noted_a_job_takes_it_over(cluster: RayCluster, tmp_path: Path) -> None:
    engine, run = make(cluster, tmp_path), new_id()
    engine.submit(EngineSpec(run, 1, WAIT, {}, LOG_KEY))
    (tmp_path / run / "submitted").unlink()  # as if killed just before it was made
    later = make(cluster, tmp_path)
    assert later.status(run).phase is EnginePhase.UNKNOWN
    later.submit(EngineSpec(run, 1, WAIT, {}, LOG_KEY))
    eventually(lambda: bool(later.logs(run, LOG_KEY)), "spoken", within_s=20)


def test_one_killed_before_it_told_what_to_start_is_asked_again_and_one_start_is_kept(
    cluster: RayCluster, tmp_path: Path
) -> None:
    engine, run = make(cluster, tmp_path), new_id()
    engine.submit(EngineSpec(run, 1, WAIT, {}, LOG_KEY))
    later = make(cluster, tmp_path)
    eventually(lambda: later.jobs._hear(run) is not None, "agent there", within_s=20)
    assert later.status(run).phase is EnginePhase.UNKNOWN
    later.submit(EngineSpec(run, 1, WAIT, {}, LOG_KEY))
    eventually(lambda: bool(later.logs(run, LOG_KEY)), "spoken", within_s=20)
    engine.submit(EngineSpec(run, 1, WAIT, {}, LOG_KEY))
    assert [line.text for line in engine.logs(run, LOG_KEY)] == ["here"]


def test_an_agent_that_waited_in_vain_is_replaced(cluster: RayCluster, tmp_path: Path) -> None:
    for _ in range(4):  # what is left of a job in Ray must not hurt the next one, and may be slow to go
        engine, run = make(cluster, tmp_path), new_id()
        engine.submit(EngineSpec(run, 1, WAIT, {}, LOG_KEY))
        eventually(lambda engine=engine, run=run: engine.jobs._hear(run) is not None, "agent there", within_s=20)
        job = engine.jobs._job(run)
        engine._dashboard.stop(job)
        eventually(lambda engine=engine, job=job: engine._dashboard.status(job) == "STOPPED", "stopped")
        later = make(cluster, tmp_path)
        assert later.status(run).phase is EnginePhase.UNKNOWN
        later.submit(EngineSpec(run, 1, WAIT, {}, LOG_KEY))
        eventually(lambda later=later, run=run: bool(later.logs(run, LOG_KEY)), "spoken", within_s=20)
        assert later.status(run).phase is EnginePhase.RUNNING
        assert later.jobs._job(run) != job, "a name that Ray may not have let go of yet is used again"
        later.cancel(run)


def test_a_run_that_is_cancelled_before_it_began_ends_as_stopped(cluster: RayCluster, tmp_path: Path) -> None:
    engine, run = make(cluster, tmp_path), new_id()
    engine.submit(EngineSpec(run, 2, WAIT, {}, LOG_KEY))
    engine.cancel(run)
    eventually(lambda run=run: engine.status(run).phase is not EnginePhase.RUNNING, "over", within_s=30)
    assert [e.stopped for e in engine.status(run).exits] == [True, True]


def test_a_machine_with_another_version_is_said_in_the_log(
    cluster: RayCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_jobs, "__version__", "9.9")
    engine, run = make(cluster, tmp_path), new_id()
    engine.submit(EngineSpec(run, 1, WAIT, {}, LOG_KEY))
    eventually(lambda: engine.status(run).phase is EnginePhase.EXITED, "over", within_s=30)
    assert "install the same on every machine" in engine.logs(run, LOG_KEY)[0].text


def test_a_machine_without_lepton_is_said_in_the_log(
    cluster: RayCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray_jobs.sys, "executable", "/nowhere/python")
    engine, run = make(cluster, tmp_path), new_id()
    engine.submit(EngineSpec(run, 1, WAIT, {}, LOG_KEY))
    eventually(lambda run=run: engine.status(run).phase is not EnginePhase.RUNNING, "over", within_s=30)
    assert engine.logs(run, LOG_KEY), "nothing says what to do"


def test_a_cancel_right_after_the_start_is_heard(cluster: RayCluster, tmp_path: Path) -> None:
    engine = make(cluster, tmp_path)
    phases = []
    for _ in range(5):
        run = new_id()
        engine.submit(EngineSpec(run, 1, WAIT, {}, LOG_KEY))
        eventually(lambda run=run: engine.jobs._hear(run) is not None, "agent there", within_s=20)
        engine.jobs._talk(run, "status", None)
        engine.jobs._talk(run, "cancel", None)
        eventually(lambda run=run: engine.status(run).phase is not EnginePhase.RUNNING, "over", within_s=30)
        phases.append(engine.status(run).phase)
    assert set(phases) == {EnginePhase.EXITED}


def test_jobs_that_are_over_are_forgotten_by_ray(cluster: RayCluster, tmp_path: Path) -> None:
    engine, run = make(cluster, tmp_path), new_id()
    engine.submit(EngineSpec(run, 1, python("pass"), {}, LOG_KEY))
    eventually(lambda: engine.status(run).phase is EnginePhase.EXITED, "over")

    def forgotten() -> bool:
        engine.jobs.forget_jobs()
        return engine._dashboard.status(f"lepton-{run}") is None

    eventually(forgotten, "forgotten")
    assert engine.status(run).phase is EnginePhase.EXITED


def test_a_full_disk_cuts_the_log_and_the_end_is_told(cluster: RayCluster, small_disk: Path) -> None:
    engine, run = make(cluster, small_disk), new_id()
    fd = os.open(small_disk / "filler", os.O_CREAT | os.O_WRONLY)
    left = os.statvfs(small_disk)
    os.posix_fallocate(fd, 0, left.f_bavail * left.f_bsize - 8192)
    os.close(fd)
    engine.submit(
        EngineSpec(run, 1, python("for i in range(20_000): print('x' * 100)\nraise SystemExit(74)"), {}, LOG_KEY)
    )
    eventually(lambda: engine.status(run).phase is EnginePhase.EXITED, "over")


def test_a_head_that_comes_back_without_a_memory_has_lost_its_runs_and_takes_others(
    cluster: RayCluster, tmp_path: Path
) -> None:
    engine, run = make(cluster, tmp_path), new_id()
    engine.submit(EngineSpec(run, 1, WAIT, {}, LOG_KEY))
    eventually(lambda: bool(engine.logs(run, LOG_KEY)), "spoken", within_s=20)
    cluster.lose_node(cluster.nodes[0])
    with pytest.raises(Unavailable, match="does not answer"):
        engine.status(run)
    assert [line.text for line in engine.logs(run, LOG_KEY)] == ["here"]
    cluster.start_head()
    later = make(cluster, tmp_path)
    assert later.status(run).phase is EnginePhase.LOST
    other = new_id()
    later.submit(EngineSpec(other, 1, WAIT, {}, LOG_KEY))
    eventually(lambda: bool(later.logs(other, LOG_KEY)), "spoken", within_s=60)
    later.cancel(other)
    eventually(lambda: later.status(other).phase is EnginePhase.EXITED, "over")
