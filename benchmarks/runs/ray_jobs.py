"""Ray Jobs as a runner: a cluster of one node on the loopback, spoken to by the REST interface of its dashboard.

Nothing here calls ``ray stop``, which ends every Ray process of the machine: what is ended was started here, and is
known by a variable in its environment.
"""

from __future__ import annotations

import http.client
import json
import os
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.runs.measure import FILE, PROGRAM

START_S = 120.0
_MARK = "LEPTON_BENCHMARK_RAY"
_OVER = ("SUCCEEDED", "FAILED", "STOPPED")


@dataclass(frozen=True)
class Cluster:
    """A cluster of one node.

    Attributes:
        folder: Where it keeps what is its own.
        port: Of its dashboard.
        token: What it asks for.
    """

    folder: Path
    port: int
    token: str


class RayJobs:
    """Jobs of Ray.

    Args:
        cluster: Where.
        python: What runs the program.
    """

    def __init__(self, cluster: Cluster, python: Path) -> None:
        self.name = "Ray Jobs"
        self._cluster = cluster
        self._entrypoint = f"{python} {cluster.folder / FILE}"

    def submit(self, key: int) -> str:
        """Submit a job that takes one processor."""
        body = {"entrypoint": self._entrypoint, "entrypoint_num_cpus": 1, "submission_id": f"job-{key}"}
        return str(self._ask("POST", "/api/jobs/", body)["submission_id"])

    def unfinished(self, ids: Sequence[str]) -> int:
        """Ask for all jobs."""
        wanted = set(ids)
        jobs = self._ask("GET", "/api/jobs/")
        return sum(job["submission_id"] in wanted and job["status"] not in _OVER for job in jobs)

    def wait(self, run_id: str) -> None:
        """Ask until it has ended."""
        while self._status(run_id) not in _OVER:
            time.sleep(0.05)

    def said(self, run_id: str) -> str:
        """Read the log."""
        if (status := self._status(run_id)) != "SUCCEEDED":
            raise RuntimeError(f"{run_id}: {status}")
        return str(self._ask("GET", f"/api/jobs/{run_id}/logs")["logs"])

    def cpu_s(self) -> None:
        """Return nothing: each job has processes that end with it, whose time no other process of Ray collects."""

    def _status(self, run_id: str) -> str:
        return str(self._ask("GET", f"/api/jobs/{run_id}")["status"])

    def _ask(self, method: str, path: str, body: object = None) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self._cluster.port, timeout=60)
        try:
            headers = {"Authorization": f"Bearer {self._cluster.token}", "Content-Type": "application/json"}
            connection.request(method, path, None if body is None else json.dumps(body), headers)
            answer = connection.getresponse()
            text = answer.read()
            if answer.status != 200:
                raise RuntimeError(f"{method} {path} answered {answer.status}: {text[:300]!r}")
            return json.loads(text)
        finally:
            connection.close()


@contextmanager
def cluster(python: Path, *, cpus: int) -> Iterator[Cluster]:
    """Run a cluster of one node, which asks for a token and listens on the loopback alone.

    Args:
        python: The interpreter of the environment that Ray is in.
        cpus: How many processors it hands out.
    """
    folder = Path(tempfile.mkdtemp(prefix="lbr-", dir="/tmp"))  # short: its sockets have paths under 108 bytes
    made = Cluster(folder, _free_port(), secrets.token_hex(32))
    token = folder / "token"
    token.touch(mode=0o600)
    token.write_text(made.token)
    (folder / FILE).write_text(PROGRAM)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "LEPTON_"))}
    environment |= {
        _MARK: str(folder), "HOME": str(folder), "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(token),
        "RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
        "AUTOSCALER_METRIC_PORT": str(_free_port()), "DASHBOARD_METRIC_PORT": str(_free_port()),
    }  # fmt: skip
    command = [
        str(python), "-m", "ray.scripts.scripts", "start", "--head", "--block", "--port=0",
        "--node-ip-address=127.0.0.1", "--dashboard-host=127.0.0.1", f"--dashboard-port={made.port}",
        f"--ray-client-server-port={_free_port()}", f"--temp-dir={folder / 'ray'}", f"--num-cpus={cpus}",
        "--object-store-memory=80000000", "--min-worker-port=0", "--max-worker-port=0",
        "--dashboard-agent-listen-port=0", "--disable-usage-stats",
    ]  # fmt: skip
    with (folder / "start.log").open("wb") as log:
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    try:
        _wait(made, process)
        yield made
    finally:
        _end(folder, process)


def _wait(made: Cluster, process: subprocess.Popen[bytes]) -> None:
    runner, deadline = RayJobs(made, Path()), time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            runner.unfinished([])
        except (OSError, RuntimeError, ValueError, http.client.HTTPException):
            time.sleep(0.2)
        else:
            return
    raise RuntimeError(f"Ray did not start: {(made.folder / 'start.log').read_text()[-1000:]}")


def _end(folder: Path, process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    deadline = time.monotonic() + 30
    while (left := _marked(folder)) and time.monotonic() < deadline:
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
        time.sleep(0.1)
    shutil.rmtree(folder, ignore_errors=True)


def _marked(folder: Path) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"{_MARK}={folder}\0".encode() in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
