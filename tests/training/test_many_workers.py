"""Training in real processes, joined over TCP: several workers find what one finds."""

import json
import os
import runpy
import secrets
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from lepton.training.collective import LocalCollective

SCRIPT = Path(__file__).parent / "worker_script.py"
WORKER = runpy.run_path(str(SCRIPT))
# The promise is 1e-6. Newton and L-BFGS walk other paths when rows are cut otherwise (another sample, other rounding)
# and end within their tolerance of the optimum; gradient descent and exact differ by rounding only.
TOLERANCE = 1e-6
ROUNDING = 1e-9


def run_workers(world_size: int, script: Path = SCRIPT) -> list[subprocess.CompletedProcess[str]]:
    """Start the script once a worker as an engine does: torchrun variables, an inherited listener, a secret."""
    listener = socket.create_server(("127.0.0.1", 0))
    secret = secrets.token_bytes(32)
    processes = []
    for rank in range(world_size):
        environment = os.environ | {
            "RANK": str(rank),
            "WORLD_SIZE": str(world_size),
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(listener.getsockname()[1]),
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
        }
        inherited = ()
        if rank == 0:
            environment["LEPTON_MASTER_FD"] = str(listener.fileno())
            inherited = (listener.fileno(),)
        process = subprocess.Popen(
            [sys.executable, str(script)],
            env=environment,
            pass_fds=inherited,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        process.stdin.write(secret)
        process.stdin.close()
        process.stdin = None
        processes.append(process)
    listener.close()
    done = []
    for process in processes:
        out, err = process.communicate(timeout=120)
        done.append(subprocess.CompletedProcess(process.args, process.returncode, out.decode(), err.decode()))
    return done


@pytest.fixture(scope="module")
def alone():
    return WORKER["fit_all"](LocalCollective())


@pytest.fixture(scope="module", params=[2, 4])
def together(request):
    workers = run_workers(request.param)
    assert [worker.returncode for worker in workers] == [0] * request.param, workers[0].stderr
    return [json.loads(worker.stdout) for worker in workers]


@pytest.mark.parametrize("case", WORKER["CASES"])
def test_several_workers_find_what_one_finds(case, alone, together):
    one, many = ([float.fromhex(w) for w in found[case]["weights"]] for found in (alone, together[0]))
    tolerance = TOLERANCE if "newton" in case or "lbfgs" in case else ROUNDING
    if "mini-batches" in case:
        tolerance = 0.05  # other rows make up each batch; the noise of 1 over 300 rows leaves about this
    assert np.max(np.abs(np.subtract(one, many))) < tolerance
    assert together[0][case]["classes"] == alone[case]["classes"]
    if (
        "errors" in alone[case] and "mini-batches" not in case
    ):  # from the Hessian next to the optimum: the last step's length, 3e-5, off at most
        one, many = ([float.fromhex(e) for e in found[case]["errors"]] for found in (alone, together[0]))
        assert np.allclose(one, many, rtol=1e-4)


def test_every_worker_holds_the_same_bits(together):
    for other in together[1:]:
        assert other == together[0]


def test_a_killed_worker_is_named_in_the_error_of_the_others(tmp_path):
    script = tmp_path / "dying.py"
    script.write_text(
        "import os, signal, sys\n"
        "from lepton.training.collective import open_collective\n"
        "joined = open_collective(os.environ, sys.stdin.buffer.read())\n"
        "joined.barrier()\n"
        "if joined.rank == 2:\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "joined.barrier()\n"
    )
    workers = run_workers(3, script)
    assert workers[2].returncode == -9
    for survivor in workers[:2]:
        assert survivor.returncode == 1
        assert "Unavailable: Worker 2 went away" in survivor.stderr
