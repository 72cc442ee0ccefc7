"""Unpacks a folder that somebody else has packed: nothing leaves the place it is unpacked to."""

from __future__ import annotations

import os
import tarfile
import zlib
from pathlib import Path, PurePosixPath
from typing import IO

from lepton.core.errors import InvalidInput

MAX_FILES = 100_000
_PIECE = 1 << 20


def unpack(packed: IO[bytes], folder: Path, *, max_bytes: int) -> None:
    """Unpack a tar archive, packed with gzip, into an empty folder.

    Args:
        packed: The archive, read once from the front to the end.
        folder: Where to.
        max_bytes: The most that it may hold, unpacked.

    Raises:
        InvalidInput: if it is damaged, holds too much, or anything but files, folders and links that stay inside.
    """
    links: list[tuple[PurePosixPath, str]] = []
    left, count = max_bytes, 0
    try:
        with tarfile.open(fileobj=packed, mode="r|gz") as tar:
            for member in tar:
                path, count = _inside(member.name), count + 1
                left -= member.size if member.isreg() else 0
                if left < 0 or count > MAX_FILES:
                    raise InvalidInput(
                        f"The folder of this run unpacks to more than {max_bytes:,} bytes or {MAX_FILES:,} files. "
                        "Send less."
                    )
                if member.issym():
                    links.append((path, member.linkname))
                elif member.isreg():
                    _write(tar, member, folder / path)
                elif member.isdir():
                    (folder / path).mkdir(mode=0o700, parents=True, exist_ok=True)
                else:
                    raise InvalidInput(f"The folder of this run holds {path}, which is no file. Leave it at home.")
    except (tarfile.TarError, EOFError, zlib.error, OSError, UnicodeError) as error:
        raise InvalidInput(f"The folder of this run could not be unpacked ({type(error).__name__}).") from None
    for path, target in links:  # last, so that nothing is written through one
        _link(folder, path, target)


def _inside(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or not path.parts or "\0" in name:
        raise InvalidInput("The folder of this run holds a path that leads out of it, so nothing of it was run.")
    return path


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    mode = 0o700 if member.mode & 0o100 else 0o600
    content = tar.extractfile(member)
    assert content is not None  # a regular file has one
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode), "wb") as file:
        while piece := content.read(_PIECE):
            file.write(piece)


def _link(folder: Path, path: PurePosixPath, target: str) -> None:
    place = folder / path
    end = os.path.normpath(PurePosixPath(path.parent, target))
    if os.path.isabs(target) or end == ".." or end.startswith("../"):
        raise InvalidInput(f"The folder of this run holds a link that leads out of it: {path}. Leave it at home.")
    try:
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        place.symlink_to(target)
    except OSError as error:
        raise InvalidInput(f"The link {path} could not be made ({error.strerror}).") from None
