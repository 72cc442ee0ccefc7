"""Tells at once when processes end, also those of which we are not the parent. Linux only."""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable


class Ends:
    """Watches processes, in a thread of its own from the first one on.

    Args:
        tell: Called, in that thread, after one has ended.
    """

    def __init__(self, tell: Callable[[], None]) -> None:
        self._tell = tell
        self._watched: dict[int, int] = {}
        self._lock = threading.Lock()
        self._poll: select.epoll | None = None
        self._closed = False

    def watch(self, pid: int) -> None:
        """Watch a process, unless that is done already; of one that is gone it tells at once."""
        with self._lock:
            if self._closed or pid in self._watched:
                return
            try:
                handle = os.pidfd_open(pid)
            except ProcessLookupError:
                self._tell()
                return
            self._watched[pid] = handle
            if self._poll is None:
                self._poll = select.epoll()
                threading.Thread(target=self._listen, args=(self._poll,), name="ends", daemon=True).start()
            self._poll.register(handle, select.EPOLLIN)

    def close(self) -> None:
        """Tell no more."""
        with self._lock:
            self._closed = True
            if self._poll is None:
                return
            reader, writer = os.pipe()
            os.close(writer)
            self._watched[-1] = reader
            self._poll.register(reader, select.EPOLLIN)  # at its end at once, which wakes the thread

    def _listen(self, poll: select.epoll) -> None:
        while not self._closed:
            ended = {handle for handle, _ in poll.poll()}
            with self._lock:
                for pid, handle in list(self._watched.items()):
                    if handle in ended:
                        poll.unregister(handle)
                        os.close(self._watched.pop(pid))
            if not self._closed:
                self._tell()
        with self._lock:
            for handle in self._watched.values():
                os.close(handle)
            self._watched.clear()
            poll.close()
