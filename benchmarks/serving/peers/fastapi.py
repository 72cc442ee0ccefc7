"""FastAPI, uvicorn and onnxruntime by hand, as a careful engineer would write it."""

from __future__ import annotations

import json

import numpy as np
from benchmarks.serving import oip
from benchmarks.serving.cases import Array, Case, Request
from benchmarks.serving.peer import Peer, Place


def _command(place: Place) -> list[str]:
    return [
        *(str(place.python), "-m", "uvicorn", "fastapi_app:app", "--app-dir", str(place.servers)),
        *("--host", "127.0.0.1", "--port", str(place.port), "--workers", "1"),
        *("--loop", "uvloop", "--http", "httptools", "--lifespan", "off"),
        *("--no-access-log", "--log-level", "warning"),
    ]


def _request(_: Place, case: Case, inputs: Array) -> Request:
    rows = [[float(str(value)) for value in row] for row in inputs]
    return Request(f"/predict/{case.model}", json.dumps({"rows": rows}, separators=(",", ":")).encode())


def _read(case: Case, _: bytes, body: bytes) -> Array:
    return oip.probabilities(case, np.asarray(json.loads(body)["probabilities"]))


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
    environment=lambda place: {f"BENCH_{name.upper()}": str(path) for name, path in place.onnx.items()},
    request=_request,
    read=_read,
    quiet="--no-access-log",
    note="orjson, uvloop, httptools, one intra-op thread; the body is checked by shape, not by pydantic",
)
