"""Versioned tables as encrypted Parquet: row parts, and in each part one file per column class.

A class has a key of its own (scope ``dataset/<table id>/<class>``), so that who may not read personal columns never
holds what opens them. Nothing here reads values; the manifest (`Table`) holds column names, so its owner seals it.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lepton.core.columns import ColumnClass
from lepton.core.errors import Conflict, Internal, InvalidInput, NotFound
from lepton.store import scratch
from lepton.store.keys import Keyring

if TYPE_CHECKING:
    import polars as pl

PART_ROWS = 16 * 65_536
PART_BYTES = 256 << 20
_ID = re.compile(r"[0-9A-Za-z._-]{1,64}")


@dataclass(frozen=True)
class Part:
    """Some consecutive rows of a table: one file per column class, all with the same rows in the same order."""

    rows: int
    files: tuple[tuple[ColumnClass, str], ...]


@dataclass(frozen=True)
class Table:
    """The manifest of a stored table. Column names can be telling: keep it sealed."""

    id: str
    columns: tuple[tuple[str, ColumnClass], ...]
    parts: tuple[Part, ...]
    rows: int
    size_bytes: int

    def to_json(self) -> bytes:
        """Write the manifest."""
        return json.dumps(
            {
                "id": self.id,
                "columns": self.columns,
                "parts": [{"rows": part.rows, "files": part.files} for part in self.parts],
                "rows": self.rows,
                "size_bytes": self.size_bytes,
            },
            ensure_ascii=False,
        ).encode()

    @classmethod
    def from_json(cls, text: bytes) -> Table:
        """Read what `to_json` wrote."""
        found = json.loads(text)
        return cls(
            id=found["id"],
            columns=tuple((name, ColumnClass(column_class)) for name, column_class in found["columns"]),
            parts=tuple(
                Part(part["rows"], tuple((ColumnClass(column_class), name) for column_class, name in part["files"]))
                for part in found["parts"]
            ),
            rows=found["rows"],
            size_bytes=found["size_bytes"],
        )


class TableStore:
    """Stores tables under ``root/tables``.

    Args:
        root: Folder of all objects, shared with the blobs.
        keyring: Where the keys come from.
    """

    def __init__(self, root: Path, keyring: Keyring) -> None:
        self._root = root
        self._keyring = keyring

    def write(
        self, project: str, table_id: str, frames: Iterable[pl.DataFrame], classes: Mapping[str, ColumnClass]
    ) -> Table:
        """Store frames of one schema as a table; it is on the disk when this returns, and nothing is when this raises.

        Memory: one part, which is about a million rows or 256 MiB, and one frame of the caller's.

        Args:
            project: The project's id.
            table_id: A new id.
            frames: At least one; it may have no rows.
            classes: The class of each column.

        Raises:
            InvalidInput: if there is no column.
            Conflict: if a table with this id exists.
            StorageFull: if the disk is full.
        """
        from lepton.store.parquet import write_encrypted

        folder = self._folder(table_id)
        groups: dict[ColumnClass, list[str]] = {}
        keys: dict[ColumnClass, bytes] = {}
        parts: list[Part] = []
        columns: list[str] = []
        with scratch.scratch(self._root) as made:
            for frame in _parts(frames):
                if not parts:
                    columns = frame.columns
                    groups = _by_class(columns, classes)
                    keys = {group: self._new_key(project, table_id, group) for group in groups}
                files = tuple((group, f"{len(parts):06d}-{group.value}.parquet") for group in groups)
                for group, name in files:
                    write_encrypted(frame.select(groups[group]), made / name, keys[group], _aad(table_id, name))
                parts.append(Part(frame.height, files))
            if not parts:
                raise InvalidInput("A table needs at least one column. Keep one of them.")
            size_bytes = sum(file.stat().st_size for file in made.iterdir())
            try:
                scratch.publish(made, folder)
            except FileExistsError:
                raise Conflict("A table with this id is already stored. Use a new id.") from None
        return Table(
            id=table_id,
            columns=tuple((name, classes[name]) for name in columns),
            parts=tuple(parts),
            rows=sum(part.rows for part in parts),
            size_bytes=size_bytes,
        )

    def scan(
        self,
        project: str,
        table: Table,
        columns: Sequence[str] | None = None,
        *,
        rows: tuple[int, int] | None = None,
    ) -> pl.LazyFrame:
        """Return a plan over the table's rows; only the classes of the wanted columns are opened.

        Collecting it raises Polars's own errors if a file is damaged: wrap it in `parquet.mapped_errors`.

        Args:
            project: The project's id.
            table: What to read.
            columns: Which columns, in which order; None is all of them, in theirs.
            rows: First and end of a range; what lies before it is not decoded, which a slice of the plan would do.

        Raises:
            InvalidInput: if the table has no such column, or none is wanted.
            NotFound: if a key was shredded.
        """
        return self._plan(project, table, columns, _pieces(table, *(rows or (0, table.rows))))

    def read_slice(
        self, project: str, table: Table, *, columns: Sequence[str] | None, offset: int, length: int
    ) -> pl.DataFrame:
        """Read `length` rows from row `offset` on, fewer at the end; only the row groups that hold them are read.

        Raises:
            InvalidInput: if the table has no such column, none is wanted, or the numbers are negative.
            NotFound: if a key was shredded.
            Internal: if a file is damaged.
        """
        from lepton.store.parquet import mapped_errors

        if offset < 0 or length < 0:
            raise InvalidInput("Offset and length of rows cannot be negative. Use 0 or more.")
        with mapped_errors():
            return self._plan(project, table, columns, _pieces(table, offset, offset + length)).collect()

    def delete(self, table_id: str) -> None:
        """Remove a table's files, if they are there. Its keys are shredded apart, by scope."""
        shutil.rmtree(self._folder(table_id), ignore_errors=True)

    def ids(self) -> list[str]:
        """Return the ids of all stored tables, also of those that nobody knows of."""
        folder = self._root / "tables"
        return sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []

    def sweep(self) -> int:
        """Remove what writers that died left behind, tables and blobs; return how many there were."""
        return scratch.sweep(self._root)

    def _plan(
        self, project: str, table: Table, columns: Sequence[str] | None, pieces: list[tuple[Part, int, int]]
    ) -> pl.LazyFrame:
        import polars as pl

        from lepton.store.parquet import scan_encrypted

        wanted = [name for name, _ in table.columns] if columns is None else list(columns)
        groups = _by_class(wanted, dict(table.columns))
        if not groups:
            raise InvalidInput("At least one column must be read.")
        keys = {group: self._keyring.get(project, _scope(table.id, group)) for group in groups}
        folder = self._folder(table.id)
        rows = []
        for part, offset, length in pieces:
            files = dict(part.files)
            sides = []
            for group, names in groups.items():
                name = files[group]
                side = scan_encrypted(folder / name, keys[group], _aad(table.id, name)).select(names)
                # Sliced per file, before the sides are joined, so that the slice reaches into the file.
                sides.append(side if length == part.rows else side.slice(offset, length))
            rows.append(sides[0] if len(sides) == 1 else pl.concat(sides, how="horizontal").select(wanted))
        return rows[0] if len(rows) == 1 else pl.concat(rows, how="vertical")

    def _new_key(self, project: str, table_id: str, group: ColumnClass) -> bytes:
        self._keyring.create(project, _scope(table_id, group))
        return self._keyring.get(project, _scope(table_id, group))

    def _folder(self, table_id: str) -> Path:
        if not _ID.fullmatch(table_id) or table_id.startswith("."):
            raise NotFound("There is no such stored table: its id is malformed.")
        return self._root / "tables" / table_id


def _pieces(table: Table, first: int, end: int) -> list[tuple[Part, int, int]]:
    """Return the parts that hold a range of rows, each with its first row and how many; at least one, maybe of none."""
    pieces: list[tuple[Part, int, int]] = []
    start = 0
    for part in table.parts:
        begin, last = max(first - start, 0), min(end - start, part.rows)
        if begin < last:
            pieces.append((part, begin, last - begin))
        start += part.rows
    return pieces or [(table.parts[0], 0, 0)]


def _parts(frames: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
    """Regroup frames into parts; a table without rows is one empty part, which keeps the schema."""
    import polars as pl

    waiting: list[pl.DataFrame] = []
    rows = 0
    size_bytes = 0.0
    schema: pl.Schema | None = None
    empty: pl.DataFrame | None = None
    for frame in frames:
        if not frame.width:
            raise InvalidInput("A table needs at least one column. Keep one of them.")
        if schema is None:
            schema, empty = frame.schema, frame.clear()
        elif frame.schema != schema:
            raise Internal("The frames of one table differ in their columns or types.")
        start = 0
        while start < frame.height:
            piece = frame.slice(start, PART_ROWS - rows)
            start += piece.height
            waiting.append(piece)
            rows += piece.height
            size_bytes += piece.estimated_size()
            if rows >= PART_ROWS or size_bytes >= PART_BYTES:
                yield pl.concat(waiting)
                waiting, rows, size_bytes, empty = [], 0, 0.0, None
    if waiting:
        yield pl.concat(waiting)
    elif empty is not None:
        yield empty


def _by_class(columns: Sequence[str], classes: Mapping[str, ColumnClass]) -> dict[ColumnClass, list[str]]:
    groups: dict[ColumnClass, list[str]] = {}
    for name in columns:
        if name not in classes:
            raise InvalidInput(f"The table has no column {name!r}. Its columns are: {', '.join(list(classes)[:50])}.")
        groups.setdefault(classes[name], []).append(name)
    return groups


def _scope(table_id: str, group: ColumnClass) -> str:
    return f"dataset/{table_id}/{group.value}"


def _aad(table_id: str, name: str) -> str:
    return f"lepton/dataset/{table_id}/{name}"
