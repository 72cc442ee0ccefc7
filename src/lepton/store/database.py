"""The catalog and the database of keys: SQLAlchemy Core over SQLite or PostgreSQL.

Holds the connection, transactions, the mapping of the databases' own errors and the way to the newest schema. No
table is declared here: each noun's ``rows.py`` declares its own on `metadata`. Read next: ``migrations/runner.py``.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy import event, exc

from lepton.core.errors import InvalidInput, LeptonError, StorageFull, Unavailable
from lepton.store import sqlite
from lepton.store.moments import UtcDateTime

__all__ = ["NAMING", "Database", "UtcDateTime", "mapped_errors", "metadata"]

NAMING = {
    "ix": "ix_%(column_0_N_label)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

metadata = sa.MetaData(naming_convention=NAMING)
"""Every table of the catalog. The keys' tables are on a metadata of their own, in ``keys.py``."""


class Database:
    """One database and its transactions.

    Args:
        url: ``sqlite:////absolute/path.db`` or ``postgresql+psycopg://…``.
    """

    def __init__(self, url: str) -> None:
        self._url = sa.make_url(url)
        if self.is_sqlite:
            sqlite.make_private_file(Path(self._url.database or ""))
        self._engine = _make_engine(self._url)

    @property
    def is_sqlite(self) -> bool:
        """Whether this is the embedded database."""
        return self._url.get_backend_name() == "sqlite"

    @contextmanager
    def begin(self) -> Iterator[sa.Connection]:
        """Open one write transaction: committed at the end of the block, rolled back if the block raises.

        SQLite has one writer at a time, and it is this one from the first line of the block on; nothing slow belongs
        in it.

        Raises:
            StorageFull: if the disk is full; nothing was changed.
            Unavailable: if the database does not answer, or another writer held it for 30 seconds.
        """
        with mapped_errors(), self._engine.connect() as connection:
            connection.execution_options(lepton_writes=True)
            with connection.begin():
                yield connection

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """Open a transaction that can only read, and sees one moment from its first statement to its end.

        Raises:
            Unavailable: if the database does not answer.
        """
        with mapped_errors(), self._engine.connect() as connection:
            if not self.is_sqlite:
                connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
            with connection.begin() as transaction:
                yield connection
                transaction.rollback()

    def upgrade(self, branch: str = "catalog") -> None:
        """Bring the tables to the newest schema; safe when several processes do it at once, and when nothing is to do.

        Args:
            branch: Which tables: ``"catalog"``, or ``"keys"``, which `Keyring` asks for itself.

        Raises:
            StorageFull: if the disk is full; the schema is as it was.
            Unavailable: if the database does not answer.
        """
        from lepton.store.migrations.runner import upgrade

        with mapped_errors(), self._engine.connect() as connection:
            upgrade(connection, branch)

    def erase_deleted(self, table: sa.Table) -> None:
        """Remove from the disk what was deleted from `table` before, as far as the database can.

        SQLite: deleted cells are already zeroed (``secure_delete``); this empties the write-ahead log too.
        PostgreSQL: the table is rewritten; its own write-ahead log and backups are out of reach.

        Raises:
            Unavailable: if readers kept the log busy; calling again is safe.
        """
        with mapped_errors(), self._engine.connect() as connection:
            if self.is_sqlite:
                (busy, _, _) = (
                    sqlite.driver_connection(connection).execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
                )
                if busy:
                    raise Unavailable("The log of deleted keys is in use and could not be emptied. Try again.")
            else:
                connection.execution_options(isolation_level="AUTOCOMMIT")
                name = connection.dialect.identifier_preparer.format_table(table)
                connection.exec_driver_sql(f"VACUUM FULL {name}")

    def close(self) -> None:
        """Close all connections."""
        self._engine.dispose()


@contextmanager
def mapped_errors() -> Iterator[None]:
    """Raise the databases' own failures as errors of ours; constraint violations pass, rows know what they mean."""
    try:
        yield
    except (exc.DBAPIError, sqlite3.Error) as error:
        mapped = _map_error(error)
        if mapped is None:
            raise
        raise mapped from error
    except exc.TimeoutError as error:
        raise Unavailable("The database is busy: no connection became free in time. Try again.") from error


def _map_error(error: exc.DBAPIError | sqlite3.Error) -> LeptonError | None:
    original = error.orig if isinstance(error, exc.DBAPIError) else error
    if isinstance(original, sqlite3.Error):
        code = getattr(original, "sqlite_errorcode", 0) & 0xFF
        full, busy = code == sqlite3.SQLITE_FULL, code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
        unreachable = code == sqlite3.SQLITE_CANTOPEN
    else:
        state = str(getattr(original, "sqlstate", None) or "")
        full, busy = state == "53100", state in {"55P03", "57014", "40001", "40P01"}
        unreachable = isinstance(error, exc.OperationalError) and (error.connection_invalidated or not state)
    if full:
        return StorageFull("No space is left for the database; nothing was changed. Free some space and try again.")
    if busy:
        return Unavailable("The database was busy with other writers for too long; nothing was changed. Try again.")
    if unreachable:
        return Unavailable("The database does not answer. Check that it runs and is reachable, then try again.")
    return None


def _make_engine(url: sa.URL) -> sa.Engine:
    if url.get_backend_name() != "sqlite":
        try:
            return sa.create_engine(url, hide_parameters=True, pool_pre_ping=True, pool_size=8, max_overflow=24)
        except ModuleNotFoundError:
            raise InvalidInput(
                "LEPTON_CATALOG names a PostgreSQL database, and its driver is not installed. "
                "Install it with: pip install 'lepton-platform[postgres]', in a checkout: pip install -e '.[postgres]'"
            ) from None
    engine = sa.create_engine(url, hide_parameters=True, pool_size=8, max_overflow=56)
    event.listen(engine, "connect", sqlite.prepare)
    event.listen(engine, "begin", sqlite.begin)
    return engine
