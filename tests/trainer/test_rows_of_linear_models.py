"""A linear model that is trained elsewhere gets its rows in the blocks in which the platform reads them itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import polars as pl
import pytest

from lepton.core.columns import ColumnType
from lepton.core.refs import Ref
from lepton.models.commanded import Plan
from lepton.models.features import Column
from lepton.models.records import TrainRequest
from lepton.models.shards import read_blocks
from lepton.trainer.linear import Asked

TABLE = pl.DataFrame({"x": range(150_000), "y": range(150_000)})
PLAN = Plan(
    TrainRequest("m", Ref("table", 1), "y"), Column("y", ColumnType.INTEGER), (Column("x", ColumnType.INTEGER),)
)


class FakePlatform:
    """Has one table, and answers as the REST door does."""

    def read(self, ref: str, columns: list[str]) -> pl.DataFrame:
        assert ref == "table@1"
        return TABLE.select(columns)

    def blocks(self, ref: str, columns: list[str], first: int, end: int) -> Iterator[pl.DataFrame]:
        assert ref == "table@1"
        yield from TABLE.select(columns)[first:end].iter_slices(1234)


@pytest.mark.parametrize("rows", [None, (0, 70_000), (70_000, 150_000), (3, 4), (5, 5)])
def test_blocks_are_those_of_the_platform(rows: tuple[int, int] | None) -> None:
    first, end = rows or (0, TABLE.height)
    expected = list(read_blocks(TABLE[first:end].select("x").lazy(), first))
    asked = Asked(cast(Any, FakePlatform()), PLAN)
    asked.target()
    found = list(asked.blocks(["x"], rows)())
    assert [start for start, _ in found] == [start for start, frame in expected if frame.height]
    assert all(block.equals(frame) for (_, block), (_, frame) in zip(found, expected, strict=False))
