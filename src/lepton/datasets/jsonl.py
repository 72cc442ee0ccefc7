"""Reading JSON lines: one object a line, whose keys are the columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import BinaryIO

import numpy as np
import orjson

from lepton.core.errors import InvalidInput
from lepton.datasets.encodings import MAX_LINE_BYTES, Encoding, detect_encoding, utf8_chunks
from lepton.datasets.reading import Detected, ReadOptions, Rejected, TextBatch, check_columns, unique_names

_TEXTUAL_SHARE = 0.05
_BATCH_BYTES = 4 << 20


class JsonLinesTable:
    """JSON lines as a `TextTable`. Objects may have different keys: what an object lacks is missing."""

    def __init__(self, source: BinaryIO, options: ReadOptions) -> None:
        self._source = source
        self._encoding: Encoding = detect_encoding(source, options.encoding)
        self._keys: dict[str, None] = {}
        self._values: Counter[str] = Counter()
        self._texts: Counter[str] = Counter()
        self._is_counted = False
        first = next((line for _, line in self._lines()), b"")
        if first.startswith(b"["):
            raise InvalidInput(
                "The file holds a JSON array; JSON lines have one object a line. "
                "Write it that way, for example with pandas: to_json(path, orient='records', lines=True)."
            )

    @property
    def detected(self) -> Detected:
        """How the file is read."""
        return Detected(format="jsonl", encoding=self._encoding.name)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns: all keys in the order they first appear."""
        return unique_names(list(self._keys))

    @property
    def textual(self) -> frozenset[str]:
        """Columns with more than a few JSON strings."""
        pairs = zip(self._keys, self.names, strict=True)
        return frozenset(name for key, name in pairs if self._texts[key] > _TEXTUAL_SHARE * self._values[key])

    def batches(self) -> Iterator[TextBatch]:
        """Read the file from its start."""
        import polars as pl

        for records, numbers, rejected in self._records():
            if not self._is_counted:
                check_columns(len(self._keys))
            columns = [
                pl.Series(name, [record.get(key) for record in records], dtype=pl.String)
                for key, name in zip(self._keys, self.names, strict=True)
            ]
            yield TextBatch(pl.DataFrame(columns), np.array(numbers, dtype=np.int64), rejected)
        self._is_counted = True

    def _records(self) -> Iterator[tuple[list[dict[str, str | None]], list[int], list[Rejected]]]:
        records: list[dict[str, str | None]] = []
        numbers: list[int] = []
        rejected: list[Rejected] = []
        size = 0
        for number, line in self._lines():
            record = self._record(line)
            if isinstance(record, str):
                rejected.append(Rejected(number, record))
            else:
                records.append(record)
                numbers.append(number)
            size += len(line)
            if size > _BATCH_BYTES:
                yield records, numbers, rejected
                records, numbers, rejected, size = [], [], [], 0
        if records or rejected:
            yield records, numbers, rejected

    def _record(self, line: bytes) -> dict[str, str | None] | str:
        """Read one line; return its values as text, or the reason why not."""
        try:
            data = orjson.loads(line)
        except orjson.JSONDecodeError:
            return "it is not valid JSON"
        if not isinstance(data, dict):
            return "it is not a JSON object"
        for key, value in data.items():
            if isinstance(value, list | dict):
                return f"column {key[:80]!r} holds a list or an object, not a single value"
        if not self._is_counted:
            for key, value in data.items():
                self._keys.setdefault(key)
                if value is not None and value != "":
                    self._values[key] += 1
                    self._texts[key] += isinstance(value, str)
        return {key: _text(value) for key, value in data.items()}

    def _lines(self) -> Iterator[tuple[int, bytes]]:
        number = 0
        rest = b""
        for chunk in utf8_chunks(self._source, self._encoding):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                number += 1
                if stripped := line.strip():
                    yield number, stripped
            if len(rest) > MAX_LINE_BYTES:
                raise InvalidInput(
                    f"Line {number + 1} is longer than {MAX_LINE_BYTES >> 20} MiB. Write one object a line."
                )
        if stripped := rest.strip():
            yield number + 1, stripped


def _text(value: str | int | float | bool | None) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) or value is None:
        return value
    return str(value)
