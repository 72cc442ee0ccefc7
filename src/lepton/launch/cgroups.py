"""A control group (version 2) for one command, where the kernel has them and ours was delegated to us."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
_PERIOD_US = 100_000


class ControlGroup:
    """A group that was made; what enters it is kept to the limits by the kernel.

    Args:
        path: Its folder.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    @classmethod
    def make(
        cls, name: str, *, memory_bytes: int, cpus: float, processes: int, root: Path = ROOT, own: str | None = None
    ) -> ControlGroup | None:
        """Make a group below the one that we are in; None where that is not possible, which is common.

        Args:
            name: What to call it.
            memory_bytes: The most memory; 0: as much as there is.
            cpus: Processors.
            processes: The most processes.
            root: Where groups are mounted.
            own: Which group we are in; None looks.
        """
        own = _own_group() if own is None else own
        if own is None or not (root / "cgroup.controllers").exists():
            return None
        path = root / own.lstrip("/") / name
        try:
            path.mkdir()
        except OSError:
            return None
        group = cls(path)
        try:
            if memory_bytes:
                (path / "memory.max").write_text(str(memory_bytes))
                with suppress(OSError):  # a machine without swap need not know it
                    (path / "memory.swap.max").write_text("0")
            with suppress(OSError):
                (path / "cpu.max").write_text(f"{int(cpus * _PERIOD_US)} {_PERIOD_US}")
            (path / "pids.max").write_text(str(processes))
        except OSError:  # it was not given these controllers
            group.remove()
            return None
        return group

    @property
    def entrance(self) -> str:
        """The file into which a process writes its number to enter."""
        return str(self._path / "cgroup.procs")

    def ran_out_of_memory(self) -> bool:
        """Whether the kernel ended something in it for want of memory."""
        try:
            events = dict(line.split() for line in (self._path / "memory.events").read_text().splitlines())
        except (OSError, ValueError):
            return False
        return int(events.get("oom_kill", 0)) > 0

    def remove(self) -> None:
        """End all in it, and remove it."""
        with suppress(OSError):
            (self._path / "cgroup.kill").write_text("1")
        deadline = time.monotonic() + 1.0
        while self._path.exists() and time.monotonic() < deadline:
            with suppress(OSError):
                self._path.rmdir()
                return
            time.sleep(0.01)


def _own_group() -> str | None:
    try:
        lines = Path("/proc/self/cgroup").read_text().splitlines()
    except OSError:
        return None
    return next((line[3:] for line in lines if line.startswith("0::")), None)
