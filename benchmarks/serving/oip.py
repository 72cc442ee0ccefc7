"""Open Inference Protocol v2 as a client writes and reads it: JSON, and the binary tensor extension.

Several peers speak it; one tensor "input" [rows, features] goes in, "probabilities" (and "label") come out.
"""

from __future__ import annotations

import json

import numpy as np
from benchmarks.serving import records
from benchmarks.serving.cases import Array, Case, Request
from benchmarks.serving.peer import NotMeasured

_TYPES = {"FP64": np.float64, "FP32": np.float32, "INT64": np.int64}


def request(path: str, case: Case, inputs: Array, *, name: str = "input", outputs: bool = True) -> Request:
    """Write a request with one tensor.

    Args:
        path: Where the model answers.
        case: The format and the model's type of numbers.
        inputs: Its rows.
        name: Name of the tensor.
        outputs: Whether to ask for every output in binary, as `tritonclient` does.
    """
    datatype = "FP64" if case.model == "logistic" else "FP32"
    tensor: dict[str, object] = {"name": name, "shape": list(inputs.shape), "datatype": datatype}
    if case.format != "binary":
        tensor["data"] = [digits for row in inputs for digits in records.digits(row)]
        return Request(path, json.dumps({"inputs": [tensor]}, separators=(",", ":")).encode())
    raw = inputs.tobytes()
    whole: dict[str, object] = {"inputs": [tensor | {"parameters": {"binary_data_size": len(raw)}}]}
    if outputs:
        whole["parameters"] = {"binary_data_output": True}
    head = json.dumps(whole, separators=(",", ":")).encode()
    headers = (("Content-Type", "application/octet-stream"), ("Inference-Header-Content-Length", str(len(head))))
    return Request(path, head + raw, headers)


def read(case: Case, head: bytes, body: bytes) -> Array:
    """Return the probabilities of an answer; of the logistic regression those of class 1."""
    tensors = tensors_of(head, body)
    if "probabilities" not in tensors:
        raise NotMeasured(f"the answer has no tensor 'probabilities', only {', '.join(tensors)}")
    shares = tensors["probabilities"]
    return shares[:, 1] if case.model == "logistic" else shares


def tensors_of(head: bytes, body: bytes) -> dict[str, Array]:
    """Read every output tensor, in JSON or binary."""
    length = len(body)
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"inference-header-content-length":
            length = int(value)
    at = length
    tensors = {}
    for tensor in json.loads(body[:length])["outputs"]:
        kind = _TYPES[tensor["datatype"]]
        if "data" in tensor:
            array = np.asarray(tensor["data"], kind)
        else:
            size = tensor["parameters"]["binary_data_size"]
            array = np.frombuffer(body[at : at + size], kind)
            at += size
        tensors[tensor["name"]] = array.reshape(tensor["shape"])
    return tensors
