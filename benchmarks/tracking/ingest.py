"""Points into a server: batches of 1,000 over one connection, and points one by one."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.tracking.servers import Connection, Server

POINTS, KEYS = 1000, 10


@dataclass(frozen=True)
class Ingest:
    """What was measured of one server."""

    points_per_s: float
    cpu_us_per_point: float
    single_p50_ms: float


def of_lepton(server: Server, seconds: float) -> Ingest:
    """Measure Lepton."""
    connection = server.connect()
    run_id = json.loads(connection.ask("POST", "/v1/runs", b"{}"))["id"]
    path = f"/v1/runs/{run_id}/track"

    def batch(number: int, points: int = POINTS, keys: int = KEYS) -> tuple[str, bytes]:
        steps = list(range(number * points // keys, (number + 1) * points // keys))
        times, values = [1_700_000_000_000_000 + s for s in steps], [s * 0.001 for s in steps]
        curves = [{"key": f"m{k}", "steps": steps, "times_us": times, "values": values} for k in range(keys)]
        return path, json.dumps({"client": "b", "batch": number + 1, "curves": curves}).encode()

    return _measure(server, connection, batch, seconds)


def of_mlflow(server: Server, seconds: float) -> Ingest:
    """Measure MLflow."""
    connection = server.connect()
    body = json.dumps({"experiment_id": "0", "start_time": 1_700_000_000_000}).encode()
    run_id = json.loads(connection.ask("POST", "/api/2.0/mlflow/runs/create", body))["run"]["info"]["run_id"]

    def batch(number: int, points: int = POINTS, keys: int = KEYS) -> tuple[str, bytes]:
        steps = range(number * points // keys, (number + 1) * points // keys)
        metrics = [
            {"key": f"m{k}", "value": s * 0.001, "timestamp": 1_700_000_000_000 + s, "step": s}
            for k in range(keys)
            for s in steps
        ]
        return "/api/2.0/mlflow/runs/log-batch", json.dumps({"run_id": run_id, "metrics": metrics}).encode()

    return _measure(server, connection, batch, seconds)


def _measure(server: Server, connection: Connection, batch: Callable[..., tuple[str, bytes]], seconds: float) -> Ingest:
    for number in range(2):
        connection.ask("POST", *batch(number))
    prepared = [batch(number) for number in range(2, 4000 if server.token else 300)]
    before, begin, count = server.cpu_s(), time.perf_counter(), 0
    for path, body in prepared:
        connection.ask("POST", path, body)
        count += 1
        if time.perf_counter() - begin > seconds:
            break
    took, cpu = time.perf_counter() - begin, server.cpu_s() - before
    first, times = (2 + count) * POINTS, []
    for number in range(first, first + 100):
        path, body = batch(number, 1, 1)
        at = time.perf_counter()
        connection.ask("POST", path, body)
        times.append(time.perf_counter() - at)
    return Ingest(count * POINTS / took, cpu / (count * POINTS) * 1e6, sorted(times)[50] * 1000)
