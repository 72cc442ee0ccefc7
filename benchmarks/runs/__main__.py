"""`make bench-runs`: install Ray into an environment of its own, measure it and Lepton in one run, print the table.

Run: python -m benchmarks.runs [--quick] [--runs 1000] [--jobs 40] [--starts 40] [--skip ray] [--docs FILE]
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

from benchmarks import pages
from benchmarks.runs import lepton_runs, ray_jobs
from benchmarks.runs.measure import Latency, Throughput
from benchmarks.serving import environments

PACKAGES = ("ray[default]==2.60.0",)
CPUS = 2


def main() -> int:
    """Run the benchmark."""
    options = _options()
    cores = sorted(os.sched_getaffinity(0))[:CPUS]
    os.sched_setaffinity(0, cores)  # which all that is started here inherits
    python = None if "ray" in options.skip else environments.install("ray-jobs", PACKAGES)
    place = Path(tempfile.mkdtemp(prefix="lbj-"))
    latency: dict[str, Latency] = {}
    throughput: dict[str, Throughput] = {}
    try:
        with lepton_runs.running("Lepton", place / "here", {}) as runner:
            print(f"Lepton: {options.starts} runs one by one, then {options.runs} at once", flush=True)
            latency[runner.name] = Latency.of(runner, options.starts)
            throughput[runner.name] = Throughput.of(runner, options.runs)
        if python is not None:
            with ray_jobs.cluster(python, cpus=CPUS) as cluster:
                print(f"Ray Jobs: {options.starts} jobs one by one, then {options.jobs} at once", flush=True)
                peer = ray_jobs.RayJobs(cluster, python)
                latency[peer.name] = Latency.of(peer, options.starts)
                throughput[peer.name] = Throughput.of(peer, options.jobs)
                print(f"Lepton on Ray: {options.starts} runs one by one", flush=True)
                told = {"LEPTON_ENGINE": f"ray://127.0.0.1:{cluster.port}", "RAY_AUTH_TOKEN": cluster.token}
                with lepton_runs.running("Lepton on Ray", place / "ray", told) as runner:
                    latency[runner.name] = Latency.of(runner, options.starts)
    finally:
        shutil.rmtree(place, ignore_errors=True)
    text = _table(latency, throughput)
    print(text)
    pages.write(options.docs, "make bench-runs", text)
    return 1 if any(one.errors for one in throughput.values()) else 0


def _table(latency: dict[str, Latency], throughput: dict[str, Throughput]) -> str:
    rows: list[tuple[str, dict[str, str]]] = [
        ("from asking to the first line of the program, p50 ms", {n: _ms(one.p50_s) for n, one in latency.items()}),
        ("the same, p95 ms", {n: _ms(one.p95_s) for n, one in latency.items()}),
        ("the same, longest ms", {n: _ms(one.longest_s) for n, one in latency.items()}),
        ("runs that one client asked for at once", {n: f"{one.count:,}" for n, one in throughput.items()}),
        ("finished in a minute", {n: f"{one.per_minute:,.0f}" for n, one in throughput.items()}),
        ("that did not end well", {n: str(one.errors) for n, one in throughput.items()}),
        (
            "CPU of a run, all processes, ms",
            {n: f"{one.cpu_ms:,.0f}" for n, one in throughput.items() if one.cpu_ms is not None},
        ),
    ]
    lines = [f"| | {' | '.join(latency)} | Ray Jobs ÷ Lepton |", "|---" * (2 + len(latency)) + "|"]
    for what, values in rows:
        ours, theirs = (values.get(name, "").replace(",", "") for name in ("Lepton", "Ray Jobs"))
        ratio = f"{float(theirs) / float(ours):.3g}" if ours and theirs and float(ours) else ""
        if what.startswith(("runs that", "that did not")):
            ratio = ""
        lines.append(f"| {what} | {' | '.join(values.get(name, '') for name in latency)} | {ratio} |")
    return "\n".join(lines)


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:,.0f}"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.runs", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer of everything: two minutes once Ray is installed")
    parser.add_argument("--runs", type=int, default=0, help="of Lepton, asked for at once")
    parser.add_argument("--jobs", type=int, default=0, help="of Ray, asked for at once")
    parser.add_argument("--starts", type=int, default=0, help="of each, one after the other")
    parser.add_argument("--skip", action="append", default=[], choices=["ray"])
    parser.add_argument("--docs", type=Path, metavar="FILE", help="put the table between the marks of this page")
    options = parser.parse_args()
    few, many = (100, 10, 10), (1000, 60, 40)
    options.runs, options.jobs, options.starts = (
        given or default
        for given, default in zip(
            (options.runs, options.jobs, options.starts), few if options.quick else many, strict=True
        )
    )
    return options


if __name__ == "__main__":
    sys.exit(main())
