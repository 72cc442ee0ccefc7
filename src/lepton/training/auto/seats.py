"""Processes that work on candidates beside each other, and are ended when they run over.

One program (`seat.py`) imports the libraries and is forked for each of them: forking the process of the run would lose
the threads of OpenMP. Rows and results go through sockets between processes of one run, and never touch a disk.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from types import TracebackType
from typing import Self

from lepton.core.errors import Unavailable
from lepton.training.auto.work import Outcome, Rows, Task

_ONE_THREAD = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
DIED = "it needed more memory than it may take, or died"


@dataclass
class _Seat:
    place: int
    connection: Connection
    sent: bool = False
    task: Task | None = None
    since: float = 0.0


class Seats:
    """Processes to work in; use as a context manager. It begins to start at once; `open` gives it rows.

    Args:
        modules: What to import beforehand, besides scikit-learn.
    """

    def __init__(self, modules: Sequence[str] = ()) -> None:
        mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        with theirs:
            self._program = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, "-P", "-m", "lepton.training.auto.seat", str(theirs.fileno()), *modules],
                pass_fds=[theirs.fileno()], env={**os.environ, **_ONE_THREAD}, stdin=subprocess.DEVNULL,
            )  # fmt: skip
        self._control = mine
        self._seats: list[_Seat] = []
        self._rows: Rows | None = None
        self._share = 0

    def open(self, count: int, rows: Rows, share_bytes: int) -> None:
        """Make places to work in.

        Args:
            count: How many.
            rows: What they learn from.
            share_bytes: Memory that each may take beyond what it starts with.
        """
        self._rows, self._share = rows, share_bytes
        for seat in self._seats:
            seat.connection.close()
        self._seats = [_Seat(place, self._start(place)) for place in range(count)]

    @property
    def count(self) -> int:
        """How many places there are."""
        return len(self._seats)

    @property
    def free(self) -> int:
        """How many have nothing to do."""
        return sum(seat.task is None for seat in self._seats)

    def busy(self) -> list[tuple[Task, float]]:
        """Return what is being done, and since when."""
        return [(seat.task, seat.since) for seat in self._seats if seat.task is not None]

    def submit(self, task: Task, now: float) -> None:
        """Give a task to a free place."""
        seat = next(seat for seat in self._seats if seat.task is None)
        seat.task, seat.since = task, now
        with suppress(OSError):  # one that is dead is noticed when its answer is taken
            if not seat.sent:
                seat.connection.send((self._rows, self._share))
                seat.sent = True
            seat.connection.send(task)

    def wait(self, timeout_s: float) -> list[tuple[Task, Outcome | str]]:
        """Return what was finished: its outcome, or in a few words why there is none. Waits at most `timeout_s`.

        Raises:
            Unavailable: the program that makes the processes has ended.
        """
        busy = {seat.connection: seat for seat in self._seats if seat.task is not None}
        done = []
        for connection in wait(list(busy), max(0.0, timeout_s)):
            seat = busy[connection]  # type: ignore[index]
            task = seat.task
            assert task is not None
            try:
                answer = seat.connection.recv()
            except (EOFError, OSError):
                answer = DIED
                self._replace(seat)
            seat.task = None
            done.append((task, DIED if answer == "MemoryError" else answer))
        return done

    def stop(self, tasks: Sequence[Task]) -> None:
        """End the processes that work on tasks, and start others in their place."""
        for seat in self._seats:
            if seat.task is not None and any(seat.task is task for task in tasks):
                self._replace(seat)

    def close(self) -> None:
        """End all processes."""
        for seat in self._seats:
            seat.connection.close()
        self._seats = []
        self._control.close()
        self._program.terminate()  # at once, even if it still imports
        self._program.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start(self, place: int) -> Connection:
        mine, theirs = socket.socketpair()
        with mine, theirs:
            try:
                socket.send_fds(self._control, [bytes([place])], [theirs.fileno()])
            except OSError:
                raise Unavailable(
                    "The processes that try candidates cannot be started. Give the run more memory: --memory."
                ) from None
            return Connection(mine.detach())

    def _replace(self, seat: _Seat) -> None:
        seat.connection.close()
        seat.connection, seat.sent, seat.task = self._start(seat.place), False, None
