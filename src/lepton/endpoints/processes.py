"""Replica processes: start one, see whether it lives, ask it to end. No catalog in here.

A replica is a supervisor with workers (`replica/`). It leads a session of its own, so it goes on when the control
plane is killed, is found again by its process id and start time, and is spoken to over its control socket.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import time

from lepton.core.errors import Unavailable
from lepton.endpoints.records import ReplicaProcess
from lepton.endpoints.replica.config import ReplicaConfig
from lepton.runs.engines.processes import ProcessMark

START_TIMEOUT_S = 30.0
_KEPT = (
    "PATH", "HOME", "LANG", "LC_ALL", "PYTHONPATH", "VIRTUAL_ENV", "TMPDIR", "LEPTON_UPSTREAM_HOSTS",
)  # fmt: skip
_FOR_AN_ENGINE = ("LEPTON_HAPROXY", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
"""What steers machines; what predicts there does not get it."""


def start(config: ReplicaConfig, *, dies_with_us: bool = False) -> ReplicaProcess:
    """Start a replica and wait until it has its port; its control socket tells when it is ready.

    The key of the model travels over the pipe, never in arguments, environment or a file.

    Args:
        config: What it answers for. With an engine it is a process that keeps replicas on other machines.
        dies_with_us: Whether the kernel ends it together with this thread.

    Raises:
        Unavailable: if it ends, or has no port within 30 s; the message is the replica's own sentence.
    """
    module = "lepton.endpoints.balanced" if config.engine else "lepton.endpoints.replica"
    process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
        [sys.executable, "-P", "-m", module, *(["--dies-with", str(os.getpid())] if dies_with_us else [])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd="/",
        env=environment(engine=bool(config.engine)) | {"OMP_NUM_THREADS": "1"},
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
    mark = ProcessMark.of(process.pid)
    if mark is None:
        process.wait()
        raise Unavailable("The replica ended right after it started.")
    _children[process.pid] = process
    return ReplicaProcess(mark, int(answer["port"]), config.generation)


def alive(replica: ReplicaProcess) -> bool:
    """Say whether this very process still runs."""
    if replica.mark.is_alive():
        return True
    child = _children.pop(replica.mark.pid, None)
    if child is not None:
        child.wait()  # it has ended; this collects its exit status
    return False


def stop(*replicas: ReplicaProcess, grace_s: float = 15.0) -> None:
    """Let replicas finish what they are answering and end; kill those that live when the grace is over."""
    living = [replica for replica in replicas if alive(replica)]
    for number, patience_s in ((signal.SIGTERM, grace_s), (signal.SIGKILL, 5.0)):
        for replica in living:
            replica.mark.send(number)
        deadline = time.monotonic() + patience_s
        while (living := [replica for replica in living if alive(replica)]) and time.monotonic() < deadline:
            time.sleep(0.02)


# Only to collect the exit status of our own children; a replica that another control plane started is not in it.
_children: dict[int, subprocess.Popen[bytes]] = {}


def environment(*, engine: bool = False) -> dict[str, str]:
    """Return what a replica may see of our environment.

    Args:
        engine: Whether it is the one that has an engine start others.
    """
    kept = _KEPT + (_FOR_AN_ENGINE if engine else ())
    return {name: value for name, value in os.environ.items() if name in kept or name.startswith("OTEL_")}
