"""The table that is learned from: correlated float32 columns, written as an encrypted dataset table."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from lepton.core.columns import ColumnClass
from lepton.core.settings import Settings
from lepton.models.shards import read_blocks
from lepton.store.keys import open_keyring
from lepton.store.tables import Table, TableStore

COLUMNS = 50
BLOCK = 250_000
PROJECT = "default"
NAMES = [f"x{i}" for i in range(COLUMNS)]


@dataclass(frozen=True)
class Source:
    """The encrypted table of one benchmark, opened by a process."""

    tables: TableStore
    table: Table

    def blocks(self, columns: list[str], first: int = 0, end: int | None = None) -> Iterator[pl.DataFrame]:
        """Read a range of rows block by block, decrypting; nothing is kept."""
        rows = (first, self.table.rows if end is None else end)
        for _, frame in read_blocks(self.tables.scan(PROJECT, self.table, columns, rows=rows)):
            yield frame

    def batches(self, target: str, rank: int = 0, world_size: int = 1) -> Iterator[Any]:
        """Pass over a worker's share of the rows: features float32 [n, 50] and the target [n]."""
        rows = self.table.rows
        share = (rank * rows // world_size, (rank + 1) * rows // world_size)
        for frame in self.blocks([*NAMES, target], *share):
            yield frame.select(NAMES).to_numpy(), frame[target].to_numpy()


def make(folder: Path, rows: int) -> None:
    """Write the table: `y` is a number, `label` 0 or 1."""
    random = np.random.default_rng(0)
    mixing = np.eye(COLUMNS) + 0.3 * random.normal(size=(COLUMNS, COLUMNS))
    spread = np.sqrt((mixing**2).sum(axis=0))
    weights = random.normal(size=COLUMNS) / np.sqrt(COLUMNS)

    def frames() -> Iterator[pl.DataFrame]:
        for start in range(0, rows, BLOCK):
            count = min(BLOCK, rows - start)
            features = (random.normal(size=(count, COLUMNS)) @ mixing / spread).astype(np.float32)
            score = features @ weights
            label = (score + random.logistic(size=count) > 0).astype(np.int8)
            number = (score + random.normal(size=count)).astype(np.float32)
            frame = pl.DataFrame(features, schema=NAMES)
            yield frame.with_columns(pl.Series("y", number), pl.Series("label", label))

    classes = dict.fromkeys([*NAMES, "y", "label"], ColumnClass.PLAIN)
    table = _tables(folder).write(PROJECT, "01AAAAAAAAAAAAAAAAAAAAAAAA", frames(), classes)
    (folder / "table.json").write_bytes(table.to_json())


def open_source(folder: Path) -> Source:
    """Open the table in this process."""
    return Source(_tables(folder), Table.from_json((folder / "table.json").read_bytes()))


def in_memory(source: Source, target: str) -> tuple[np.ndarray, np.ndarray]:
    """Return all rows as one float32 matrix, standardized, as scikit-learn's solvers want it, and the target."""
    features = np.empty((source.table.rows, COLUMNS), dtype=np.float32)
    targets, at = [], 0
    for block, some in source.batches(target):
        features[at : at + len(block)] = block
        targets.append(some)
        at += len(block)
    features -= features.mean(axis=0, dtype=np.float64).astype(np.float32)
    features /= features.std(axis=0, dtype=np.float64).astype(np.float32)
    return features, np.concatenate(targets)


def answer(**values: object) -> None:
    """Print what a process has measured, for the process that started it."""
    print(json.dumps(values), flush=True)


def _tables(folder: Path) -> TableStore:
    settings = Settings(home=folder / "home")
    return TableStore(folder / "objects", open_keyring(settings))
