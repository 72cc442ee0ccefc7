"""Asks the replicas that live how their deployments do, about once a second, and remembers it for each endpoint.

Asked by the controller's thread, read by any other. What the answers mean is in `watch.py`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress

from lepton.core.clock import Clock
from lepton.core.errors import Unavailable
from lepton.endpoints.drift import Level
from lepton.endpoints.replica.control import Words
from lepton.endpoints.replica.metrics import Counts
from lepton.endpoints.replica.reports import Report
from lepton.endpoints.watch import Point, Tally, Watch

ASK_EVERY_S = 0.9
"""Workers tell once a second; the controller looks twice a second."""
SILENT_S = 5.0
"""A replica that did not answer is left alone for so long: asking must not slow the look at the others."""


class Watching:
    """Remembers every endpoint by its id."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._watches: dict[str, Watch] = {}
        self._ask_at_s: dict[str, float] = {}
        self._levels: dict[tuple[str, str], Level] = {}

    def look(self, endpoint_id: str, ask: Callable[[], Words]) -> list[Report]:
        """Ask a replica, if it is time to; one that does not answer is put up with.

        Args:
            endpoint_id: Whose replica it is.
            ask: Returns what its workers tell.

        Returns:
            The reports that are new.
        """
        now_s = self._clock().timestamp()
        if now_s < self._ask_at_s.get(endpoint_id, 0.0):
            return []
        self._ask_at_s[endpoint_id] = now_s + SILENT_S
        with suppress(Unavailable):
            words = ask()
            self._ask_at_s[endpoint_id] = now_s + ASK_EVERY_S
            with self._lock:
                return self._watches.setdefault(endpoint_id, Watch()).take(words, now_s)
        return []

    def tallies(self, endpoint_id: str) -> dict[str, Tally]:
        """Return what each deployment of an endpoint has done, by model version, as far as is remembered."""
        with self._lock:
            return self._watch(endpoint_id).tallies()

    def recent(self, endpoint_id: str, model: str, seconds: float) -> Counts:
        """Return what a deployment did in the last seconds, at most ten minutes; nothing if it is not known."""
        with self._lock:
            return self._watch(endpoint_id).recent(model, seconds)

    def history(self, endpoint_id: str, model: str) -> list[Point]:
        """Return how a deployment did in the last ten minutes, the oldest first."""
        with self._lock:
            return self._watch(endpoint_id).history(model)

    def level(self, endpoint_id: str, model: str) -> Level:
        """Return the highest drift level among the columns of a deployment."""
        with self._lock:
            return self._levels.get((endpoint_id, model), Level.STABLE)

    def forget(self, endpoint_id: str) -> None:
        """Forget an endpoint that was deleted."""
        with self._lock:
            self._watches.pop(endpoint_id, None)
            self._ask_at_s.pop(endpoint_id, None)
            self._levels = {key: level for key, level in self._levels.items() if key[0] != endpoint_id}

    def _watch(self, endpoint_id: str) -> Watch:
        return self._watches.get(endpoint_id) or Watch()
