"""Optuna's journal on the platform: the one place of the SDK that imports Optuna.

What Optuna writes goes to the platform as it is, as text; nothing of it is unpickled there or here.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from lepton.client.answers import Answer, decode
from lepton.client.sdk import Client, connect
from lepton.core.errors import InvalidInput, Unavailable

try:
    import optuna
    from optuna.storages import JournalStorage
    from optuna.storages.journal import BaseJournalBackend
except ModuleNotFoundError:
    raise InvalidInput("Optuna is not installed here. Install it with: pip install 'lepton-platform[tune]'") from None

JOURNAL = "optuna"
"""The journal of whoever names none."""
PATIENCE_S = 600.0
"""How long a platform that is away is waited for."""
_LONGEST_BATCH = 500


@dataclass(frozen=True, kw_only=True)
class Page(Answer):
    """Entries of a journal; `next` is the number of the one behind them, `total` how many there are."""

    entries: tuple[str, ...]
    next: int
    total: int


class JournalBackend(BaseJournalBackend):
    """A journal on the platform, for `optuna.storages.JournalStorage`.

    Several programs may write to one at a time. Each batch has a name of its own, so that one whose answer is lost is
    sent again and written once. A platform that is away for up to ten minutes is waited for.
    """

    def __init__(
        self, client: Client, journal: str = JOURNAL, *, patience_s: float = PATIENCE_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        """Take a journal.

        Args:
            client: The platform.
            journal: Name of the journal; it is made when something is written to it.
            patience_s: How long to wait for a platform that is away.
            clock: Seconds.
        """
        self._client = client
        self._journal = journal
        self._patience_s = patience_s
        self._clock = clock
        self._seen = 0
        self._came: tuple[int, Page] | None = None

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Write entries, all of them or, if the platform stays away, none."""
        for first in range(0, len(logs), _LONGEST_BATCH):
            entries = [json.dumps(log, separators=(",", ":")) for log in logs[first : first + _LONGEST_BATCH]]
            batch, seen = uuid.uuid4().hex, self._seen
            append = partial(self._client.models.append_journal, self._journal, batch, entries, after=seen)
            # What Optuna reads next comes along with the answer.
            self._came = (seen, self._patient(append))

    def read_logs(self, log_number_from: int) -> list[dict[str, Any]]:
        """Read the entries from a number on."""
        found: list[str] = []
        came, self._came = self._came, None
        page = came[1] if came is not None and came[0] == log_number_from else None
        while page is None or page.next < page.total:
            if page is None:
                page = self._read(log_number_from)
            else:
                found += page.entries
                page = self._read(page.next)
        found += page.entries
        self._seen = log_number_from + len(found)
        return [json.loads(entry) for entry in found]

    def _read(self, after: int) -> Page:
        return self._patient(partial(self._client.models.read_journal, self._journal, after=after))

    def _patient(self, ask: Callable[[], bytes]) -> Page:
        deadline = self._clock() + self._patience_s
        while True:
            try:
                return decode(Page, ask())
            except Unavailable:
                if self._clock() >= deadline:
                    raise
                self._client.transport.pause(0.5)


def optuna_storage(journal: str = JOURNAL, *, client: Client | None = None) -> JournalStorage:
    """Return a storage for Optuna's studies on the platform, for ``optuna.create_study(storage=…)``.

    Args:
        journal: The studies of one journal know each other's names; programs that work on one study name the same.
        client: The platform; None takes what `lepton.connect` finds.

    Example::

        study = optuna.create_study(storage=lepton.optuna_storage(), study_name="net", load_if_exists=True)
        study.optimize(objective, n_trials=100)
    """
    return JournalStorage(JournalBackend(client or connect(), journal))


def quiet() -> None:
    """Let Optuna say only what is wrong."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
