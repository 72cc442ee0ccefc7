"""Opening a file for import, whatever its format: which format it is in, and typed rows out of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, BinaryIO

from lepton.core.columns import ColumnType
from lepton.core.errors import InvalidInput
from lepton.datasets.delimited import DelimitedTable
from lepton.datasets.dialect import check_separator
from lepton.datasets.inference import Inference, convert_batch
from lepton.datasets.jsonl import JsonLinesTable
from lepton.datasets.parquet import ParquetReading
from lepton.datasets.reading import Detected, Reading, ReadOptions, Rejections, TextTable
from lepton.datasets.schema import suggestion

if TYPE_CHECKING:
    import polars as pl

FORMATS = ("csv", "tsv", "parquet", "jsonl")
_BY_ENDING = {
    "csv": "csv",
    "txt": "csv",
    "tsv": "tsv",
    "tab": "tsv",
    "parquet": "parquet",
    "pq": "parquet",
    "jsonl": "jsonl",
    "ndjson": "jsonl",
}
_FOREIGN = (
    (b"PK\x03\x04", "a ZIP archive or an Excel workbook; unpack it, or save the sheet as CSV"),
    (b"\x1f\x8b", "compressed with gzip; unpack it"),
    (b"(\xb5/\xfd", "compressed with zstd; unpack it"),
    (b"BZh", "compressed with bzip2; unpack it"),
    (b"\xfd7zXZ", "compressed with xz; unpack it"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook; save the sheet as CSV"),
    (b"%PDF", "a PDF; save the table as CSV"),
    (b"SQLite format 3", "an SQLite database; write the table out as CSV"),
    (b"ARROW1", "an Arrow file; write it as Parquet"),
    (b"PARE", "an encrypted Parquet file; write it without encryption, for it is encrypted again here"),
)


class TextReading:
    """A file of text that is open for import; opening it reads it once, to find the types."""

    def __init__(self, table: TextTable) -> None:
        self._table = table
        self.rejections = Rejections()
        inference = Inference(allow_decimal_comma=table.detected.separator != ",")
        kept, refused = 0, Rejections()
        for batch in table.batches():
            inference.add(batch.frame)
            refused.add(batch.rejected)
            kept += batch.frame.height
        refused.check_share(kept)
        self.detected: Detected = table.detected
        self._plans = inference.plans(table.names, table.textual)

    @property
    def types(self) -> dict[str, ColumnType]:
        """Type of each column."""
        return {name: plan.type for name, plan in self._plans.items()}

    def frames(self) -> Iterator[pl.DataFrame]:
        """Yield the rows that were taken, each column in the type of `types`."""
        kept = 0
        for batch in self._table.batches():
            frame, misfits = convert_batch(batch, self._plans)
            self.rejections.add(sorted([*batch.rejected, *misfits], key=lambda row: row.line))
            kept += frame.height
            yield frame
        self.rejections.check_share(kept)


_READERS: Mapping[str, Callable[[BinaryIO, ReadOptions], Reading]] = {
    "csv": lambda source, options: TextReading(DelimitedTable(source, options)),
    "tsv": lambda source, options: TextReading(DelimitedTable(source, options)),
    "jsonl": lambda source, options: TextReading(JsonLinesTable(source, options)),
    "parquet": lambda source, _: ParquetReading(source),
}


def check_options(options: ReadOptions) -> None:
    """Refuse what can be refused without the file.

    Raises:
        InvalidInput: if the format is unknown or the separator cannot be one.
    """
    if options.format is not None and options.format not in FORMATS:
        raise InvalidInput(f"There is no format {options.format[:40]!r}. {suggestion(options.format, FORMATS)}")
    if options.separator is not None:
        check_separator(options.separator)


def open_file(source: BinaryIO, options: ReadOptions) -> Reading:
    """Open a file for import.

    Args:
        source: The file, seekable.
        options: What the user said about it.

    Raises:
        InvalidInput: if it cannot be read; says why and what to do.
    """
    check_options(options)
    return _READERS[_format_of(source, options)](source, options)


def _format_of(source: BinaryIO, options: ReadOptions) -> str:
    """Return the format: the one that was named, or else that of the content, or else that of the file's ending."""
    source.seek(0)
    head = source.read(4096)
    for magic, what in _FOREIGN:
        if head.startswith(magic):
            raise InvalidInput(f"The file is {what}. CSV, TSV, Parquet and JSON lines can be imported.")
    if options.format is not None:
        return options.format
    if head.startswith(b"PAR1"):
        return "parquet"
    ending = _BY_ENDING.get((options.file_name or "").rpartition(".")[2].lower())
    if ending is not None and ending != "parquet":
        return ending
    if head.lstrip().removeprefix(b"\xef\xbb\xbf").lstrip().startswith((b"{", b"[{")):
        return "jsonl"
    return ending or "csv"
