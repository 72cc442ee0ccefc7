"""LitServe: one API process and one process a model, ZeroMQ between them (its `fast_queue`)."""

from __future__ import annotations

from benchmarks.serving import records
from benchmarks.serving.cases import Array, Case, Request
from benchmarks.serving.peer import Peer, Place, onnx_environment


def _request(_: Place, case: Case, inputs: Array) -> Request:
    return records.request(f"/predict/{case.model}", "rows", inputs)


PEER = Peer(
    name="litserve",
    packages=("litserve==0.2.19", "uvloop==0.23.0", "httptools==0.9.0", "onnxruntime==1.32.0", "numpy==2.4.6"),
    formats=("json",),
    command=lambda place: [str(place.python), str(place.servers / "litserve_server.py"), str(place.port)],
    environment=onnx_environment,
    request=_request,
    read=records.read,
    quiet="access_log=False",
    note="fast_queue, one worker a model, unbatched (batching was slower)",
)
