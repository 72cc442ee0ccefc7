"""The SQL of studies: journals that only grow, a sealed batch of entries a row."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from lepton.store.database import UtcDateTime, metadata

study_journals = sa.Table(
    "study_journals",
    metadata,
    sa.Column("project", sa.String(64), primary_key=True),
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("id", sa.String(26), nullable=False, unique=True),
    sa.Column("created_at", UtcDateTime, nullable=False),
    sa.Column("created_by", sa.String(64), nullable=False),
    sa.Column("entries", sa.Integer, nullable=False),
)

study_entries = sa.Table(
    "study_entries",
    metadata,
    sa.Column("journal_id", sa.String(26), primary_key=True),
    sa.Column("first", sa.Integer, primary_key=True),
    sa.Column("count", sa.Integer, nullable=False),
    sa.Column("batch", sa.String(64), nullable=False),
    sa.Column("sealed", sa.LargeBinary, nullable=False),
    sa.Index("uq_study_entries_journal_id_batch", "journal_id", "batch", unique=True),
)


@dataclass(frozen=True)
class JournalRow:
    """A journal.

    Attributes:
        entries: How many it has.
    """

    project: str
    name: str
    id: str
    created_at: datetime
    created_by: str
    entries: int


@dataclass(frozen=True)
class BatchRow:
    """Entries that came together, still sealed.

    Attributes:
        first: The number of the first one, from 0.
        count: How many there are.
        batch: What whoever sent them calls them.
    """

    first: int
    count: int
    batch: str
    sealed: bytes


def find(tx: sa.Connection, project: str, name: str, *, lock: bool = False) -> JournalRow | None:
    """Return a journal, or None; with a lock, whoever else would write to it waits."""
    query = sa.select(study_journals).where(study_journals.c.project == project, study_journals.c.name == name)
    row = tx.execute(query.with_for_update() if lock else query).one_or_none()
    return None if row is None else JournalRow(**row._mapping)


def journals(tx: sa.Connection, project: str) -> list[JournalRow]:
    """Return the journals of a project, the newest first."""
    query = sa.select(study_journals).where(study_journals.c.project == project)
    return [JournalRow(**row._mapping) for row in tx.execute(query.order_by(study_journals.c.id.desc()))]


def add(tx: sa.Connection, row: JournalRow) -> bool:
    """Add a journal; False if there is one of that name."""
    try:
        with tx.begin_nested():  # so that the transaction outlasts a refusal
            tx.execute(study_journals.insert().values(vars(row)))
    except sa.exc.IntegrityError:
        return False
    return True


def has(tx: sa.Connection, journal_id: str, batch: str) -> bool:
    """Whether a batch has come."""
    query = sa.select(study_entries.c.first).where(
        study_entries.c.journal_id == journal_id, study_entries.c.batch == batch
    )
    return tx.execute(query).first() is not None


def append(tx: sa.Connection, journal: JournalRow, batch: BatchRow) -> None:
    """Add a batch behind all others; the journal is locked."""
    tx.execute(study_entries.insert().values(journal_id=journal.id, **vars(batch)))
    here = (study_journals.c.project == journal.project) & (study_journals.c.name == journal.name)
    tx.execute(study_journals.update().where(here).values(entries=journal.entries + batch.count))


def batches(tx: sa.Connection, journal_id: str, after: int, *, limit: int) -> list[BatchRow]:
    """Return the batches that hold entries from a number on, in order."""
    mine = study_entries.c.journal_id == journal_id
    end = study_entries.c["first"] + study_entries.c["count"]
    query = sa.select(study_entries).where(mine, end > after)
    found = tx.execute(query.order_by(study_entries.c.first).limit(limit))
    known = ("first", "count", "batch", "sealed")
    return [BatchRow(**{name: row._mapping[name] for name in known}) for row in found]


def remove(tx: sa.Connection, journal: JournalRow) -> None:
    """Remove a journal and all that is in it."""
    tx.execute(study_entries.delete().where(study_entries.c.journal_id == journal.id))
    here = (study_journals.c.project == journal.project) & (study_journals.c.name == journal.name)
    tx.execute(study_journals.delete().where(here))
