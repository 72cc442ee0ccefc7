"""Two Leptons side by side on one core, which differ in one thing: what that costs."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.serving import models, processes
from benchmarks.serving.cases import Case
from benchmarks.serving.load import Load, compile_c
from benchmarks.serving.peer import Peer, Place
from benchmarks.serving.peers.lepton import HOME, PEER
from benchmarks.serving.server import Server, serve

Variation = Callable[[Path], Mapping[str, str]]
"""Takes a folder for files and returns what the second has in its environment."""


@dataclass(frozen=True)
class Two:
    """Both, started and answering.

    Attributes:
        servers: As it is, and varied.
        program: The load generator.
    """

    servers: tuple[Server, Server]
    program: Path

    def check(self, case: Case) -> None:
        """Ask both every request once, and hold all their processes on their core."""
        for server in self.servers:
            server.check(server.questions(case))
            processes.pin(server.roots, server.place.core)

    def load(self, server: Server, case: Case, *, connections: int, seconds: float, rate: float = 0.0) -> Load:
        """Return a load on one of them; without a rate as fast as answers come."""
        port = server.port(case)
        requests = [request.bytes_for(port) for request in server.questions(case).requests]
        return Load(self.program, requests, port=port, connections=connections, seconds=seconds, rate=rate)


@contextmanager
def two(variation: Variation) -> Iterator[Two]:
    """Start both for the length of a block; the caller is moved to another core."""
    folder = Path(tempfile.mkdtemp(prefix="lb-"))
    try:
        cores = sorted(os.sched_getaffinity(0))
        program = compile_c("load", folder / "load")
        plain = _prepared(PEER, folder / "plain", cores[0])
        varied = _prepared(_varied(variation(_made(folder / "files"))), folder / "varied", cores[0])
        os.sched_setaffinity(0, {cores[-1]})
        with ExitStack() as stack:
            first, second = (stack.enter_context(serve(peer, place)) for peer, place in (plain, varied))
            yield Two((first, second), program)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _varied(variables: Mapping[str, str]) -> Peer:
    return replace(PEER, environment=lambda place: {**PEER.environment(place), **variables})


def _prepared(peer: Peer, folder: Path, core: int) -> tuple[Peer, Place]:
    _made(folder)
    numbers = models.train(folder / HOME)
    place = Place(Path(sys.executable), _made(folder / "lepton"), 0, core, numbers, models.write_onnx(numbers, folder))
    peer.prepare(place)
    return peer, place


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
