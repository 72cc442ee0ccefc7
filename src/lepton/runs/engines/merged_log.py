"""One log out of those of the parts of a run: lines come in the order in which they were brought here, and stay in it.

How far each part has been brought is not kept anywhere else: it is how many of its lines are in the log.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

from lepton.runs.engines.journal import MAX_LOG_BYTES, SUPERVISOR_RANK, JournalReader, JournalWriter
from lepton.runs.records import LogLine, Part

_PAGE = 5_000

Read = Callable[[int, int, int], list[LogLine]]
"""Reads the log of a part: by its number, the cursor after which it begins, and the most lines."""


class MergedLog:
    """The log of one run.

    A supervisor's line has, in the file, a negative rank of its own for each part.

    Args:
        path: Its file.
        run_id: The run.
        parts: How its workers are cut up.
        max_bytes: How much of it is kept.
    """

    def __init__(self, path: Path, run_id: str, parts: Sequence[Part], *, max_bytes: int = MAX_LOG_BYTES) -> None:
        self._path = path
        self._run_id = run_id
        self._part_of = [number for number, part in enumerate(parts) for _ in range(part.workers)]
        self._count = len(parts)
        self._max_bytes = max_bytes
        self._reader = JournalReader(path, run_id)
        self._writer: JournalWriter | None = None
        self._brought: list[int] = []
        self._complete = False
        self._lock = threading.Lock()

    def bring(self, key: bytes, read: Read, *, ended: bool = False) -> None:
        """Add what parts have written since; what is brought at the same time is in the order of its time.

        Args:
            key: Encrypts the log.
            read: Reads those of the parts.
            ended: Whether no line can follow that it does not return.

        Raises:
            JournalError: if a log was changed.
        """
        with self._lock:
            if self._complete:
                return
            if self._writer is None:
                self._writer = JournalWriter.resume(self._path, self._run_id, key, max_bytes=self._max_bytes)
                self._brought = self._counted(key)
            found = [
                (line.time, number, line)
                for number in range(self._count)
                for line in read(number, self._brought[number], _PAGE)
            ]
            for _, number, line in sorted(found, key=lambda one: one[:2]):
                rank = line.rank if line.rank >= 0 else SUPERVISOR_RANK - number
                if not self._writer.write(rank, line.time.timestamp(), line.text):
                    self._complete = self._path.stat().st_size >= self._max_bytes  # or the disk is full, for now
                    self._close()
                    return
                self._brought[number] += 1
            if ended and not found:
                self._complete = True
                self._close()

    def read(self, key: bytes, *, after: int, limit: int) -> list[LogLine]:
        """Return at most `limit` lines with a number above `after`.

        Raises:
            JournalError: if the log was changed.
        """
        lines = self._reader.read(key, after=after, limit=limit)
        return [line if line.rank >= 0 else replace(line, rank=SUPERVISOR_RANK) for line in lines]

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._writer = None

    def _counted(self, key: bytes) -> list[int]:
        brought, after = [0] * self._count, 0
        while lines := self._reader.read(key, after=after, limit=_PAGE):
            for line in lines:
                brought[self._part_of[line.rank] if line.rank >= 0 else SUPERVISOR_RANK - line.rank] += 1
            after = lines[-1].seq
        return brought
