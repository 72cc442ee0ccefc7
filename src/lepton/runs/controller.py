"""The thread that starts what is queued and notices what has ended."""

from __future__ import annotations

import logging
import threading
import time
import traceback

from lepton.runs.dispatch import Dispatch

LOG = logging.getLogger(__name__)
CHECK_EVERY_S = 0.15
IDLE_FACTOR = 6
"""Looking as often while nothing is to do would make predictions wait, where there is one core."""
PAUSE_S = 0.02
"""Between two looks, however much happens: answers to people come first."""
COMMITTED_S = 2.0
"""What was submitted is seen when its transaction ends, which is a little later."""


class RunController:
    """Calls ``Dispatch.tick``: when something happens, several times a second while there are runs, else about once.

    Killing it loses nothing: the next one goes on from the catalog.
    """

    def __init__(self, dispatch: Dispatch, *, check_every_s: float = CHECK_EVERY_S) -> None:
        self._dispatch = dispatch
        self._check_every_s = check_every_s
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="runs", daemon=True)
        self._last_failure = ""

    def start(self) -> None:
        """Begin in a thread of its own."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; runs go on."""
        self._stopping.set()
        self._dispatch.changed.set()
        if self._thread.is_alive():
            self._thread.join()

    def _work(self) -> None:
        busy_until_s = 0.0
        while not self._stopping.is_set():
            if self._dispatch.changed.is_set():
                self._dispatch.changed.clear()
                busy_until_s = time.monotonic() + COMMITTED_S
            is_busy = True
            try:
                is_busy = self._dispatch.tick()
                self._last_failure = ""
            except Exception as error:  # noqa: BLE001 - an edge: the next tick may do better
                self._report(error)
            is_busy = is_busy or time.monotonic() < busy_until_s
            self._stopping.wait(min(PAUSE_S, self._check_every_s))
            self._dispatch.changed.wait(self._check_every_s * (1 if is_busy else IDLE_FACTOR))

    def _report(self, error: Exception) -> None:
        # Frames, not the text: it could hold SQL with what was written.
        frames = (f"{f.filename}:{f.lineno} {f.name}" for f in traceback.extract_tb(error.__traceback__))
        failure = f"{type(error).__name__} at {' < '.join(reversed(list(frames)))}"
        if failure != self._last_failure:  # a database that is away for an hour is one line
            LOG.error("runs: a check failed with %s", failure)
        self._last_failure = failure
