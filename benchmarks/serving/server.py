"""A peer's server as it runs: started on its core, asked until it answers right, ended with all its processes."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import numpy as np
from benchmarks.serving import processes
from benchmarks.serving.cases import REQUESTS, TOLERANCE, Array, Case, Request
from benchmarks.serving.peer import NotMeasured, Peer, Place

GRACE_S = 5.0
"""How long a server may take to end by itself."""
ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


@dataclass(frozen=True)
class Questions:
    """The requests of a case as one peer takes them, and what is right."""

    case: Case
    requests: Sequence[Request]
    right: Sequence[Array]


@dataclass(frozen=True)
class Server:
    """A server that answers.

    Attributes:
        start_s: From its command to its first right answer.
    """

    peer: Peer
    place: Place
    process: subprocess.Popen[bytes]
    start_s: float

    def port(self, case: Case) -> int:
        """Where it answers for a case."""
        return self.peer.port(self.place, case.model)

    @property
    def roots(self) -> list[int]:
        """The processes that it descends from."""
        return [self.process.pid, *self.peer.also(self.place)]

    def questions(self, case: Case) -> Questions:
        """Write the requests of a case; raises `NotMeasured` if the peer does not serve it."""
        inputs = [case.inputs(number) for number in range(REQUESTS)]
        return Questions(
            case,
            [self.peer.request(self.place, case, rows) for rows in inputs],
            [self.place.models.answers(case, rows) for rows in inputs],
        )

    def check(self, questions: Questions) -> None:
        """Ask every request once.

        Raises:
            NotMeasured: if an answer is refused or wrong.
        """
        for number, request in enumerate(questions.requests):
            status, head, body = post(self.port(questions.case), request)
            if status != 200:
                raise NotMeasured(f"it answers {status}: {body[:200].decode(errors='replace')}")
            self.check_answer(questions, number, head, body)

    def check_answer(self, questions: Questions, number: int, head: bytes, body: bytes) -> None:
        """Compare one answer with what is right.

        Raises:
            NotMeasured: if it is another.
        """
        try:
            found = self.peer.read(questions.case, head, body)
        except (ValueError, KeyError, TypeError, IndexError) as error:
            raise NotMeasured(f"its answer cannot be read ({error!r}): {body[:200]!r}") from error
        right = questions.right[number]
        tolerance = TOLERANCE[questions.case.model]
        if found.shape != right.shape or not np.allclose(found, right, rtol=0, atol=tolerance):
            raise NotMeasured(f"wrong answers: {found.ravel()[:3]} instead of {right.ravel()[:3]}")


def post(port: int, request: Request, timeout_s: float = 10.0) -> tuple[int, bytes, bytes]:
    """Send one request over a connection of its own; return status, head and body."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    try:
        connection.request("POST", request.path, request.body, dict(request.headers))
        answer = connection.getresponse()
        head = "\r\n".join(f"{name}: {value}" for name, value in answer.getheaders()).encode()
        return answer.status, head, answer.read()
    finally:
        connection.close()


@contextmanager
def serve(peer: Peer, place: Place) -> Iterator[Server]:
    """Run a peer's server for the length of a ``with`` block.

    Raises:
        NotMeasured: if it does not come up; the message ends with its last words.
    """
    environment = {
        "PATH": f"{place.python.parent}:{os.environ['PATH']}",
        "HOME": str(place.folder),
        "LANG": "C.UTF-8",
        **ONE_THREAD,
        **peer.environment(place),
    }
    with (place.folder / "log.txt").open("wb") as log:
        began = time.monotonic()
        process = subprocess.Popen(
            ["taskset", "-c", str(place.core), *peer.command(place)],
            cwd=place.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        try:
            _wait(peer, place, process, began)
            started_s = time.monotonic() - began
            _wait_for_others(peer, place)
            yield Server(peer, place, process, started_s)
        finally:
            _end(peer, place, process)


def _wait_for_others(peer: Peer, place: Place) -> None:
    """Wait until the MLP can be asked too, where it answers at an address of its own."""
    deadline = time.monotonic() + peer.ready_s
    while time.monotonic() < deadline:
        with suppress(OSError), socket.create_connection(("127.0.0.1", peer.port(place, "mlp")), 1.0):
            return
        time.sleep(0.05)


def _wait(peer: Peer, place: Place, process: subprocess.Popen[bytes], began: float) -> None:
    first = Case("logistic", 1, peer.formats[0])
    request = peer.request(place, first, first.inputs(0))
    heard = "nothing listens on its port"
    while time.monotonic() - began < peer.ready_s:
        if process.poll() not in (None, 0):
            raise NotMeasured(f"it ended while starting: {_last_words(place)}")
        try:
            status, _, body = post(peer.port(place, first.model), request)
        except (OSError, http.client.HTTPException):
            time.sleep(0.01)
            continue
        if status == 200:
            return
        heard = f"it answers {status}: {body[:200].decode(errors='replace')}"
        time.sleep(0.01)
    raise NotMeasured(f"no answer within {peer.ready_s:g} s ({heard}): {_last_words(place)}")


def _end(peer: Peer, place: Place, process: subprocess.Popen[bytes]) -> None:
    members = processes.tree([process.pid, *peer.also(place)])
    peer.stop(place)
    with suppress(ProcessLookupError):
        os.kill(process.pid, signal.SIGTERM)
    _wait_for_end(members)
    for pid in processes.alive(members):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    _wait_for_end(members)
    process.wait(timeout=10)


def _wait_for_end(members: list[int]) -> None:
    deadline = time.monotonic() + GRACE_S
    while time.monotonic() < deadline and processes.alive(members):
        time.sleep(0.02)


def _last_words(place: Place) -> str:
    lines = [line for line in (place.folder / "log.txt").read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1][-300:] if lines else "it printed nothing"
