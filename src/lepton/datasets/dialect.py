"""How a CSV is written: its separator, its quotes and whether it has a header; found by trying on a sample."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from lepton.core.errors import InvalidInput

SAMPLE_CHARACTERS = 1 << 20
MAX_FIELD_CHARACTERS = 16 << 20
_TRIED_LINES = 500
_MAIN = "\t;|,"  # in this order where all fit: a comma is also a decimal point, and part of any sentence
_RARE = "^~ :"
_IN_TEXT = " :"  # two words, or an hour and a minute, make no table
_WORTH_TRYING = 0.1  # few, where quoted fields hold line ends
_CONSISTENT = 0.6
_CONSISTENT_PAIR = 0.8  # two fields happen by chance more easily
_CONSISTENT_RARE = 0.999
_MANY_MORE_FIELDS = 2
_LONG_ROW_LINES = 50
_WRAPPED = 0.9
_NONE_AT_ALL = "\x1f"  # the unit separator of ASCII, which no text holds
_MAX_NAME_CHARACTERS = 100
_VALUE = re.compile(
    r"[+-]?(\d+([.,]\d*)?|[.,]\d+)(e[+-]?\d+)?|\d{4}-\d{2}-\d{2}([T ].*)?|true|false|na|n/a|nan|null|none|\?|-|",
    re.IGNORECASE,
)
_NAME = re.compile(r"""["']?[A-Za-z_][\w.-]*["']?""")

STILL_OPEN = "still open"

Record = list[str]


@dataclass(frozen=True)
class Dialect:
    """How rows are written.

    Attributes:
        separator: The character between fields.
        quote: The quoting character, None if quotes are part of the text.
        skip_space: Whether a space after a separator is no part of the field.
    """

    separator: str
    quote: str | None = '"'
    skip_space: bool = False


@dataclass(frozen=True)
class Parsed:
    """One logical row: the index of its first line, its fields, or the reason why there are none."""

    line: int
    fields: Record
    problem: str | None = None


def parse_lines(lines: Sequence[str], dialect: Dialect, *, is_end: bool = True) -> Iterator[Parsed]:
    """Take rows apart, exactly; blank lines are no rows.

    After bad quotes reading goes on at the next line, so that one stray quote never swallows the rows after it.

    Args:
        lines: Lines with their line ends.
        dialect: How they are written.
        is_end: Whether the text ends here. If not, a row whose quotes are still open at the end gets the problem
            `STILL_OPEN`, and reading ends with it.
    """
    if dialect.quote is None:
        yield from _split_lines(lines, dialect.separator)
        return
    csv.field_size_limit(MAX_FIELD_CHARACTERS)  # a limit of the whole process, the same each time
    start = 0
    while start < len(lines):
        feed = map(lines.__getitem__, range(start, len(lines)))
        reader = csv.reader(
            feed,
            delimiter=dialect.separator,
            quotechar=dialect.quote,
            skipinitialspace=dialect.skip_space,
            strict=True,
        )
        begun = 0
        try:
            for fields in reader:
                if fields:
                    yield Parsed(start + begun, fields)
                begun = reader.line_num
            return
        except csv.Error as error:
            if "unexpected end" in str(error) and not is_end:
                yield Parsed(start + begun, [], STILL_OPEN)
                return
            yield Parsed(start + begun, [], _problem(error))
            start += begun + 1


def detect_dialect(lines: Sequence[str], separator: str | None) -> Dialect:
    """Find the separator, unless the user named it, and the quotes.

    Raises:
        InvalidInput: if the separator named cannot separate.
    """
    if separator is not None:
        return _best_quotes(lines, check_separator(separator))
    few = lines[:_TRIED_LINES]
    candidates = []
    for candidate in _MAIN + _RARE:
        if sum(candidate in line for line in few) < _WORTH_TRYING * len(few):
            continue
        dialect = _best_quotes(few, candidate)
        fields, share = _consistency(few, dialect)
        needed = _CONSISTENT_PAIR if fields == 2 else _CONSISTENT
        if candidate in _RARE:
            needed = _CONSISTENT_RARE
        if fields >= (3 if candidate in _IN_TEXT else 2) and share >= needed:
            candidates.append((dialect.separator, fields, share))
    best = _prefer(candidates) or _separator_of_broken(few) or _unused(few)
    return _best_quotes(lines, best)


def check_separator(separator: str) -> str:
    """Return the separator if it can be one.

    Raises:
        InvalidInput: if it is not a single ASCII character that is neither a letter, a digit, a quote nor a line end.
    """
    separator = {"\\t": "\t", "tab": "\t"}.get(separator, separator)
    if len(separator) != 1 or not separator.isascii() or separator.isalnum() or separator in "\"'\r\n\0":
        raise InvalidInput(
            "The separator must be one character such as ',', ';', '|' or 'tab'; "
            "letters, digits, quotes and line ends cannot be."
        )
    return separator


def detect_header(records: Sequence[Record]) -> bool:
    """Tell whether the first row names the columns, by how it differs from the rows below it."""
    first, body = records[0], records[1:]
    if not body:
        return not any(_VALUE.fullmatch(cell.strip()) and cell.strip() for cell in first)
    votes = 0
    for index, cell in enumerate(first):
        below = [record[index].strip() for record in body if index < len(record) and record[index].strip()]
        name = cell.strip()
        if not below or not name:
            continue
        plain = sum(_VALUE.fullmatch(value) is not None for value in below) / len(below)
        is_value = _VALUE.fullmatch(name) is not None
        if is_value:
            votes -= 3
        elif plain >= 0.9:
            votes += 2
        elif len(name) > _MAX_NAME_CHARACTERS or name in below:
            votes -= 1
    if votes:
        return votes > 0
    names = [cell.strip().lower() for cell in first]
    return all(names) and len(set(names)) == len(names)


def _split_lines(lines: Sequence[str], separator: str) -> Iterator[Parsed]:
    for index, line in enumerate(lines):
        text = line.rstrip("\r\n")
        if text:
            yield Parsed(index, text.split(separator))


def _problem(error: csv.Error) -> str:
    text = str(error)
    if "unexpected end" in text:
        return "a quote is opened and never closed"
    if "expected after" in text:
        return "text follows a closing quote"
    if "field larger" in text:
        return f"a field has more than {MAX_FIELD_CHARACTERS} characters"
    return "a line end stands inside of a field without quotes"


def _consistency(lines: Sequence[str], dialect: Dialect) -> tuple[int, float]:
    """Return the usual number of fields and the share of rows that have it."""
    counts: Counter[int] = Counter()
    last = -1
    for row in parse_lines(lines, dialect, is_end=False):
        counts[len(row.fields)] += row.problem != STILL_OPEN
        last = row.line
    if len(lines) - last > _LONG_ROW_LINES:  # a stray quote ate the rest
        counts[0] += len(lines) - last
    usual, times = max(((n, t) for n, t in counts.items() if n), key=lambda item: item[1], default=(0, 0))
    return usual, times / max(counts.total(), 1)


def _best_quotes(lines: Sequence[str], separator: str) -> Dialect:
    text = "".join(lines)
    options = [Dialect(separator)]
    if f'{separator} "' in text and separator != " ":
        options.append(Dialect(separator, '"', skip_space=True))
    opened, wrapped = _quoted_fields(text, separator, "'")
    if opened:
        is_usual = wrapped >= _WRAPPED * max(opened, len(lines))
        options.insert(0 if is_usual else len(options), Dialect(separator, "'"))
    opened, wrapped = _quoted_fields(text, separator, '"')
    if '"' in text and (not opened or wrapped < _WRAPPED * opened):
        options.append(Dialect(separator, None))
    if len(options) == 1:
        return options[0]
    return max(options, key=lambda option: (round(_consistency(lines, option)[1], 4), -options.index(option)))


def _quoted_fields(text: str, separator: str, quote: str) -> tuple[int, int]:
    """Count the fields that start with a quote, and those that end with one, too."""
    start = rf"(?:^|{re.escape(separator)}){quote}"
    whole = rf"{start}[^{quote}]*(?:{quote}{quote}[^{quote}]*)*{quote}(?={re.escape(separator)}|\r?$)"
    return len(re.findall(start, text, re.MULTILINE)), len(re.findall(whole, text, re.MULTILINE))


def _prefer(candidates: Sequence[tuple[str, int, float]]) -> str | None:
    if not candidates:
        return None
    best_share = max(share for _, _, share in candidates)
    close = [c for c in candidates if c[2] >= best_share - 0.01]
    chosen = close[0]
    for candidate in close[1:]:
        if candidate[1] > _MANY_MORE_FIELDS * chosen[1]:
            chosen = candidate
    return chosen[0]


def _separator_of_broken(lines: Sequence[str]) -> str | None:
    """Return what seems to separate the first line, so that a broken file is reported as one and not read as text."""
    first = lines[0].strip("\r\n") if lines else ""
    for candidate in _MAIN:
        names = first.split(candidate)
        if len(names) > 2 or (len(names) == 2 and all(_NAME.fullmatch(name) for name in names)):
            return candidate
    return None


def _unused(lines: Sequence[str]) -> str:
    text = "".join(lines)
    return next((candidate for candidate in _MAIN if candidate not in text), _NONE_AT_ALL)
