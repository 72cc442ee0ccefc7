"""Machines of a real Ray cluster are lost, and its head: every run ends, with the result that it would have had."""

from __future__ import annotations

import json
import random
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from ray_cluster import RayCluster, RayNode
from runs import killed
from runs.test_kill_anything import begun, processes_of

import lepton
from lepton.testing.engines import eventually

pytest.importorskip("ray", reason="Ray is an extra, and not installed")
STEPS, EVERY, PAUSE_S = 60, 10, 0.05
WHERE = "import os; print('on', os.environ['LEPTON_NODE_ADDRESS'], flush=True)\n"
# The digits of floating-point sums depend on how work is cut up; it is cut up alike on both engines.
NUMBERS = """
import os, socket, time
import numpy as np
rank, address = int(os.environ["RANK"]), (os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]))
generator = np.random.default_rng(rank)
mine = generator.normal(size=(200, 300)).astype(np.float32) @ generator.normal(size=(300, 150)).astype(np.float32)
if rank == 0:
    with socket.create_server(address) as listener:
        listener.settimeout(60)
        peer = listener.accept()[0].makefile("rb")
    both = np.tanh(mine + np.frombuffer(peer.read(), np.float32).reshape(mine.shape)) @ mine.T
    np.save(os.environ["LEPTON_OUTPUTS"] + "/both.npy", both)
else:
    for _ in range(600):
        try:
            peer = socket.create_connection(address)
            break
        except OSError:
            time.sleep(0.1)
    peer.sendall(mine.tobytes())
print(rank, float(mine.sum()), os.environ["LOCAL_RANK"], os.environ["OMP_NUM_THREADS"])
"""
PATIENT = """
import socket, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as connection:
    print("here", flush=True)
    connection.recv(1)
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayCluster]:
    """Two machines that work and a head that does not, and keeps what it knows on its disk."""
    with RayCluster(nodes=3, head_cpus=0, remembers=True) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("lost") / "home"


@contextmanager
def opened(home: Path, cluster: RayCluster | None = None) -> Iterator[lepton.Client]:
    """A platform that runs commands on the cluster, or here."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("LEPTON_CATALOG", "LEPTON_URL", "LEPTON_TOKEN", "LEPTON_PROJECT"):
            patch.delenv(name, raising=False)
        if cluster is not None:
            patch.setenv("LEPTON_ENGINE", cluster.address)
            patch.setenv("RAY_AUTH_TOKEN", cluster.token)
        with lepton.open(home) as client:
            yield client


def program(folder: Path, text: str) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "train.py").write_text(text)
    return folder


def texts(client: lepton.Client, run_id: str) -> list[str]:
    return [line.text for line in client.runs.logs(run_id).lines if not line.text.startswith("[")]


def places(client: lepton.Client, run_id: str) -> list[str]:
    """At which address each attempt was."""
    return list(dict.fromkeys(text.split()[1] for text in texts(client, run_id) if text.startswith("on ")))


def lose_one(client: lepton.Client, cluster: RayCluster, folder: Path, rng: random.Random) -> RayNode:
    """Submit a run, lose its machine at a random moment, and look what becomes of the run; return the machine."""
    run = client.runs.submit(["python", "train.py"], folder=folder, workers=2, cpus=1, retries=3)
    eventually(lambda: bool(begun(client, run.id)), "it works", within_s=120)
    moment_s = rng.uniform(0.8, STEPS * PAUSE_S * 0.8)
    due_s = time.monotonic() + moment_s
    eventually(lambda: time.monotonic() > due_s, "the moment has come")
    node = next(one for one in cluster.nodes if one.address in places(client, run.id))
    cluster.lose_node(node)
    eventually(lambda: client.runs.get(run.id).ended, "it has ended", within_s=150)
    ended = client.runs.get(run.id)
    assert ended.state == "succeeded", (ended.error, texts(client, run.id))
    assert json.loads(client.runs.get_artifact(run.id, "result.json")) == killed.result(steps=STEPS)
    first, second = begun(client, run.id)
    assert first == 0
    assert second % EVERY == 0
    # One interval is repeated at most, beside what was saved within the last half second and was on its way.
    assert moment_s / PAUSE_S - second <= EVERY + EVERY
    assert len(places(client, run.id)) == 2, "it went on elsewhere"
    eventually(lambda: not cluster.processes(node), "nothing of the machine is left")
    eventually(lambda: not any(processes_of(run.id).values()), "nothing of the run is left")
    return node


def test_a_run_whose_machine_is_lost_with_its_disk_ends_elsewhere_with_the_result_that_it_would_have_had(
    cluster: RayCluster, home: Path, tmp_path: Path
) -> None:
    folder = program(tmp_path / "folder", WHERE + killed.worker(steps=STEPS, every=EVERY, pause_s=PAUSE_S))
    with opened(home, cluster) as client:
        lose_one(client, cluster, folder, random.Random(1))


def test_a_command_gives_the_same_bytes_on_a_cluster_as_here(cluster: RayCluster, home: Path, tmp_path: Path) -> None:
    folder, found = program(tmp_path / "folder", NUMBERS), []
    for where, engine in ((home, cluster), (tmp_path / "here", None)):
        with opened(where, engine) as client:
            run = client.runs.submit(["python", "train.py"], folder=folder, workers=2, cpus=1)
            assert client.runs.wait(run.id).state == "succeeded"
            found.append((client.runs.get_artifact(run.id, "both.npy"), sorted(texts(client, run.id))))
    assert found[0] == found[1]
    assert len(found[0][0]) > 200 * 200 * 4


def test_a_head_that_comes_back_finds_runs_where_they_were_and_what_waited_begins(
    cluster: RayCluster, home: Path, tmp_path: Path
) -> None:
    folder = program(tmp_path / "folder", PATIENT)
    with socket.create_server(("127.0.0.1", 0)) as listener:  # they wait for who listens here to hang up
        command = ["python", "train.py", str(listener.getsockname()[1])]
        with opened(home, cluster) as client:
            runs = [client.runs.submit(command, folder=folder, workers=2)]
            eventually(lambda: texts(client, runs[0].id) == ["here"] * 2, "it works", within_s=120)
            cluster.lose_node(cluster.nodes[0])
            runs.append(client.runs.submit(command, folder=folder))
            eventually(lambda: "does not answer" in client.runs.get(runs[1].id).message, "it says what it waits for")
            assert client.runs.get(runs[0].id).state == "running"
        with opened(home, cluster) as client:  # the platform is started anew meanwhile
            assert [client.runs.get(run.id).state for run in runs] == ["running", "queued"]
            cluster.start_head()
            eventually(lambda: texts(client, runs[1].id) == ["here"], "what waited works", within_s=150)
            for _ in range(3):
                listener.accept()[0].close()
            for run in runs:
                ended = client.runs.wait(run.id)
                assert (ended.state, len(texts(client, run.id))) == ("succeeded", run.workers), "it was started once"
                eventually(lambda run=run: not any(processes_of(run.id).values()), "nothing of the run is left")


def many(count: int) -> None:
    """Lose a machine at a random moment, again and again: ``python tests/runs/test_lost_machines.py 20``."""
    with RayCluster(nodes=3, head_cpus=0) as cluster, tempfile.TemporaryDirectory() as place:
        folder = program(Path(place, "folder"), WHERE + killed.worker(steps=STEPS, every=EVERY, pause_s=PAUSE_S))
        with opened(Path(place, "home"), cluster) as client:
            well = 0
            for number in range(1, count + 1):
                try:
                    lose_one(client, cluster, folder, random.Random())
                    well += 1
                except (AssertionError, pytest.fail.Exception) as error:
                    print(f"{number}: {error}")
                print(f"{well} of {number} ended with their result", flush=True)
                while len(cluster.nodes) < 3:
                    cluster.add_node()


if __name__ == "__main__":
    many(int(sys.argv[1]))
