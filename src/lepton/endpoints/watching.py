"""Asks the replicas that live how their deployments do, about once a second, and remembers it for each endpoint.

Asked by the controller's thread, read by any other. What the answers mean is in `watch.py`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import replace

from lepton.core.clock import Clock
from lepton.core.errors import Unavailable
from lepton.endpoints.drift import Level
from lepton.endpoints.drifting import Drifting, DriftReport
from lepton.endpoints.measures import RECENT_S, DeploymentMetrics, measured
from lepton.endpoints.replica.control import Words
from lepton.endpoints.replica.metrics import Counts
from lepton.endpoints.request_log import Fresh
from lepton.endpoints.watch import Hearing, Tally, Watch, of_endpoint

ASK_EVERY_S = 0.9
"""Workers tell once a second; the controller looks about as often."""
SILENT_S = 5.0
"""A replica that did not answer is left alone for so long: asking must not slow the look at the others."""
COMPARE_EVERY_S = 60.0
SOON_S = 5.0
"""While somebody looks."""


class Watching:
    """Remembers every endpoint by its id."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._watches: dict[str, Watch] = {}
        self._hearings: dict[str, Hearing] = {}
        self._ask_at_s: dict[str, float] = {}
        self._fresh: dict[str, Fresh] = {}
        self._drifting: dict[tuple[str, str], Drifting] = {}
        self._compared_s: dict[str, float] = {}
        self._wanted: set[str] = set()

    def look(self, endpoints: Mapping[str, str], ask: Callable[[], Words]) -> dict[str, dict[str, bytes]]:
        """Ask a replica, if it is time to; one that does not answer is put up with.

        Args:
            endpoints: Ids of those that it answers for, by name; the one that the replica is of first.
            ask: Returns what its workers tell.

        Returns:
            The requests for the log that are new, as `Fresh.to_keep` gives them, by the endpoint's id.
        """
        now_s = self._clock().timestamp()
        owner = next(iter(endpoints.values()))
        if now_s < self._ask_at_s.get(owner, 0.0):
            return {}
        self._ask_at_s[owner] = now_s + SILENT_S
        try:
            words = ask()
        except Unavailable:
            return {}
        self._ask_at_s[owner] = now_s + ASK_EVERY_S
        alive, ended = self._hearings.setdefault(owner, Hearing()).read(words)
        found = {}
        for name, endpoint_id in endpoints.items():
            with self._lock:
                watch = self._watches.setdefault(endpoint_id, Watch())
                reports = watch.take(of_endpoint(alive, name), of_endpoint(ended, name), now_s)
            found[endpoint_id] = self._fresh.setdefault(endpoint_id, Fresh()).to_keep(reports)
        return found

    def compare(
        self, endpoint_id: str, first: str, load: Callable[[str], Drifting | None]
    ) -> list[tuple[str, DriftReport]]:
        """Compare the deployments of an endpoint with what their models learned from, if it is time to.

        Args:
            endpoint_id: The endpoint.
            first: The model version that serves it, which may not have been heard of yet.
            load: Returns what is kept of a deployment, by model version; None if it is not compared.

        Returns:
            The new reports, by model version.
        """
        now_s = self._clock().timestamp()
        pause_s = SOON_S if endpoint_id in self._wanted else COMPARE_EVERY_S
        if now_s - self._compared_s.get(endpoint_id, 0.0) < pause_s:
            return []
        self._wanted.discard(endpoint_id)
        self._compared_s[endpoint_id] = now_s
        found: list[tuple[str, DriftReport]] = []
        for model, tally in ({first: Tally()} | self.tallies(endpoint_id)).items():
            drifting = self._drifting.get((endpoint_id, model)) or load(model)
            if drifting is not None:
                self._drifting[endpoint_id, model] = drifting
                if drifting.look(tally.windows, now_s) and drifting.report is not None:
                    found.append((model, drifting.report))
        if not found:  # no row was counted yet
            self._wanted.add(endpoint_id)
        return found

    def compare_soon(self, endpoint_id: str) -> None:
        """Compare more often until it was done once, as somebody wants to know."""
        self._wanted.add(endpoint_id)

    def tallies(self, endpoint_id: str) -> dict[str, Tally]:
        """Return what each deployment of an endpoint has done, by model version, as far as is remembered."""
        with self._lock:
            return self._watch(endpoint_id).tallies()

    def recent(self, endpoint_id: str, model: str, seconds: float) -> Counts:
        """Return what a deployment did in the last seconds, at most ten minutes; nothing if it is not known."""
        with self._lock:
            return self._watch(endpoint_id).recent(model, seconds)

    def measures(self, endpoint_id: str, first: str, visible: frozenset[str]) -> list[DeploymentMetrics]:
        """Return how each deployment of an endpoint does, the one that serves `first` before the others.

        Args:
            endpoint_id: The endpoint.
            first: A model version.
            visible: Columns of which numbers of drift are shown.
        """
        now_s = self._clock().timestamp()
        with self._lock:
            watch = self._watch(endpoint_id)
            tallies = {first: Tally()} | watch.tallies()
            found = [
                measured(model, tally, watch.latest(model, RECENT_S, now_s), watch.history(model))
                for model, tally in tallies.items()
            ]
        return [replace(one, drift=self._drift(endpoint_id, one.model, visible)) for one in found]

    def level(self, endpoint_id: str, model: str) -> Level:
        """Return the highest drift level among the columns of a deployment."""
        drifting = self._drifting.get((endpoint_id, model))
        return Level.STABLE if drifting is None else drifting.level

    def forget(self, endpoint_id: str) -> None:
        """Forget an endpoint that was deleted."""
        with self._lock:
            self._watches.pop(endpoint_id, None)
            self._hearings.pop(endpoint_id, None)
            self._ask_at_s.pop(endpoint_id, None)
            self._fresh.pop(endpoint_id, None)
            self._compared_s.pop(endpoint_id, None)
            self._wanted.discard(endpoint_id)
            self._drifting = {key: one for key, one in self._drifting.items() if key[0] != endpoint_id}

    def _drift(self, endpoint_id: str, model: str, visible: frozenset[str]) -> DriftReport | None:
        drifting = self._drifting.get((endpoint_id, model))
        if drifting is None or drifting.report is None:
            return None
        return drifting.report.of(visible)

    def _watch(self, endpoint_id: str) -> Watch:
        return self._watches.get(endpoint_id) or Watch()
