"""The packages that a command declares: an environment built by uv, once for all runs of a project with the same lock.

It is built as confined as the command itself, as packages may run code when they are built, and belongs to the
platform afterwards, so that no run changes what the next one uses.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from lepton.launch.control import Stopped
from lepton.launch.places import ground

READY = ".ready"
_LOCAL = ("-r", "-c", "-e", "--requirement", "--constraint", "--editable", ".", "/", "file:")
_PIECE = 1 << 20

Run = Callable[[list[str], Mapping[str, str], Path], int]
"""Runs a command of uv, confined, with variables of its own and a folder that it may write; returns its exit code."""


class NoEnvironment(Exception):
    """The environment could not be built; the text says why, for the log."""


@dataclass(frozen=True)
class Declared:
    """What a command declares.

    Attributes:
        file: The file in its folder that names the packages.
        work: The folder.
        project: Whose it is; projects share no environments.
    """

    file: Path
    work: Path
    project: str

    @property
    def lock(self) -> Path | None:
        """The ``uv.lock`` that counts, if there is one."""
        beside = self.file.with_name("uv.lock")
        return beside if self.file.name in ("uv.lock", "pyproject.toml") and beside.exists() else None

    def key(self) -> str:
        """Return what environments that are the same have in common."""
        digest = hashlib.sha256(f"1 {self.project} {sys.version} {sys.base_prefix} {self.file.name}\0".encode())
        files = [self.file, self.file.with_name("pyproject.toml")] if self.lock else [self.file]
        if any(_is_local(line) for line in self.file.read_text(errors="replace").splitlines()):
            files += sorted(path for path in self.work.rglob("*") if path.is_file())  # it may name any of them
        for path in dict.fromkeys(path for path in files if path.exists()):
            digest.update(f"{path.relative_to(self.work)}\0{path.stat().st_size}\0".encode())
            with path.open("rb") as file:
                while piece := file.read(_PIECE):
                    digest.update(piece)
        return digest.hexdigest()[:40]


def find_uv() -> str:
    """Return the path of uv.

    Raises:
        NoEnvironment: if it is not installed.
    """
    beside = Path(sys.executable).with_name("uv")
    found = str(beside) if beside.exists() else shutil.which("uv")
    if found is None:
        raise NoEnvironment(
            "uv is not installed on this machine, and it builds environments. Install it beside Lepton: "
            "pip install 'lepton-platform[uv]'"
        )
    return found


def build(declared: Declared, run: Run, *, user: int | None, stop: threading.Event) -> Path:
    """Return the folder of the environment, built now if it is not there yet.

    Args:
        declared: What is wanted.
        run: Runs uv.
        user: Whom the folder belongs to while it is built.
        stop: Set when the run is to end.

    Raises:
        NoEnvironment: if it cannot be built.
        Stopped: if the run is to end first.
    """
    if not declared.file.is_file():
        raise NoEnvironment(f"There is no file {declared.file.relative_to(declared.work)} in the folder that was sent.")
    uv = find_uv()
    top = ground() / "environments"
    with suppress(FileExistsError):
        top.mkdir(mode=0o711)
        top.chmod(0o711)
    path = top / declared.key()
    with _one_at_a_time(path.with_suffix(".lock"), stop):
        if (path / READY).exists():
            os.utime(path / READY)
            return path
        shutil.rmtree(path, ignore_errors=True)  # of somebody who was killed meanwhile
        path.mkdir(mode=0o755)
        path.chmod(0o755)
        if user is not None:
            os.chown(path, user, user)
        try:
            _fill(path, declared, uv, run)
        except BaseException:
            shutil.rmtree(path, ignore_errors=True)
            raise
        if user is not None:
            _keep(path)
        (path / READY).touch()
        return path


def _fill(path: Path, declared: Declared, uv: str, run: Run) -> None:
    for argv in _steps(path, declared, uv):
        code = run(argv, {"UV_PROJECT_ENVIRONMENT": str(path)}, path)
        if code:
            raise NoEnvironment(f"uv ended with exit code {code}; what it said is above.")


def _steps(path: Path, declared: Declared, uv: str) -> Iterator[list[str]]:
    yield [uv, "venv", "--quiet", "--allow-existing", "--python", sys.executable, str(path)]
    if declared.lock is not None:
        yield [
            uv, "sync", "--frozen", "--no-install-project", "--no-dev", "--link-mode", "copy", "--project",
            str(declared.lock.parent),
        ]  # fmt: skip
    else:
        yield [
            uv, "pip", "install", "--link-mode", "copy", "--python", str(path / "bin" / "python"), "-r",
            str(declared.file),
        ]  # fmt: skip


def _keep(path: Path) -> None:
    """Take it from whoever built it."""
    for folder, folders, files in os.walk(path):
        for name in (*folders, *files):
            place = Path(folder, name)
            os.chown(place, 0, 0, follow_symlinks=False)
            if not place.is_symlink():
                place.chmod(place.stat().st_mode & 0o755 | 0o444)
    os.chown(path, 0, 0)


@contextmanager
def _one_at_a_time(path: Path, stop: threading.Event) -> Iterator[None]:
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        while True:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if stop.wait(0.1):
                    raise Stopped from None
        yield
    finally:
        os.close(handle)


def _is_local(line: str) -> bool:
    line = line.strip()
    return line.startswith(_LOCAL) or "@ file:" in line or "@ ." in line
