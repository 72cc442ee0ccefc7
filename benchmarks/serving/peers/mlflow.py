"""`mlflow models serve`, with onnxruntime in a Python model; it serves one model, so that one holds both graphs."""

from __future__ import annotations

import subprocess

from benchmarks.serving import records
from benchmarks.serving.cases import Array, Case, Request
from benchmarks.serving.peer import NotMeasured, Peer, Place, onnx_environment


def _prepare(place: Place) -> None:
    command = [str(place.python), str(place.servers / "mlflow_model.py"), str(place.folder / "model")]
    environment = _environment(place) | {"PATH": str(place.python.parent), "HOME": str(place.folder)}
    done = subprocess.run(
        command, cwd=place.folder, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    if done.returncode != 0:
        raise NotMeasured(f"its model could not be saved: {done.stderr.strip().splitlines()[-1]}")


def _command(place: Place) -> list[str]:
    return [
        *(str(place.python), "-m", "mlflow", "models", "serve", "--model-uri", str(place.folder / "model")),
        *("--host", "127.0.0.1", "--port", str(place.port), "--workers", "1", "--env-manager", "local"),
    ]


def _environment(place: Place) -> dict[str, str]:
    # MLflow starts uvicorn's own command, which reads its options from variables too.
    quiet = {"UVICORN_ACCESS_LOG": "false", "UVICORN_LOG_LEVEL": "warning"}
    return onnx_environment(place) | quiet | {"MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true"}


def _request(_: Place, case: Case, inputs: Array) -> Request:
    return records.request("/invocations", "inputs", inputs)


PEER = Peer(
    name="mlflow",
    packages=("mlflow==3.17.2", "uvloop==0.23.0", "httptools==0.9.0", "onnxruntime==1.32.0"),
    formats=("json",),
    prepare=_prepare,
    command=_command,
    environment=_environment,
    request=_request,
    read=records.read,
    quiet="UVICORN_ACCESS_LOG=false",
    note="one uvicorn worker, local environment",
)
