"""What a balanced endpoint must know again after it was killed: its identity, and which runs are its own."""

from __future__ import annotations

import json
import os
import secrets
import sys
import threading
from collections.abc import Mapping
from pathlib import Path

from lepton.core.tls import Identity

_FILE = "state.json"


class State:
    """A file of mode 0600 in a folder of mode 0700.

    Args:
        folder: Where; made if it is not there.
        environment: Variables that every replica gets.

    Attributes:
        identity: What this endpoint proves itself with to its replicas.
        log_key: Encrypts what replicas say to their engine.
        command: Starts a replica.
    """

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = folder / _FILE
        self._lock = threading.Lock()
        self.environment = dict(environment)
        self.command = (sys.executable, "-P", "-m", "lepton.endpoints.balanced.node")
        try:
            kept = json.loads(self._path.read_text())
            self.identity = Identity(**kept["identity"])
            self.log_key = bytes.fromhex(kept["log_key"])
            self._runs: dict[int, str] = {int(slot): run_id for slot, run_id in kept["runs"].items()}
        except (OSError, ValueError, KeyError, TypeError):
            self.identity, self.log_key, self._runs = Identity.new(), secrets.token_bytes(32), {}
            self._write()

    @property
    def slots(self) -> list[int]:
        """Places that had a replica when this was written."""
        return sorted(self._runs)

    def run_of(self, slot: int) -> str:
        """Return what the engine knows a place's replica by; empty if there is none."""
        return self._runs.get(slot, "")

    def remember(self, slot: int, run_id: str) -> None:
        """Write down a run before it is submitted: nobody else would find and end it."""
        with self._lock:
            self._runs[slot] = run_id
            self._write()

    def forget(self, slot: int) -> None:
        """Forget a run that has ended."""
        with self._lock:
            self._runs.pop(slot, None)
            self._write()

    def _write(self) -> None:
        kept = {"identity": {"certificate": self.identity.certificate, "key": self.identity.key}}
        text = json.dumps(kept | {"log_key": self.log_key.hex(), "runs": self._runs})
        partial = self._path.with_suffix(".new")
        with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        partial.rename(self._path)
