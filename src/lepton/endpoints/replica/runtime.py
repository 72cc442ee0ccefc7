"""What can hold a model behind an endpoint: one contract, and the runtimes by the format of the model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from lepton.endpoints.replica.config import Deployment
from lepton.models.prediction import Arrays, open_session, run_session
from lepton.models.signature import Signature
from lepton.store.segments import open_segments

MAX_ROWS = 1024
"""Most rows of one run: beyond it a row gets no cheaper, and the others wait longer."""


class Runtime(Protocol):
    """A model in memory.

    Attributes:
        max_rows: Most rows that `predict` may be given.
    """

    max_rows: int

    def predict(self, inputs: Arrays) -> Arrays:
        """Answer N rows of the signature's inputs with N rows of its outputs; called by one thread at a time.

        Raises:
            LeptonError: if it cannot; any other error is told as an internal one.
        """
        ...


class OnnxRuntime:
    """A graph on one thread of onnxruntime. It is decrypted into memory and never written to disk in the clear."""

    max_rows = MAX_ROWS

    def __init__(self, graph: bytes, signature: Signature) -> None:
        self._session = open_session(graph)
        self._signature = signature

    def predict(self, inputs: Arrays) -> Arrays:
        """Run the graph.

        Raises:
            Internal: if the graph refuses; its own text may quote values and is dropped.
        """
        return run_session(self._session, self._signature, inputs)


def load(deployment: Deployment, signature: Signature) -> Runtime:
    """Open what a deployment names."""
    with open_segments(Path(deployment.blob_path), bytes.fromhex(deployment.key), deployment.blob_id) as stream:
        return RUNTIMES["onnx"](stream.read(), signature)


RUNTIMES: dict[str, Callable[[bytes, Signature], Runtime]] = {"onnx": OnnxRuntime}
"""By the format of the model."""
