"""What batching costs who comes alone: a lone request through the batcher, and on the road without it.

Run: python -m benchmarks.serving.lone        (under a minute)

Two platforms on one core, each with one worker that answers for the logistic regression. In one of them the worker
predicts every request at once, in the turn of the loop that read it; the other runs as it is. Windows alternate; in
each, one connection asks for one row again and again, 500 times a second. Medians of the windows.
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from benchmarks.serving import models, processes
from benchmarks.serving.cases import Case
from benchmarks.serving.load import Load, compile_c
from benchmarks.serving.peer import Peer, Place
from benchmarks.serving.peers.lepton import HOME, PEER
from benchmarks.serving.server import Server, serve

RATE, WINDOWS, SECONDS = 500, 15, 1.0
CASES = (Case("logistic", 1, "json"), Case("logistic", 1, "binary"))
UNBATCHED = '''
import sys

if "lepton.endpoints.replica.worker" in sys.orig_argv:
    from lepton.endpoints.replica.batcher import Batcher
    from lepton.endpoints.replica.outputs import Outputs

    def submit(self, job):
        """Check and predict this request alone and now; the same checks, the same model, the same answer."""
        arrays = self._shape.arrays([job.inputs])
        if not self._shape.fits(arrays, is_finite=job.inputs.is_finite):
            self._shape.check(job.inputs)
        job.done(Outputs(self._shape.signature, self._runtime.predict(arrays), 0.0), 0, job.inputs.rows)

    Batcher.submit = submit
'''
"""Python runs this as it starts, where it finds it as ``sitecustomize``."""


def main() -> int:
    """Measure and print a table."""
    folder = Path(tempfile.mkdtemp(prefix="lb-"))
    try:
        cores = sorted(os.sched_getaffinity(0))
        program = compile_c("load", folder / "load")
        patch = _made(folder / "patch")
        (patch / "sitecustomize.py").write_text(UNBATCHED)
        plain = _prepared(PEER, folder / "batched", cores[0])
        direct = _prepared(_unbatched(patch), folder / "unbatched", cores[0])
        os.sched_setaffinity(0, {cores[-1]})
        with ExitStack() as stack:
            servers = [stack.enter_context(serve(peer, place)) for peer, place in (plain, direct)]
            _print(servers, program)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


def _print(servers: Sequence[Server], program: Path) -> None:
    print("| a row in | p50 us, as it is | p50 us, without batching | ratio | of the p99 |\n|---|---|---|---|---|")
    for case in CASES:
        questions = [server.questions(case) for server in servers]
        for server, its in zip(servers, questions, strict=True):
            server.check(its)
            processes.pin(server.roots, server.place.core)
        found: list[list[tuple[float, float]]] = [[], []]
        for window in range(2 * WINDOWS):
            which = window % 2
            server = servers[which]
            port = server.port(case)
            requests = [request.bytes_for(port) for request in questions[which].requests]
            with Load(program, requests, port=port, connections=1, seconds=SECONDS, rate=RATE) as load:
                result = load.go()
            found[which].append((result.p50_ns / 1e3, result.p99_ns / 1e3))
        (p50, p99), (direct50, direct99) = (
            [statistics.median(values) for values in zip(*windows, strict=True)] for windows in found
        )
        print(
            f"| {case.format} | {p50:.0f} | {direct50:.0f} | {p50 / direct50:.2f} | {p99 / direct99:.2f} |", flush=True
        )


def _unbatched(patch: Path) -> Peer:
    def environment(place: Place) -> dict[str, str]:
        found = dict(PEER.environment(place))
        return found | {"PYTHONPATH": os.pathsep.join(filter(None, (str(patch), found["PYTHONPATH"])))}

    return replace(PEER, environment=environment)


def _prepared(peer: Peer, folder: Path, core: int) -> tuple[Peer, Place]:
    _made(folder)
    numbers = models.train(folder / HOME)
    onnx = models.write_onnx(numbers, folder)
    place = Place(Path(sys.executable), _made(folder / "lepton"), 0, core, numbers, onnx)
    peer.prepare(place)
    return peer, place


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder


if __name__ == "__main__":
    sys.exit(main())
