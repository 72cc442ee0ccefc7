"""The workers of a run wait for each other before their commands begin.

They meet at the port that is kept for rank 0, which is then let go of: an unmodified torchrun script wants it for
itself. Environments take their time to be built, and no library waits that long for the others.
"""

from __future__ import annotations

import hmac
import os
import socket
import threading
import time
from contextlib import ExitStack, suppress

from lepton.launch.control import Stopped

PATIENCE_S = 3600.0
_WORD = 64
_GO = b"go"
_LOOK_S = 0.2


class Alone(Exception):
    """Another worker of the run is not coming."""


def meet(rank: int, workers: int, secret: bytes, stop: threading.Event) -> None:
    """Return when all workers are here, and nothing listens any more at ``MASTER_PORT``.

    Raises:
        Alone: if one of them is gone.
        Stopped: if the run is to end first.
    """
    if workers == 1:
        return
    if rank == 0:
        with socket.socket(fileno=int(os.environ.pop("LEPTON_MASTER_FD"))) as listener:
            callers = _gather(listener, workers, secret, stop)
        with callers:
            _let_go(callers)
    else:
        _call(rank, secret, stop)


class _Callers(ExitStack):
    """The connections of the other workers."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[int, socket.socket] = {}


def _gather(listener: socket.socket, workers: int, secret: bytes, stop: threading.Event) -> _Callers:
    listener.settimeout(_LOOK_S)
    words = {_word(rank, secret): rank for rank in range(1, workers)}
    callers = _Callers()
    deadline = time.monotonic() + PATIENCE_S
    try:
        while len(callers.found) < workers - 1:
            _check(stop, deadline)
            for connection in callers.found.values():
                if _has_gone(connection):
                    raise Alone
            with suppress(TimeoutError):
                connection = callers.enter_context(listener.accept()[0])
                connection.settimeout(_LOOK_S)
                rank = words.get(_read(connection, _WORD))
                connection.setblocking(
                    False
                )  # one with a timeout would be taken for gone when it says nothing for long
                if rank is not None:
                    callers.found[rank] = connection
    except BaseException:
        callers.close()
        raise
    return callers


def _let_go(callers: _Callers) -> None:
    for connection in callers.found.values():
        with suppress(OSError):
            connection.sendall(_GO)
    for connection in callers.found.values():
        # They hang up first, or the port would stay taken for a minute.
        connection.settimeout(5.0)
        with suppress(OSError):
            connection.recv(1)


def _call(rank: int, secret: bytes, stop: threading.Event) -> None:
    address = (os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]))
    deadline = time.monotonic() + PATIENCE_S
    try:
        with socket.create_connection(address, timeout=10.0) as connection:
            connection.sendall(_word(rank, secret))
            connection.settimeout(_LOOK_S)
            while True:
                _check(stop, deadline)
                try:
                    said = connection.recv(len(_GO))
                except TimeoutError:
                    continue
                if said != _GO:
                    raise Alone
                return
    except OSError:
        raise Alone from None


def _check(stop: threading.Event, deadline: float) -> None:
    if stop.is_set():
        raise Stopped
    if time.monotonic() > deadline:
        raise Alone


def _word(rank: int, secret: bytes) -> bytes:
    return hmac.new(secret, f"rank {rank}".encode(), "sha256").hexdigest().encode()


def _read(connection: socket.socket, count: int) -> bytes:
    data = b""
    with suppress(OSError):
        while len(data) < count and (piece := connection.recv(count - len(data))):
            data += piece
    return data


def _has_gone(connection: socket.socket) -> bool:
    try:
        return connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True
