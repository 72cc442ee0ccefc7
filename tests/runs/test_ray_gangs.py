"""Runs with workers on several machines of a real Ray cluster: they begin together, end together, and nothing stays.

Each machine has two processors, so a run of four workers needs two of them.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from ray_cluster import RayCluster
from runs import killed
from runs.test_kill_anything import begun, processes_of
from runs.test_lost_machines import WHERE, opened, places, program, texts

import lepton
from lepton.core.ids import new_id
from lepton.runs.engines import ray
from lepton.runs.engines.port import EnginePhase, EngineSpec
from lepton.runs.engines.ray import RayEngine
from lepton.runs.engines.ray_dashboard import Dashboard, Job
from lepton.runs.records import Part
from lepton.testing.engines import LOG_KEY, eventually, is_running, python

pytest.importorskip("ray", reason="Ray is an extra, and not installed")

PATIENT_S = 180.0
"""Ray starts a Python for each part, which takes long where others use the processors."""
TOLD = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "OMP_NUM_THREADS")
# A sum over all workers by PyTorch's own collectives, as a script for torchrun has it.
REDUCE = f"""
import os, torch
from torch import distributed
torch.set_num_threads(1)
print("told", *[os.environ[name] for name in {TOLD!r}], flush=True)
distributed.init_process_group("gloo")
rank = distributed.get_rank()
values = torch.randn(5_000, generator=torch.Generator().manual_seed(rank))
for _ in range(3):
    distributed.all_reduce(values)
    values = values / values.norm() + rank
if rank == 0:
    open(os.environ["LEPTON_OUTPUTS"] + "/values", "wb").write(values.numpy().tobytes())
distributed.barrier()
print("done", flush=True)
os._exit(0)  # threads of PyTorch's own abort now and then while Python ends, under torchrun too
"""
WAIT = "import os, signal; print(os.getpid(), os.getppid(), flush=True); signal.pause()"
FAIL = f"import os; os.environ['RANK'] == '3' and os._exit(7); {WAIT}"
STEPS, EVERY = 300, 10


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    with RayCluster(nodes=4, cpus=2, head_cpus=0) as cluster:
        yield cluster


@pytest.fixture
def client(cluster: RayCluster, tmp_path: Path) -> Iterator[lepton.Client]:
    with opened(tmp_path / "home", cluster) as client:
        yield client


def engine_of(cluster: RayCluster, folder: Path) -> RayEngine:
    address, shown = cluster.address.removeprefix("ray://"), {"RAY_AUTH_TOKEN": cluster.token}
    return RayEngine(address, folder, grace_s=1.0, environment=shown)


def start(engine: RayEngine, code: str) -> str:
    """Start a run of four workers on two machines; return its id."""
    run_id, (first, second, *_) = new_id(), engine.machines()
    parts = (Part(first.name, 2), Part(second.name, 2))
    engine.submit(EngineSpec(run_id, 4, python(code), {}, LOG_KEY, parts=parts))
    return run_id


def said(engine: RayEngine, run_id: str) -> list[str]:
    return [line.text for line in engine.logs(run_id, LOG_KEY) if line.rank >= 0]


def works(engine: RayEngine, run_id: str) -> list[list[int]]:
    """Wait until all workers have said who they are, and who their parents are."""

    def have_spoken() -> bool:
        assert engine.status(run_id).phase is EnginePhase.RUNNING
        return len(said(engine, run_id)) == 4

    eventually(have_spoken, "all four work", within_s=PATIENT_S)
    return [[int(word) for word in text.split()] for text in said(engine, run_id)]


def ended(engine: RayEngine, run_id: str) -> EnginePhase:
    eventually(lambda: engine.status(run_id).phase is not EnginePhase.RUNNING, "all ended", within_s=PATIENT_S)
    return engine.status(run_id).phase


def test_a_run_on_two_machines_gives_the_bytes_that_it_gives_on_one(cluster: RayCluster, tmp_path: Path) -> None:
    folder, found = program(tmp_path / "folder", REDUCE), []
    for engine in (cluster, None):
        with opened(tmp_path / ("here" if engine is None else "there"), engine) as where:
            run = where.runs.submit(["python", "train.py"], folder=folder, workers=4, cpus=1)
            assert where.runs.wait(run.id).state == "succeeded"
            found.append((where.runs.get_artifact(run.id, "values"), texts(where, run.id)))
    (there, told_there), (bytes_here, told_here) = found
    assert there == bytes_here
    assert sorted(told_here) == ["done"] * 4 + [f"told {rank} 4 {rank} 4 127.0.0.1 1" for rank in range(4)]
    master = next(text.split()[5] for text in told_there if text.startswith("told 0"))
    assert master in {"127.0.0.2", "127.0.0.3", "127.0.0.4"}, "that of the machine on which rank 0 is"
    assert sorted(told_there) == ["done"] * 4 + [f"told {rank} 4 {rank % 2} 2 {master} 1" for rank in range(4)]


def test_a_worker_that_fails_ends_those_on_other_machines_and_is_blamed(cluster: RayCluster, tmp_path: Path) -> None:
    engine = engine_of(cluster, tmp_path)
    run_id = start(engine, FAIL)
    assert ended(engine, run_id) is EnginePhase.EXITED
    first, *others = engine.status(run_id).exits
    assert (first.rank, first.code, first.stopped) == (3, 7, False)
    assert sorted((e.rank, e.signal, e.stopped) for e in others) == [(n, signal.SIGTERM, True) for n in range(3)]
    assert not any(is_running(int(pid)) for text in said(engine, run_id) for pid in text.split())
    later = engine_of(cluster, tmp_path)  # one that comes later finds the end, and the log in the same order
    assert later.status(run_id) == engine.status(run_id)
    assert later.logs(run_id, LOG_KEY) == engine.logs(run_id, LOG_KEY)


def test_a_platform_that_died_half_way_goes_on_with_what_it_had_begun_and_a_cancel_ends_all(
    cluster: RayCluster, tmp_path: Path
) -> None:
    engine = engine_of(cluster, tmp_path)
    run_id = start(engine, WAIT)
    parts = [f"{run_id}p{number}" for number in range(2)]
    eventually(lambda: all(engine.jobs.ready(part) for part in parts), "both have a place", within_s=PATIENT_S)
    assert said(engine, run_id) == [], "none begins before all are told"
    engine.jobs.release(parts[0], *engine.jobs.gang(parts[0]))  # and then it was killed
    later = engine_of(cluster, tmp_path)
    assert later.status(run_id).phase is EnginePhase.UNKNOWN
    later.submit(EngineSpec(run_id, 4, python(WAIT), {}, LOG_KEY))
    pids = works(later, run_id)
    assert len({tuple(pid) for pid in pids}) == 4, "each was started once"
    later.cancel(run_id)
    assert ended(later, run_id) is EnginePhase.EXITED
    assert all(exit_.stopped for exit_ in later.status(run_id).exits)
    assert not any(is_running(pid) for both in pids for pid in both)


def test_an_agent_that_is_stopped_is_noticed_and_takes_all_workers_with_it(cluster: RayCluster, tmp_path: Path) -> None:
    engine = engine_of(cluster, tmp_path)
    run_id = start(engine, WAIT)
    pids = works(engine, run_id)
    agent = int(Path(f"/proc/{pids[-1][1]}/stat").read_text().rpartition(")")[2].split()[1])
    os.kill(agent, signal.SIGSTOP)
    # 7.5 s without a sign of life, half a second between looks, and what Ray takes to see that its job has ended.
    assert ended(engine, run_id) is EnginePhase.LOST
    assert engine.status(run_id).hung
    eventually(lambda: not any(is_running(pid) for both in pids for pid in both), "nothing of the run is left")
    assert engine_of(cluster, tmp_path).status(run_id).hung, "it is known for good"


def test_a_run_for_which_others_leave_no_room_waits_in_the_queue_and_starts_when_they_do(
    cluster: RayCluster, client: lepton.Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ray, "FULL_FOR_S", 5.0)
    dispatch = client._platform.runs.dispatch  # type: ignore[attr-defined]
    dispatch.place_patience_s = ray.FULL_AFTER_S + 2
    dashboard = Dashboard(cluster.address.removeprefix("ray://"), {"RAY_AUTH_TOKEN": cluster.token})
    nodes = [node for node in dashboard.nodes() if node.cpus]
    strangers = Job(f"somebody-elses-{new_id()}", "exec sleep 1000", 2, {}, node=nodes[0].id)
    dashboard.submit(strangers)
    eventually(lambda: dashboard.status(strangers.id) == "RUNNING", "it has its place", within_s=PATIENT_S)
    folder = program(tmp_path / "folder", "print('here')")
    run = client.runs.submit(["python", "train.py"], folder=folder, workers=len(nodes), cpus=2)
    message = lambda: client.runs.get(run.id).message  # noqa: E731
    eventually(lambda: "waits for the cluster to give it the place" in message(), "it says so", within_s=PATIENT_S)
    eventually(lambda: client.runs.get(run.id).state == "queued", "it waits in the queue", within_s=PATIENT_S)
    assert "others use it" in message()
    dashboard.stop(strangers.id)
    dispatch.place_patience_s = PATIENT_S  # to start a Python may take longer than what it was
    assert client.runs.wait(run.id).state == "succeeded"
    assert texts(client, run.id) == ["here"] * len(nodes), "it was started once"


def test_a_run_that_loses_one_of_its_machines_goes_on_elsewhere_with_the_result_that_it_would_have_had(
    cluster: RayCluster, client: lepton.Client, tmp_path: Path
) -> None:
    folder = program(tmp_path / "folder", WHERE + killed.worker(steps=STEPS, every=EVERY, pause_s=0.05))
    run = client.runs.submit(["python", "train.py"], folder=folder, workers=2, cpus=2, retries=3)
    kept = lambda: [one.path for one in client.runs.artifacts(run.id)]  # noqa: E731
    eventually(lambda: "checkpoints/last.json" in kept(), "it has saved where it stands", within_s=PATIENT_S)
    node = next(one for one in cluster.nodes if one.address == places(client, run.id)[-1])
    cluster.lose_node(node)
    eventually(lambda: client.runs.get(run.id).ended, "it has ended", within_s=2 * PATIENT_S)
    assert client.runs.get(run.id).state == "succeeded", client.runs.get(run.id).error
    assert json.loads(client.runs.get_artifact(run.id, "result.json")) == killed.result(steps=STEPS)
    attempts = begun(client, run.id)
    assert attempts[0] == 0
    assert attempts[-1] >= EVERY, "it went on from what was saved"
    assert len({*places(client, run.id)}) == 3, "one was replaced"
    eventually(lambda: not any(processes_of(run.id).values()), "nothing of the run is left")
