"""Folders for files that are being written: whole and synced before they get their name, gone when the writer fails.

Each writer locks its folder, and a lock ends with its process, so `sweep` knows what dead writers left behind.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from lepton.core.errors import StorageFull
from lepton.core.ids import new_id

_FOLDER = "writing"


@contextmanager
def scratch(root: Path) -> Iterator[Path]:
    """Yield a new private folder under `root`; whatever is still in it at the end is removed.

    Raises:
        StorageFull: if the disk fills up inside the block.
    """
    with mapped_full_disk():
        folder, lock = _make(root)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            os.close(lock)


@contextmanager
def mapped_full_disk() -> Iterator[None]:
    """Raise a full disk or an exhausted quota as `StorageFull`."""
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise storage_full() from error
        raise


def storage_full() -> StorageFull:
    """Return the error for a full disk; nothing of what was being written is kept."""
    return StorageFull("No space is left where the data lives; nothing was kept. Free some disk space and try again.")


def publish(made: Path, name: Path) -> None:
    """Give a finished file or folder its name, durably.

    Raises:
        FileExistsError: if the name is taken by a folder with something in it.
    """
    if made.is_dir():
        for inside in made.iterdir():
            sync(inside)
    sync(made)
    name.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        made.rename(name)
    except OSError as error:
        if error.errno == errno.ENOTEMPTY:
            raise FileExistsError(error.errno, "The name is taken") from error
        raise
    sync(name.parent)


def sync(path: Path) -> None:
    """Wait until a file or a folder is on the disk."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sweep(root: Path) -> int:
    """Remove what dead writers left under `root`; return how many there were."""
    removed = 0
    writing = root / _FOLDER
    for folder in sorted(writing.iterdir()) if writing.is_dir() else ():
        try:
            lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except FileNotFoundError:
            continue  # its writer just ended
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue  # its writer lives
        else:
            shutil.rmtree(folder, ignore_errors=True)
            removed += 1
        finally:
            os.close(lock)
    return removed


def _make(root: Path) -> tuple[Path, int]:
    while True:
        folder = root / _FOLDER / new_id()
        folder.mkdir(parents=True, mode=0o700)
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.exists():
            return folder, lock
        os.close(lock)  # swept in the moment between making and locking it
