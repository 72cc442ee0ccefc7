"""Fixtures of the store's tests."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lepton.core.settings import Settings
from lepton.store.database import Database
from lepton.store.keys import Keyring, open_keyring


@pytest.fixture
def embedded(tmp_path: Path) -> Settings:
    """Settings of a platform on SQLite, for what does not depend on the database."""
    return Settings(home=tmp_path / "home")


@pytest.fixture
def keyring(embedded: Settings) -> Iterator[Keyring]:
    ring = open_keyring(embedded)
    yield ring
    ring.close()


@pytest.fixture
def database(settings: Settings) -> Iterator[Database]:
    """An empty database: each test that uses it runs on SQLite and on PostgreSQL."""
    made = Database(settings.catalog_url)
    yield made
    made.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 2 MiB."""
    folder = tmp_path / "small_disk"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], check=False, capture_output=True
    )
    if mounted.returncode:
        pytest.skip("only root can mount the small file system that this test fills")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)
