"""Processes as the kernel sees them: told apart from later ones that got the same number. Linux only."""

from __future__ import annotations

import ctypes
import os
import signal
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_CANNOT_START = 127
_OOM_SCORE = "500"


def dies_with(parent: int) -> Callable[[], None]:
    """Return what a process calls to be ended by the kernel together with the thread that started it.

    Args:
        parent: Id of the process of that thread; whoever calls it when that has ended already ends at once.
    """
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def prepare() -> None:
        prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(_CANNOT_START)

    return prepare


def worker_of(supervisor: int) -> Callable[[], None]:
    """Return what a worker does before it becomes itself: be ended with its supervisor, and before it."""
    bind = dies_with(supervisor)

    def prepare() -> None:
        bind()
        with suppress(OSError):
            # When memory runs out, let it be a worker and not the supervisor.
            Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE)

    return prepare


def children() -> set[int]:
    """Return the children of this process, also those that have ended and were not collected."""
    mine = os.getpid()
    try:
        lists = [path.read_text() for path in Path("/proc/self/task").glob("*/children")]
        return {int(word) for text in lists for word in text.split()}
    except OSError:  # a kernel without these lists
        return {int(path.name) for path in Path("/proc").glob("[0-9]*") if _parent_of(path) == mine}


def collect_children_but(kept: Collection[int]) -> None:
    """Collect children that have ended by themselves, as far as none of the kept ones has."""
    with suppress(ChildProcessError):
        while ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            if ended.si_pid in kept:
                return
            os.waitpid(ended.si_pid, 0)


def end_children_but(kept: Collection[int], *, within_s: float = 5.0) -> None:
    """End and collect the children of this process but some, and what these have started: it must adopt orphans."""
    deadline = time.monotonic() + within_s
    while (others := children().difference(kept)) and time.monotonic() < deadline:
        for pid in others:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)
        time.sleep(0.002)


def _parent_of(path: Path) -> int | None:
    try:
        return int((path / "stat").read_text().rpartition(")")[2].split()[1])
    except (OSError, IndexError, ValueError):
        return None


def memory_mb() -> int:
    """Return how much memory this machine has for us, in MiB: all of it, or what our control group may take."""
    found = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with suppress(OSError, ValueError):  # "max" is no number
        found = min(found, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    return found >> 20


@dataclass(frozen=True)
class ProcessMark:
    """One process, and no other that ever had or will have its number.

    Attributes:
        pid: Its number.
        started: When it started, in clock ticks since boot (proc(5), field 22 of stat).
        boot: Which boot of the machine.
    """

    pid: int
    started: int
    boot: str

    @classmethod
    def of(cls, pid: int) -> ProcessMark | None:
        """Return the mark of a process that runs now, or None."""
        try:
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        except OSError:
            return None
        return None if fields[0] in "ZX" else cls(pid, int(fields[19]), boot)

    def is_alive(self) -> bool:
        """Whether that very process still runs."""
        return ProcessMark.of(self.pid) == self

    def send(self, number: signal.Signals) -> None:
        """Send it a signal; nothing happens if it is gone, not even to a process with the same number."""
        with suppress(ProcessLookupError):
            handle = os.pidfd_open(self.pid)
            try:
                # The handle is of whoever has the number now; only then is it certain who that is.
                if self.is_alive():
                    signal.pidfd_send_signal(handle, number)
            finally:
                os.close(handle)
