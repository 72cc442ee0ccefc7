"""The Ray engine on a real cluster of three nodes: the contract of engines, and what only several machines can show."""

from __future__ import annotations

import os
import signal
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from ray_cluster import RayCluster

from lepton.core import conversation
from lepton.core.errors import LeptonError, Unavailable
from lepton.core.ids import new_id
from lepton.core.tls import Identity
from lepton.runs.engines.port import Engine, EnginePhase, EngineSpec
from lepton.runs.engines.ray import RayEngine
from lepton.runs.records import Resources
from lepton.testing.engines import LOG_KEY, EngineContract, eventually, is_running, python

pytest.importorskip("ray", reason="Ray is an extra, and not installed")
WAIT = python("import os, signal; print(os.getpid(), flush=True); signal.pause()")
WHERE = python("import os, signal; print(os.environ['LEPTON_NODE_ADDRESS'], flush=True); signal.pause()")
CANARY = "a-planted-canary"


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    with RayCluster(nodes=3) as cluster:
        yield cluster


def engine_of(cluster: RayCluster, folder: Path, *, token: str | None = None) -> RayEngine:
    """Every worker takes a tenth of a processor: the cluster says it has twelve."""
    shown = {"RAY_AUTH_TOKEN": token or cluster.token}
    return RayEngine(
        cluster.address.removeprefix("ray://"), folder, grace_s=1.0, max_log_bytes=64 << 10, cpus=0.1, environment=shown
    )


class TestRayEngine(EngineContract):
    @pytest.fixture(autouse=True)
    def _cluster(self, cluster: RayCluster) -> None:
        self.cluster = cluster

    def make_engine(self, folder: Path) -> RayEngine:
        return engine_of(self.cluster, folder)

    def waiting(self, engine: Engine, **other: str) -> tuple[str, str]:
        """Start a worker that waits, and return its run and what it said first."""
        run_id = new_id()
        engine.submit(EngineSpec(run_id, 1, WHERE if "apart" in other else WAIT, {}, LOG_KEY, **other))
        eventually(lambda: bool(self.texts(engine, run_id, rank=0)), "the worker has spoken")
        return run_id, self.texts(engine, run_id, rank=0)[0]

    def test_an_engine_made_later_adopts_what_runs(self, tmp_path: Path) -> None:
        run_id, pid = self.waiting(self.make_engine(tmp_path))
        later = self.make_engine(tmp_path)
        assert later.status(run_id).phase is EnginePhase.RUNNING
        assert self.texts(later, run_id) == [pid]
        later.cancel(run_id)
        assert self.ended(later, run_id).phase is EnginePhase.EXITED
        eventually(lambda: not is_running(int(pid)), "the worker has ended")

    def test_how_a_run_ended_and_its_log_are_known_when_its_machine_is_forgotten(self, tmp_path: Path) -> None:
        engine = self.make_engine(tmp_path)
        run_id = self.start(engine, python("print('the last word'); raise SystemExit(3)"))
        self.ended(engine, run_id)
        nowhere = RayEngine("127.0.0.1:1", tmp_path, environment={})
        assert [exit_.code for exit_ in nowhere.status(run_id).exits] == [3]
        assert self.texts(nowhere, run_id, rank=0) == ["the last word"]

    def test_runs_that_are_to_be_apart_are_on_different_machines(self, tmp_path: Path) -> None:
        engine = self.make_engine(tmp_path)
        runs = [self.waiting(engine, apart="an endpoint") for _ in range(3)]
        assert {where for _, where in runs} == {"127.0.0.1", "127.0.0.2", "127.0.0.3"}
        for run_id, _ in runs:
            engine.cancel(run_id)
            self.ended(engine, run_id)

    def test_nothing_of_a_run_reaches_the_files_of_ray(self, tmp_path: Path) -> None:
        engine = self.make_engine(tmp_path)
        code = f"import os; print('{CANARY} said'); print(os.environ['SECRET'])"
        run_id = new_id()
        engine.submit(EngineSpec(run_id, 1, python(code), {"SECRET": f"{CANARY} told"}, LOG_KEY))
        self.ended(engine, run_id)
        assert self.texts(engine, run_id) == [f"{CANARY} said", f"{CANARY} told"]
        files = [path for path in self.cluster.folder.rglob("*") if path.is_file() and not path.is_symlink()]
        assert any(run_id.encode() in path.read_bytes() for path in files), "Ray wrote that there was a job"
        assert not [path for path in files if CANARY.encode() in path.read_bytes()]
        assert not [path for path in tmp_path.rglob("*") if path.is_file() and CANARY.encode() in path.read_bytes()]

    def test_a_stranger_is_not_spoken_to(self, tmp_path: Path) -> None:
        engine = self.make_engine(tmp_path)
        run_id, _ = self.waiting(engine)
        hello = engine.jobs._hellos[run_id]
        with pytest.raises(LeptonError):
            conversation.ask(hello, Identity.new().client(hello.certificate), "cancel", None, timeout_s=5)
        anonymous = ssl.create_default_context()
        anonymous.check_hostname, anonymous.verify_mode = False, ssl.CERT_NONE
        with pytest.raises(LeptonError):
            conversation.ask(hello, anonymous, "cancel", None, timeout_s=5)
        assert engine.status(run_id).phase is EnginePhase.RUNNING
        engine.cancel(run_id)
        self.ended(engine, run_id)

    def test_a_wrong_token_is_said_with_where_to_put_the_right_one(self, tmp_path: Path) -> None:
        engine = engine_of(self.cluster, tmp_path, token="0" * 64)
        with pytest.raises(Unavailable, match="RAY_AUTH_TOKEN"):
            engine.submit(EngineSpec(new_id(), 1, WAIT, {}, LOG_KEY))

    def test_processors_of_the_cluster_are_counted(self, tmp_path: Path) -> None:
        assert sum(machine.has.cpus for machine in self.make_engine(tmp_path).machines()) == 120

    def test_the_first_that_wait_for_room_have_scouts_and_one_that_finds_room_ends(self, tmp_path: Path) -> None:
        def scouts() -> list[str]:
            jobs = [job for job in self.cluster.jobs() if job["submission_id"].startswith("lepton-room-")]
            return [job["status"] for job in jobs if job["submission_id"].split("-")[2] in waiting]

        waiting = {new_id(): (Resources(10_000),) for _ in range(6)}
        for _ in range(2):  # one that comes after another was killed takes them over
            engine = self.make_engine(tmp_path)
            engine.want(waiting)
            assert scouts() == ["PENDING"] * 4

        waiting = {new_id(): (Resources(1),)}
        engine.want(waiting)
        eventually(lambda: scouts() == ["SUCCEEDED"], "it has found room and ended")

        def gone() -> bool:
            engine.want({})
            return not scouts()

        eventually(gone, "it is forgotten")

    def test_a_node_that_is_killed_loses_its_runs_and_leaves_no_process(self, tmp_path: Path) -> None:
        node = self.cluster.add_node()
        engine = self.make_engine(tmp_path)
        runs = [self.waiting(engine, apart="everywhere") for _ in range(4)]
        lost = next(run_id for run_id, where in runs if where == node.address)
        assert self.cluster.processes(node)
        self.cluster.kill_node(node)
        assert self.ended(engine, lost).phase is EnginePhase.LOST
        eventually(lambda: not self.cluster.processes(node), "all that ran on the node has ended")
        for run_id, _ in runs:
            if run_id != lost:
                assert engine.status(run_id).phase is EnginePhase.RUNNING
                engine.cancel(run_id)
                self.ended(engine, run_id)

    def test_an_agent_that_is_killed_takes_its_workers_with_it(self, tmp_path: Path) -> None:
        engine = self.make_engine(tmp_path)
        run_id, pid = self.waiting(engine)
        parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        os.kill(parent, signal.SIGKILL)
        assert self.ended(engine, run_id).phase is EnginePhase.LOST
        eventually(lambda: not is_running(int(pid)), "the worker has ended")


def test_a_dashboard_that_does_not_answer_is_said(tmp_path: Path) -> None:
    engine = RayEngine("127.0.0.1:1", tmp_path, environment={})
    with pytest.raises(Unavailable, match=r"http://127.0.0.1:1 does not answer.*LEPTON_ENGINE"):
        engine.submit(EngineSpec(new_id(), 1, WAIT, {}, LOG_KEY))
