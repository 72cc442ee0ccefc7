"""Both servers as they are started, on one core, and how each is asked over plain HTTP."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.serving.processes import CpuTime, tree

START_S = 120.0


class Connection:
    """One kept connection."""

    def __init__(self, port: int, token: str | None, timeout_s: float = 600.0) -> None:
        self._http = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
        self._headers = {"Content-Type": "application/json"}
        if token is not None:
            self._headers["Authorization"] = f"Bearer {token}"

    def ask(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """Send one request and return the body of its answer."""
        self._http.request(method, path, body, self._headers)
        response = self._http.getresponse()
        content = response.read()
        if response.status >= 300:
            raise RuntimeError(f"{method} {path} answered {response.status}: {content[:300]!r}")
        return content


@dataclass(frozen=True)
class Server:
    """A server that answers."""

    name: str
    process: subprocess.Popen[bytes]
    port: int
    token: str | None

    def connect(self, timeout_s: float = 600.0) -> Connection:
        """Open a connection."""
        return Connection(self.port, self.token, timeout_s)

    def cpu_s(self) -> float:
        """CPU seconds of the server with its children, now."""
        return sum(CpuTime.of([self.process.pid]).seconds.values())


@contextmanager
def lepton(home: Path, core: int, catalog: str = "sqlite") -> Iterator[Server]:
    """Run Lepton's server; authentication is on, as it always is."""
    port = _free_port()
    environment = {**os.environ, "LEPTON_HOME": str(home), "LEPTON_PORT": str(port), "LEPTON_CATALOG": catalog}
    home.mkdir(parents=True, exist_ok=True)
    (home / "client.json").unlink(missing_ok=True)
    with _running([sys.executable, "-m", "lepton.server"], home, environment, core) as process:
        _wait(process, port, "/v1/health")
        token = json.loads((home / "client.json").read_text())["token"]
        yield Server("Lepton", process, port, token)


@contextmanager
def mlflow(python: Path, folder: Path, core: int) -> Iterator[Server]:
    """Run MLflow's server over SQLite with one worker, without authentication."""
    port = _free_port()
    folder.mkdir(parents=True, exist_ok=True)
    command = [str(python), "-m", "mlflow", "server", "--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"]
    command += ["--default-artifact-root", str(folder / "artifacts"), "--host", "127.0.0.1", "--port", str(port)]
    command += ["--workers", "1"]
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    environment |= {"PATH": f"{python.parent}:{os.environ['PATH']}", "MLFLOW_DISABLE_TELEMETRY": "true"}
    with _running(command, folder, environment, core) as process:
        _wait(process, port, "/health")
        yield Server("MLflow", process, port, None)


@contextmanager
def _running(
    command: list[str], folder: Path, environment: dict[str, str], core: int
) -> Iterator[subprocess.Popen[bytes]]:
    with (folder / "server.out").open("wb") as log:
        mine = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {core})  # which the server inherits
        try:
            process = subprocess.Popen(
                command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
            )
        finally:
            os.sched_setaffinity(0, mine)
    try:
        yield process
    finally:
        members = tree([process.pid])
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for pid in members:
            try:
                os.kill(pid, 9)
            except ProcessLookupError:
                continue


def _wait(process: subprocess.Popen[bytes], port: int, path: str) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        try:
            Connection(port, None).ask("GET", path)
        except (OSError, RuntimeError, http.client.HTTPException):
            time.sleep(0.1)
        else:
            return
    raise RuntimeError("a server did not start; see server.out in its folder")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
