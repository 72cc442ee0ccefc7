"""Reading CSV and TSV: rows as text, chunk by chunk, with a fast road and an exact one.

A chunk that is regular (closed quotes, the same number of fields in each row, clean UTF-8) is left to Polars; any other
chunk is taken apart row by row by `dialect.parse_lines`, which can say what is wrong with a row. Nothing is written
to disk, and no more than a few chunks are in memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

import numpy as np
import numpy.typing as npt

from lepton.core.errors import InvalidInput
from lepton.datasets.dialect import MAX_FIELD_CHARACTERS, STILL_OPEN, Dialect, Record, parse_lines
from lepton.datasets.encodings import utf8_chunks
from lepton.datasets.layout import Layout, lay_out, lines_of
from lepton.datasets.reading import Detected, ReadOptions, Rejected, TextBatch

if TYPE_CHECKING:
    import polars as pl

_LF, _CR = 10, 13
_MAX_ROW_BYTES = 2 * MAX_FIELD_CHARACTERS


class DelimitedTable:
    """A CSV or TSV as a `TextTable`."""

    def __init__(self, source: BinaryIO, options: ReadOptions) -> None:
        self._source = source
        self._layout = lay_out(source, options)

    @property
    def detected(self) -> Detected:
        """How the file is read."""
        layout = self._layout
        separator = layout.dialect.separator if len(layout.names) > 1 else None
        return Detected(
            format="tsv" if separator == "\t" else "csv",
            separator=separator,
            encoding=layout.encoding.name,
            header=layout.has_header,
            quote=layout.dialect.quote,
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns."""
        return self._layout.names

    @property
    def textual(self) -> frozenset[str]:
        """None: quotes in a CSV say nothing about types."""
        return frozenset()

    def batches(self) -> Iterator[TextBatch]:
        """Read the file from its start."""
        layout = self._layout
        line = 1 + layout.skip_lines
        buffer = b""
        for chunk in _clean_chunks(self._source, layout):
            buffer += chunk
            batch, used, lines = self._take(buffer, line, is_end=False)
            buffer, line = buffer[used:], line + lines
            if batch is not None:
                yield batch
        batch, _, _ = self._take(buffer, line, is_end=True)
        if batch is not None:
            yield batch

    def _take(self, buffer: bytes, line: int, *, is_end: bool) -> tuple[TextBatch | None, int, int]:
        """Read whole rows from a buffer; return them, the bytes and the lines used."""
        if not buffer:
            return None, 0, 0
        shape = _regular_shape(buffer, self._layout.dialect, len(self.names))
        if shape is not None:
            frame = _read_regular(buffer[: shape.end], self._layout.dialect, self.names)
            if frame is not None and frame.height == len(shape.starts):
                return TextBatch(frame, line + shape.lines, ()), shape.end, shape.line_count
        return _read_exactly(buffer, line, self._layout, is_end=is_end)


@dataclass(frozen=True)
class _Shape:
    """Where the rows of a regular buffer start, and on which line, counted from 0."""

    end: int
    starts: npt.NDArray[np.int64]
    lines: npt.NDArray[np.int64]
    line_count: int


def _regular_shape(buffer: bytes, dialect: Dialect, fields: int) -> _Shape | None:
    """Return the shape of the whole rows in a buffer, or None if any of them is not regular."""
    if dialect.skip_space or b"\0" in buffer or buffer.count(b"\r") != buffer.count(b"\r\n"):
        return None
    codes = np.frombuffer(buffer, dtype=np.uint8)
    line_ends = np.flatnonzero(codes == _LF)
    separators = np.flatnonzero(codes == ord(dialect.separator))
    row_ends = line_ends
    if dialect.quote is not None:
        quotes = np.flatnonzero(codes == ord(dialect.quote))
        if len(quotes):
            row_ends = row_ends[np.searchsorted(quotes, row_ends) % 2 == 0]
            separators = separators[np.searchsorted(quotes, separators) % 2 == 0]
            end = int(row_ends[-1]) + 1 if len(row_ends) else 0
            if not _are_quotes_regular(codes, quotes[quotes < end], ord(dialect.separator)):
                return None
    if not len(row_ends):
        return None
    end = int(row_ends[-1]) + 1
    starts = np.concatenate(([0], row_ends[:-1] + 1))
    per_row = np.diff(np.searchsorted(separators, np.concatenate((starts, [end]))))
    if not (per_row == fields - 1).all() or not _is_utf8(buffer[:end]):
        return None
    if fields == 1 and _has_blank_line(codes, starts):
        return None
    return _Shape(end, starts, np.searchsorted(line_ends, starts), int(np.searchsorted(line_ends, end)))


def _are_quotes_regular(codes: npt.NDArray[np.uint8], quotes: npt.NDArray[np.int64], separator: int) -> bool:
    """Whether every quote opens a field, closes one, or is half of a doubled one inside of one."""
    if len(quotes) % 2:
        return False
    opening, closing = quotes[::2], quotes[1::2]
    before = codes[np.maximum(opening - 1, 0)]
    doubled = np.concatenate(([False], opening[1:] == closing[:-1] + 1))
    opens = (opening == 0) | (before == separator) | (before == _LF) | doubled
    after = codes[np.minimum(closing + 1, len(codes) - 1)]
    continues = np.concatenate((doubled[1:], [False]))
    closes = (closing == len(codes) - 1) | (after == separator) | (after == _LF) | (after == _CR) | continues
    return bool(opens.all() and closes.all())


def _has_blank_line(codes: npt.NDArray[np.uint8], starts: npt.NDArray[np.int64]) -> bool:
    first = codes[starts]
    return bool(((first == _LF) | (first == _CR)).any())


def _is_utf8(data: bytes) -> bool:
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _read_regular(data: bytes, dialect: Dialect, names: Sequence[str]) -> pl.DataFrame | None:
    import polars as pl

    header = dialect.separator.join(f"column_{number}" for number in range(len(names))) + "\n"
    try:
        frame = pl.read_csv(
            header.encode() + data,  # data that starts like a compressed file would be unpacked
            separator=dialect.separator,
            quote_char=dialect.quote,
            infer_schema=False,
        )
    except pl.exceptions.PolarsError:
        return None  # the exact road says what is wrong
    return frame.rename(dict(zip(frame.columns, names, strict=True)))


def _read_exactly(buffer: bytes, line: int, layout: Layout, *, is_end: bool) -> tuple[TextBatch | None, int, int]:
    must_end = is_end or len(buffer) > _MAX_ROW_BYTES
    used = len(buffer) if is_end else buffer.rfind(b"\n") + 1
    if must_end and not used:
        raise InvalidInput(
            f"Line {line} is longer than {_MAX_ROW_BYTES >> 20} MiB. Check that there is one row a line."
        )
    lines = lines_of(buffer[:used].decode("utf-8", "surrogateescape"))
    is_suspect = b"\0" in buffer or not _is_utf8(buffer[:used])
    records: list[Record] = []
    numbers: list[int] = []
    rejected: list[Rejected] = []
    for row in parse_lines(lines, layout.dialect, is_end=must_end):
        if row.problem == STILL_OPEN:
            used = sum(len(text.encode("utf-8", "surrogateescape")) for text in lines[: row.line])
            lines = lines[: row.line]
            break
        problem = row.problem or _problem(row.fields, len(layout.names), is_suspect=is_suspect)
        if problem is None:
            records.append(row.fields)
            numbers.append(line + row.line)
        else:
            rejected.append(Rejected(line + row.line, problem))
    return _batch(records, numbers, rejected, layout.names), used, len(lines)


def _problem(fields: Record, expected: int, *, is_suspect: bool) -> str | None:
    if len(fields) != expected:
        return f"it has {len(fields)} fields, not {expected}"
    if not is_suspect:
        return None
    text = "".join(fields)
    if "\0" in text:
        return "it holds a NUL byte"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "it holds bytes that are not utf-8"
    return None


def _batch(
    records: list[Record], numbers: list[int], rejected: list[Rejected], names: Sequence[str]
) -> TextBatch | None:
    import polars as pl

    if not records and not rejected:
        return None
    columns = zip(*records, strict=True) if records else ((),) * len(names)
    frame = pl.DataFrame({n: pl.Series(n, c, dtype=pl.String) for n, c in zip(names, columns, strict=True)})
    return TextBatch(frame, np.array(numbers, dtype=np.int64), rejected)


def _clean_chunks(source: BinaryIO, layout: Layout) -> Iterator[bytes]:
    skip = layout.skip_bytes
    for chunk in utf8_chunks(source, layout.encoding):
        rest = chunk[skip:]
        skip -= len(chunk) - len(rest)
        yield rest.replace(b"\r", b"\n") if layout.is_cr else rest
