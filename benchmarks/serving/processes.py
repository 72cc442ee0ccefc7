"""A server's whole tree of processes, from /proc: who belongs to it, its CPU time, its memory. Linux only."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


def parents() -> dict[int, int]:
    """Return the parent of every process."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError, IndexError):
                found[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    return found


def tree(roots: Iterable[int]) -> list[int]:
    """Return the processes that live and are, or descend from, one of the roots."""
    above = parents()
    members = {root for root in roots if root in above}
    grown = True
    while grown:
        more = {pid for pid, parent in above.items() if parent in members and pid not in members}
        members |= more
        grown = bool(more)
    return sorted(members)


def alive(pids: Iterable[int]) -> list[int]:
    """Return those that still run; one that has ended and waits for its parent does not."""
    found = []
    for pid in pids:
        with suppress(OSError):
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z":
                found.append(pid)
    return found


@dataclass(frozen=True)
class CpuTime:
    """CPU seconds (user and system) of each process, and of the children that it has collected."""

    seconds: dict[int, float]

    @classmethod
    def of(cls, roots: Iterable[int]) -> CpuTime:
        """Read the clocks now.

        The clock of a process counts nanoseconds over all its threads, those that have ended too; /proc/pid/stat
        says the same in hundredths of a second, and adds the children that ended.
        """
        seconds = {}
        for pid in tree(roots):
            with suppress(OSError):
                own = time.clock_gettime((~pid << 3) | 2)  # clock_getcpuclockid(3), as glibc computes it
                seconds[pid] = own + _children_s(pid)
        return cls(seconds)

    def since(self, before: CpuTime) -> float:
        """Return the seconds spent since; a process that started in between counts from its start."""
        return sum(now - before.seconds.get(pid, 0.0) for pid, now in self.seconds.items())


def _children_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Memory:
    """Of a tree, in MiB. Shared pages are counted once in `pss` and in every process in `rss`."""

    pss: float
    rss: float

    @classmethod
    def of(cls, roots: Iterable[int]) -> Memory:
        """Add up the tree's memory now."""
        pss = rss = 0
        for pid in tree(roots):
            with suppress(OSError):
                for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                    name, _, rest = line.partition(":")
                    if name == "Pss":
                        pss += int(rest.split()[0])
                    elif name == "Rss":
                        rss += int(rest.split()[0])
        return cls(pss / 1024, rss / 1024)


def busy_s(core: int) -> float:
    """Return the seconds that a core has worked, for whomever."""
    fields = re.search(rf"^cpu{core} (.*)$", Path("/proc/stat").read_text(), re.MULTILINE)
    assert fields is not None
    user, nice, system, _idle, _wait, interrupts, soft, stolen = map(int, fields[1].split()[:8])
    return (user + nice + system + interrupts + soft + stolen) / os.sysconf("SC_CLK_TCK")


def pin(roots: Iterable[int], core: int) -> int:
    """Hold every thread of the tree on one core; return how many had left it."""
    left = 0
    for pid in tree(roots):
        with suppress(OSError):
            for thread in Path(f"/proc/{pid}/task").iterdir():
                with suppress(OSError):
                    if os.sched_getaffinity(int(thread.name)) != {core}:
                        left += 1
                        os.sched_setaffinity(int(thread.name), {core})
    return left


def listeners(port: int) -> list[int]:
    """Return the processes that listen on a TCP port."""
    sockets = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with suppress(OSError):
            for line in Path(table).read_text().splitlines()[1:]:
                fields = line.split()
                if int(fields[1].rpartition(":")[2], 16) == port and fields[3] == "0A":
                    sockets.add(f"socket:[{fields[9]}]")
    found = []
    for pid in parents():
        with suppress(OSError):
            for entry in Path(f"/proc/{pid}/fd").iterdir():
                with suppress(OSError):
                    if str(entry.readlink()) in sockets:
                        found.append(pid)
                        break
    return found
