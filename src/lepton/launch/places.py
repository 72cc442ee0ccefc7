"""Where a command works on this machine, and as whom: a folder of its own, and a user of its own where we are root.

Both are held by locks that the kernel lets go of when the launcher ends, however it ends; who comes later cleans up.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import pwd
import secrets
import shutil
import signal
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from lepton.core.errors import Internal
from lepton.core.locks import locked

FIRST_USER, USERS = 40_000, 20_000
"""User ids of runs; within the 65,536 that a container has."""


@dataclass(frozen=True)
class Place:
    """The folders of one worker: `work` holds what was submitted, `outputs` what is to be kept."""

    root: Path

    @property
    def work(self) -> Path:
        """Where the command starts."""
        return self.root / "work"

    @property
    def outputs(self) -> Path:
        """What is written here is kept."""
        return self.root / "outputs"

    @property
    def checkpoints(self) -> Path:
        """What is saved here is kept while the command runs, and there again when the run is started anew."""
        return self.root / "checkpoints"

    @property
    def home(self) -> Path:
        """Its home folder."""
        return self.root / "home"

    @property
    def tmp(self) -> Path:
        """For what it needs for a moment."""
        return self.root / "tmp"

    @property
    def programs(self) -> Path:
        """Programs that are found before those of the system."""
        return self.root / "bin"

    def name_python(self) -> None:
        """Let the interpreter of the platform be found as ``python``, which not every system calls it."""
        if not Path(sys.executable).with_name("python").exists():
            self.programs.mkdir(mode=0o700)
            (self.programs / "python").symlink_to(sys.executable)

    @property
    def heartbeat(self) -> Path:
        """Touched by a command that says that it still works."""
        return self.root / "heartbeat"

    def give_to(self, user: int | None) -> None:
        """Make it all belong to another user."""
        if user is None:
            return
        for folder, folders, files in os.walk(self.root):
            for name in (*folders, *files):
                os.chown(Path(folder, name), user, user, follow_symlinks=False)
        os.chown(self.root, user, user)


def ground() -> Path:
    """Return the folder below which launchers of this user work; others may pass through it but not look around.

    Raises:
        Internal: if somebody else has taken its name.
    """
    path = Path(tempfile.gettempdir()).resolve() / f"lepton-runs-{os.geteuid()}"
    with suppress(FileExistsError):
        path.mkdir(mode=0o711)
        path.chmod(0o711)  # whatever the umask says
    found = path.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise Internal(f"The folder {path} belongs to somebody else. Remove it, or set TMPDIR for the platform.")
    return path


@contextmanager
def place(run_id: str, rank: int) -> Iterator[Place]:
    """Make the folders of a worker, and remove them in the end; and those of workers that were killed."""
    top = ground() / "work"
    _make(top)
    sweep(top)
    root = top / f"{run_id}-{rank}-{secrets.token_hex(4)}"
    with locked(root.with_suffix(".lock")):
        try:
            made = Place(root)
            for folder in (root, made.work, made.outputs, made.checkpoints, made.home, made.tmp):
                folder.mkdir(mode=0o700)
            yield made
        finally:
            shutil.rmtree(root, ignore_errors=True)
            root.with_suffix(".lock").unlink(missing_ok=True)


def sweep(top: Path) -> None:
    """Remove the folders of workers that no longer live."""
    for lock in top.glob("*.lock"):
        with suppress(OSError):
            handle = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(lock.with_suffix(""), ignore_errors=True)
                lock.unlink(missing_ok=True)
            finally:
                os.close(handle)


@contextmanager
def user_of(run_id: str) -> Iterator[int]:
    """Hold a user id for a run: all of its workers on this machine have the same, and nobody else has it meanwhile."""
    top = ground() / "users"
    _make(top)
    start = int.from_bytes(hashlib.sha256(run_id.encode()).digest()[:4], "big")
    for step in range(USERS):
        user = FIRST_USER + (start + step) % USERS
        handle = os.open(top / str(user), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if not _is_anybody(user) and _take(handle, run_id, user):
                yield user
                return
        finally:
            os.close(handle)
    raise Internal("There is no free user id for this run. End other runs, and retry it.")


def _take(handle: int, run_id: str, user: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pass
    else:
        _end_processes(user)
        os.ftruncate(handle, 0)
        os.pwrite(handle, run_id.encode(), 0)
    try:
        fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return os.pread(handle, 64, 0) == run_id.encode()


def _is_anybody(user: int) -> bool:
    try:
        pwd.getpwuid(user)
    except KeyError:
        return False
    return True


def _end_processes(user: int) -> None:
    """End what a run before has left behind under the same number, because its launcher was killed."""
    for path in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if path.stat().st_uid == user:
                os.kill(int(path.name), signal.SIGKILL)


def _make(folder: Path) -> None:
    with suppress(FileExistsError):
        folder.mkdir(mode=0o711)
        folder.chmod(0o711)
