"""The thread that keeps replicas as the catalog says they should be."""

from __future__ import annotations

import logging
import threading

from lepton.endpoints.operations import Endpoints

LOG = logging.getLogger(__name__)
BUSY_S = 0.1
"""Between looks while something is starting, as somebody waits for it."""
IDLE_S = 1.0
"""While all stand as they should: looking more often would make predictions wait, where there is one core."""


class EndpointController:
    """Calls ``Endpoints.tick`` when something changed, and about once a second to notice replicas that died."""

    def __init__(self, endpoints: Endpoints) -> None:
        self._endpoints = endpoints
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._work, name="endpoints", daemon=True)

    def start(self) -> None:
        """Begin in a thread of its own."""
        self._endpoints.is_looked_after = True
        self._thread.start()

    def stop(self) -> None:
        """End the thread; replicas go on."""
        self._endpoints.is_looked_after = False
        self._stopping.set()
        self._endpoints.changed.set()
        if self._thread.is_alive():
            self._thread.join()

    def _work(self) -> None:
        while not self._stopping.is_set():
            is_busy = False
            try:
                is_busy = self._endpoints.tick(wait_s=0)
            except Exception as error:  # noqa: BLE001 - an edge: the next tick may do better
                LOG.error("endpoints: a check failed with %s", type(error).__name__)
            self._endpoints.changed.wait(BUSY_S if is_busy else IDLE_S)
            self._endpoints.changed.clear()
