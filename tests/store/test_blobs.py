from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from lepton.core.errors import Internal, NotFound, StorageFull, TooLarge
from lepton.core.settings import Settings
from lepton.store.blobs import BlobStore
from lepton.store.keys import Keyring

PLANTED = b"Ada Lovelace, 12 St James's Square"


@pytest.fixture
def blobs(embedded: Settings, keyring: Keyring) -> BlobStore:
    return BlobStore(embedded.objects, keyring)


def files(settings: Settings) -> list[Path]:
    return [path for path in settings.objects.rglob("*") if path.is_file()]


def test_a_file_comes_back_as_it_was(blobs: BlobStore) -> None:
    chunks = [b"", os.urandom(100_000), b"x", os.urandom(70_000)]
    blob = blobs.put("default", "upload/1", chunks)
    whole = b"".join(chunks)
    assert blobs.read("default", "upload/1", blob.id) == whole
    assert (blob.size_bytes, blob.sha256) == (len(whole), hashlib.sha256(whole).hexdigest())
    with blobs.open("default", "upload/1", blob.id) as file:
        file.seek(90_000)
        assert file.read(20_000) == whole[90_000:110_000]


def test_an_empty_file_can_be_stored(blobs: BlobStore) -> None:
    blob = blobs.put("default", "upload/1", [])
    assert blob.size_bytes == 0
    assert blobs.read("default", "upload/1", blob.id) == b""


def test_what_is_stored_is_not_on_the_disk_in_plain(blobs: BlobStore, embedded: Settings) -> None:
    blob = blobs.put("default", "upload/1", [PLANTED * 10_000])
    assert [path for path in embedded.home.rglob("*") if path.is_file() and PLANTED in path.read_bytes()] == []
    assert b"upload" not in blobs.path(blob.id).read_bytes()


def test_a_file_over_the_limit_is_refused_and_leaves_nothing(blobs: BlobStore, embedded: Settings) -> None:
    blobs.put("default", "upload/1", [b"12345"], max_bytes=5)
    with pytest.raises(TooLarge, match="5 bytes"):
        blobs.put("default", "upload/2", [b"1234", b"56"], max_bytes=5)
    assert len(files(embedded)) == 1


def test_a_source_that_breaks_off_leaves_nothing(blobs: BlobStore, embedded: Settings) -> None:
    def source() -> Iterator[bytes]:
        yield os.urandom(200_000)
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        blobs.put("default", "upload/1", source())
    assert files(embedded) == []


def test_a_full_disk_is_said_so_and_leaves_nothing(small_disk: Path, keyring: Keyring) -> None:
    blobs = BlobStore(small_disk, keyring)
    kept = blobs.put("default", "upload/1", [b"kept"])
    with pytest.raises(StorageFull, match="nothing was kept"):
        blobs.put("default", "upload/2", (os.urandom(100_000) for _ in range(50)))
    assert [path for path in small_disk.rglob("*") if path.is_file()] == [blobs.path(kept.id)]
    again = blobs.put("default", "upload/2", [os.urandom(1_000_000)])
    assert blobs.read("default", "upload/1", kept.id) == b"kept"
    assert len(blobs.read("default", "upload/2", again.id)) == 1_000_000


def test_a_shredded_file_cannot_be_read(blobs: BlobStore, keyring: Keyring) -> None:
    blob = blobs.put("default", "upload/1", [PLANTED])
    keyring.shred("default", "upload/1")
    with pytest.raises(NotFound):
        blobs.open("default", "upload/1", blob.id)


def test_another_projects_key_does_not_open_a_file(blobs: BlobStore, keyring: Keyring) -> None:
    blob = blobs.put("default", "upload/1", [PLANTED])
    keyring.create("other", "upload/1")
    with pytest.raises(Internal):
        blobs.open("other", "upload/1", blob.id)


def test_files_of_one_scope_cannot_be_exchanged(blobs: BlobStore) -> None:
    one, other = (blobs.put("default", "model/1", [text]) for text in (b"one", b"two"))
    blobs.path(one.id).write_bytes(blobs.path(other.id).read_bytes())
    with pytest.raises(Internal):
        blobs.read("default", "model/1", one.id)


def test_a_deleted_file_is_gone_and_deleting_it_again_is_fine(blobs: BlobStore, embedded: Settings) -> None:
    blob = blobs.put("default", "upload/1", [b"x"])
    blobs.delete(blob.id)
    blobs.delete(blob.id)
    assert files(embedded) == []
    with pytest.raises(NotFound):
        blobs.read("default", "upload/1", blob.id)


@pytest.mark.parametrize("blob_id", ["", "..", "../keys.db", "a" * 26, "A" * 25, "A" * 26 + "\n"])
def test_an_id_never_leads_out_of_the_folder(blobs: BlobStore, blob_id: str) -> None:
    with pytest.raises(NotFound):
        blobs.path(blob_id)
