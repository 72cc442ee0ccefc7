"""`make bench-training`: Lepton's linear models out of core from an encrypted table, beside scikit-learn's in memory.

Run: python -m benchmarks.training [--rows 10000000] [--repeats 3] [--quick] [--folder DIR] [--docs FILE]

Every measurement is a process of its own with one thread of arithmetic, taken in turn; the best of the repeats counts.
CPU seconds are those of all threads from the first read to the last weight, decrypting included for Lepton.
scikit-learn has its rows in memory, standardized, before its clock starts. "gap" is the mean loss above that of the
optimum.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks import pages
from benchmarks.training import data

ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
PEERS = ("newton-cholesky", "lbfgs", "newton-cg")
Measured = dict[str, Any]


def main() -> int:
    """Run the benchmark."""
    options = _options()
    folder = Path(tempfile.mkdtemp(prefix="lbl-", dir=options.folder))
    try:
        print(f"writing {options.rows:,} rows", flush=True)
        data.make(folder, options.rows)
        best = _run("reference", folder)
        taken: dict[str, list[Measured]] = {}
        for _ in range(options.repeats):
            for kind in ("read", "linear", "logistic", "logistic-bare", *PEERS):
                print(kind, flush=True)
                taken.setdefault(kind, []).append(_run(kind, folder))
            taken.setdefault("two", []).append(_two(folder))
        text = _tables(options.rows, taken, best, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(text)
    pages.write(options.docs, "make bench-training", text)
    return 0


def _tables(rows: int, taken: dict[str, list[Measured]], best: Measured, folder: Path) -> str:
    fastest = {kind: min(found, key=lambda one: one["cpu_s"]) for kind, found in taken.items()}
    quickest = {kind: min(one["wall_s"] for one in found) for kind, found in taken.items()}
    peer = min((fastest[kind] for kind in PEERS), key=lambda one: one["cpu_s"])
    features, label = np.load(folder / "features.npy", mmap_mode="r"), np.load(folder / "label.npy")
    lines = [
        f"{rows:,} rows × {data.COLUMNS} float32 columns, best of {len(taken['read'])}:",
        "",
        "| logistic regression | CPU s | of scikit-learn's best | passes | farthest weight | gap |",
        "|---|---|---|---|---|---|",
    ]
    names = {
        "logistic": "Lepton, encrypted, out of core, with standard errors",
        "logistic-bare": "Lepton, without them",
    }
    names |= {kind: f"scikit-learn `{kind}`, in memory" for kind in PEERS}
    lowest = _loss(features, label, best["scaled"])
    for kind, name in names.items():
        one = fastest[kind]
        ours = kind.startswith("logistic")
        optimum = np.array(best["raw" if ours else "scaled"])
        off = np.abs(np.array(one["weights"]) - optimum).max()
        # The loss is quadratic at its lowest point, so a gap this small is computed from the distance for ours, too
        gap = "" if ours else f"{max(_loss(features, label, one['weights']) - lowest, 0):.0e}"
        share = one["cpu_s"] / peer["cpu_s"]
        lines.append(f"| {name} | {one['cpu_s']:.2f} | {share:.2f} | {one['passes']} | {off:.0e} | {gap} |")
    linear, read = fastest["linear"], fastest["read"]
    lines += [
        "",
        "| | CPU s | seconds |",
        "|---|---|---|",
        f"| reading all columns once, decrypted, as matrices | {read['cpu_s']:.2f} | {quickest['read']:.2f} |",
        f"| linear regression, {linear['passes']} pass | {linear['cpu_s']:.2f} | {quickest['linear']:.2f} |",
        f"| logistic regression, one worker | {fastest['logistic']['cpu_s']:.2f} | {quickest['logistic']:.2f} |",
        f"| logistic regression, two workers | {fastest['two']['cpu_s']:.2f} | {quickest['two']:.2f} |",
        "",
        f"Linear regression takes {quickest['linear'] / quickest['read']:.2f} times as long as reading; two workers "
        f"are {quickest['logistic'] / quickest['two']:.2f} times as fast as one.",
    ]
    return "\n".join(lines)


def _loss(features: np.ndarray, label: np.ndarray, weights: list[float]) -> float:
    """Return the mean loss plus penalty on the standardized rows."""
    total = 0.0
    for start in range(0, len(label), 100_000):
        score = features[start : start + 100_000].astype(np.float64) @ weights[:-1] + weights[-1]
        total += float(np.sum(np.logaddexp(0.0, score) - score * label[start : start + 100_000]))
    return (total + 0.5 * float(np.sum(np.square(weights[:-1])))) / len(label)


def _run(kind: str, folder: Path) -> Measured:
    done = subprocess.run(_command(kind, folder), env=os.environ | ONE_THREAD, capture_output=True, check=False)
    return _read(done.stdout, done.stderr, done.returncode)


def _two(folder: Path) -> Measured:
    """Measure two workers of one core each; the slower one counts."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    one_core = ONE_THREAD | {"POLARS_MAX_THREADS": "1"}
    workers = [
        subprocess.Popen(
            [*_command("logistic", folder), str(rank), "2", str(port)],
            env=os.environ | one_core, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for rank in range(2)
    ]  # fmt: skip
    both = []
    for worker in workers:
        out, err = worker.communicate()
        both.append(_read(out, err, worker.returncode))
    return both[0] | {key: fold(one[key] for one in both) for key, fold in (("wall_s", max), ("cpu_s", sum))}


def _command(kind: str, folder: Path) -> list[str]:
    return [sys.executable, "-m", "benchmarks.training.fit", kind, str(folder)]


def _read(out: bytes, err: bytes, code: int) -> Measured:
    if code:
        raise SystemExit(f"A measured process failed:\n{err.decode()[-2000:]}")
    found: Measured = json.loads(out.decode().splitlines()[-1])
    return found


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="1,000,000 rows, once")
    parser.add_argument("--folder", type=Path, help="where the table is written; 5 GB for 10 million rows")
    parser.add_argument("--docs", type=Path, help="a page whose marked part is replaced by the tables")
    options = parser.parse_args()
    if options.quick:
        options.rows, options.repeats = 1_000_000, 1
    return options


if __name__ == "__main__":
    sys.exit(main())
