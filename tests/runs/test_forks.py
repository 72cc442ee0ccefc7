"""A child that goes on as something else: it ends as that does, and has of its parent only what it is given."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import os, signal, sys
from lepton.runs.engines.forks import fork

signal.signal(signal.SIGTERM, lambda *_: print("the parent's"))
kept, other = os.pipe()

def child():
    print(os.read(0, 9).decode(), os.getsid(0) == os.getpid(), signal.getsignal(signal.SIGTERM) == signal.SIG_DFL)
    print(sorted(int(name) for name in os.listdir("/proc/self/fd"))[:-1] == [0, 1, 2, kept])
    print(signal.pthread_sigmask(signal.SIG_BLOCK, []))

def told(program):
    reader, writer = os.pipe()
    os.write(writer, b"a secret")
    os.close(writer)
    forked = fork(program, stdin=reader, inherited=[kept])
    text = forked.stdout.read().decode()
    return forked.wait(), text

print(told(child))
print(told(lambda: sys.exit(7)))
print(told(lambda: os.kill(os.getpid(), signal.SIGTERM)))
code, text = told(lambda: 1 / 0)
print(code, text.splitlines()[-1])
"""


def test_a_child_has_what_it_is_given_and_ends_as_its_program_does() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [
        repr((0, "a secret True True\nTrue\nset()\n")),
        repr((7, "")),
        repr((-15, "")),
        "1 ZeroDivisionError: division by zero",
    ]
