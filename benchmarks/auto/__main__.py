"""`make bench-auto`: the recipe auto beside FLAML, at equal time and cores, on the same rows.

Run: python -m benchmarks.auto [--quick] [--seconds 120] [--cores 2] [--only TABLE] [--docs FILE]

Every measurement is a process of its own, taken in turn. What counts is the mean loss on rows that were held out:
cross-entropy in nats for classes (no probability counts as less than 1e-6), root mean squared error in standard
deviations of the target for numbers.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from benchmarks import pages
from benchmarks.auto import tables
from benchmarks.serving.environments import install

PACKAGES = ("flaml[automl]==2.7.0",)
LEPTON, FLAML = "Lepton", "FLAML 2.7.0"
HERE = Path(__file__).parent


def main() -> int:
    """Run the benchmark."""
    options = _options()
    seconds = 30.0 if options.quick else options.seconds
    commands = {
        LEPTON: [sys.executable, "-m", "benchmarks.auto.run_lepton"],
        FLAML: [str(install("flaml", PACKAGES)), str(HERE / "run_flaml.py")],
    }
    lines, ranks = [], []
    load = os.getloadavg()[0]
    for name in options.only or tables.MAKERS:
        table = tables.make(name)
        found = {who: _measure(command, table, seconds, options.cores) for who, command in commands.items()}
        losses = [found[who][0] for who in commands]
        ranks.append([1 + sum(other < mine - 1e-9 for other in losses) for mine in losses])
        kind = f"{table.classes} classes" if table.classes else "number"
        cells = " | ".join(f"{loss:.4f} ({took:.0f} s)" for loss, took in found.values())
        rows, width = table.train[0].shape
        lines.append(f"| {name} | {kind} | {rows:,} × {width} | {cells} |")
        print(lines[-1], flush=True)
    mean = " | ".join(f"**{value:.2f}**" for value in np.mean(ranks, axis=0))
    text = "\n".join(
        [
            f"{seconds:g} seconds each, {options.cores} cores, held-out loss (seconds it took), less is better; the "
            f"load of the machine was {load:.1f} before and {os.getloadavg()[0]:.1f} after:",
            "",
            f"| table | target | learned from | {' | '.join(commands)} |",
            "|---|---|---|---|---|",
            *lines,
            f"| mean rank | | | {mean} |",
        ]
    )
    print(text)
    pages.write(options.docs, "make bench-auto", text)
    return 0


def _measure(command: list[str], table: tables.Table, seconds: float, cores: int) -> tuple[float, float]:
    """Return the loss on the held-out rows, and how long the learning took."""
    with tempfile.TemporaryDirectory() as place:
        given, out = Path(place) / "given.npz", Path(place) / "answers.npz"
        features, targets = table.train
        np.savez(given, features=features, targets=targets, asked=table.test[0], classes=table.classes)
        environment = {**os.environ, "OMP_NUM_THREADS": str(cores)}
        done = subprocess.run(
            [*command, str(given), str(out), str(seconds), str(cores)],
            env=environment, capture_output=True, text=True, check=False,
        )  # fmt: skip
        if done.returncode:
            raise SystemExit(f"{command[0]} failed: {done.stderr[-2000:]}")
        with np.load(out, allow_pickle=False) as file:
            answers, took = file["answers"], float(file["took"])
    truth = table.test[1]
    if table.classes:
        shares = np.clip(answers[np.arange(len(truth)), truth.astype(np.int64)], 1e-6, 1.0)
        return float(-np.log(shares).mean()), took
    return float(np.sqrt(np.mean((answers.reshape(-1) - truth) ** 2)) / np.std(truth)), took


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.auto")
    parser.add_argument("--quick", action="store_true", help="30 seconds each")
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--cores", type=int, default=min(2, os.cpu_count() or 1))
    parser.add_argument("--only", action="append", choices=list(tables.MAKERS))
    parser.add_argument("--docs", type=Path, help="write the table between the marks of this file")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
