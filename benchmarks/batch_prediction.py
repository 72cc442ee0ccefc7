"""Predicting whole datasets: how fast, and that the worker's memory does not grow with the rows.

``python benchmarks/batch_prediction.py [ROWS …]``. As a worker, ``batch_prediction.py FOLDER RUN``, it leaves its peak.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

ROWS = (100_000, 1_000_000, 3_000_000, 6_000_000)
KIB = 1 if sys.platform == "linux" else 1 / 1024
"""What `ru_maxrss` counts in."""


def main(sizes: tuple[int, ...]) -> None:
    """Predict datasets of each size and print the table."""
    import lepton

    with tempfile.TemporaryDirectory() as folder, lepton.open(Path(folder) / "home") as client:
        client.datasets.import_(table(20_000, seed=0), name="train")
        client.models.train("model", dataset="train", target="y")
        runs = client._platform.runs  # type: ignore[attr-defined]
        ordinary = runs.command
        print("8 numbers and 2 texts, logistic regression\n")
        print(f"{'rows':>10} {'peak MiB':>9} {'CPU s':>7} {'seconds':>8}")
        for size in sizes:
            client.datasets.import_(table(size, seed=1), name=f"rows-{size}")
            runs.command = (sys.executable, __file__, folder)
            run = client.models.predict("model", dataset=f"rows-{size}", wait=False)
            for _ in client.runs.logs(run.id, follow=True):  # it ends when the worker has ended, not when it commits
                pass
            client.runs.wait(run.id)
            runs.command = ordinary
            found = json.loads((Path(folder) / f"{run.id}.json").read_text())
            print(f"{size:>10,} {found['mib']:>9.0f} {found['cpu_s']:>7.1f} {found['s']:>8.1f}", flush=True)


def table(rows: int, *, seed: int) -> pl.DataFrame:
    """Rows to predict."""
    import numpy as np
    import polars as pl

    random = np.random.default_rng(seed)
    columns = {f"x{i}": random.normal(size=rows) for i in range(8)}
    columns["city"] = random.choice(["Paris", "Rome", "Oslo", "Bern"], rows)
    columns["kind"] = random.choice([f"k{i}" for i in range(30)], rows)
    columns["y"] = np.where(columns["x0"] + columns["x1"] > 0, "yes", "no")
    return pl.DataFrame(columns)


def work(folder: str, run_id: str) -> None:
    """Work on a run and write down how long its process took, start included, and how much memory it had at most."""
    from lepton import worker

    began = time.perf_counter()
    sys.argv = ["lepton.worker", run_id]
    try:
        worker.main()
    finally:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KIB / 1024
        found = {"mib": peak, "cpu_s": time.process_time(), "s": time.perf_counter() - began}
        (Path(folder) / f"{run_id}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    if len(sys.argv) == 3 and Path(sys.argv[1]).is_dir():
        work(sys.argv[1], sys.argv[2])
    else:
        main(tuple(int(size) for size in sys.argv[1:]) or ROWS)
