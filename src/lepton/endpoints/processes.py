"""Replica processes: start one, see whether it lives, ask it to end. No catalog in here.

A replica leads a session of its own, so it goes on when the control plane is killed and is found again by
its process id and start time.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

from lepton.core.errors import Unavailable
from lepton.endpoints.records import ReplicaProcess
from lepton.endpoints.replica.config import ReplicaConfig

START_TIMEOUT_S = 30.0


def start(config: ReplicaConfig) -> ReplicaProcess:
    """Start a replica and wait until it listens.

    The key of the model travels over the pipe, never in arguments, environment or a file.

    Raises:
        Unavailable: if it ends, or does not listen within 30 s; the message is the replica's own sentence.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "lepton.endpoints.replica"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd="/",
        env=_environment(),
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        process.stdin.write(config.to_json())
        process.stdin.close()
        ready, _, _ = select.select([process.stdout], [], [], START_TIMEOUT_S)
        answer = json.loads(process.stdout.readline() or b"{}") if ready else {}
    except (OSError, ValueError):
        answer = {}
    finally:
        process.stdout.close()
    if "port" not in answer:
        process.kill()
        process.wait()
        raise Unavailable(str(answer.get("error", "The replica ended before it could listen.")))
    started = start_time(process.pid)
    if started is None:
        raise Unavailable("The replica ended right after it started.")
    _children[process.pid] = process
    return ReplicaProcess(process.pid, started, int(answer["port"]), config.generation, config.control_url)


def alive(replica: ReplicaProcess) -> bool:
    """Say whether this very process still runs."""
    if start_time(replica.pid) == replica.started:
        return True
    child = _children.pop(replica.pid, None)
    if child is not None:
        child.wait()  # it has ended; this collects its exit status
    return False


def stop(replica: ReplicaProcess, *, grace_s: float = 10.0) -> None:
    """Let a replica finish what it is answering and end; kill it when the grace is over."""
    if not alive(replica):
        return
    os.kill(replica.pid, signal.SIGTERM)
    deadline = time.monotonic() + grace_s
    while alive(replica) and time.monotonic() < deadline:
        time.sleep(0.02)
    if alive(replica):
        os.kill(replica.pid, signal.SIGKILL)
        while alive(replica):
            time.sleep(0.002)


def start_time(pid: int) -> int | None:
    """Return when a process started, in clock ticks since boot (proc(5), field 22), or None if it does not run."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else int(fields[19])


# Only to collect the exit status of our own children; a replica that another control plane started is not in it.
_children: dict[int, subprocess.Popen[bytes]] = {}


def _environment() -> dict[str, str]:
    kept = ("PATH", "HOME", "LANG", "LC_ALL", "PYTHONPATH", "VIRTUAL_ENV", "TMPDIR")
    return {name: os.environ[name] for name in kept if name in os.environ} | {"OMP_NUM_THREADS": "1"}
