"""Lepton as a runner: a server in a process of its own, spoken to over HTTP with a token."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.runs.measure import FILE, PROGRAM
from benchmarks.serving.processes import CpuTime, tree

import lepton
from lepton.core.errors import LeptonError

START_S = 60.0


class LeptonRuns:
    """Runs of Lepton.

    Args:
        name: What to call it.
        client: A client of the platform.
        folder: What is sent with every run.
        pid: The server.
    """

    def __init__(self, name: str, client: lepton.Client, folder: Path, pid: int) -> None:
        self.name = name
        self._client = client
        self._folder = folder
        self._pid = pid

    def submit(self, key: int) -> str:
        """Send the folder and queue a run in it."""
        return self._client.runs.submit(["python", FILE], folder=self._folder, cpus=1, key=f"run-{key}").id

    def unfinished(self, ids: Sequence[str]) -> int:  # noqa: ARG002 - there are no other runs
        """Ask for what is queued or running."""
        left = 0
        for state in ("queued", "running"):
            left += len(self._client.runs.list(filter=f"state = '{state}'", limit=1))
        return left

    def wait(self, run_id: str) -> None:
        """Follow the run to its end."""
        self._client.runs.wait(run_id)

    def said(self, run_id: str) -> str:
        """Read the log."""
        run = self._client.runs.get(run_id)
        if run.state != "succeeded":
            raise RuntimeError(f"{run_id}: {run.state}, {run.error}")
        return "\n".join(line.text for line in self._client.runs.logs(run_id).lines)

    def cpu_s(self) -> float:
        """Add up the server, its fork server, and what that has collected."""
        return sum(CpuTime.of([self._pid]).seconds.values())


@contextmanager
def running(name: str, place: Path, more: Mapping[str, str]) -> Iterator[LeptonRuns]:
    """Run a platform.

    Args:
        name: What to call it.
        place: An empty folder.
        more: Variables of its environment.
    """
    folder, home = place / "folder", place / "home"
    for path in (folder, home):
        path.mkdir(parents=True)
    (folder / FILE).write_text(PROGRAM)
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("LEPTON_", "RAY_"))}
    environment |= {"LEPTON_HOME": str(home), "LEPTON_PORT": "0", **more}
    with (place / "server.out").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "lepton.server"], env=environment, stdout=log, stderr=log, start_new_session=True
        )
    try:
        told = _told(home / "client.json", process)
        with lepton.connect(told["url"], told["token"]) as client:
            yield LeptonRuns(name, client, folder, process.pid)
    finally:
        members = tree([process.pid])
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        finally:
            for pid in members:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    continue


def _told(path: Path, process: subprocess.Popen[bytes]) -> dict[str, str]:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        if path.exists():
            told = json.loads(path.read_text())
            try:
                with lepton.connect(told["url"], told["token"]) as client:
                    client.health()
                return {"url": told["url"], "token": told["token"]}
            except LeptonError:
                pass
        time.sleep(0.05)
    raise RuntimeError(f"the platform did not start; see {path.parents[1] / 'server.out'}")
