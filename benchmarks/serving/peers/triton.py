"""NVIDIA Triton, from the wheel that carries it with its Python back end (no other back end comes as a wheel)."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from benchmarks.serving import oip
from benchmarks.serving.cases import Array, Case, Request
from benchmarks.serving.peer import Peer, Place

_CONFIG = """
backend: "python"
max_batch_size: 4096
input [{{ name: "input" data_type: {type} dims: [{features}] }}]
output [{outputs}]
instance_group [{{ count: 1 kind: KIND_CPU }}]
dynamic_batching {{ max_queue_delay_microseconds: 0 }}
"""
_LABEL = '{ name: "label" data_type: TYPE_INT64 dims: [1] reshape: { shape: [] } },'


def _files(place: Place) -> Path:
    version = f"python3.{_minor(place)}"
    return place.python.parent.parent / "lib" / version / "site-packages" / "pytriton" / "tritonserver"


def _minor(place: Place) -> str:
    return next((place.python.parent.parent / "lib").glob("python3.*")).name.removeprefix("python3.")


def _prepare(place: Place) -> None:
    backend = place.folder / "backends" / "python"
    shutil.copytree(_files(place) / "backends" / "python", backend)
    stub = f"python_backend_stubs/3.{_minor(place)}/triton_python_backend_stub"
    shutil.copy(_files(place) / stub, backend / "triton_python_backend_stub")
    for name, onnx in place.onnx.items():
        folder = place.folder / "models" / name
        (folder / "1").mkdir(parents=True)
        shutil.copy(place.servers / "triton_model.py", folder / "1" / "model.py")
        shutil.copy(onnx, folder / "1" / "model.onnx")
        logistic = name == "logistic"
        probabilities = '{{ name: "probabilities" data_type: {} dims: [{}] }}'
        config = _CONFIG.format(
            type="TYPE_FP64" if logistic else "TYPE_FP32",
            features=30 if logistic else 784,
            outputs=(_LABEL if logistic else "")
            + probabilities.format(*(("TYPE_FP64", 2) if logistic else ("TYPE_FP32", 10))),
        )
        (folder / "config.pbtxt").write_text(config)


def _command(place: Place) -> list[str]:
    return [
        str(_files(place) / "bin" / "tritonserver"),
        f"--model-repository={place.folder / 'models'}",
        f"--backend-directory={place.folder / 'backends'}",
        *("--http-address=127.0.0.1", f"--http-port={place.port}", "--http-thread-count=1"),
        *("--allow-grpc=false", "--allow-metrics=false", "--log-info=false", "--log-verbose=0"),
    ]


def _environment(place: Place) -> dict[str, str]:
    packages = _files(place).parent.parent
    libraries = [str(packages / "nvidia_pytriton.libs"), os.environ.get("LD_LIBRARY_PATH", "")]
    return {"PYTHONPATH": str(packages), "LD_LIBRARY_PATH": ":".join(filter(None, libraries))}


def _request(_: Place, case: Case, inputs: Array) -> Request:
    return oip.request(f"/v2/models/{case.model}/infer", case, inputs)


PEER = Peer(
    name="triton",
    packages=("nvidia-pytriton==0.7.0", "onnxruntime==1.32.0"),
    formats=("oip", "binary"),
    prepare=_prepare,
    command=_command,
    environment=_environment,
    request=_request,
    read=oip.read,
    quiet="--log-info=false (it has no access log)",
    note="Python back end with onnxruntime, dynamic batching, one HTTP thread, one instance; metrics off",
)
