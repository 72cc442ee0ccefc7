"""Writing a table out as a file, piece by piece."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING

from lepton.core.errors import InvalidInput
from lepton.datasets.schema import suggestion

if TYPE_CHECKING:
    import polars as pl

BATCH_ROWS = 65_536
_ARROW_BYTES = 1 << 20
"""Size of a piece of a stream: what a processor's cache holds."""
MEDIA_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
    "jsonl": "application/x-ndjson",
    "arrow": "application/vnd.apache.arrow.stream",
}
_DATETIME = "%Y-%m-%dT%H:%M:%S%.6f"


def check_format(name: str) -> str:
    """Return the name of a format if one can export to it.

    Raises:
        InvalidInput: if not.
    """
    if name not in MEDIA_TYPES:
        raise InvalidInput(f"There is no export format {name[:40]!r}. {suggestion(name, list(MEDIA_TYPES))}")
    return name


def write_file(format_name: str, plan: pl.LazyFrame) -> Iterator[bytes]:
    """Yield the bytes of a file a batch of rows at a time; Parquet from memory, where it is compressed."""
    if format_name == "parquet":
        yield from _write_parquet(plan)
        return
    if format_name == "arrow":
        yield from _write_arrow(plan)
        return
    for number, frame in enumerate(_batches(plan)):
        if format_name == "csv":
            missing = '""' if frame.width == 1 else ""  # an empty line would be no row
            text = frame.write_csv(include_header=number == 0, datetime_format=_DATETIME, null_value=missing)
            yield text.encode()
        else:
            yield frame.write_ndjson().encode()


def _batches(plan: pl.LazyFrame) -> Iterator[pl.DataFrame]:
    """Read the rows in order; of a table without rows, one frame without rows."""
    from lepton.store.parquet import mapped_errors

    rows = 0
    with mapped_errors():
        for frame in plan.collect_batches(chunk_size=BATCH_ROWS, maintain_order=True, engine="streaming"):
            if frame.height:
                rows += frame.height
                yield frame
        if not rows:
            yield plan.head(0).collect()


def _write_parquet(plan: pl.LazyFrame) -> Iterator[bytes]:
    import polars as pl

    buffer = io.BytesIO()
    pl.concat(_batches(plan)).write_parquet(buffer)
    buffer.seek(0)
    while chunk := buffer.read(1 << 20):
        yield chunk


def _write_arrow(plan: pl.LazyFrame) -> Iterator[bytes]:
    """Write one stream of record batches out of one for each batch, which polars can write.

    A stream is a schema message, messages of record batches and an end, which is always the same 8 bytes; a message
    begins with 4 bytes of ones and the length of its header. Source: https://arrow.apache.org/docs/format/Columnar.html
    (encapsulated message format).
    """
    import polars as pl
    import polars.selectors as cs

    buffer = io.BytesIO()  # written over and over: fresh memory for each piece costs more than the copy
    schema_is_out = False
    for frame in _batches(plan):
        # As plain text: a batch with categories of its own would replace those of the batches before it.
        plain = frame.with_columns((cs.categorical() | cs.enum()).cast(pl.String))
        each = max(1, _ARROW_BYTES * plain.height // max(1, int(plain.estimated_size())))
        for piece in plain.iter_slices(each) if plain.height else (plain,):
            buffer.seek(0)
            buffer.truncate()
            piece.write_ipc_stream(buffer)
            with buffer.getbuffer() as stream:
                header = 8 + int.from_bytes(stream[4:8], "little")
                yield bytes(stream[header if schema_is_out else 0 : -len(_END)])
            schema_is_out = True
    yield _END


_END = b"\xff\xff\xff\xff\0\0\0\0"
