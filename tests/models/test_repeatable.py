"""The same table and seed give the same rows, folds and features, whatever the process: threads, hashes, order."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import polars as pl
import pytest

from lepton.core.columns import ColumnClass
from lepton.core.settings import Settings
from lepton.store.keys import open_keyring
from lepton.store.tables import Table, TableStore

ROWS = 1_200_000
"""More than one part of a table, and many blocks."""

PROGRAM = """
import hashlib, json, os, sys
os.environ["POLARS_OOC_DISK_BUDGET_MB"] = "0"
from pathlib import Path
import numpy as np
import polars as pl
from lepton.core.columns import ColumnClass, ColumnType
from lepton.core.settings import Settings
from lepton.models.features import Column
from lepton.models.fitting import fit_features
from lepton.models.graph import features_graph
from lepton.models.shards import read_blocks, share_of_rows
from lepton.models.target import hold_out, read_target
from lepton.store.keys import open_keyring
from lepton.store.tables import Table, TableStore

settings = Settings(Path(sys.argv[1]))
store, table = TableStore(settings.objects, open_keyring(settings)), Table.from_json(sys.argv[2].encode())
target = read_target(
    store.scan("default", table, ["bought"]).collect(engine="streaming").to_series(), ColumnType.TEXT, "auto"
)
train, test = hold_out(target, 0.2, 0)
names = ["number", "city", "secret"]
plan = store.scan("default", table, names)
kinds = [ColumnType.INTEGER, ColumnType.TEXT, ColumnType.NUMBER]
rows = pl.concat([plan, pl.LazyFrame({"train": train})], how="horizontal").filter(pl.col("train")).drop("train")
features = fit_features(rows, [Column(n, k, ColumnClass.PLAIN) for n, k in zip(names, kinds)])
digest = hashlib.sha256(features_graph(features))
for part in (target.values, train, test):
    digest.update(np.ascontiguousarray(part).tobytes())
whole = True
for first, end in (share_of_rows(train, rank, 2) for rank in (0, 1)):
    for start, frame in read_blocks(store.scan("default", table, names, rows=(first, end)), first):
        there = np.arange(start, start + frame.height)
        for found, expected in (
            (frame["number"], there), (frame["secret"], -there), (target.values[there], there % 3 == 0)
        ):
            whole = whole and np.array_equal(np.asarray(found), expected)
print(json.dumps([digest.hexdigest(), whole]))
"""


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, Table]:
    """A table of several parts with columns of two classes, in which each row says which it is."""
    settings = Settings(tmp_path_factory.mktemp("home"))
    keyring = open_keyring(settings)
    number = np.arange(ROWS)
    frame = pl.DataFrame(
        {
            "number": number,
            "city": np.array(["Bern", "Graz", "Lyon", "Porto", ""])[number * 7919 % 5],
            "secret": -number.astype(np.float64),
            "bought": np.where(number % 3 == 0, "yes", "no"),
        }
    )
    classes = dict.fromkeys(frame.columns, ColumnClass.PLAIN) | {"secret": ColumnClass.SECRET}
    table = TableStore(settings.objects, keyring).write("default", "0" * 26, frame.iter_slices(50_000), classes)
    keyring.close()
    return settings, table


def test_neither_threads_nor_hash_seeds_change_rows_folds_or_features(stored: tuple[Settings, Table]) -> None:
    settings, table = stored
    found = []
    for threads, seed in ((1, 1), (2, 2), (8, 3)):
        environment = {**os.environ, "POLARS_MAX_THREADS": str(threads), "PYTHONHASHSEED": str(seed)}
        command = [sys.executable, "-c", PROGRAM, str(settings.home), table.to_json().decode()]
        done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
        found.append(json.loads(done.stdout))
    assert found == [[found[0][0], True]] * 3
