"""The columns of a dataset version as a worker reads them: over REST, or from a copy of its own."""

from __future__ import annotations

import shutil
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from lepton.models.shards import BLOCK_ROWS
from lepton.store.ciphers import new_key
from lepton.trainer.platform import PlatformOfRun
from lepton.training.ahead import ahead

if TYPE_CHECKING:
    import polars as pl

_FILE_BYTES = 1 << 28
_PIECES_AHEAD = 16


class Source:
    """Columns of a dataset version.

    Args:
        platform: Is asked for rows.
        ref: The version.
        columns: Their names.
        rows: How many there are.
        memory_bytes: What a copy may take of memory; a larger one lies in files, encrypted with a key that only this
            process has.
        folder: Where these are.
    """

    def __init__(
        self, platform: PlatformOfRun, ref: str, columns: Sequence[str], *, rows: int, memory_bytes: int, folder: Path
    ) -> None:
        self._platform, self._ref, self._columns, self.rows = platform, ref, tuple(columns), rows
        self._memory_bytes, self._parent = memory_bytes, folder
        self._folder: Path | None = None
        self._key = new_key()
        self._copy: list[tuple[int, pl.LazyFrame]] = []

    def keep(self) -> pl.LazyFrame:
        """Make a copy of all rows, from which they are read from now on; returns a plan over them."""
        import polars as pl

        held: list[pl.DataFrame] = []
        size = 0
        with self._remote(0, self.rows) as blocks:
            for block in blocks:
                held.append(block)
                size += int(block.estimated_size())
                if size > (min(self._memory_bytes, _FILE_BYTES) if self._folder else self._memory_bytes):
                    self._write(pl.concat(held))
                    held, size = [], 0
        if held and self._folder:
            self._write(pl.concat(held))
        elif held:
            self._copy.append((self.rows, pl.concat(held).lazy()))
        return pl.concat([plan for _, plan in self._copy])

    @contextmanager
    def frames(self, first: int, end: int, columns: Sequence[str]) -> Iterator[Iterator[pl.DataFrame]]:
        """Read rows of a range, in order, in blocks of `BLOCK_ROWS`.

        Args:
            first: The first row.
            end: The one behind the last.
            columns: Which of the columns.
        """
        if self._copy:
            yield _blocks(self._kept(first, end, columns))
        else:
            with self._remote(first, end, columns) as blocks:
                yield blocks

    def _kept(self, first: int, end: int, columns: Sequence[str]) -> Iterator[pl.DataFrame]:
        import polars as pl

        from lepton.store.parquet import mapped_errors

        for rows, plan in self._copy:
            begin, last = max(first, 0), min(end, rows)
            if begin < last:
                # Sliced per file, so that the slice reaches into it.
                part = plan.slice(begin, last - begin).select(pl.col(columns))
                with mapped_errors():
                    yield from part.collect_batches(chunk_size=BLOCK_ROWS, maintain_order=True, engine="streaming")
            first, end = first - rows, end - rows

    @contextmanager
    def _remote(self, first: int, end: int, columns: Sequence[str] | None = None) -> Iterator[Iterator[pl.DataFrame]]:
        """Read over REST; the next rows come while those before them are worked on."""
        pieces = self._platform.blocks(self._ref, columns or self._columns, first, end)
        with ahead(pieces, depth=_PIECES_AHEAD) as arriving:
            yield _blocks(arriving)

    def _write(self, frame: pl.DataFrame) -> None:
        from lepton.store.parquet import scan_encrypted, write_encrypted

        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(dir=self._parent, prefix="rows-"))
            weakref.finalize(self, shutil.rmtree, self._folder, ignore_errors=True)
        path = self._folder / str(len(self._copy))
        write_encrypted(frame, path, self._key, path.name)
        self._copy.append((frame.height, scan_encrypted(path, self._key, path.name)))


def _blocks(pieces: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """Make blocks of `BLOCK_ROWS` rows, the last one of fewer, out of pieces of any size."""
    import polars as pl

    held: list[pl.DataFrame] = []
    rows = 0
    for piece in pieces:
        held.append(piece)
        rows += piece.height
        while rows >= BLOCK_ROWS:
            whole = pl.concat(held)
            yield whole[:BLOCK_ROWS]
            held, rows = [whole[BLOCK_ROWS:]], rows - BLOCK_ROWS
    if rows:
        yield pl.concat(held)
