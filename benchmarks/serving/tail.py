"""Where the slowest answers come from: latencies at fixed rates, with the control plane at work and with it stopped.

Run: python -m benchmarks.serving.tail        (about a minute)

One worker, its supervisor and the control plane share one core; 16 connections ask for one row of the logistic
regression in JSON, in the open loop: a request is timed from when it was due. Medians of the windows, in milliseconds.
Last, a lone request: one connection that asks again when it has been answered and a millisecond has passed.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import statistics
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.serving import models, processes
from benchmarks.serving.cases import Case
from benchmarks.serving.load import Load, Result, compile_c
from benchmarks.serving.peer import Place
from benchmarks.serving.peers.lepton import HOME, PEER
from benchmarks.serving.server import Server, serve

RATES = (3_000, 10_000, 20_000)
WINDOWS, SECONDS = 5, 1.0
CASE = Case("logistic", 1, "json")


def main() -> int:
    """Measure and print a table."""
    folder = Path(tempfile.mkdtemp(prefix="lb-"))
    try:
        cores = sorted(os.sched_getaffinity(0))
        program = compile_c("load", folder / "load")
        numbers = models.train(folder / HOME)
        place = Place(
            Path(sys.executable), _made(folder / "lepton"), 0, cores[0], numbers, models.write_onnx(numbers, folder)
        )
        PEER.prepare(place)
        os.sched_setaffinity(0, {cores[-1]})
        with serve(PEER, place) as server:
            _print(server, program)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


def _print(server: Server, program: Path) -> None:
    processes.pin(server.roots, server.place.core)
    requests = [request.bytes_for(server.port(CASE)) for request in server.questions(CASE).requests]
    print("| rate, connections | control plane | p50 ms | p99 ms | p99.9 ms |\n|---|---|---|---|---|")
    for rate, connections in [*((rate, 16) for rate in RATES), (500, 1)]:
        for stopped in (False, True):
            with _stopped(server) if stopped else _nothing():
                found = [_window(server, program, requests, rate, connections) for _ in range(WINDOWS)]
            columns = [
                statistics.median(getattr(one, name) for one in found) / 1e6 for name in ("p50_ns", "p99_ns", "p999_ns")
            ]
            said = " | ".join(f"{value:.2f}" for value in columns)
            print(f"| {rate:,}/s, {connections} | {'stopped' if stopped else 'at work'} | {said} |", flush=True)


def _window(server: Server, program: Path, requests: Sequence[bytes], rate: float, connections: int) -> Result:
    with Load(program, requests, port=server.port(CASE), connections=connections, seconds=SECONDS, rate=rate) as load:
        return load.go()


@contextmanager
def _stopped(server: Server) -> Iterator[None]:
    """Stop the control plane for the length of a block; the replica goes on as if it had been killed."""
    pid = int(json.loads((server.place.folder.parent / HOME / "server.json").read_text())["pid"])
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextmanager
def _nothing() -> Iterator[None]:
    yield


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


if __name__ == "__main__":
    sys.exit(main())
