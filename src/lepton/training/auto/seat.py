"""The program behind `seats.py`: imports the libraries once, then forks a process for each place as it is asked to.

Run: python -m lepton.training.auto.seat FILE-DESCRIPTOR MODULE…

It never computes, so it has no threads that a fork would lose, and it ends its children at once when they are replaced
or when whoever asked is gone, even by a SIGKILL.
"""

from __future__ import annotations

import importlib
import os
import signal
import socket
import sys
import warnings
from multiprocessing.connection import Connection
from typing import NoReturn

from lepton.training.auto.memory import bound_here
from lepton.training.auto.work import do

_EVER = ("onnx", "sklearn.ensemble", "sklearn.linear_model", "sklearn.neighbors", "sklearn.neural_network")


def main() -> None:
    """Fork a process for each file descriptor that is sent, in place of the one of the same number."""
    control = socket.socket(fileno=int(sys.argv[1]))
    for module in (*_EVER, *sys.argv[2:]):
        importlib.import_module(module)
    children: dict[int, int] = {}

    def leave(*_: object) -> NoReturn:
        for child in children.values():
            _end(child)
        os._exit(0)

    signal.signal(signal.SIGTERM, leave)
    while True:
        told, descriptors, _, _ = socket.recv_fds(control, 1, 1)
        if not told or not descriptors:
            leave()
        place, descriptor = told[0], descriptors[0]
        if place in children:
            _end(children.pop(place))
        child = os.fork()
        if child == 0:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            control.close()
            _work(Connection(descriptor))
        os.close(descriptor)
        children[place] = child


def _work(connection: Connection) -> NoReturn:
    """Take rows, then one task after another, until nobody asks any more."""
    warnings.simplefilter("ignore")  # that a solver wants more rounds is seen in its score
    try:
        rows, more_bytes = connection.recv()
        bound_here(more_bytes)
        while True:
            task = connection.recv()
            try:
                answer: object = do(rows, task)
            except Exception as problem:  # noqa: BLE001 - whatever a library cannot do is said, and the next one tried
                answer = type(problem).__name__  # its text may quote a cell
            connection.send(answer)
    except (EOFError, OSError):
        os._exit(0)
    finally:
        os._exit(1)


def _end(child: int) -> None:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


if __name__ == "__main__":
    main()
