"""Many runs put straight into a stopped server's database: the same runs for both, drawn from one seed.

Each run has metrics m0, m1, …, of one point each, and params lr and model; every thousandth has 1,000 points
more in m0.
"""

from __future__ import annotations

import random
import sqlite3
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

LONG, EVERY = 1000, 1000
NOW_US = 1_700_000_000_000_000
MODELS = ("mlp", "tree", "linear", "forest")


def run_id(number: int) -> str:
    """Id of a run, in both."""
    return f"01BENCH{number:019d}"


def _values(runs: int, metrics: int) -> Iterator[tuple[int, list[float]]]:
    draw = random.Random(1)
    for number in range(runs):
        yield number, [draw.random() for _ in range(metrics)]


def lepton_sqlite(home: Path, runs: int, metrics: int) -> None:
    """Fill Lepton's catalog in SQLite."""
    database = sqlite3.connect(home / "catalog.db", isolation_level=None)
    database.execute("PRAGMA synchronous = OFF")
    database.execute("PRAGMA cache_size = -500000")
    index = "CREATE INDEX ix_run_curves_key_last_value ON run_curves (key, last_value, run_id)"
    database.execute("DROP INDEX ix_run_curves_key_last_value")
    database.execute("BEGIN")
    for table, columns, rows in lepton_rows(runs, metrics):
        marks = ",".join("?" * len(columns))
        database.executemany(f"INSERT INTO {table} ({','.join(columns)}) VALUES ({marks})", rows)
    database.execute("COMMIT")
    database.execute(index)
    database.execute("ANALYZE run_fields")
    database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database.close()


def lepton_postgres(url: str, runs: int, metrics: int) -> None:
    """Fill Lepton's catalog in PostgreSQL."""
    import psycopg

    with psycopg.connect(url, autocommit=True) as database:
        database.execute("DROP INDEX ix_run_curves_key_last_value")
        for table, columns, rows in lepton_rows(runs, metrics):
            with database.cursor().copy(f"COPY {table} ({','.join(columns)}) FROM STDIN") as copy:
                for row in rows:
                    copy.write_row([bool(v) if c == "cancel_asked" else v for c, v in zip(columns, row, strict=True)])
        database.execute("CREATE INDEX ix_run_curves_key_last_value ON run_curves (key, last_value, run_id)")
        database.execute("VACUUM ANALYZE")  # which it does by itself within minutes


def lepton_rows(runs: int, metrics: int) -> Iterator[tuple[str, list[str], Iterator[tuple[Any, ...]]]]:
    """Tables, columns and rows."""
    about = ["id", "project", "task", "state", "workers", "user_id", "submitted_by", "created_at", "started_at"]
    about += ["cancel_asked", "progress", "inputs", "outputs", "sealed_arguments", "sealed_params"]
    rest = ("default", "runs.create", "succeeded", 1, "bench", "bench")

    def at(number: int) -> str:
        minutes, seconds = divmod(number, 60)
        return f"2026-01-{1 + minutes // 1440 % 28:02d} {minutes // 60 % 24:02d}:{minutes % 60:02d}:{seconds:02d}"

    yield (
        "runs",
        about,
        ((run_id(n), *rest, f"{at(n)}.000000", f"{at(n)}.000000", 0, 1.0, "[]", "[]", b"", b"") for n in range(runs)),
    )
    curve = ["run_id", "key", "last_step", "last_time_us", "last_value", "min_value", "max_value", "points", "tail"]
    yield (
        "run_curves",
        curve,
        (
            (run_id(n), f"m{k}", 0, NOW_US, v, v, v, 1, struct.pack("<qqd", 0, NOW_US, v))
            for n, values in _values(runs, metrics)
            for k, v in enumerate(values)
        ),
    )
    long = b"".join(struct.pack("<qqd", s, NOW_US + s, 1 / (s + 1)) for s in range(LONG))
    yield "run_chunks", ["run_id", "key", "data"], ((run_id(n), "m0", long) for n in range(0, runs, EVERY))
    yield (
        "run_fields",
        ["run_id", "kind", "key", "value", "head", "number"],
        (
            (run_id(n), "param", key, value, value, number)
            for n in range(runs)
            for key, value, number in (("lr", str(n % 100 / 100), n % 100 / 100), ("model", MODELS[n % 4], None))
        ),
    )


def mlflow_sqlite(folder: Path, runs: int, metrics: int) -> None:
    """Fill MLflow's store in SQLite."""
    database = sqlite3.connect(folder / "mlflow.db", isolation_level=None)
    database.execute("PRAGMA synchronous = OFF")
    database.execute("PRAGMA cache_size = -500000")
    database.execute("BEGIN")

    def insert(table: str, columns: str, rows: Iterator[tuple[Any, ...]]) -> None:
        marks = ",".join("?" * len(columns.split(",")))
        database.executemany(f"INSERT INTO {table} ({columns}) VALUES ({marks})", rows)

    ms = NOW_US // 1000
    columns = "run_uuid,name,source_type,user_id,status,start_time,lifecycle_stage,artifact_uri,experiment_id"
    insert("runs", columns, (
        (run_id(n), "bench", "LOCAL", "bench", "FINISHED", ms + n, "active", f"/tmp/{n}", 0) for n in range(runs)
    ))  # fmt: skip
    for table in ("metrics", "latest_metrics"):
        insert(table, "key,value,timestamp,run_uuid,step,is_nan", (
            (f"m{k}", v, ms, run_id(n), 0, 0) for n, values in _values(runs, metrics) for k, v in enumerate(values)
        ))  # fmt: skip
    insert("metrics", "key,value,timestamp,run_uuid,step,is_nan", (
        ("m0", 1 / (s + 1), ms + 1 + s, run_id(n), s, 0) for n in range(0, runs, EVERY) for s in range(LONG)
    ))  # fmt: skip
    insert("params", "key,value,run_uuid", (
        (key, value, run_id(n))
        for n in range(runs)
        for key, value in (("lr", str(n % 100 / 100)), ("model", MODELS[n % 4]))
    ))  # fmt: skip
    database.execute("COMMIT")
    database.close()
