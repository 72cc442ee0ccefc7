"""Writing a table out as a file, piece by piece."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from lepton.core.errors import InvalidInput
from lepton.datasets.schema import suggestion

if TYPE_CHECKING:
    import polars as pl

BATCH_ROWS = 65_536
MEDIA_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "parquet": "application/vnd.apache.parquet",
    "jsonl": "application/x-ndjson",
}
_DATETIME = "%Y-%m-%dT%H:%M:%S%.6f"

Read = Callable[[int, int], "pl.DataFrame"]
"""Returns rows by offset and length."""


def check_format(name: str) -> str:
    """Return the name of a format if one can export to it.

    Raises:
        InvalidInput: if not.
    """
    if name not in MEDIA_TYPES:
        raise InvalidInput(f"There is no export format {name[:40]!r}. {suggestion(name, list(MEDIA_TYPES))}")
    return name


def write_file(format_name: str, rows: int, read: Read) -> Iterator[bytes]:
    """Yield the bytes of a file; CSV and JSON lines a batch at a time, Parquet from memory, where it is compressed."""
    if format_name == "parquet":
        yield from _write_parquet(rows, read)
        return
    for offset in range(0, max(rows, 1), BATCH_ROWS):
        frame = read(offset, BATCH_ROWS)
        if format_name == "csv":
            missing = '""' if frame.width == 1 else ""  # an empty line would be no row
            text = frame.write_csv(include_header=offset == 0, datetime_format=_DATETIME, null_value=missing)
            yield text.encode()
        else:
            yield frame.write_ndjson().encode()


def _write_parquet(rows: int, read: Read) -> Iterator[bytes]:
    import polars as pl

    buffer = io.BytesIO()
    offsets = range(0, max(rows, 1), BATCH_ROWS)
    pl.concat([read(offset, BATCH_ROWS) for offset in offsets]).write_parquet(buffer)
    buffer.seek(0)
    while chunk := buffer.read(1 << 20):
        yield chunk
