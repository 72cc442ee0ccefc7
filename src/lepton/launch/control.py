"""How a launcher talks to the platform: as its run, over REST, and patiently, as the platform may be away."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from lepton.client.sdk import Client
from lepton.core.errors import Unavailable

T = TypeVar("T")
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 5.0


class Stopped(Exception):
    """The run is to end, so nobody waits for the platform any more."""


class Control:
    """The platform, as a run sees it.

    Args:
        environment: Where ``LEPTON_URL``, ``LEPTON_TOKEN`` and so on are.
        stop: Set when the run is to end.
    """

    def __init__(self, environment: Mapping[str, str], stop: threading.Event) -> None:
        self._url = environment["LEPTON_URL"]
        self._token = environment["LEPTON_TOKEN"]
        self._project = environment["LEPTON_PROJECT"]
        self._file = environment.get("LEPTON_URL_FILE", "")
        self._stop = stop
        self._client: Client | None = None

    @property
    def url(self) -> str:
        """Where the platform is now; one that was started anew may be elsewhere."""
        try:
            return Path(self._file).read_text().strip() or self._url if self._file else self._url
        except OSError:  # this is another machine
            return self._url

    def ask(self, question: Callable[[Client], T]) -> T:
        """Ask, again and again while the platform is away.

        Raises:
            Stopped: if the run is to end first.
            LeptonError: what the platform answers.
        """
        pause_s = FIRST_PAUSE_S
        while True:
            try:
                return question(self._connected())
            except Unavailable:
                self._client = None  # it may come back elsewhere
                if self._stop.wait(pause_s):
                    raise Stopped from None
                pause_s = min(pause_s * 2, LONGEST_PAUSE_S)

    def _connected(self) -> Client:
        client = self._client
        if client is None:
            client = self._client = Client(self.url, self._token, project=self._project)
        return client

    def for_the_command(self) -> dict[str, str]:
        """Return what the command finds in its environment, so that ``lepton.connect()`` works in it."""
        told = {name: os.environ[name] for name in ("LEPTON_RUN_ID",) if name in os.environ}
        return told | {"LEPTON_URL": self.url, "LEPTON_TOKEN": self._token, "LEPTON_PROJECT": self._project}
