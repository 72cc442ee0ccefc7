"""Unwrapped keys in memory, bounded in number and in time."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict

_ENTRIES = 4096


class KeyCache:
    """The keys used last; safe to share between threads.

    A key that was read before a shredding is not kept after it: `put` refuses one of a generation that has passed.

    Args:
        keep_s: How long a key stays.
    """

    def __init__(self, keep_s: float) -> None:
        self._keep_s = keep_s
        self._lock = threading.Lock()
        self._entries: OrderedDict[tuple[str, str], tuple[bytes, float]] = OrderedDict()
        self._generation = 0

    def get(self, name: tuple[str, str]) -> tuple[bytes | None, int]:
        """Return the key, if it is here, and the generation to give to `put`."""
        with self._lock:
            key, until = self._entries.get(name, (None, 0.0))
            if key is not None and until <= time.monotonic():
                del self._entries[name]
                key = None
            return key, self._generation

    def put(self, name: tuple[str, str], key: bytes, generation: int) -> None:
        """Keep a key, unless the cache was cleared since `get`."""
        with self._lock:
            if generation == self._generation:
                self._entries[name] = (key, time.monotonic() + self._keep_s)
                while len(self._entries) > _ENTRIES:
                    self._entries.popitem(last=False)

    def clear(self) -> None:
        """Forget all keys and start a new generation."""
        with self._lock:
            self._entries.clear()
            self._generation += 1
