"""The root key's file: made once, read at start, replaced on rotation so that a crash at any moment loses nothing.

Rotation, step by step: (1) the new key is written to ``root.key.next`` and synced; (2) one transaction wraps all
project keys with it; (3) `recover_locked` renames it to ``root.key``. The database names the key it is wrapped with, so
after a crash `recover` knows on which side of (2) it happened. All of it under a lock between processes.
"""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lepton.core.errors import Internal, InvalidInput
from lepton.store.ciphers import KEY_BYTES, derive, new_key


def root_id(root_key: bytes) -> str:
    """Name a root key without telling anything about it."""
    return derive(root_key, b"lepton/root-id/1")[:8].hex()


def load_root_key(path: Path) -> bytes:
    """Read the root key, or make it, with mode 0600, if there is no file.

    Raises:
        InvalidInput: if the file does not hold a key, or others than its owner may read it.
    """
    try:
        return _read(path)
    except FileNotFoundError:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        fresh = path.with_name(f"{path.name}.{os.getpid()}.{os.urandom(4).hex()}")
        _write(fresh, new_key())
        try:
            os.link(fresh, path)  # unlike a rename, never replaces a key that another process just made
        except FileExistsError:
            pass
        finally:
            fresh.unlink()
        _sync_folder(path.parent)
        return _read(path)


def recover(path: Path, *, wrapped_by: Callable[[], str | None]) -> bytes:
    """Return the key the database is wrapped with, finishing or undoing an interrupted rotation.

    Args:
        path: The root key's file; made if there is none and the database holds no keys yet.
        wrapped_by: Returns the `root_id` the database names, None if it holds no keys yet.

    Raises:
        Internal: if no file holds that key.
        InvalidInput: if a file does not hold a key, or others than its owner may read it.
    """
    with locked(path):
        return recover_locked(path, wrapped_by())


def recover_locked(path: Path, wanted: str | None) -> bytes:
    """Do what `recover` does, for a caller that holds the lock."""
    following = _next(path)
    if following.exists():
        if wanted is not None and root_id(_read(following)) == wanted:
            os.replace(following, path)
        else:
            following.unlink()
        _sync_folder(path.parent)
    if wanted is None:
        return load_root_key(path)
    if not path.exists() or root_id(key := _read(path)) != wanted:
        raise Internal("The root key is not the one the stored keys were made with. Restore root.key from your backup.")
    return key


def prepare_next(path: Path) -> bytes:
    """Make the key a rotation goes to and store it beside the current one, for a caller that holds the lock."""
    key = new_key()
    _write(_next(path), key)
    _sync_folder(path.parent)
    return key


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of the root key's file, against threads and processes; ends with the process at the latest."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = os.open(path.with_name(path.name + ".lock"), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _next(path: Path) -> Path:
    return path.with_name(path.name + ".next")


def _read(path: Path) -> bytes:
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise InvalidInput(f"The root key may be read by others than its owner. Run: chmod 600 {path.name}")
    text = path.read_text("ascii", errors="replace").strip()
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise InvalidInput(f"The file {path.name} does not hold a root key of {2 * KEY_BYTES} hexadecimal digits.")
    return key


def _write(path: Path, key: bytes) -> None:
    descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(key.hex() + "\n")
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
