"""A real Ray cluster on this machine for tests: each node a group of processes, with tokens, on the loopback.

Nothing here calls ``ray stop`` or a ``shutdown()`` that does: both end every Ray process of the machine. What is ended
is what was started here, by its number; what a node leaves behind is known by a variable in its environment.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2

import lepton
from lepton.testing.engines import eventually

START_TIMEOUT_S = 90.0
# On 127.0.0.1 Ray listens on the loopback alone; on any other address, 127.0.0.2 included, on all interfaces. It takes
# 127.0.0.1 for a mistake, and replaces it by an address that others reach, unless told that there are no clusters on
# this system (`_environment`); that in turn forbids to start a second node, which is all that is put right here.
_START = """
import sys
from ray._private import ray_constants, services
ray_constants.ENABLE_RAY_CLUSTER = True
services.resolve_ip_for_localhost = lambda host: host
from ray.scripts.scripts import main
sys.exit(main())
"""
_LOOPBACK = "127.0.0.1"
_MARK = "LEPTON_TEST_RAY"


@dataclass(frozen=True)
class RayNode:
    """A node: the number of its first process, which leads the group of all the others, and how Ray calls it.

    Attributes:
        number: 0 is the head.
        pid: Number of its first process.
        address: Under which Lepton's agents on it listen: 127.0.0.1 for the head, 127.0.0.2 for the next, and so on.
    """

    number: int
    pid: int
    address: str
    folder: Path


class NodeEnded(RuntimeError):
    """A Ray node has ended by itself; the text is the end of what it wrote."""


class RayCluster:
    """Starts a cluster when entered and ends it when left.

    Args:
        nodes: How many, the head included.
        cpus: How many each of them says it has.
        head_cpus: How many the head says it has; None: as many.
        remembers: Whether the head keeps what it knows on its disk, in RocksDB.
    """

    def __init__(self, *, nodes: int = 3, cpus: int = 4, head_cpus: int | None = None, remembers: bool = False) -> None:
        self._cpus = cpus
        self._head_cpus = cpus if head_cpus is None else head_cpus
        self._options: list[str] = []
        self._more: dict[str, str] = {}
        self._count = nodes
        self.folder = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))  # short: sockets have paths under 108 bytes
        self.folder.chmod(0o711)  # users of runs pass through it
        self.token = secrets.token_hex(32)
        self.token_path = self.folder / "token"
        self.token_path.touch(mode=0o600)
        self.token_path.write_text(self.token)
        if remembers:
            self._more = {"RAY_gcs_storage": "rocksdb", "RAY_gcs_storage_path": str(self.folder / "gcs")}
        self.nodes: list[RayNode] = []
        self._processes: dict[int, subprocess.Popen[bytes]] = {}
        self._gcs_port, self._dashboard_port = _free_port(), _free_port()
        self.gcs = f"{_LOOPBACK}:{self._gcs_port}"
        self.url = f"http://{_LOOPBACK}:{self._dashboard_port}"
        self.address = f"ray://{_LOOPBACK}:{self._dashboard_port}"

    def __enter__(self) -> RayCluster:
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def start(self) -> None:
        """Start the head and the other nodes; return when all of them are alive."""
        self.start_head()
        self._wait(lambda: len(self.alive()) == 1, "the head is alive", self.nodes[0])
        for _ in range(self._count - 1):
            self.add_node()  # one by one: two that start together in one folder take each other's sockets

    def add_node(self) -> RayNode:
        """Start one more node; return when it is alive."""
        before = len(self.alive())
        node = self._launch([f"--address={self.gcs}", f"--num-cpus={self._cpus}"])
        self._wait(lambda: len(self.alive()) == before + 1, "the new node is alive", node)
        return node

    def kill_node(self, node: RayNode) -> None:
        """End a node's own processes by SIGKILL; what its raylet had started is left to notice it."""
        with suppress(ProcessLookupError):
            os.killpg(node.pid, signal.SIGKILL)
        self._processes[node.pid].wait()
        self.nodes.remove(node)

    def lose_node(self, node: RayNode) -> None:
        """End all processes of a node by SIGKILL, and take its disk away."""
        self.kill_node(node)
        end_all(self.folder, node.number)
        eventually(lambda: not self.processes(node), "nothing of the node is left")
        shutil.rmtree(node.folder / "tmp", ignore_errors=True)

    def forget_ended(self) -> None:
        """Strike out nodes that have ended by themselves."""
        self.nodes = [node for node in self.nodes if self._processes[node.pid].poll() is None]

    def alive(self) -> set[str]:
        """Return the ids of the nodes that Ray takes for alive."""
        answer = self._get("/api/v0/nodes?limit=100")
        rows = [] if answer is None else answer["data"]["result"]["result"]
        return {row["node_id"] for row in rows if row["state"] == "ALIVE"}

    def jobs(self) -> list[dict[str, Any]]:
        """Return the jobs that Ray knows."""
        return self._get("/api/jobs/") or []

    def processes(self, node: RayNode | None = None) -> set[int]:
        """Return the numbers of all that descends from this cluster, or from one of its nodes, and still runs."""
        return _marked(f"{_MARK}={self.folder}/" + ("" if node is None else f"{node.number}\0"))

    def close(self) -> None:
        """End every process that was started here or by one that was, and remove the folders."""
        for node in list(self.nodes):
            self.kill_node(node)
        for process in self._processes.values():
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        deadline = time.monotonic() + 30
        while (left := self.processes()) and time.monotonic() < deadline:
            for pid in left:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)
        shutil.rmtree(self.folder, ignore_errors=True)

    def start_head(self) -> RayNode:
        """Start the head, at the same ports as before if there was one; return when it answers.

        Without a memory of its own it knows none of the nodes from before, and these end.
        """
        options = [
            "--head", f"--num-cpus={self._head_cpus}", f"--port={self._gcs_port}", "--dashboard-host=127.0.0.1",
            f"--dashboard-port={self._dashboard_port}", f"--ray-client-server-port={_free_port()}", *self._options,
        ]  # fmt: skip
        for _ in range(2):
            # Ray takes the other nodes, which name the head on their command lines, for a head that lives.
            (self.folder / "ray" / "ray_current_cluster").unlink(missing_ok=True)
            head = self._launch(options)
            self.nodes = [head, *self.nodes[:-1]]
            try:
                self._wait(lambda: self._get("/api/version") is not None, "the head answers", head)
            except NodeEnded:  # Ray gives a node 30 s to start, which on a busy machine is little
                self.lose_node(head)
            else:
                return head
        raise NodeEnded((head.folder / "start.log").read_text()[-2000:])

    def _launch(self, options: list[str]) -> RayNode:
        number = len(self._processes)
        process = launch(self.folder, number, options, self._more)
        self._processes[process.pid] = process
        self.nodes.append(RayNode(number, process.pid, address_of(number), self.folder / str(number)))
        return self.nodes[-1]

    def _get(self, path: str) -> Any:
        try:
            answer = httpx2.get(self.url + path, headers={"Authorization": f"Bearer {self.token}"}, timeout=10)
        except httpx2.HTTPError:
            return None
        return json.loads(answer.text) if answer.status_code == 200 else None

    def _wait(self, condition: Callable[[], bool], what: str, node: RayNode) -> None:
        def holds() -> bool:
            if self._processes[node.pid].poll() is not None:
                raise NodeEnded((node.folder / "start.log").read_text()[-2000:])
            return condition()

        eventually(holds, what, within_s=START_TIMEOUT_S)


def address_of(number: int) -> str:
    """Return where Lepton's agents on a node listen."""
    return f"127.0.0.{number + 1}"


def launch(cluster: Path, number: int, options: list[str], more: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Start a node, with a disk of its own for what is Lepton's; `more` is added to its environment.

    Ray's own folder is one for all nodes: they have one address, so it asks the wrong one for a job's log, which must
    find it.
    """
    folder = cluster / str(number)
    folder.mkdir(mode=0o711)
    (folder / "tmp").mkdir(mode=0o711)
    command = [
        sys.executable, "-c", _START, "start", "--block", f"--node-ip-address={_LOOPBACK}",
        f"--temp-dir={cluster / 'ray'}", "--object-store-memory=80000000", "--min-worker-port=0",
        "--max-worker-port=0", "--dashboard-agent-listen-port=0", "--disable-usage-stats", *options,
    ]  # fmt: skip
    where = {"LEPTON_NODE_ADDRESS": address_of(number), "TMPDIR": str(folder / "tmp")}
    with (folder / "start.log").open("wb") as log:
        return subprocess.Popen(
            command,
            env=_environment(cluster, number) | where | more,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def _environment(cluster: Path, number: int) -> dict[str, str]:
    kept = {n: v for n, v in os.environ.items() if not n.startswith(("RAY_", "LEPTON_", "PYTEST_", "COV_"))}
    return kept | {
        _MARK: f"{cluster}/{number}",
        "HOME": str(cluster),  # Ray would leave a token that everybody can read in ~/.ray
        "PYTHONPATH": os.pathsep.join((str(Path(lepton.__file__).parents[1]), str(Path(__file__).parent))),
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN_PATH": str(cluster / "token"),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "RAY_enable_worker_prestart": "false",
        "RAY_prestart_worker_first_driver": "false",
        # A node that is gone is noticed in about three seconds instead of thirty.
        "RAY_health_check_initial_delay_ms": "1000",
        "RAY_health_check_period_ms": "1000",
        "RAY_health_check_timeout_ms": "2000",
        "RAY_health_check_failure_threshold": "3",
        "AUTOSCALER_METRIC_PORT": str(_free_port()),
        "DASHBOARD_METRIC_PORT": str(_free_port()),
    }


def end_all(cluster: Path, number: int) -> None:
    """End by SIGKILL what belongs to a node of a cluster, as when its machine loses power."""
    for pid in _marked(f"{_MARK}={cluster}/{number}\0"):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _marked(mark: str) -> set[int]:
    return {pid for pid, environment in _environments() if mark.encode() in environment}


def _free_port() -> int:
    with socket.create_server((_LOOPBACK, 0)) as listener:
        return listener.getsockname()[1]


def _environments() -> Iterator[tuple[int, bytes]]:
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            yield int(path.parent.name), path.read_bytes()
