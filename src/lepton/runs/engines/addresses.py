"""Several addresses of one machine, each taken for a machine of its own: to try out what is meant for many."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from lepton.runs.engines.local import GRACE_S, LocalEngine
from lepton.runs.engines.port import NODE_ADDRESS, EnginePhase, EngineSpec

_ADDRESS = "address"


class AddressesEngine(LocalEngine):
    """Processes of this machine, dealt out to addresses.

    Args:
        root: Folder in which each run has one of its own.
        addresses: Such as ``127.0.0.2``.
        grace_s: How long a worker that was told to end may take.
    """

    def __init__(self, root: Path, addresses: Sequence[str], *, grace_s: float = GRACE_S) -> None:
        super().__init__(root, grace_s=grace_s)
        self._addresses = tuple(addresses)
        self._placing = threading.Lock()

    def submit(self, spec: EngineSpec) -> None:
        """Start the workers at the address that has the fewest living runs of the same word."""
        with self._placing:
            if self.status(spec.run_id).phase is not EnginePhase.UNKNOWN:
                return
            used = Counter(self._used(spec.apart))
            address = min(self._addresses, key=lambda one: used[one])
            super().submit(replace(spec, environment={**spec.environment, NODE_ADDRESS: address}))
            (self._path(spec.run_id) / _ADDRESS).write_text(f"{spec.apart} {address}")

    def _used(self, apart: str) -> list[str]:
        found = []
        for path in self._root.glob(f"*/{_ADDRESS}"):
            with suppress(OSError, ValueError):
                word, address = path.read_text().rsplit(" ", 1)
                if word == apart and self.status(path.parent.name).phase is EnginePhase.RUNNING:
                    found.append(address)
        return found
