"""Reading Parquet: its columns have types, which are mapped to ours."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO

from lepton.core.columns import ColumnType
from lepton.core.errors import InvalidInput
from lepton.datasets.reading import Detected, Rejected, Rejections, check_columns, unique_names

if TYPE_CHECKING:
    import polars as pl

_BATCH_ROWS = 65_536


class ParquetReading:
    """A Parquet file that is open for import. Its compressed bytes are in memory, its rows only some at a time."""

    def __init__(self, source: BinaryIO) -> None:
        import polars as pl

        source.seek(0)
        with _foreign_errors():
            schema = pl.read_parquet_schema(source)
        check_columns(len(schema))
        self.detected = Detected(format="parquet")
        self.rejections = Rejections()
        self._source = source
        self._names = dict(zip(schema, unique_names(list(schema)), strict=True))
        self._dtypes: Mapping[str, pl.DataType] = schema
        self.types = {name: _type_of(name, schema[original]) for original, name in self._names.items()}

    def frames(self) -> Iterator[pl.DataFrame]:
        """Yield the rows that were taken, each column in the type of `types`."""
        import polars as pl

        kept = start = 0
        with _foreign_errors():
            self._source.seek(0)
            for batch in pl.scan_parquet(self._source).collect_batches(chunk_size=_BATCH_ROWS, maintain_order=True):
                frame, rejected = self._convert(batch, start)
                start += batch.height
                kept += frame.height
                self.rejections.add(rejected)
                yield frame
        self.rejections.check_share(kept)

    def _convert(self, batch: pl.DataFrame, start: int) -> tuple[pl.DataFrame, list[Rejected]]:
        import polars as pl

        converted = batch.select(
            _converted(pl.col(original), self._dtypes[original], self.types[name]).alias(name)
            for original, name in self._names.items()
        )
        misfits: dict[int, str] = {}
        for original, name in self._names.items():
            before = batch[original].fill_nan(None) if batch[original].dtype.is_float() else batch[original]
            if self.types[name] in (ColumnType.INTEGER, ColumnType.NUMBER):
                for row in (converted[name].is_null() & before.is_not_null()).arg_true().to_list():
                    misfits.setdefault(row, f"column {name!r} holds a number that is infinite or too large")
        if misfits:
            keep = pl.Series([row not in misfits for row in range(batch.height)])
            converted = converted.filter(keep)
        return converted, [Rejected(start + row + 1, reason) for row, reason in sorted(misfits.items())]


def _type_of(name: str, dtype: pl.DataType) -> ColumnType:
    import polars as pl

    if dtype.is_integer():
        return ColumnType.INTEGER
    if dtype.is_numeric() or isinstance(dtype, pl.Duration):
        return ColumnType.NUMBER
    for kind, ours in (
        (pl.Boolean, ColumnType.BOOLEAN),
        (pl.Date, ColumnType.DATE),
        (pl.Datetime, ColumnType.DATETIME),
    ):
        if isinstance(dtype, kind):
            return ours
    if isinstance(dtype, pl.String | pl.Categorical | pl.Enum | pl.Time | pl.Null):
        return ColumnType.TEXT
    raise InvalidInput(
        f"Column {name!r} holds {type(dtype).__name__.lower()} values; numbers, texts, true or false, dates and times "
        "can be imported. Drop the column, or spread it over several."
    )


def _converted(column: pl.Expr, dtype: pl.DataType, kind: ColumnType) -> pl.Expr:
    import polars as pl

    if isinstance(dtype, pl.Duration):
        return column.dt.total_microseconds() / 1e6
    if kind is ColumnType.INTEGER:
        return column.cast(pl.Int64, strict=False)
    if kind is ColumnType.NUMBER:
        number = column.cast(pl.Float64, strict=False)
        return pl.when(number.is_finite()).then(number)
    if isinstance(dtype, pl.Datetime):
        in_utc = column.dt.convert_time_zone("UTC").dt.replace_time_zone(None) if dtype.time_zone else column
        return in_utc.cast(pl.Datetime("us"))
    if kind is ColumnType.TEXT:
        text = column.cast(pl.String)
        return pl.when(text.str.strip_chars() != "").then(text)  # as in the other formats, empty means missing
    return column


@contextmanager
def _foreign_errors() -> Iterator[None]:
    import polars as pl

    try:
        yield
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
        raise InvalidInput(
            "The file cannot be read as Parquet; it is damaged, encrypted or cut off. Write it again, or import a CSV."
        ) from None
