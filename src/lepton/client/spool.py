"""A file that takes what a run tells before anything is sent, so that a crash and an absent platform lose nothing.

Frames are appended with one write(2) each: 4 bytes of length, 4 of CRC-32, JSON. What a killed process had begun to
write is no whole frame, and is not read. A lock says that its writer lives. Files beside it wait to be sent too.
"""

from __future__ import annotations

import fcntl
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson

_HEAD = struct.Struct("<II")
MAX_FRAME = 4 << 20
_SUFFIX = ".spool"


def encode_frame(payload: object) -> bytes:
    """Write one frame."""
    data = orjson.dumps(payload)
    return _HEAD.pack(len(data), zlib.crc32(data)) + data


def frames(data: bytes, start: int = 0) -> Iterator[tuple[Any, int]]:
    """Read frames up to the first that is not whole; yields each with the position behind it."""
    at = start
    while at + _HEAD.size <= len(data):
        size, checksum = _HEAD.unpack_from(data, at)
        end = at + _HEAD.size + size
        if size > MAX_FRAME or end > len(data):
            return
        payload = data[at + _HEAD.size : end]
        if zlib.crc32(payload) != checksum:
            return
        yield orjson.loads(payload), end
        at = end


class Spool:
    """One file of frames, held by one process.

    Args:
        path: The file, locked by whoever made this.
        descriptor: The same, opened for reading and for writing at its end.
    """

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    @classmethod
    def create(cls, folder: Path, name: str) -> Spool:
        """Make an empty one; nobody sees it before it is locked."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        new, path = folder / f".{name}.new", folder / f"{name}{_SUFFIX}"
        descriptor = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        new.rename(path)
        return cls(path, descriptor)

    @classmethod
    def take(cls, path: Path) -> Spool | None:
        """Open one whose writer is gone; None if it lives, or the file was sent and removed meanwhile."""
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        if not path.exists():
            os.close(descriptor)
            return None
        return cls(path, descriptor)

    def append(self, payload: object) -> None:
        """Add a frame: written when this returns, to the disk when the system thinks fit.

        Raises:
            OSError: if it could not be written; the file is as it was.
        """
        frame = encode_frame(payload)
        written = os.write(self._descriptor, frame)
        if written != len(frame):  # the disk is full
            os.ftruncate(self._descriptor, os.fstat(self._descriptor).st_size - written)
            raise OSError(28, "No space is left for what a run tells")

    def read(self, start: int, limit: int = MAX_FRAME) -> list[tuple[Any, int]]:
        """Return the whole frames from a position on, with the position behind each; about `limit` bytes of them."""
        data = os.pread(self._descriptor, max(limit, MAX_FRAME + _HEAD.size), start)
        found = []
        for payload, end in frames(data):
            found.append((payload, start + end))
            if end >= limit:
                break
        return found

    def files(self) -> Path:
        """The folder of the files that wait beside it."""
        return self.path.with_suffix(".files")

    def remove(self) -> None:
        """Remove it with its files: all is sent."""
        self.path.unlink(missing_ok=True)
        folder = self.files()
        if folder.is_dir():
            for file in folder.iterdir():
                file.unlink()
            folder.rmdir()

    def close(self) -> None:
        """Let go of it; what was not sent waits for the next process."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def left(folder: Path) -> list[Path]:
    """Return the spools there are, the oldest first."""
    return sorted(folder.glob(f"*{_SUFFIX}"), key=lambda path: path.name)
