"""The verbs of datasets: for people, for the workers of their runs (`tasks.py`), and for models."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from itertools import chain, groupby
from typing import TYPE_CHECKING, BinaryIO, cast

import sqlalchemy as sa

from lepton.access.guard import Guard
from lepton.access.records import DEFAULT_PROJECT, Actor
from lepton.core.clock import Clock
from lepton.core.errors import Forbidden, InvalidInput, LeptonError, NotFound
from lepton.core.ids import new_id
from lepton.core.refs import Ref, check_name
from lepton.core.settings import Settings
from lepton.datasets import documents, rows
from lepton.datasets.documents import PROFILE, REPORT, SCHEMA
from lepton.datasets.exports import MEDIA_TYPES, check_format, write_file
from lepton.datasets.records import (
    Cell,
    DatasetDetail,
    DatasetProfile,
    DatasetReport,
    DatasetSummary,
    DatasetVersion,
    Draft,
    Export,
    ImportOptions,
    MadeBy,
    OpenDataset,
    RowsPage,
    Upload,
)
from lepton.datasets.rows import Sealed
from lepton.datasets.schema import Schema
from lepton.datasets.steps import Recipe
from lepton.runs.operations import Runs
from lepton.runs.records import Run
from lepton.store.blobs import BlobStore
from lepton.store.keys import Keyring
from lepton.store.tables import Table, TableStore

if TYPE_CHECKING:
    import polars as pl

MAX_PAGE_ROWS = 1000
KEPT_FOR = timedelta(days=7)
"""How long the file of a failed or cancelled import is kept for a retry."""


@dataclass(frozen=True)
class _Opened:
    """A version with those of its documents the actor can open."""

    version: DatasetVersion
    documents: documents.Opened
    schema: Schema
    table: Table


class Datasets:
    """What actors may do with datasets."""

    def __init__(
        self,
        *,
        guard: Guard,
        keyring: Keyring,
        blobs: BlobStore,
        tables: TableStore,
        runs: Runs,
        clock: Clock,
        settings: Settings,
    ) -> None:
        self._guard = guard
        self._keyring = keyring
        self._blobs = blobs
        self._tables = tables
        self._runs = runs
        self._clock = clock
        self._max_upload_bytes = settings.max_upload_bytes
        self._arriving: set[str] = set()

    # For people

    def import_(
        self,
        actor: Actor,
        chunks: Iterable[bytes],
        *,
        options: ImportOptions,
        again: Callable[[], Actor] | None = None,
    ) -> Run:
        """Take in a file, kept encrypted as it is, and submit the run that makes a version of it.

        Args:
            actor: Who asks.
            chunks: The file.
            options: What is known of it.
            again: Says who asks when the file has come, which can be hours later; raises if that is nobody now.

        Raises:
            InvalidInput: if the file is empty or an option is wrong.
            TooLarge: if the file is over the limit.
        """
        from lepton.datasets.formats import check_options

        self._refuse_early(actor, "datasets.import", options.project, options.name)
        check_name(options.name, "dataset")
        check_options(options.reading)
        project, upload_id = options.project, new_id()
        scope, target = f"upload/{upload_id}", f"dataset:{options.name}"
        self._arriving.add(upload_id)
        try:
            blob = self._blobs.put(project, scope, chunks, blob_id=upload_id, max_bytes=self._max_upload_bytes)
            if not blob.size_bytes:
                raise InvalidInput("The file is empty. Import a file with at least one row of data.")
            actor = actor if again is None else again()
            with self._guard.allow(actor, "datasets.import", project=project, target=target) as tx:
                run = self._runs.submit(
                    actor,
                    tx,
                    project=project,
                    task="datasets.import",
                    arguments={"options": asdict(options), "upload": asdict(Upload(upload_id, blob.id))},
                    params={"name": options.name, "file_name": options.file_name, "size_bytes": blob.size_bytes},
                )
                lost = self._lost_uploads(tx)
        except BaseException:
            self._remove_upload(project, scope)
            raise
        finally:
            self._arriving.discard(upload_id)
        with suppress(LeptonError):  # what cannot be removed now is found again
            for where, old in lost:
                self._remove_upload(where, old)
        return run

    def list(self, actor: Actor, *, project: str = DEFAULT_PROJECT) -> builtins.list[DatasetSummary]:
        """List the datasets of a project by name."""
        with self._guard.allow(actor, "datasets.list", project=project) as tx:
            found = [_version(row) for row in rows.versions(tx, project)]
        grouped = [(name, tuple(versions)) for name, versions in groupby(found, key=lambda v: v.name)]
        return [DatasetSummary(name, versions[0].version, versions) for name, versions in grouped]

    def get(self, actor: Actor, ref: Ref, *, project: str = DEFAULT_PROJECT) -> DatasetDetail:
        """Get one version with its columns.

        Raises:
            NotFound: if there is no such version.
        """
        with self._guard.allow(actor, "datasets.get", project=project, target=f"dataset:{ref}") as tx:
            opened = self._open(tx, actor, ref, project, (SCHEMA, PROFILE))
            versions = tuple(_version(row) for row in rows.versions(tx, project, ref.name))
        profiles, _ = documents.read_profiles(opened.documents, opened.schema)
        return DatasetDetail(opened.version, documents.with_counts(opened.schema, profiles), versions)

    def profile(
        self, actor: Actor, ref: Ref, *, target: str | None = None, project: str = DEFAULT_PROJECT
    ) -> DatasetProfile:
        """Get statistics of a version, and the recipe they suggest.

        Raises:
            InvalidInput: if there is no column `target`.
        """
        from lepton.datasets.suggest import suggest_recipe

        with self._guard.allow(actor, "datasets.profile", project=project, target=f"dataset:{ref}") as tx:
            opened = self._open(tx, actor, ref, project, (SCHEMA, PROFILE))
        if target is not None:
            opened.schema.column(target)
        profiles, duplicates = documents.read_profiles(opened.documents, opened.schema)
        recipe = suggest_recipe(profiles, duplicates, target=target)
        return DatasetProfile(opened.version, profiles, duplicates, recipe)

    def rows(
        self, actor: Actor, ref: Ref, *, offset: int = 0, limit: int = 50, project: str = DEFAULT_PROJECT
    ) -> RowsPage:
        """Read rows from row `offset` on, at most `MAX_PAGE_ROWS`."""
        if offset < 0 or not 0 <= limit <= MAX_PAGE_ROWS:
            raise InvalidInput(f"The offset must be 0 or more, and the limit from 0 to {MAX_PAGE_ROWS}.")
        with self._guard.allow(actor, "datasets.rows", project=project, target=f"dataset:{ref}") as tx:
            opened = self._open(tx, actor, ref, project, (SCHEMA,))
        schema = opened.schema
        height = max(min(limit, opened.version.rows - offset), 0)
        values: dict[str, Sequence[Cell]] = dict.fromkeys(schema.masked, (None,) * height)
        if schema.visible and height:
            frame = self._tables.read_slice(project, opened.table, columns=schema.visible, offset=offset, length=height)
            values |= {column.name: [_cell(value) for value in column.to_list()] for column in frame}
        cells = [list(row) for row in zip(*(values[name] for name in schema.names), strict=True)] if height else []
        return RowsPage(schema.names, cells, opened.version.rows, schema.masked)

    def report(self, actor: Actor, ref: Ref, *, project: str = DEFAULT_PROJECT) -> DatasetReport:
        """Get how a version came to be."""
        with self._guard.allow(actor, "datasets.get", project=project, target=f"dataset:{ref}") as tx:
            opened = self._open(tx, actor, ref, project, (SCHEMA, REPORT))
        read = documents.read_report(opened.documents)
        return DatasetReport(opened.version, read.recipe, read.steps, read.rejected, read.rejected_total, read.detected)

    def clean(
        self,
        actor: Actor,
        ref: Ref,
        *,
        recipe: Recipe | None = None,
        target: str | None = None,
        project: str = DEFAULT_PROJECT,
    ) -> Run:
        """Submit the run that makes the next version of a dataset by a recipe.

        Args:
            actor: Who asks.
            ref: What to clean.
            recipe: What to do; None means the recipe its profile suggests.
            target: The column that will be predicted; only the suggestion heeds it.
            project: Where.

        Raises:
            InvalidInput: if the recipe does not fit the dataset.
            Forbidden: if the actor may not read all of it.
        """
        from lepton.datasets.fitting import check_recipe
        from lepton.datasets.suggest import suggest_recipe

        with self._guard.allow(actor, "datasets.clean", project=project, target=f"dataset:{ref}") as tx:
            opened = self._open(tx, actor, ref, project, (SCHEMA, PROFILE))
            check_whole(opened.version, opened.schema)
            if target is not None:
                opened.schema.column(target)
            if recipe is None:
                recipe = suggest_recipe(*documents.read_profiles(opened.documents, opened.schema), target=target)
            check_recipe(recipe, opened.schema)
            return self._runs.submit(
                actor,
                tx,
                project=project,
                task="datasets.clean",
                arguments={"dataset": opened.version.ref, "recipe": recipe.to_json()},
                inputs=(f"dataset:{opened.version.ref}",),
                params={"dataset": opened.version.ref, "steps": len(recipe.steps), "target": target},
            )

    def split(
        self,
        actor: Actor,
        ref: Ref,
        *,
        fractions: Mapping[str, float],
        seed: int = 0,
        stratify: str | None = None,
        project: str = DEFAULT_PROJECT,
    ) -> Run:
        """Submit the run that divides the rows of a version among datasets ``<name>-<part>``.

        Args:
            actor: Who asks.
            ref: What to divide.
            fractions: Share of each part; together 1.
            seed: Seed of the shuffle.
            stratify: Column whose values every part has in equal proportion.
            project: Where.

        Raises:
            InvalidInput: if the shares are wrong or there is no column `stratify`.
            Forbidden: if the actor may not read all of it.
        """
        from lepton.datasets.split import check_fractions, check_seed

        check_fractions(fractions)
        check_seed(seed)
        for part in fractions:
            check_name(f"{ref.name}-{part}", "dataset")
        with self._guard.allow(actor, "datasets.split", project=project, target=f"dataset:{ref}") as tx:
            opened = self._open(tx, actor, ref, project, (SCHEMA,))
            check_whole(opened.version, opened.schema)
            if stratify is not None:
                opened.schema.column(stratify)
            return self._runs.submit(
                actor,
                tx,
                project=project,
                task="datasets.split",
                arguments={
                    "dataset": opened.version.ref,
                    "fractions": dict(fractions),
                    "seed": seed,
                    "stratify": stratify,
                },
                inputs=(f"dataset:{opened.version.ref}",),
                params={"dataset": opened.version.ref, "seed": seed, "stratify": stratify},
            )

    def export(
        self,
        actor: Actor,
        ref: Ref,
        *,
        format: str = "csv",  # noqa: A002 - the word of the interface
        columns: Sequence[str] | None = None,
        rows: tuple[int, int] | None = None,
        project: str = DEFAULT_PROJECT,
    ) -> Export:
        """Write a version out as ``csv``, ``parquet``, ``jsonl`` or ``arrow``.

        Args:
            actor: Who asks.
            ref: The version.
            format: Of the file; ``arrow`` is a stream of record batches.
            columns: Which columns, in which order; None: all that the actor may read.
            rows: The first row and the one behind the last; None: all.
            project: Project of the dataset.

        Raises:
            InvalidInput: if there is no such format or column, or the rows are no range.
            Forbidden: if the actor may read none of its columns, or not one that is named.
        """
        check_format(format)
        if rows is not None and not 0 <= rows[0] <= rows[1]:
            raise InvalidInput(f"There is no range of rows from {rows[0]} to {rows[1]}. Rows are counted from 0.")
        with self._guard.allow(actor, "datasets.export", project=project, target=f"dataset:{ref}") as tx:
            opened = self._open(tx, actor, ref, project, (SCHEMA,))
        visible = opened.schema.visible
        if not visible:
            raise Forbidden(f"You may read no column of dataset {opened.version.ref!r}. Ask an owner of the project.")
        for name in columns or ():
            if name in opened.schema.masked:
                raise Forbidden(f"You may not read column {name!r} of dataset {opened.version.ref!r}. Leave it out.")
        chosen = visible if columns is None else columns
        chunks = write_file(format, self._tables.scan(project, opened.table, chosen, rows=rows))
        first = next(chunks)  # what goes wrong at once goes wrong here, before an answer has begun
        name = f"{opened.version.name}-{opened.version.version}.{format}"
        return Export(chain([first], chunks), name, MEDIA_TYPES[format], opened.schema.masked)

    def delete(self, actor: Actor, ref: Ref, *, project: str = DEFAULT_PROJECT) -> None:
        """Delete a version, or with no number all of them: their keys are destroyed first, then their files.

        Raises:
            NotFound: if there is no such version.
        """
        with self._guard.allow(actor, "datasets.delete", project=project, target=f"dataset:{ref}") as tx:
            found = rows.versions(tx, project, ref.name) if ref.version is None else [_found(tx, project, ref)]
            if not found:
                _found(tx, project, ref)
            for row in found:
                self._keyring.shred(project, f"dataset/{row.id}")
                if row.upload_id is not None:
                    self._keyring.shred(project, f"upload/{row.upload_id}")
            rows.delete(tx, [row.id for row in found], self._clock())
        for row in found:
            self._tables.delete(row.id)
            if row.upload_blob_id is not None:
                self._blobs.delete(row.upload_blob_id)

    # For workers, and for models

    def open(self, actor: Actor, ref: Ref, *, project: str = DEFAULT_PROJECT) -> OpenDataset:
        """Open a version to read its table.

        Raises:
            NotFound: if there is no such version.
        """
        with self._guard.allow(actor, "datasets.rows", project=project, target=f"dataset:{ref}") as tx:
            opened = self._open(tx, actor, ref, project, (SCHEMA,))

        def scan(columns: Sequence[str], rows: tuple[int, int] | None) -> pl.LazyFrame:
            for name in columns:
                _check_readable(opened.schema, name)
            return self._tables.scan(project, opened.table, columns, rows=rows)

        return OpenDataset(opened.version, opened.schema, scan)

    def upload(self, project: str, upload: Upload) -> BinaryIO:
        """Open the file of an import that is under way.

        Raises:
            NotFound: if it was not kept so long.
        """
        try:
            return self._blobs.open(project, f"upload/{upload.id}", upload.blob_id)
        except NotFound:
            raise NotFound(
                f"The file of this import is gone: it is kept for {KEPT_FOR.days} days. Import it again."
            ) from None

    def store(self, project: str, frames: Iterable[pl.DataFrame], schema: Schema) -> Table:
        """Write a table for a version to come; whoever calls commits or discards it."""
        table_id = new_id()
        try:
            return self._tables.write(project, table_id, frames, schema.classes)
        except BaseException:
            self.discard(project, table_id)
            raise

    def scan(self, project: str, table: Table, columns: Sequence[str] | None = None) -> pl.LazyFrame:
        """Read a table that was just stored."""
        return self._tables.scan(project, table, columns)

    def discard(self, project: str, table_id: str) -> None:
        """Destroy a stored table that no version was made of."""
        self._keyring.shred(project, f"dataset/{table_id}")
        self._tables.delete(table_id)

    def commit(self, actor: Actor, run: Run, drafts: Sequence[Draft], *, action: str) -> builtins.list[DatasetVersion]:
        """Make versions of drafts and end their run well, all in one transaction.

        Raises:
            Conflict: if the run has ended meanwhile; nothing is committed then.
            Forbidden: if the actor has lost the permission meanwhile.
        """
        now = self._clock()
        sealed = [self._seal(run.project, draft) for draft in drafts]
        made = []
        with self._guard.allow(actor, action, project=run.project, target=f"run:{run.id}") as tx:
            for draft, texts in zip(drafts, sealed, strict=True):
                row = rows.VersionRow(
                    id=draft.table.id,
                    project=run.project,
                    name=draft.name,
                    version=rows.next_version(tx, run.project, draft.name),
                    row_count=draft.table.rows,
                    column_count=len(draft.table.columns),
                    size_bytes=draft.table.size_bytes,
                    created_at=now,
                    created_by=actor.name,
                    run_id=run.id,
                    parent=draft.parent,
                    made_by=draft.made_by,
                    upload_id=None if draft.upload is None else draft.upload.id,
                    upload_blob_id=None if draft.upload is None else draft.upload.blob_id,
                )
                rows.insert(tx, row, texts)
                made.append(_version(row))
            self._runs.succeed(tx, run.id, [f"dataset:{version.ref}" for version in made])
        return made

    def sweep(self, tx: sa.Connection) -> int:
        """Remove tables whose worker died before it could commit them, and files of imports that nobody retries.

        Only while no run works.

        Returns:
            How many there were.
        """
        known = rows.ids(tx)
        tables = set(self._tables.ids()) - known
        for table_id in tables:
            self._tables.delete(table_id)
        for project, scope in self._keyring.scopes("dataset"):
            if scope.split("/")[1] not in known:
                self._keyring.shred(project, scope)
        uploads = self._lost_uploads(tx)
        for project, scope in uploads:
            self._remove_upload(project, scope)
        return len(tables) + len(uploads)

    # Shared by them

    def _lost_uploads(self, tx: sa.Connection) -> builtins.list[tuple[str, str]]:
        """The project and scope of each file that is not coming in, in a version, nor kept for a run or its retry."""
        scopes = self._keyring.scopes("upload")
        kept = self._arriving | rows.upload_ids(tx)
        for arguments in self._runs.unsuccessful(tx, "datasets.import", self._clock() - KEPT_FOR):
            kept.add(arguments["upload"]["id"])
        return [(project, scope) for project, scope in scopes if scope.removeprefix("upload/") not in kept]

    def _remove_upload(self, project: str, scope: str) -> None:
        self._blobs.delete(scope.removeprefix("upload/"))  # before its key, by which it would be found again
        self._keyring.shred(project, scope)

    def _refuse_early(self, actor: Actor, action: str, project: str, name: str) -> None:
        """Ask for permission before a file is taken in, so that nobody uploads in vain; a refusal is audited."""
        if not self._guard.may(actor, action, project=project):
            with self._guard.allow(actor, action, project=project, target=f"dataset:{name[:80]}"):
                pass

    def _open(self, tx: sa.Connection, actor: Actor, ref: Ref, project: str, kinds: Sequence[str]) -> _Opened:
        row = _found(tx, project, ref)
        readable = self._guard.readable(actor, project=project)
        opened = {
            (kind, group): self._keyring.unseal(
                project, f"dataset/{row.id}/{group.value}", sealed, label=f"dataset/{row.id}/{group.value}/{kind}"
            )
            for (kind, group), sealed in rows.documents(tx, row.id, kinds).items()
            if group in readable
        }
        schema, table = documents.read_schema(opened, readable)
        return _Opened(_version(row), opened, schema, Table.from_json(table))

    def _seal(self, project: str, draft: Draft) -> Sealed:
        return {
            (kind, group): self._keyring.seal(
                project,
                f"dataset/{draft.table.id}/{group.value}",
                text,
                label=f"dataset/{draft.table.id}/{group.value}/{kind}",
            )
            for (kind, group), text in documents.write_documents(draft.description).items()
        }


def check_whole(version: DatasetVersion, schema: Schema) -> None:
    """Refuse to make one dataset of another for an actor who may not read all of it.

    Raises:
        Forbidden: if columns are masked.
    """
    if schema.masked:
        names = ", ".join(repr(name) for name in schema.masked[:5])
        raise Forbidden(
            f"Dataset {version.ref!r} has columns you may not read ({names}), so you cannot make another one of it. "
            "Ask an owner of the project for a role that may, or to do it for you."
        )


def _check_readable(schema: Schema, name: str) -> None:
    column = schema.column(name)
    if column.masked:
        raise Forbidden(
            f"Column {name!r} is {column.column_class.value}, and you may not read it. "
            "Leave it out, or ask an owner of the project for a role that may."
        )


def _found(tx: sa.Connection, project: str, ref: Ref) -> rows.VersionRow:
    row = rows.find(tx, project, ref)
    if row is not None and row.deleted_at is None:
        return row
    latest = rows.find(tx, project, Ref(ref.name))
    if latest is None:
        raise NotFound(f"There is no dataset {ref.name!r}. See those there are with: lepton datasets list")
    if row is not None:
        raise NotFound(
            f"Version {row.version} of dataset {ref.name!r} was deleted; the latest is {latest.version}. "
            f"See: lepton datasets get {ref.name}"
        )
    raise NotFound(
        f"Dataset {ref.name!r} has no version {ref.version}; the latest is {latest.version}. "
        f"See: lepton datasets get {ref.name}"
    )


def _version(row: rows.VersionRow) -> DatasetVersion:
    return DatasetVersion(
        id=row.id,
        project=row.project,
        name=row.name,
        version=row.version,
        rows=row.row_count,
        columns=row.column_count,
        size_bytes=row.size_bytes,
        created_at=row.created_at,
        created_by=row.created_by,
        run_id=row.run_id,
        parent=row.parent,
        made_by=cast("MadeBy", row.made_by),
    )


def _cell(value: object) -> Cell:
    return value.isoformat() if isinstance(value, date) else cast("Cell", value)
