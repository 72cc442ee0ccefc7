"""Small tables with a schema, for the tests of pure functions."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl
import polars.selectors as cs

from lepton.core.columns import ColumnClass, ColumnType
from lepton.datasets.profile import ColumnProfile, profile_columns
from lepton.datasets.schema import Column, Schema

_TYPES: Mapping[type[pl.DataType], ColumnType] = {
    pl.Int64: ColumnType.INTEGER,
    pl.Float64: ColumnType.NUMBER,
    pl.Boolean: ColumnType.BOOLEAN,
    pl.String: ColumnType.TEXT,
    pl.Date: ColumnType.DATE,
    pl.Datetime: ColumnType.DATETIME,
}


def schema_of(frame: pl.DataFrame, **classes: ColumnClass) -> Schema:
    return Schema(
        tuple(
            Column(name, _TYPES[type(dtype)], classes.get(name, ColumnClass.PLAIN))
            for name, dtype in frame.schema.items()
        )
    )


def profiles_of(frame: pl.DataFrame) -> dict[str, ColumnProfile]:
    profiles = profile_columns(schema_of(frame).columns, lambda name: frame[name])
    return {profile.name: profile for profile in profiles}


def table(**columns: list[Any]) -> pl.DataFrame:
    return pl.DataFrame(columns).with_columns(cs.by_dtype(pl.Null).cast(pl.String))
