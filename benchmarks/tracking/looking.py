"""Looking for runs among many over REST: the newest, a filter, a sorting, both, one curve."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from urllib.parse import quote

from benchmarks.tracking.fill import EVERY, run_id
from benchmarks.tracking.servers import Connection, Server

QUESTIONS = ("list", "filter", "sort", "filter and sort", "one curve")


def of_lepton(server: Server, rounds: int, runs: int) -> Mapping[str, float]:
    """p95 of each question in ms."""

    def ask(connection: Connection, what: str, n: int) -> int:
        if what == "one curve":
            answer = json.loads(connection.ask("GET", f"/v1/runs/{run_id(n * EVERY % runs)}/metrics?key=m0"))
            return sum(len(curve["points"]) for curve in answer["metrics"])
        query = ["limit=100"]
        if "filter" in what:
            query.append("filter=" + quote(f"metrics.m{n % 50} < 0.01 and params.model = 'mlp'"))
        if "sort" in what:
            query.append("order_by=" + quote(f"metrics.m{n % 50 + 1} desc"))
        return len(json.loads(connection.ask("GET", f"/v1/runs?{'&'.join(query)}"))["items"])

    return _measure(server, ask, rounds)


def of_mlflow(server: Server, rounds: int, runs: int) -> Mapping[str, float]:
    """p95 of each question in ms."""

    def ask(connection: Connection, what: str, n: int) -> int:
        if what == "one curve":
            path = f"/api/2.0/mlflow/metrics/get-history?run_id={run_id(n * EVERY % runs)}&metric_key=m0"
            return len(json.loads(connection.ask("GET", path))["metrics"])
        body: dict[str, object] = {"experiment_ids": ["0"], "max_results": 100}
        if "filter" in what:
            body["filter"] = f"metrics.m{n % 50} < 0.01 and params.model = 'mlp'"
        if "sort" in what:
            body["order_by"] = [f"metrics.m{n % 50 + 1} DESC"]
        answer = connection.ask("POST", "/api/2.0/mlflow/runs/search", json.dumps(body).encode())
        return len(json.loads(answer)["runs"])

    return _measure(server, ask, rounds)


def _measure(server: Server, ask: Callable[[Connection, str, int], int], rounds: int) -> Mapping[str, float]:
    connection, found = server.connect(), {}
    for what in QUESTIONS:
        times = []
        for number in range(rounds + 1):
            begin = time.perf_counter()
            if not ask(connection, what, number):
                raise RuntimeError(f"{server.name} found nothing for {what}")
            if number:  # the first fills caches
                times.append((time.perf_counter() - begin) * 1000)
            if sum(times) > 60_000:  # slow ones get a minute
                break
        found[what] = sorted(times)[min(len(times) - 1, int(len(times) * 0.95))]
        print(
            f"  {server.name}: {what}: p50 {sorted(times)[len(times) // 2]:.1f} ms, p95 {found[what]:.1f} ms",
            flush=True,
        )
    return found
