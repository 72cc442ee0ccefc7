"""What a command and all that it has started use, and how all of it is ended. Linux, by /proc."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")
_NO_LIMIT = 1 << 60


def below(root: int) -> set[int]:
    """Return the processes that descend from one, without itself."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdecimal():
            with suppress(OSError, IndexError, ValueError):
                fields = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()
                if fields[0] not in "ZX":
                    children.setdefault(int(fields[1]), []).append(int(entry))
    found: set[int] = set()
    waiting = [root]
    while waiting:
        for pid in children.get(waiting.pop(), ()):
            if pid not in found:
                found.add(pid)
                waiting.append(pid)
    return found


def memory_of(pids: Iterable[int]) -> int:
    """Return the bytes that processes have in memory; what they share counts for each."""
    total = 0
    for pid in pids:
        with suppress(OSError, IndexError, ValueError):
            total += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    return total


def exact_memory_of(pids: Iterable[int]) -> int:
    """Return the bytes that processes have in memory; of what they share, their share. Slower."""
    total = 0
    for pid in pids:
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            total += next(int(line.split()[1]) << 10 for line in lines if line.startswith("Pss:"))
        except (OSError, StopIteration, ValueError):
            total += memory_of([pid])
    return total


def cpu_s(pids: Iterable[int]) -> float:
    """Return the CPU seconds that processes have used, with those of children that they have collected."""
    ticks = 0
    for pid in pids:
        with suppress(OSError, IndexError, ValueError):
            ticks += sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:15]))
    return ticks / _TICKS


def machine_memory() -> tuple[int, int]:
    """Return the bytes of memory of this machine, or of the container we are in, and how many of them are free."""
    values = {}
    for line in Path("/proc/meminfo").read_text().splitlines():
        name, _, rest = line.partition(":")
        values[name] = int(rest.split()[0]) << 10
    total, free = values["MemTotal"], values.get("MemAvailable", values["MemFree"])
    limit = min((_number(path) for path in ("/sys/fs/cgroup/memory.max",
                 "/sys/fs/cgroup/memory/memory.limit_in_bytes")), default=_NO_LIMIT)  # fmt: skip
    if limit < total:
        used = min(_number("/sys/fs/cgroup/memory.current"), _number("/sys/fs/cgroup/memory/memory.usage_in_bytes"))
        total, free = limit, min(free, max(limit - used, 0))
    return total, free


def end_below(root: int, number: signal.Signals) -> None:
    """Send a signal to all that descends from a process."""
    for pid in below(root):
        with suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)


def end_all_below_us(*, within_s: float = 5.0) -> None:
    """End all that descends from this process, also what starts meanwhile; it must adopt orphans."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        except ChildProcessError:  # where there is no child, there is nothing below
            return
        end_below(os.getpid(), signal.SIGKILL)
        time.sleep(0.005)


def _number(path: str) -> int:
    try:
        return int(Path(path).read_text())
    except (OSError, ValueError):
        return _NO_LIMIT
