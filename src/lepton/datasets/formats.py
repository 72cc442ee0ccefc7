"""Formats."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Detected:
    """How a file was read.

    Attributes:
        format: ``csv``, ``tsv``, ``parquet`` or ``jsonl``.
        separator: The character between fields; None unless CSV or TSV.
        encoding: The character encoding; None for Parquet.
        header: Whether the first row named the columns; None unless CSV or TSV.
        quote: The quoting character; None if quotes were taken as part of the text.
    """

    format: str
    separator: str | None = None
    encoding: str | None = None
    header: bool | None = None
    quote: str | None = None


@dataclass(frozen=True)
class Rejected:
    """A row that was not taken: the line it starts on (the row's number in Parquet), from 1, and why."""

    line: int
    reason: str
