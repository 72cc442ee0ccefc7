"""BentoML: one service with one worker that holds both models."""

from __future__ import annotations

from benchmarks.serving import records
from benchmarks.serving.cases import Array, Case, Request
from benchmarks.serving.peer import Peer, Place, onnx_environment


def _command(place: Place) -> list[str]:
    return [
        *(str(place.python), "-m", "bentoml", "serve", "bentoml_service:Bench", "--working-dir", str(place.servers)),
        *("--host", "127.0.0.1", "--port", str(place.port), "--quiet", "--do-not-track"),
    ]


def _request(_: Place, case: Case, inputs: Array) -> Request:
    return records.request(f"/{case.model}", "rows", inputs)


PEER = Peer(
    name="bentoml",
    packages=("bentoml==1.4.40", "uvloop==0.23.0", "httptools==0.9.0", "onnxruntime==1.32.0"),
    formats=("json",),
    command=_command,
    environment=lambda place: onnx_environment(place) | {"BENTOML_HOME": str(place.folder)},
    request=_request,
    read=records.read,
    quiet="logging.access.enabled: False in the service",
    note="one worker, no adaptive batching; metrics off",
)
