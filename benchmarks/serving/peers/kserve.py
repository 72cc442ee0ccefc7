"""KServe's Python server with onnxruntime as a custom model."""

from __future__ import annotations

from benchmarks.serving import oip
from benchmarks.serving.cases import Array, Case, Request
from benchmarks.serving.peer import Peer, Place, onnx_environment


def _command(place: Place) -> list[str]:
    return [
        *(str(place.python), str(place.servers / "kserve_server.py"), f"--http_port={place.port}", "--workers=1"),
        *("--enable_grpc=false", "--enable_latency_logging=false"),
        f"--log_config_file={place.servers / 'kserve_logging.json'}",
    ]


def _request(_: Place, case: Case, inputs: Array) -> Request:
    return oip.request(f"/v2/models/{case.model}/infer", case, inputs)


PEER = Peer(
    name="kserve",
    packages=("kserve==0.21.0", "uvloop==0.23.0", "httptools==0.9.0", "onnxruntime==1.32.0"),
    formats=("oip", "binary"),
    command=_command,
    environment=onnx_environment,
    request=_request,
    read=oip.read,
    quiet="a logging file without uvicorn.access; latency logging off",
    note="one uvicorn worker; gRPC off",
)
