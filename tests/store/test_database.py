from __future__ import annotations

import stat
import sys
import threading
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
import sqlalchemy as sa

from lepton.core.errors import InvalidInput, StorageFull, Unavailable
from lepton.core.settings import Settings
from lepton.store.database import Database, UtcDateTime

OWN = sa.MetaData()
events = sa.Table(
    "events",
    OWN,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("time", UtcDateTime),
    sa.Column("text", sa.Text),
)
notes = sa.Table("notes", OWN, sa.Column("event", sa.ForeignKey("events.id"), primary_key=True))


@pytest.fixture(autouse=True)
def tables(request: pytest.FixtureRequest) -> None:
    if "database" in request.fixturenames:
        with request.getfixturevalue("database").begin() as tx:
            OWN.create_all(tx)


def test_a_block_commits_as_a_whole(database: Database) -> None:
    with database.begin() as tx:
        tx.execute(sa.insert(events).values(id=1))
        tx.execute(sa.insert(events).values(id=2))
    with database.read() as tx:
        assert tx.execute(sa.select(events.c.id).order_by(events.c.id)).scalars().all() == [1, 2]


def test_a_block_that_raises_leaves_nothing(database: Database) -> None:
    def body(tx: sa.Connection) -> None:
        tx.execute(sa.insert(events).values(id=1))
        raise KeyError

    with pytest.raises(KeyError), database.begin() as tx:
        body(tx)
    with database.read() as tx:
        assert tx.execute(sa.select(sa.func.count()).select_from(events)).scalar_one() == 0


def test_a_reading_block_cannot_write(database: Database) -> None:
    with pytest.raises(sa.exc.DBAPIError, match=r"readonly|read-only"), database.read() as tx:
        tx.execute(sa.insert(events).values(id=1))
    with database.begin() as tx:  # the same connection from the pool can write again
        tx.execute(sa.insert(events).values(id=1))


def test_a_reading_block_sees_one_moment(database: Database) -> None:
    count = sa.select(sa.func.count()).select_from(events)
    with database.read() as tx:
        assert tx.execute(count).scalar_one() == 0
        with database.begin() as writer:
            writer.execute(sa.insert(events).values(id=1))
        assert tx.execute(count).scalar_one() == 0


def test_a_broken_constraint_reaches_the_caller_without_the_values(database: Database) -> None:
    with database.begin() as tx:
        tx.execute(sa.insert(events).values(id=1, text="Ada Lovelace"))
    with pytest.raises(sa.exc.IntegrityError) as caught, database.begin() as tx:
        tx.execute(sa.insert(events).values(id=1, text="Ada Lovelace"))
    assert "Lovelace" not in str(caught.value)


def test_foreign_keys_are_enforced(database: Database) -> None:
    with pytest.raises(sa.exc.IntegrityError), database.begin() as tx:
        tx.execute(sa.insert(notes).values(event=7))


def test_a_moment_keeps_its_microseconds_and_comes_back_in_utc(database: Database) -> None:
    moment = datetime(2026, 3, 29, 2, 30, 0, 123457, tzinfo=timezone(timedelta(hours=-7)))
    with database.begin() as tx:
        tx.execute(sa.insert(events), [{"id": 1, "time": moment}, {"id": 2, "time": None}])
    with database.read() as tx:
        found = tx.execute(sa.select(events.c.time).order_by(events.c.id)).scalars().all()
        later = tx.execute(sa.select(events.c.id).where(events.c.time > moment - timedelta(microseconds=1))).all()
    assert found == [moment, None]
    assert found[0].tzinfo is UTC
    assert len(later) == 1


def test_a_naive_datetime_is_refused(database: Database) -> None:
    with pytest.raises(sa.exc.StatementError, match="naive"), database.begin() as tx:
        tx.execute(sa.insert(events).values(id=1, time=datetime(2026, 1, 1)))


def test_writers_that_read_first_wait_for_each_other(embedded: Settings) -> None:
    database = Database(embedded.catalog_url)
    with database.begin() as tx:
        OWN.create_all(tx)
        tx.execute(sa.insert(events).values(id=0))

    def count_up() -> None:
        for _ in range(25):
            with database.begin() as tx:
                last = tx.execute(sa.select(sa.func.max(events.c.id))).scalar_one()
                tx.execute(sa.insert(events).values(id=last + 1))

    threads = [threading.Thread(target=count_up) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with database.read() as tx:
        assert tx.execute(sa.select(sa.func.max(events.c.id))).scalar_one() == 100
    database.close()


def test_the_embedded_database_is_durable_private_and_erases(embedded: Settings) -> None:
    database = Database(embedded.catalog_url)
    wanted = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "secure_delete": 1, "busy_timeout": 30_000}
    with database.begin() as tx:
        OWN.create_all(tx)
        assert {name: tx.exec_driver_sql(f"PRAGMA {name}").scalar_one() for name in wanted} == wanted
    for file in embedded.home.glob("catalog.db*"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file.name
    assert stat.S_IMODE(embedded.home.stat().st_mode) == 0o700
    database.close()


def test_a_full_disk_is_said_so_and_changes_nothing(small_disk: Path) -> None:
    database = Database(Settings(home=small_disk).catalog_url)
    with database.begin() as tx:
        OWN.create_all(tx)
        tx.execute(sa.insert(events).values(id=0, text="kept"))
    too_much = [{"id": number, "text": "x" * 65_536} for number in range(1, 100)]
    with pytest.raises(StorageFull, match="nothing was changed"), database.begin() as tx:
        tx.execute(sa.insert(events), too_much)
    with database.read() as tx:
        assert tx.execute(sa.select(events.c.text)).scalars().all() == ["kept"]
    database.close()


def test_a_database_that_is_away_is_unavailable() -> None:
    database = Database("postgresql+psycopg://127.0.0.1:1/none")
    with pytest.raises(Unavailable, match="does not answer"), database.read():
        pass


def test_a_writer_that_waits_too_long_is_told_to_try_again(embedded: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lepton.store.sqlite.BUSY_TIMEOUT_MS", 10)
    database = Database(embedded.catalog_url)
    with database.begin(), pytest.raises(Unavailable, match="busy"), database.begin():
        pass
    database.close()


def test_a_postgresql_without_its_driver_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(InvalidInput, match=r"pip install 'lepton-platform\[postgres\]'") as caught:
        Database("postgresql+psycopg://somebody:hunter2@localhost/lepton")
    assert "hunter2" not in caught.value.message
