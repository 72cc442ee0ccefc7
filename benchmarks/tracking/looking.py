"""Looking for runs among many over REST: the newest, a filter, a sorting, both, one curve."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Mapping
from urllib.parse import quote

from benchmarks.tracking.fill import EVERY, run_id
from benchmarks.tracking.servers import Connection, Server

QUESTIONS = ("list", "one curve", "filter", "sort", "filter and sort")
"""In this order, as a server may still be busy with what it did not answer in time."""
LONGEST_S = 60.0


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
    found = {}
    for what in QUESTIONS:
        connection = server.connect(LONGEST_S)
        times = [_one(connection, ask, what, 0)]  # the first fills caches, and counts only if it is not answered
        while len(times) <= rounds and times[-1] != math.inf and sum(times) < 1000 * LONGEST_S:
            times.append(_one(connection, ask, what, len(times)))
        counted = sorted(times[1:] or times)
        found[what] = counted[min(len(counted) - 1, int(len(counted) * 0.95))]
        print(f"  {server.name}: {what}: p50 {counted[len(counted) // 2]:.1f} ms, p95 {found[what]:.1f} ms", flush=True)
    return found


def _one(connection: Connection, ask: Callable[[Connection, str, int], int], what: str, number: int) -> float:
    begin = time.perf_counter()
    try:
        if not ask(connection, what, number):
            raise RuntimeError(f"nothing was found for {what}")
    except TimeoutError:
        return math.inf
    return (time.perf_counter() - begin) * 1000
