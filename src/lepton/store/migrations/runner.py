"""Runs the migrations inside one transaction that only one process at a time can hold."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from lepton.store.sqlite import driver_connection

FOLDER = Path(__file__).parent
_ADVISORY_LOCK = 0x1E9704


def config(connection: sa.Connection, branch: str, metadata: sa.MetaData | None = None) -> Config:
    """Return Alembic's configuration for one branch.

    Args:
        connection: Where the migrations run.
        branch: ``"catalog"`` or ``"keys"``.
        metadata: What the tables should be; only needed to draft or compare, not to upgrade.
    """
    made = Config()
    made.set_main_option("script_location", _escaped(FOLDER))
    made.set_main_option("version_locations", _escaped(versions(branch)))
    made.set_main_option("path_separator", "newline")
    made.attributes.update(connection=connection, metadata=metadata, version_table=version_table(branch))
    return made


def versions(branch: str) -> Path:
    """Return the folder of the branch's versions."""
    return FOLDER / branch


def version_table(branch: str) -> str:
    """Name the table that holds the branch's version."""
    return f"schema_version_{branch}"


def upgrade(connection: sa.Connection, branch: str) -> None:
    """Bring a branch to its newest version, waiting for any other process that does the same."""
    with _exclusive(connection) as locked:
        command.upgrade(config(locked, branch), "head")


@contextmanager
def _exclusive(connection: sa.Connection) -> Iterator[sa.Connection]:
    if connection.dialect.name != "sqlite":
        with connection.begin():
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_ADVISORY_LOCK)))
            yield connection
        return
    # A table that is rebuilt must not drag its children along; the pragma has no effect inside a transaction.
    driver = driver_connection(connection)
    driver.execute("PRAGMA foreign_keys = OFF")
    try:
        connection.execution_options(lepton_writes=True)
        with connection.begin():
            yield connection
            broken = connection.exec_driver_sql("PRAGMA foreign_key_check").all()
            if broken:
                raise RuntimeError(f"The migration left {len(broken)} rows that point nowhere; it was rolled back.")
    finally:
        driver.execute("PRAGMA foreign_keys = ON")


def _escaped(path: Path) -> str:
    return str(path).replace("%", "%%")
