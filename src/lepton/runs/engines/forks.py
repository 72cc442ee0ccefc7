"""A process that goes on as another program without being started anew: a fork of one that has it imported already.

Starting Python and importing what a run needs takes a hundred times as long. Only for processes of one thread.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import BinaryIO, NoReturn

FAILED = 1
_HANDLED = (signal.SIGTERM, signal.SIGCHLD, signal.SIGINT, signal.SIGHUP)


@dataclass(frozen=True)
class Forked:
    """A child that is this program's own.

    Attributes:
        pid: Its number.
        stdout: What it writes, to standard error too.
    """

    pid: int
    stdout: BinaryIO

    def wait(self) -> int:
        """Return its exit code, or minus the number of the signal that ended it, when it has ended."""
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def fork(program: Callable[[], object], *, stdin: int, inherited: Iterable[int] = ()) -> Forked:
    """Have a child run a function, in a session of its own and with signals as a new program has them.

    Args:
        program: What it does, and then ends; with 0, or as `SystemExit` says.
        stdin: What it reads; closed here.
        inherited: Other files that it has under their numbers. All others are closed.
    """
    reader, writer = os.pipe()
    # A signal that came before the child has its own handlers would be lost.
    signal.pthread_sigmask(signal.SIG_BLOCK, _HANDLED)
    try:
        pid = os.fork()
        if pid == 0:
            _become(program, stdin, writer, {*inherited})
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HANDLED)
    os.close(stdin)
    os.close(writer)
    return Forked(pid, open(reader, "rb"))


def _become(program: Callable[[], object], stdin: int, stdout: int, inherited: set[int]) -> NoReturn:
    def become() -> None:
        reset_signals()
        os.setsid()
        os.dup2(stdin, 0)
        for stream in (1, 2):
            os.dup2(stdout, stream)
        close_others(inherited)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _HANDLED)
        program()

    end_after(become)


def reset_signals() -> None:
    """Let signals do what they do to a new program."""
    signal.set_wakeup_fd(-1)
    for number in _HANDLED:
        signal.signal(number, signal.SIG_DFL)


def close_others(kept: set[int]) -> None:
    """Close all files but the first three and some."""
    first = 3
    for number in sorted(kept):
        os.closerange(first, number)
        first = max(first, number + 1)
    os.closerange(first, os.sysconf("SC_OPEN_MAX"))


def end_after(program: Callable[[], object]) -> NoReturn:
    """Run a function as all that is left of this process: nothing of the program that it was is run after it."""
    code = FAILED
    try:
        program()
        code = 0
    except SystemExit as asked:
        code = asked.code if isinstance(asked.code, int) else FAILED
    finally:  # nobody above may see an error: they are another process
        kind, error, trace = sys.exc_info()
        if kind is not None and error is not None:
            sys.excepthook(kind, error, trace)
        try:
            sys.stdout.flush()
        finally:
            os._exit(code)
