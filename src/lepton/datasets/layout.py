"""The layout of a CSV: all that has to be known before its rows are read, found on a sample of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import BinaryIO

from lepton.core.errors import InvalidInput
from lepton.datasets.dialect import SAMPLE_CHARACTERS, Dialect, Parsed, detect_dialect, detect_header, parse_lines
from lepton.datasets.encodings import Encoding, detect_encoding, utf8_chunks
from lepton.datasets.reading import ReadOptions, check_columns, unique_names

_HEADER_ROWS = 1000


@dataclass(frozen=True)
class Layout:
    """What is known of a file before its rows are read.

    Attributes:
        encoding: How its characters are written.
        dialect: How its rows are written.
        names: Names of the columns.
        has_header: Whether the names are its own.
        is_cr: Whether its lines end in a carriage return alone.
        skip_bytes: Bytes of UTF-8 before the first row.
        skip_lines: Lines before the first row.
    """

    encoding: Encoding
    dialect: Dialect
    names: tuple[str, ...]
    has_header: bool
    is_cr: bool
    skip_bytes: int
    skip_lines: int


def lay_out(source: BinaryIO, options: ReadOptions) -> Layout:
    """Find out how a CSV or TSV is laid out.

    Raises:
        InvalidInput: if it is empty, binary, or not as the user said.
    """
    encoding = detect_encoding(source, options.encoding)
    sample, is_whole = _sample(source, encoding)
    if not sample.strip():
        raise InvalidInput("The file is empty. Import a file with at least one row of data.")
    is_cr = "\n" not in sample and "\r" in sample
    if is_cr:
        sample = sample.replace("\r", "\n")
    lines = lines_of(sample)
    dialect = detect_dialect(lines, options.separator)
    rows = list(islice(parse_lines(lines, dialect, is_end=is_whole), _HEADER_ROWS))
    good = [row for row in rows if row.problem is None]
    if not good:
        raise InvalidInput(f"No row of the file can be taken apart: {rows[0].problem}. Check its quotes.")
    has_header = detect_header([row.fields for row in good]) if options.header is None else options.header
    skip = 0
    if has_header:
        later = [row.line for row in rows if row.line > good[0].line]
        skip = later[0] if later else len(lines)
        if not later and is_whole:
            raise InvalidInput("The file has a header but no rows. Import a file with at least one row of data.")
    names = _names(good, has_header=has_header)
    check_columns(len(names))
    skip_bytes = sum(len(text.encode("utf-8", "surrogateescape")) for text in lines[:skip])
    return Layout(encoding, dialect, names, has_header, is_cr, skip_bytes, skip)


def _names(rows: Sequence[Parsed], *, has_header: bool) -> tuple[str, ...]:
    """Name the columns after the header; it may be one short or one long, as some programs write it."""
    first = rows[0].fields
    body = [row.fields for row in (rows[1:] if has_header else rows)]
    usual = Counter(len(fields) for fields in body).most_common(1)[0][0] if body else len(first)
    if not has_header:
        return unique_names([""] * usual)
    if len(first) == usual + 1 and not first[-1].strip():
        first = first[:-1]
    elif len(first) == usual - 1:
        is_trailing = not any(fields[-1].strip() for fields in body if len(fields) == usual)
        first = [*first, ""] if is_trailing else ["", *first]
    if any("\0" in cell or (not cell.isprintable() and _is_broken(cell)) for cell in first):
        raise InvalidInput("The header holds bytes that are not text. Fix it, or name the encoding.")
    return unique_names(first)


def _is_broken(cell: str) -> bool:
    try:
        cell.encode()
    except UnicodeEncodeError:
        return True
    return False


def lines_of(text: str) -> list[str]:
    """Split a text after each line feed, and nowhere else."""
    lines = text.split("\n")
    last = lines.pop()
    return [line + "\n" for line in lines] + ([last] if last else [])


def _sample(source: BinaryIO, encoding: Encoding) -> tuple[str, bool]:
    """Return whole lines from the start of the file, and whether that is all of it."""
    sample = b""
    for chunk in utf8_chunks(source, encoding):
        sample += chunk
        if len(sample) > SAMPLE_CHARACTERS:
            cut = max(sample.rfind(end, 0, SAMPLE_CHARACTERS) for end in (b"\n", b"\r")) + 1
            return sample[: cut or SAMPLE_CHARACTERS].decode("utf-8", "surrogateescape"), False
    return sample.decode("utf-8", "surrogateescape"), True
