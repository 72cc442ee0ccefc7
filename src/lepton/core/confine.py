"""Takes rights from the process that calls it, for good: what a sandbox does before any code of a user is read.

Linux only, standard library only. `python -m lepton.core.confine` says what this machine allows.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import struct
import sys
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_NOBODY = 65534
_CLONE_NEWNS, _CLONE_NEWIPC, _CLONE_NEWUSER = 0x00020000, 0x08000000, 0x10000000
_CLONE_NEWPID, _CLONE_NEWNET = 0x20000000, 0x40000000
_MS_REC_PRIVATE = 0x4000 | 0x40000
_MS_NOSUID_NODEV = 2 | 4
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_CHILD_SUBREAPER, _PR_SET_NO_NEW_PRIVS = 1, 4, 36, 38
_LANDLOCK_CREATE, _LANDLOCK_ADD, _LANDLOCK_RESTRICT = 444, 445, 446
_CAPSET = {"x86_64": 126, "aarch64": 91}
_READ = 1 << 0 | 1 << 2 | 1 << 3  # execute, read a file, read a folder
_OF_FILES = 1 << 0 | 1 << 1 | 1 << 2 | 1 << 14  # what can be allowed on something that is no folder
_SYSTEM = (
    "/usr", "/lib", "/lib64", "/bin", "/etc/ld.so.cache", "/etc/localtime", "/dev/urandom", "/dev/random",
    "/proc/cpuinfo", "/proc/meminfo", "/proc/self", "/sys/devices/system/cpu",
)  # fmt: skip
_HIDDEN = ("/run", "/var/run", "/tmp", "/var/tmp", "/dev/shm")  # noqa: S108 - hidden, not used

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Limits:
    """What a sandbox may use.

    Attributes:
        memory_bytes: Address space; what is larger raises `MemoryError` in the code.
        folder_bytes: Its own folder, which lies in memory, beside `memory_bytes`.
        processes: Processes and threads together.
        files: Open files.
    """

    memory_bytes: int = 2 << 30
    folder_bytes: int = 256 << 20
    processes: int = 64
    files: int = 256

    def to_arguments(self) -> list[str]:
        """Write as arguments of a command; `from_arguments` reads them back."""
        return [str(self.memory_bytes), str(self.folder_bytes), str(self.processes), str(self.files)]

    @classmethod
    def from_arguments(cls, arguments: Iterable[str]) -> Limits:
        """Read what `to_arguments` wrote."""
        return cls(*map(int, arguments))


class Unconfined(Exception):
    """This machine cannot keep code from the files of its user, so it must not run."""


def die_with_parent(number: signal.Signals) -> None:
    """Let the kernel send a signal when the thread that started this process ends."""
    _libc.prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)


def hide_memory() -> None:
    """Let no other process of this user look into this one's memory; a worker holds keys."""
    _libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


@dataclass(frozen=True)
class Separation:
    """How far a process was separated from others.

    Attributes:
        alone: Whether it has namespaces of its own; what is mounted then is seen by nobody else.
        missing: A sentence for each thing that this machine did not allow.
    """

    alone: bool
    missing: tuple[str, ...]


def separate() -> Separation:
    """Leave root's user if possible, and enter namespaces of its own. The next fork is alone in its world.

    Must be called while the process has one thread.
    """
    missing = []
    if os.getuid() == 0 and not _drop_user():
        missing.append("It keeps root's user id (without root's powers), so its processes are not counted.")
    uid, gid = os.getuid(), os.getgid()
    others = _CLONE_NEWPID | _CLONE_NEWNET | _CLONE_NEWIPC | _CLONE_NEWNS
    if _libc.unshare(_CLONE_NEWUSER | others) == 0:
        with suppress(OSError):
            Path("/proc/self/setgroups").write_text("deny")
        # Anything but 0 inside, so that no program it starts gets powers back.
        Path("/proc/self/uid_map").write_text(f"{_NOBODY} {uid} 1")
        Path("/proc/self/gid_map").write_text(f"{_NOBODY} {gid} 1")
        return Separation(True, tuple(missing))
    if _libc.unshare(others) == 0:  # root needs no user namespace for the others
        return Separation(True, tuple(missing))
    missing.append(
        "There are no namespaces: it sees the network as far as Landlock does not refuse it, and a process that it has "
        "started can outlive it."
    )
    return Separation(False, tuple(missing))


def hide_places(separation: Separation, folder: str, *, keep: Iterable[str], folder_bytes: int) -> None:
    """Put empty folders over those where others leave sockets and files, and give the sandbox a folder of its own.

    Does not mount anything unless nobody else would see it.
    """
    kept = [*keep]
    if separation.alone and _libc.mount(b"none", b"/", None, _MS_REC_PRIVATE, None) == 0:
        for place in _HIDDEN:
            real = os.path.realpath(place)
            if real == place and os.path.isdir(place) and not any(_within(path, place) for path in kept):
                options = f"size={folder_bytes},mode=700,nr_inodes=65536".encode()
                _libc.mount(b"tmpfs", place.encode(), b"tmpfs", _MS_NOSUID_NODEV, options)
    os.makedirs(folder, mode=0o700, exist_ok=True)


def limit(limits: Limits) -> None:
    """Bound what this process and those it starts may use."""
    for what, most in (
        (resource.RLIMIT_AS, limits.memory_bytes),
        (resource.RLIMIT_NPROC, limits.processes),
        (resource.RLIMIT_NOFILE, limits.files),
        (resource.RLIMIT_FSIZE, limits.folder_bytes),
        (resource.RLIMIT_CORE, 0),
    ):
        with suppress(ValueError, OSError):  # lower already
            resource.setrlimit(what, (most, most))


def lock_files(folder: str, readable: Iterable[str]) -> None:
    """Allow reading the interpreter, its packages and the system's libraries, writing the own folder, nothing else.

    Raises:
        Unconfined: if the kernel has no Landlock.
    """
    allow_files([*_SYSTEM, *readable], [folder], network=False)


def allow_files(readable: Iterable[str], writable: Iterable[str], *, network: bool) -> None:
    """Allow reading some files and folders and writing others, and nothing else, to this process and what it starts.

    Processes outside can then be neither traced nor, from Landlock 6 on, signalled.
    Source: https://docs.kernel.org/userspace-api/landlock.html

    Args:
        readable: What may be read and executed; what is not there is left out.
        writable: What may be written too.
        network: Whether it may use TCP.

    Raises:
        Unconfined: if the kernel has no Landlock.
    """
    abi = _libc.syscall(_LANDLOCK_CREATE, None, 0, 1)
    if abi < 1:
        raise Unconfined
    every = (1 << (13, 14, 15, 15, 16)[min(abi, 5) - 1]) - 1
    attributes = struct.pack("<QQQ", every, 3 if abi >= 4 and not network else 0, 3 if abi >= 6 else 0)
    rules = _libc.syscall(_LANDLOCK_CREATE, attributes, (8, 16, 24)[(abi >= 4) + (abi >= 6)], 0)
    if rules < 0:
        raise Unconfined
    for path in readable:
        _allow(rules, path, _READ & every)
    _allow(rules, "/dev/null", (_READ | 1 << 1) & every)
    for path in writable:
        _allow(rules, path, every)
    _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if _libc.syscall(_LANDLOCK_RESTRICT, rules, 0):
        raise Unconfined
    os.close(rules)


def has_landlock() -> bool:
    """Whether the kernel can keep a process from files."""
    return int(_libc.syscall(_LANDLOCK_CREATE, None, 0, 1)) >= 1


def become(user: int) -> None:
    """Be another user from now on, of a group of the same number; needs root, and leaves none of its powers."""
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)
    _libc.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)  # or its own /proc is root's


def adopt_orphans() -> None:
    """Become the parent of whatever outlives its own parent below this process, so that nothing gets lost."""
    _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def everyone_reaches(paths: Iterable[str]) -> bool:
    """Whether every user of the machine may go to some files and folders and read them."""
    for path in paths:
        for part in (Path(path), *Path(path).parents):
            if not part.stat().st_mode & 0o001 and part.is_dir():
                return False
    return True


def drop_powers() -> None:
    """Give up every capability, those over the own namespaces too.

    Raises:
        Unconfined: if that is refused.
    """
    _libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    number = _CAPSET.get(os.uname().machine)
    if number is None or _libc.syscall(number, struct.pack("<Ii", 0x20080522, 0), bytes(24)):
        raise Unconfined


def readable_paths() -> list[str]:
    """Return where the interpreter and its packages lie."""
    found = {sys.prefix, sys.base_prefix, *(path for path in sys.path if path)}
    return sorted(os.path.realpath(path) for path in found if os.path.exists(path))


def _drop_user() -> bool:
    """Become nobody, if nobody can read the interpreter and its packages."""
    if not everyone_reaches((sys.executable, os.path.realpath(sys.executable), *readable_paths())):
        return False
    become(_NOBODY)
    return True


def _allow(rules: int, path: str, access: int) -> None:
    try:
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return
    try:
        if not os.path.isdir(path):
            access &= _OF_FILES
        _libc.syscall(_LANDLOCK_ADD, rules, 1, struct.pack("<Qi", access, fd), 0)
    finally:
        os.close(fd)


def _within(path: str, place: str) -> bool:
    return path == place or path.startswith(f"{place}/")


if __name__ == "__main__":
    told = [*separate().missing] or ["This machine allows everything that a sandbox asks for, as far as namespaces go."]
    landlock = _libc.syscall(_LANDLOCK_CREATE, None, 0, 1)
    told.append(f"Landlock: version {landlock} (below 1, no code of a user runs here).")
    sys.stdout.write("\n".join([*told, ""]))
