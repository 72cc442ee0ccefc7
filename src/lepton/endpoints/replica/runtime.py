"""What can hold a model behind an endpoint: one contract, and the runtimes by the format of the model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from lepton.endpoints.replica.answers import check_answer
from lepton.endpoints.replica.config import Deployment
from lepton.endpoints.replica.sandbox import PythonRuntime
from lepton.models import bundle
from lepton.models.prediction import Arrays, open_session, run_options, run_session
from lepton.models.signature import Signature
from lepton.store.segments import open_segments

MAX_ROWS = 1024
"""Most rows of one run: beyond it a row gets no cheaper, and the others wait longer."""


class Runtime(Protocol):
    """A model in memory. `lepton.testing.runtimes` is its contract as tests.

    Attributes:
        max_rows: Most rows that `predict` may be given.
        off_loop: Whether it must never run in the event loop, as it may take any time; else it does while it is fast.
    """

    max_rows: int
    off_loop: bool

    def predict(self, inputs: Arrays) -> Arrays:
        """Answer N rows of the signature's inputs with N rows of its outputs; called by one thread at a time.

        Raises:
            Unavailable: if it cannot answer now; the batch fails as it is.
            LeptonError: if it cannot answer these rows; each request of the batch is then tried alone. Any other error
                is told as an internal one.
        """
        ...

    def close(self) -> None:
        """Let go of the model; no call follows."""
        ...


class OnnxRuntime:
    """A graph on one thread of onnxruntime. It is decrypted into memory and never written to disk in the clear."""

    max_rows = MAX_ROWS
    off_loop = False

    def __init__(self, graph: bytes, signature: Signature) -> None:
        self._session = open_session(graph)
        self._options = run_options()
        self._signature = signature

    def predict(self, inputs: Arrays) -> Arrays:
        """Run the graph.

        Raises:
            Internal: if the graph refuses, whose own text may quote values and is dropped, or answers wrongly.
        """
        rows = len(next(iter(inputs.values())))
        return check_answer(self._signature, rows, run_session(self._session, self._signature, inputs, self._options))

    def close(self) -> None:
        """Nothing to let go of."""


def load(deployment: Deployment, signature: Signature) -> Runtime:
    """Open what a deployment names."""
    with open_segments(Path(deployment.blob_path), bytes.fromhex(deployment.key), deployment.blob_id) as stream:
        content = stream.read()
    return RUNTIMES[format_of(content)](content, signature)


def format_of(content: bytes) -> str:
    """Say what a stored model is: no graph begins like a zip archive."""
    if not content.startswith(bundle.MAGIC):
        return "onnx"
    return "openai" if bundle.UPSTREAM in bundle.unpack(content) else "python"


def _upstream(content: bytes, signature: Signature) -> Runtime:
    from lepton.endpoints.replica.upstream import Upstream  # an HTTP client, which only these need

    return Upstream(content, signature)


RUNTIMES: dict[str, Callable[[bytes, Signature], Runtime]] = {
    "onnx": OnnxRuntime,
    "python": PythonRuntime,
    "openai": _upstream,
}
"""By the format of the model."""
