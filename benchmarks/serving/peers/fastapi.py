"""FastAPI, uvicorn and onnxruntime by hand, as a careful engineer would write it."""

from __future__ import annotations

from benchmarks.serving import records
from benchmarks.serving.cases import Array, Case, Request
from benchmarks.serving.peer import Peer, Place, onnx_environment


def _command(place: Place) -> list[str]:
    return [
        *(str(place.python), "-m", "uvicorn", "fastapi_app:app"),
        *("--host", "127.0.0.1", "--port", str(place.port), "--workers", "1"),
        *("--loop", "uvloop", "--http", "httptools", "--lifespan", "off"),
        *("--no-access-log", "--log-level", "warning"),
    ]


def _request(_: Place, case: Case, inputs: Array) -> Request:
    return records.request(f"/predict/{case.model}", "rows", inputs)


PEER = Peer(
    name="fastapi",
    packages=(
        "fastapi==0.165.0",
        "uvicorn==0.54.0",
        "uvloop==0.23.0",
        "httptools==0.9.0",
        "orjson==3.13.0",
        "onnxruntime==1.32.0",
        "numpy==2.4.6",
    ),
    formats=("json",),
    command=_command,
    environment=onnx_environment,
    request=_request,
    read=records.read,
    quiet="--no-access-log",
    note="orjson, uvloop, httptools, one intra-op thread; the body is checked by shape, not by pydantic",
)
