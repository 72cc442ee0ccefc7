"""A worker sees the same rows wherever they lie, and goes on where the connection broke."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import polars as pl
import pytest

import lepton
from lepton.core.columns import ColumnType
from lepton.core.errors import Unavailable
from lepton.core.refs import parse_ref
from lepton.models.commanded import Plan
from lepton.models.features import Column
from lepton.models.graph import features_graph
from lepton.models.parameters import Settings
from lepton.models.prediction import open_session
from lepton.models.records import TrainRequest
from lepton.trainer import rows, source
from lepton.trainer.platform import PlatformOfRun
from lepton.trainer.spool import SpooledPart
from lepton.training.recipes.port import Part, Rows

PLAN = Plan(
    TrainRequest("m", parse_ref("cancer@1"), "target"),
    Column("target", ColumnType.TEXT),
    (
        Column("mean radius", ColumnType.NUMBER),
        Column("mean texture", ColumnType.NUMBER),
        Column("ward", ColumnType.TEXT),
    ),
)


@pytest.fixture
def asked(client: lepton.Client) -> PlatformOfRun:
    return PlatformOfRun({"LEPTON_RUN_ID": "a-run"}, client)


def _parts(asked: PlatformOfRun, memory_mb: int) -> tuple[Rows, Rows, list[pl.DataFrame]]:
    """Both workers' parts, and the rows that are held out."""
    settings = Settings(memory_mb=memory_mb, validation_fraction=0.0)
    split = rows.split(asked, PLAN, settings)
    first, second = (rows.source(asked, PLAN, len(split.train), settings) for _ in range(2))
    features = rows.fit(first, PLAN, split.train, settings)
    session = open_session(features_graph(features))
    readers = [
        rows.Reader(one, features.inputs, session, memory_bytes=settings.memory_bytes) for one in (first, second)
    ]
    parts = [
        reader.part(split.target, split.train, rank=rank, workers=2, seed=0) for rank, reader in enumerate(readers)
    ]
    held_out = [frame for _, frame in readers[0].frames(split.test)]
    return parts[0], parts[1], held_out


def test_rows_on_the_disk_are_those_in_memory_and_nothing_is_left_there(
    asked: PlatformOfRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(source, "BLOCK_ROWS", 64)  # several files, and ranges across them
    kept, spooled = _parts(asked, 1024), _parts(asked, 0)
    for memory, disk in zip(kept[:2], spooled[:2], strict=True):
        assert isinstance(memory, Part)
        assert isinstance(disk, SpooledPart)
        assert (memory.matrix()[0] == disk.matrix()[0]).all()
        assert (memory.targets == disk.targets).all()
    assert kept[0].count + kept[1].count + pl.concat(kept[2]).height == 569
    assert pl.concat(kept[2]).equals(pl.concat(spooled[2]))
    del disk, memory, kept, spooled
    assert not list(tmp_path.iterdir())


class _BreaksOff:
    """A client whose connection ends after two pieces, twice."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self._frame, self._left, self.datasets = frame, 2, self
        self.asked: list[tuple[int, int]] = []

    def blocks(self, _: str, *, columns: Sequence[str], rows: tuple[int, int]) -> Iterator[pl.DataFrame]:
        self.asked.append(rows)
        for number, piece in enumerate(self._frame[rows[0] : rows[1]].select(columns).iter_slices(10)):
            if number == 2 and self._left:
                self._left -= 1
                raise Unavailable("The connection ended in the middle of the rows.")
            yield piece


def test_rows_go_on_where_the_connection_broke() -> None:
    client: Any = _BreaksOff(pl.DataFrame({"n": np.arange(100), "other": np.arange(100)}))
    platform = PlatformOfRun({"LEPTON_RUN_ID": "a-run"}, cast(lepton.Client, client))
    found = pl.concat(platform.blocks("rows@1", ["n"], 5, 95))
    assert found["n"].to_list() == list(range(5, 95))
    assert client.asked == [(5, 95), (25, 95), (45, 95)]
