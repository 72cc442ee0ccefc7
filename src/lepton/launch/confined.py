"""Becomes a command of a user, after giving up what that must not have.

It is forked from the launcher, whose memory nobody may look into, so nothing shows a secret before the command itself
has it: neither the arguments nor the environment of any process. Standard library only.
"""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from lepton.core import confine

CANNOT_START, UNCONFINED = 126, 125
"""How this ends when it does not become the command."""
_SYSTEM = (
    "/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin", "/opt", "/nix", "/proc", "/sys",
    "/etc/alternatives", "/etc/ca-certificates", "/etc/fonts", "/etc/group", "/etc/host.conf", "/etc/hosts",
    "/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/localtime", "/etc/mime.types",
    "/etc/nsswitch.conf", "/etc/os-release", "/etc/passwd", "/etc/pki", "/etc/protocols", "/etc/resolv.conf",
    "/etc/services", "/etc/ssl", "/etc/timezone", "/run/systemd/resolve", "/dev/urandom", "/dev/random",
)  # fmt: skip
_DEVICES = ("/dev/zero", "/dev/full", "/dev/shm", "/dev/dri", "/dev/kfd")  # noqa: S108 - where programs share memory


@dataclass(frozen=True)
class Confinement:
    """What becomes what.

    Attributes:
        argv: Program and arguments.
        environment: All of its environment.
        folder: Where it stands.
        readable: What it may read beside the system.
        writable: Folders that are its own.
        user: Whom it runs as; None stays who it is.
        locked: Whether files are locked, by Landlock.
        cgroup: File to enter a control group by, or empty.
        processes: Most processes of its user; 0: not counted.
        files: Most open files.
        cpus: Processors it may use; empty: all.
    """

    argv: list[str]
    environment: Mapping[str, str] = field(repr=False)
    folder: str
    readable: list[str]
    writable: list[str]
    user: int | None
    locked: bool
    cgroup: str = ""
    processes: int = 0
    files: int = 0
    cpus: list[int] = field(default_factory=list)


def become(wanted: Confinement, parent: int) -> NoReturn:
    """Become the command, in a process that its launcher has forked; what goes wrong is said on standard output.

    Args:
        wanted: What to become.
        parent: The launcher.
    """
    try:
        _give_up(wanted, parent)
    except (confine.Unconfined, OSError) as error:
        _say(f"[the command could not be confined: {type(error).__name__}]\n")
        os._exit(UNCONFINED)
    try:
        os.execvpe(wanted.argv[0], wanted.argv, dict(wanted.environment))  # noqa: S606 - that is what it is for
    except OSError as error:
        _say(f"[{wanted.argv[0][:200]} could not be started: {error.strerror}]\n")
        os._exit(CANNOT_START)


def _say(text: str) -> None:
    with suppress(OSError):
        os.write(1, text.encode(errors="replace"))


def _give_up(wanted: Confinement, parent: int) -> None:
    if wanted.cgroup:
        Path(wanted.cgroup).write_text(str(os.getpid()))
    if wanted.cpus:
        with suppress(OSError):  # some of them may have been taken away meanwhile
            os.sched_setaffinity(0, wanted.cpus)
    _limit(resource.RLIMIT_CORE, 0)  # a core dump would be a copy of the data in plain text
    if wanted.files:
        _limit(resource.RLIMIT_NOFILE, wanted.files)
    os.chdir(wanted.folder)
    if wanted.user is not None:
        if wanted.processes:
            _limit(resource.RLIMIT_NPROC, wanted.processes)
        confine.become(wanted.user)
        confine.hide_memory()  # it is still the launcher's; the kernel shows that of the command again
    confine.die_with_parent(signal.SIGKILL)  # after that: another user is another start for the kernel
    if os.getppid() != parent:  # it has ended before it could take us along
        os._exit(CANNOT_START)
    if wanted.locked:
        devices = [str(path) for path in Path("/dev").glob("nvidia*")]
        confine.allow_files([*_SYSTEM, *wanted.readable], [*_DEVICES, *devices, *wanted.writable], network=True)
    confine.drop_powers()


def _limit(what: int, most: int) -> None:
    with suppress(ValueError, OSError):  # lower already
        _, hard = resource.getrlimit(what)
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (most, most))
