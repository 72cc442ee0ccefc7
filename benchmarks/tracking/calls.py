"""What a call of the client costs the loop that makes it, with its server at work.

As a program, ``python calls.py lepton|mlflow|mlflow-async COUNT``, it prints the percentiles of one; run by the
interpreter that has the library.
"""

from __future__ import annotations

import json
import sys
import time


def main(which: str, count: int) -> None:
    """Measure one library."""
    if which == "lepton":
        import lepton

        run = lepton.start_run(system_metrics=False)
        log = run.metric
    else:
        import mlflow

        mlflow.start_run()
        synchronous = which == "mlflow"

        def log(key: str, value: float, step: int) -> None:
            mlflow.log_metric(key, value, step, synchronous=synchronous)

    for step in range(5):
        log("loss", 0.5, step)
    time.sleep(1.0)
    times = []
    for step in range(5, 5 + count):
        before = time.perf_counter_ns()
        log("loss", 0.5, step)
        times.append((time.perf_counter_ns() - before) / 1000)
    times.sort()
    if which == "lepton":
        run.end()
    else:
        mlflow.flush_async_logging() if which == "mlflow-async" else None
        mlflow.end_run()
    print(json.dumps({"p50_us": times[len(times) // 2], "p99_us": times[int(len(times) * 0.99)]}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
