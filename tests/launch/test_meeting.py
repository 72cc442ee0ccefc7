"""Workers that wait for each other before their commands begin."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from lepton.launch import meeting

SECRET = b"known to the workers of one run"


def begin(pool: ThreadPoolExecutor, count: int, monkeypatch: pytest.MonkeyPatch) -> Callable[[int], Future[None]]:
    """Return what lets a worker come to the meeting."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=count)
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", str(listener.getsockname()[1]))
    monkeypatch.setenv("LEPTON_MASTER_FD", str(listener.detach()))
    return lambda rank: pool.submit(meeting.meet, rank, count, SECRET, threading.Event())


def test_workers_that_come_one_after_the_other_begin_together(monkeypatch: pytest.MonkeyPatch) -> None:
    with ThreadPoolExecutor(4) as pool:
        come = begin(pool, 4, monkeypatch)
        there = [come(0), come(1)]
        with pytest.raises(TimeoutError):  # much longer than one look at who has come
            there[0].result(timeout=4 * meeting._LOOK_S)
        there += [come(2), come(3)]
        for one in there:
            one.result(timeout=10)


def test_one_that_goes_away_before_all_are_there_leaves_nobody_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    with ThreadPoolExecutor(3) as pool:
        come = begin(pool, 3, monkeypatch)
        first = come(0)
        caller = socket.create_connection(("127.0.0.1", int(meeting.os.environ["MASTER_PORT"])))
        caller.sendall(meeting._word(1, SECRET))
        caller.close()
        with pytest.raises(meeting.Alone):
            first.result(timeout=10)
