"""The model in memory: a session over the decrypted graph, which is never written to disk in the clear."""

from __future__ import annotations

from pathlib import Path

from lepton.endpoints.replica.config import Deployment
from lepton.models.prediction import Arrays, open_session, run_session
from lepton.models.signature import Signature
from lepton.store.segments import open_segments


class Runtime:
    """Runs one model graph on one thread."""

    def __init__(self, config: Deployment, signature: Signature) -> None:
        with open_segments(Path(config.blob_path), bytes.fromhex(config.key), config.blob_id) as stream:
            self._session = open_session(stream.read())
        self._signature = signature

    def predict(self, inputs: Arrays) -> Arrays:
        """Run the graph on columns of one length.

        Raises:
            Internal: if the graph refuses; its own text may quote values and is dropped.
        """
        return run_session(self._session, self._signature, inputs)
