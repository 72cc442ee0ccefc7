"""The command itself, as a process: started confined, listened to, watched and ended."""

from __future__ import annotations

import os
import selectors
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from lepton.launch import processes
from lepton.launch.cgroups import ControlGroup
from lepton.launch.confined import CANNOT_START, UNCONFINED, Confinement, become
from lepton.launch.redact import Redactor
from lepton.launch.silence import Silence
from lepton.runs.engines.forks import Forked, fork
from lepton.runs.engines.stillness import Stillness
from lepton.runs.records import LaunchExit

LOOK_EVERY_S = 0.05
"""How often memory is measured: a fast program takes some 100 MB in that time."""
COUNT_EVERY_S = 0.5
"""How often it is looked up which processes there are."""
DRAIN_S = 1.0
_ALL_BUT = 0.95
"""Without a limit of its own, a command is ended when the machine has less than a twentieth left."""
_CULPRIT = 0.2
"""And only if it is one that uses so much of the machine."""


@dataclass(frozen=True)
class Limits:
    """What a command is kept to from outside.

    Attributes:
        memory_bytes: The most memory; 0: as much as the machine has to spare.
        timeout_s: How long it may take; 0: as long as it likes.
        grace_s: How long it may take to end when it is told to.
        hang_timeout_s: How long it may do nothing; 0: as long as it likes.
    """

    memory_bytes: int
    timeout_s: float
    grace_s: float
    hang_timeout_s: float = 0.0


class Child:
    """One command.

    Args:
        confinement: What is to be started.
        limits: What it is kept to.
        redactor: Keeps secrets out of what it writes.
        write: Takes its lines.
        group: Its control group, if there is one.
        beat: Returns when it last said that it still works.
    """

    def __init__(
        self, confinement: Confinement, limits: Limits, *, redactor: Redactor, write: Callable[[bytes], None],
        group: ControlGroup | None = None, beat: Callable[[], int] = lambda: 0,
    ) -> None:  # fmt: skip
        self._limits = limits
        self._redactor = redactor
        self._write = write
        self._group = group
        self._began = time.monotonic()
        self._counted = self._began
        self._kill_at: float | None = None
        self._why: LaunchExit | None = None
        self._stillness = Stillness()
        self._silence = Silence(limits.hang_timeout_s, beat, self._began)
        self._process = _start(confinement)
        self._members = {self._process.pid}

    def run(self, stop: threading.Event) -> int:
        """Listen until it has ended and everything that it started with it.

        Args:
            stop: Set when it is to end.

        Returns:
            Its exit code, minus the number of the signal that ended it, or a `LaunchExit`.
        """
        stdout = self._process.stdout.fileno()
        with self._process.stdout, _end_of(self._process.pid) as end, selectors.DefaultSelector() as selector:
            os.set_blocking(stdout, False)
            selector.register(stdout, selectors.EVENT_READ)
            selector.register(end, selectors.EVENT_READ)
            # Not collected before all below it are gone, so that its number stays its own.
            while os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                self._listen(selector, LOOK_EVERY_S)
                self._watch(stop)
            selector.unregister(end)
            code = self._process.wait()
            processes.end_all_below_us()
            drained = time.monotonic() + DRAIN_S
            while selector.get_map() and (left := drained - time.monotonic()) > 0:
                self._listen(selector, left)
        self._write(self._redactor.finish())
        return self._meaning(code)

    def _meaning(self, code: int) -> int:
        if self._why is not None:
            return self._why
        if code == -signal.SIGKILL and self._group is not None and self._group.ran_out_of_memory():
            return LaunchExit.OUT_OF_MEMORY
        if code == UNCONFINED:
            return LaunchExit.UNCONFINED
        return LaunchExit.NOT_STARTED if code == CANNOT_START else code

    def _listen(self, selector: selectors.BaseSelector, timeout_s: float) -> None:
        for key, _ in selector.select(timeout_s):
            if key.fd != self._process.stdout.fileno():  # it has ended
                continue
            try:
                data = os.read(key.fd, 1 << 16)
            except BlockingIOError:
                continue
            if data:
                self._silence.hear()
                for line in self._redactor.feed(data):
                    self._write(line)
            else:
                selector.unregister(key.fileobj)

    def _watch(self, stop: threading.Event) -> None:
        now = time.monotonic()
        if self._kill_at is not None:
            if now >= self._kill_at:
                processes.end_below(os.getpid(), signal.SIGKILL)
            return
        if stop.is_set():
            self._tell(now)
        elif self._limits.timeout_s and now - self._began >= self._limits.timeout_s:
            self._why = LaunchExit.TIMED_OUT
            self._tell(now)
        elif (why := self._wrong(now)) is not None:
            self._why, self._kill_at = why, now
            processes.end_below(os.getpid(), signal.SIGKILL)

    def _tell(self, now: float) -> None:
        """Tell it to end; its own process group, as a terminal would."""
        self._kill_at = now + self._limits.grace_s
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGTERM)

    def _wrong(self, now: float) -> LaunchExit | None:
        """Say whether it hangs or uses too much, or None."""
        if now - self._counted >= COUNT_EVERY_S:
            self._counted, self._members = now, processes.below(os.getpid())
            if (hung := self._stillness.look(self._members, now)) is not None:
                self._write(f"[the command hangs and is ended: its process {hung.pid} {hung.why}]\n".encode())
                return LaunchExit.HUNG
            if self._silence.has_lasted(processes.cpu_s(self._members), now):
                return LaunchExit.SILENT
        used, most = processes.memory_of(self._members), self._limits.memory_bytes
        if most:
            over = used > most and processes.exact_memory_of(self._members) > most
            return LaunchExit.OUT_OF_MEMORY if over else None
        total, free = processes.machine_memory()
        if free < total * (1 - _ALL_BUT) and processes.exact_memory_of(self._members) > total * _CULPRIT:
            return LaunchExit.MACHINE_FULL
        return None


@contextmanager
def _end_of(pid: int) -> Iterator[int]:
    """Open what can be read from when a process has ended."""
    handle = os.pidfd_open(pid)
    try:
        yield handle
    finally:
        os.close(handle)


def _start(confinement: Confinement) -> Forked:
    """Fork the command; this process must have one thread."""
    parent = os.getpid()
    nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    return fork(lambda: become(confinement, parent), stdin=nothing)
