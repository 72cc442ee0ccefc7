"""Slows down whoever guesses passwords. Kept in memory, bounded; a restart forgives."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from datetime import datetime, timedelta

_FREE_ATTEMPTS = 5
_LONGEST_WAIT = timedelta(minutes=15)
_NAMES_REMEMBERED = 10_000


class Attempts:
    """Counts failed sign-ins by name: five are free, then each makes the wait twice as long, up to 15 minutes."""

    def __init__(self) -> None:
        self._failures: OrderedDict[bytes, tuple[int, datetime]] = OrderedDict()
        self._lock = threading.Lock()

    def begin(self, name: str, now: datetime) -> timedelta:
        """Count an attempt as failed until `succeeded` says otherwise; return how long to wait first, 0 for now.

        Counting first means that a hundred guesses sent at once are a hundred guesses.
        """
        key = _key(name)
        with self._lock:
            failures, not_before = self._failures.get(key, (0, now))
            if now < not_before:
                return not_before - now
            failures += 1
            wait = timedelta(seconds=2 ** min(failures - _FREE_ATTEMPTS, 12)) if failures >= _FREE_ATTEMPTS else None
            self._failures[key] = (failures, now + min(wait, _LONGEST_WAIT) if wait else now)
            self._failures.move_to_end(key)
            if len(self._failures) > _NAMES_REMEMBERED:
                self._failures.popitem(last=False)
            return timedelta(0)

    def succeeded(self, name: str) -> None:
        """Forget the failures of a name."""
        with self._lock:
            self._failures.pop(_key(name), None)


def _key(name: str) -> bytes:
    """Name a name in a few bytes: anybody can send ten thousand that are as long as a body may be."""
    return hashlib.sha256(name.encode(errors="surrogatepass")).digest()
