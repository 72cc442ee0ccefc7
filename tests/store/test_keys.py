from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from lepton.core.errors import Internal, InvalidInput, NotFound
from lepton.core.settings import Settings
from lepton.store import root_key
from lepton.store.ciphers import new_key
from lepton.store.database import Database
from lepton.store.keys import Keyring, keys_metadata, load_root_key, open_keyring, rotate_root_key

KEYS, PROJECTS = keys_metadata.tables["wrapped_keys"], keys_metadata.tables["project_keys"]


@pytest.fixture
def ring(settings: Settings) -> Iterator[Keyring]:
    """A keyring on SQLite and on PostgreSQL."""
    made = open_keyring(settings)
    yield made
    made.close()


def wrapped(settings: Settings, table: sa.Table, **where: str) -> bytes:
    database = Database(settings.keys_url)
    with database.read() as tx:
        found: bytes = tx.execute(sa.select(table.c.wrapped).filter_by(**where)).scalar_one()
    database.close()
    return found


def overwrite(settings: Settings, table: sa.Table, value: bytes, **where: str) -> None:
    database = Database(settings.keys_url)
    with database.begin() as tx:
        tx.execute(sa.update(table).filter_by(**where).values(wrapped=value))
    database.close()


def files_with(folder: Path, needle: bytes) -> list[str]:
    return [file.name for file in folder.rglob("*") if file.is_file() and needle in file.read_bytes()]


def test_a_key_is_made_once_and_stays(ring: Keyring, settings: Settings) -> None:
    ring.create("default", "run/1")
    key = ring.get("default", "run/1")
    ring.create("default", "run/1")
    again = open_keyring(settings)
    assert len(key) == 32
    assert again.get("default", "run/1") == key
    again.close()


def test_every_project_and_scope_has_a_key_of_its_own(ring: Keyring) -> None:
    names = [("a", "run/1"), ("a", "run/2"), ("b", "run/1")]
    for project, scope in names:
        ring.create(project, scope)
    assert len({ring.get(project, scope) for project, scope in names}) == 3


def test_a_key_never_made_is_not_found(ring: Keyring) -> None:
    with pytest.raises(NotFound):
        ring.get("default", "run/1")


@pytest.mark.parametrize("scope", ["", "/", "run/", "/run", "run//1", "run/a b", "run/%", "run/Ä"])
def test_a_malformed_scope_is_refused(keyring: Keyring, scope: str) -> None:
    with pytest.raises(ValueError, match="not a key scope"):
        keyring.create("default", scope)


def test_a_sealed_document_opens_only_under_its_own_name(ring: Keyring) -> None:
    sealed = ring.seal("default", "model/1", b"classes: malignant", label="signature")
    assert b"malignant" not in sealed
    assert ring.unseal("default", "model/1", sealed, label="signature") == b"classes: malignant"
    ring.create("default", "model/2")
    with pytest.raises(Internal):
        ring.unseal("default", "model/1", sealed, label="plots")
    with pytest.raises(Internal):
        ring.unseal("default", "model/2", sealed, label="signature")


def test_any_changed_byte_of_a_sealed_document_is_noticed(keyring: Keyring) -> None:
    sealed = keyring.seal("default", "model/1", b"profile", label="profile")
    for position in range(len(sealed)):
        changed = bytearray(sealed)
        changed[position] ^= 1
        with pytest.raises(Internal):
            keyring.unseal("default", "model/1", bytes(changed), label="profile")
    for length in range(len(sealed)):
        with pytest.raises(Internal):
            keyring.unseal("default", "model/1", sealed[:length], label="profile")


def test_the_same_document_is_never_sealed_to_the_same_bytes(keyring: Keyring) -> None:
    assert keyring.seal("p", "run/1", b"x", label="l") != keyring.seal("p", "run/1", b"x", label="l")


def test_shredding_ends_a_scope_and_those_below_it_only(ring: Keyring) -> None:
    gone = ["dataset/A", "dataset/A/plain", "dataset/A/personal"]
    kept = ["dataset/a/plain", "dataset/AB", "dataset/A_", "dataset", "dataset/B/plain"]
    for scope in gone + kept:
        ring.create("default", scope)
    ring.create("other", "dataset/A")
    ring.shred("default", "dataset/A")
    for scope in gone:
        with pytest.raises(NotFound):
            ring.get("default", scope)
    for scope in kept:
        ring.get("default", scope)
    ring.get("other", "dataset/A")


def test_a_key_made_again_after_shredding_is_another_one(ring: Keyring) -> None:
    ring.create("default", "run/1")
    before = ring.get("default", "run/1")
    ring.shred("default", "run/1")
    ring.create("default", "run/1")
    assert ring.get("default", "run/1") != before


def test_a_shredded_key_is_found_in_no_file(embedded: Settings, keyring: Keyring) -> None:
    for number in range(50):
        keyring.create("default", f"run/{number}")
    for number in range(50):
        needle = wrapped(embedded, KEYS, scope=f"run/{number}")
        assert files_with(embedded.home, needle), "the search must be able to find a key that is there"
        if number % 2:
            keyring.shred("default", f"run/{number}")
            assert files_with(embedded.home, needle) == []
    for number in range(0, 50, 2):
        keyring.get("default", f"run/{number}")


def test_a_key_that_was_rewrapped_is_found_in_no_file(embedded: Settings, keyring: Keyring) -> None:
    keyring.create("default", "run/1")
    needles = [wrapped(embedded, KEYS, scope="run/1"), wrapped(embedded, PROJECTS, project="default")]
    keyring.rotate_project("default")
    assert [files_with(embedded.home, needle) for needle in needles] == [[], []]
    needle = wrapped(embedded, PROJECTS, project="default")
    rotate_root_key(embedded, keyring)
    assert files_with(embedded.home, needle) == []


def test_a_shredded_key_leaves_the_files_of_a_postgresql_table(postgres: Any, settings: Settings) -> None:
    if not settings.keys_url.startswith("postgresql"):
        pytest.skip("the embedded database has a test of its own")
    ring = open_keyring(settings)
    ring.create("default", "run/1")
    ring.create("default", "run/2")
    needle = wrapped(settings, KEYS, scope="run/1")
    base = Path(postgres.pgdata) / "base"
    postgres.psql("CHECKPOINT;")
    assert files_with(base, needle)
    ring.shred("default", "run/1")
    postgres.psql("CHECKPOINT;")
    assert files_with(base, needle) == []
    ring.get("default", "run/2")
    ring.close()


def test_a_shredding_elsewhere_is_noticed_when_the_memory_runs_out(settings: Settings) -> None:
    here, there = open_keyring(settings), open_keyring(settings)
    brief = Keyring(Database(settings.keys_url), load_root_key(settings.root_key), cache_s=0)
    for ring in (here, brief):
        ring.create("default", "run/1")
        ring.get("default", "run/1")
    there.shred("default", "run/1")
    here.get("default", "run/1")  # still held in memory, for a minute at most
    with pytest.raises(NotFound):
        brief.get("default", "run/1")
    for ring in (here, there, brief):
        ring.close()


def test_wrapped_keys_cannot_be_exchanged(settings: Settings, ring: Keyring) -> None:
    ring.create("default", "run/1")
    ring.create("default", "run/2")
    overwrite(settings, KEYS, wrapped(settings, KEYS, scope="run/1"), scope="run/2")
    with pytest.raises(Internal, match="damaged"):
        ring.get("default", "run/2")


def test_threads_that_make_one_key_get_one_key(settings: Settings, ring: Keyring) -> None:
    found: list[bytes] = []

    def make() -> None:
        ring.create("default", "run/1")
        found.append(ring.get("default", "run/1"))

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8
    assert len(set(found)) == 1


def test_rotations_change_what_is_stored_and_no_key(settings: Settings, ring: Keyring) -> None:
    ring.create("a", "run/1")
    ring.create("b", "run/1")
    keys = {project: ring.get(project, "run/1") for project in ("a", "b")}
    before = {project: wrapped(settings, KEYS, project=project) for project in ("a", "b")}
    ring.rotate_project("a")
    rotate_root_key(settings, ring)
    ring.rotate_project("never made")
    assert wrapped(settings, KEYS, project="a") != before["a"]
    assert wrapped(settings, KEYS, project="b") == before["b"]
    again = open_keyring(settings)
    assert {project: again.get(project, "run/1") for project in ("a", "b")} == keys
    again.close()


def test_a_process_that_runs_on_follows_a_rotation(settings: Settings) -> None:
    here, there = open_keyring(settings), open_keyring(settings)
    here.create("default", "run/1")
    rotate_root_key(settings, here)
    assert there.get("default", "run/1") == here.get("default", "run/1")
    rotate_root_key(settings, here)
    there.create("default", "run/2")
    assert there.get("default", "run/2") == here.get("default", "run/2")
    rotate_root_key(settings, there)
    rotate_root_key(settings, here)
    for ring in (here, there):
        ring.close()


def test_a_rotation_before_any_key_is_followed_too(settings: Settings) -> None:
    here, there = open_keyring(settings), open_keyring(settings)
    rotate_root_key(settings, here)
    there.create("default", "run/1")
    assert here.get("default", "run/1") == there.get("default", "run/1")
    for ring in (here, there):
        ring.close()


@pytest.mark.parametrize("died_after", ["writing the next key", "the transaction"])
def test_a_rotation_that_died_loses_no_key(settings: Settings, ring: Keyring, died_after: str) -> None:
    ring.create("default", "run/1")
    key, old = ring.get("default", "run/1"), load_root_key(settings.root_key)
    following = root_key.prepare_next(settings.root_key)
    if died_after == "the transaction":
        ring.rotate_root(following)
    again = open_keyring(settings)
    assert again.get("default", "run/1") == key
    assert load_root_key(settings.root_key) == (following if died_after == "the transaction" else old)
    assert not list(settings.home.glob("root.key.next"))
    rotate_root_key(settings, again)
    assert again.get("default", "run/1") == key
    again.close()


def test_a_lost_root_key_is_not_replaced_by_a_new_one(settings: Settings, ring: Keyring) -> None:
    ring.create("default", "run/1")
    settings.root_key.unlink()
    with pytest.raises(Internal, match="root key"):
        open_keyring(settings)
    assert not settings.root_key.exists()


def test_another_root_key_opens_nothing(settings: Settings, ring: Keyring) -> None:
    ring.create("default", "run/1")
    stranger = Keyring(Database(settings.keys_url), new_key())
    with pytest.raises(Internal, match="root key"):
        stranger.get("default", "run/1")
    with pytest.raises(Internal, match="root key"):
        stranger.create("default", "run/2")
    stranger.close()


def test_the_root_key_is_private_and_made_once(tmp_path: Path) -> None:
    path = tmp_path / "new" / "root.key"
    program = (
        "import sys, pathlib; from lepton.store.root_key import load_root_key;"
        "print(load_root_key(pathlib.Path(sys.argv[1])).hex())"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", program, str(path)], stdout=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    found = {process.communicate(timeout=60)[0].strip() for process in started}
    assert found == {load_root_key(path).hex()}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in path.parent.iterdir()] == ["root.key"]


def test_a_root_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "root.key"
    load_root_key(path)
    path.chmod(0o640)
    with pytest.raises(InvalidInput, match="chmod 600"):
        load_root_key(path)


@pytest.mark.parametrize("content", [b"", b"abc", b"zz" * 32, os.urandom(32), b"ab" * 31])
def test_a_file_that_holds_no_root_key_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "root.key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(InvalidInput, match="does not hold"):
        load_root_key(path)


def test_no_plain_key_is_ever_on_the_disk(embedded: Settings, keyring: Keyring) -> None:
    keyring.create("default", "run/1")
    key = keyring.get("default", "run/1")
    for needle in (key, key.hex().encode(), load_root_key(embedded.root_key)):
        assert files_with(embedded.home, needle) == []
