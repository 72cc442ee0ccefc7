"""What batching costs who comes alone: a lone request through the batcher, and on the road without it.

Run: python -m benchmarks.serving.lone        (under a minute)

Two platforms on one core, each with one worker that answers for the logistic regression. In one of them the worker
predicts every request at once, in the turn of the loop that read it; the other runs as it is. Windows alternate; in
each, one connection asks for one row again and again, 500 times a second. Medians of the windows.
"""

from __future__ import annotations

import os
import statistics
import sys
from collections.abc import Mapping
from pathlib import Path

from benchmarks.serving.cases import Case
from benchmarks.serving.two import Two, two

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
    print("| a row in | p50 µs, as it is | p50 µs, without batching | ratio | of the p99 |\n|---|---|---|---|---|")
    with two(_unbatched) as both:
        for case in CASES:
            print(_row(both, case), flush=True)
    return 0


def _row(both: Two, case: Case) -> str:
    both.check(case)
    found: list[list[tuple[float, float]]] = [[], []]
    for window in range(2 * WINDOWS):
        server = both.servers[window % 2]
        with both.load(server, case, connections=1, seconds=SECONDS, rate=RATE) as load:
            result = load.go()
        found[window % 2].append((result.p50_ns / 1e3, result.p99_ns / 1e3))
    (p50, p99), (direct50, direct99) = (
        [statistics.median(values) for values in zip(*windows, strict=True)] for windows in found
    )
    return f"| {case.format} | {p50:.0f} | {direct50:.0f} | {p50 / direct50:.2f} | {p99 / direct99:.2f} |"


def _unbatched(folder: Path) -> Mapping[str, str]:
    (folder / "sitecustomize.py").write_text(UNBATCHED)
    return {"PYTHONPATH": os.pathsep.join(filter(None, (str(folder), os.environ.get("PYTHONPATH", ""))))}


if __name__ == "__main__":
    sys.exit(main())
