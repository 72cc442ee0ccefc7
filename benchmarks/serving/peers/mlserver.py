"""MLServer with onnxruntime as a custom runtime, inference inside its one process (`parallel_workers` 0)."""

from __future__ import annotations

import json
import shutil

from benchmarks.serving import oip
from benchmarks.serving.cases import Array, Case, Request
from benchmarks.serving.peer import Peer, Place, onnx_environment


def _prepare(place: Place) -> None:
    settings = {
        "debug": False,
        "host": "127.0.0.1",
        "http_port": place.port,
        "grpc_port": 0,
        "metrics_endpoint": None,
        "parallel_workers": 0,
        "gzip_enabled": False,
    }
    (place.folder / "settings.json").write_text(json.dumps(settings))
    for name in place.onnx:
        folder = place.folder / name
        folder.mkdir()
        shutil.copy(place.servers / "mlserver_model.py", folder / "mlserver_model.py")
        model = {"name": name, "implementation": "mlserver_model.OnnxRuntime"}
        (folder / "model-settings.json").write_text(json.dumps(model))


def _request(_: Place, case: Case, inputs: Array) -> Request:
    return oip.request(f"/v2/models/{case.model}/infer", case, inputs)


PEER = Peer(
    name="mlserver",
    packages=("mlserver==1.7.1", "uvloop==0.23.0", "httptools==0.9.0", "onnxruntime==1.32.0"),
    formats=("oip",),
    prepare=_prepare,
    command=lambda place: [str(place.python.parent / "mlserver"), "start", str(place.folder)],
    environment=onnx_environment,
    request=_request,
    read=oip.read,
    quiet='"debug": false',
    note="onnxruntime as a custom runtime, no worker pool, no adaptive batching; metrics and gzip off",
)
