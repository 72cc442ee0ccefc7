"""What a command leaves: files below its folder of outputs, and those that its patterns name."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

MAX_FILES = 10_000


@dataclass(frozen=True)
class Output:
    """A file to keep.

    Attributes:
        path: Its name among what the run leaves.
        file: Where it is.
    """

    path: str
    file: Path


def find(outputs: Path, work: Path, patterns: Sequence[str]) -> list[Output]:
    """Return the files to keep, by name; links are not followed, as they could lead anywhere.

    Args:
        outputs: All files below it are kept.
        work: Where the patterns begin.
        patterns: Such as ``results/*.csv``; a folder means all that is in it.
    """
    found = {path.relative_to(outputs).as_posix(): path for path in _files(outputs)}
    for pattern in patterns:
        for match in sorted(work.glob(pattern)):
            for path in _files(match):
                if _stays(path, work):
                    found.setdefault(path.relative_to(work).as_posix(), path)
    return [Output(name, found[name]) for name in sorted(found)[:MAX_FILES]]


def open_output(file: Path) -> int:
    """Open a file of somebody else for reading: never through a link, never a pipe that nobody writes to."""
    handle = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise OSError
    return handle


def _files(path: Path) -> Iterator[Path]:
    if path.is_symlink():
        return
    if path.is_file():
        yield path
    elif path.is_dir():
        for folder, _, names in os.walk(path):
            for name in names:
                file = Path(folder, name)
                if file.is_file() and not file.is_symlink():
                    yield file


def _stays(path: Path, work: Path) -> bool:
    return path.resolve().is_relative_to(work.resolve())
