"""The texts of one run, encrypted under its own key; also the key of its log."""

from __future__ import annotations

from dataclasses import dataclass

from lepton.store.ciphers import derive
from lepton.store.keys import Keyring


@dataclass(frozen=True)
class Seal:
    """Encrypts the texts of one run, each for its own place.

    Raises:
        NotFound: from every method, if the run's key has been shredded.
    """

    keyring: Keyring
    project: str
    run_id: str

    def close(self, place: str, text: str) -> bytes:
        """Encrypt a text."""
        self.keyring.get(self.project, self._scope)  # sealing alone would replace a key that was shredded on purpose
        return self.keyring.seal(self.project, self._scope, text.encode(), label=f"{self._scope}/{place}")

    def open(self, place: str, sealed: bytes) -> str:
        """Decrypt what was encrypted for a place."""
        return self.keyring.unseal(self.project, self._scope, sealed, label=f"{self._scope}/{place}").decode()

    def log_key(self) -> bytes:
        """Return the 32 bytes that encrypt the log."""
        return derive(self.keyring.get(self.project, self._scope), b"lepton/run-log/1")

    @property
    def _scope(self) -> str:
        return f"run/{self.run_id}"
