"""What SQLite needs to be durable, private and safe for many writers. Wired in by ``database.py``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import sqlalchemy as sa

BUSY_TIMEOUT_MS = 30_000


def driver_connection(connection: sa.Connection) -> Any:
    """Return the driver's own connection, for what must happen outside of a transaction."""
    return connection.connection.driver_connection


def prepare(connection: Any, _record: object) -> None:
    """Set up a new connection of the driver."""
    connection.isolation_level = None  # the driver must not open transactions of its own
    for pragma in (
        f"busy_timeout = {BUSY_TIMEOUT_MS}",
        "journal_mode = WAL",
        "synchronous = FULL",  # a commit that was answered survives a power cut
        "foreign_keys = ON",
        "secure_delete = ON",  # deleted content is overwritten with zeros
        "temp_store = MEMORY",  # no temporary files outside the database's own folder
    ):
        connection.execute(f"PRAGMA {pragma}").close()


def begin(connection: sa.Connection) -> None:
    """Open a transaction: for writing if the connection has the option ``lepton_writes``, else for reading only."""
    # Asking for the write lock at once avoids the failure of a reader that becomes a writer too late.
    if connection.get_execution_options().get("lepton_writes"):
        connection.exec_driver_sql("PRAGMA query_only = OFF")
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        connection.exec_driver_sql("PRAGMA query_only = ON")
        connection.exec_driver_sql("BEGIN")


def make_private_file(path: Path) -> None:
    """Make the database's file, if there is none, readable by its owner only."""
    # SQLite gives the log beside the database the same mode, so it only has to be right here.
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))
