"""The command itself, as a process: started confined, listened to, watched and ended."""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from lepton.launch import processes
from lepton.launch.cgroups import ControlGroup
from lepton.launch.confined import CANNOT_START, UNCONFINED, Confinement
from lepton.launch.redact import Redactor
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
    """

    memory_bytes: int
    timeout_s: float
    grace_s: float


class Child:
    """One command.

    Args:
        confinement: What is to be started.
        limits: What it is kept to.
        redactor: Keeps secrets out of what it writes.
        write: Takes its lines.
        group: Its control group, if there is one.
    """

    def __init__(
        self, confinement: Confinement, limits: Limits, *, redactor: Redactor, write: Callable[[bytes], None],
        group: ControlGroup | None = None,
    ) -> None:  # fmt: skip
        self._limits = limits
        self._redactor = redactor
        self._write = write
        self._group = group
        self._began = time.monotonic()
        self._counted = 0.0
        self._members: set[int] = set()
        self._kill_at: float | None = None
        self._why: LaunchExit | None = None
        self._process = _start(confinement)

    def run(self, stop: threading.Event) -> int:
        """Listen until it has ended and everything that it started with it.

        Args:
            stop: Set when it is to end.

        Returns:
            Its exit code, minus the number of the signal that ended it, or a `LaunchExit`.
        """
        assert self._process.stdout is not None
        with self._process.stdout, selectors.DefaultSelector() as selector:
            os.set_blocking(self._process.stdout.fileno(), False)
            selector.register(self._process.stdout, selectors.EVENT_READ)
            # Not collected before all below it are gone, so that its number stays its own.
            while os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                self._listen(selector, LOOK_EVERY_S)
                self._watch(stop)
            code = self._process.wait()
            processes.end_all_below(os.getpid())
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
        if not selector.get_map():
            time.sleep(min(timeout_s, LOOK_EVERY_S))
            return
        for key, _ in selector.select(timeout_s):
            try:
                data = os.read(key.fd, 1 << 16)
            except BlockingIOError:
                continue
            if data:
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
        elif (why := self._too_much(now)) is not None:
            self._why, self._kill_at = why, now
            processes.end_below(os.getpid(), signal.SIGKILL)

    def _tell(self, now: float) -> None:
        """Tell it to end; its own process group, as a terminal would."""
        self._kill_at = now + self._limits.grace_s
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGTERM)

    def _too_much(self, now: float) -> LaunchExit | None:
        """Say what it uses too much of, or None."""
        if now - self._counted >= COUNT_EVERY_S:
            self._counted, self._members = now, processes.below(os.getpid())
        used, most = processes.memory_of(self._members), self._limits.memory_bytes
        if most:
            over = used > most and processes.exact_memory_of(self._members) > most
            return LaunchExit.OUT_OF_MEMORY if over else None
        total, free = processes.machine_memory()
        if free < total * (1 - _ALL_BUT) and processes.exact_memory_of(self._members) > total * _CULPRIT:
            return LaunchExit.MACHINE_FULL
        return None


def _start(confinement: Confinement) -> subprocess.Popen[bytes]:
    reader, writer = os.pipe()
    # Only what an interpreter needs to find Lepton; the command's own environment comes through the pipe.
    environment = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "LD_LIBRARY_PATH") if name in os.environ}
    with open(writer, "wb") as pipe:
        try:
            process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                [sys.executable, "-P", "-m", "lepton.launch.confined", str(reader), str(os.getpid())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=(reader,),
                env=environment,
                start_new_session=True,
            )
        finally:
            os.close(reader)
        with suppress(BrokenPipeError):  # it could not even begin, and says so by its exit code
            pipe.write(confinement.to_json())
    return process
