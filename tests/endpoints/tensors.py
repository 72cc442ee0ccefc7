"""Writes tensors of the Open Inference Protocol as a client would: as JSON, or as bytes behind it."""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np

from lepton.endpoints.replica.tensors import DATATYPES


def tensor(name: str, datatype: str, data: list[Any], shape: list[int] | None = None) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape or [len(data)], "data": data}


def raw(datatype: str, values: Sequence[Any]) -> bytes:
    """The bytes of a flat tensor, by the words of the protocol."""
    if datatype == "BYTES":
        return b"".join(struct.pack("<I", len(text.encode())) + text.encode() for text in values)
    return np.array(values, dtype=DATATYPES[datatype]).tobytes()


def binary(tensors: Sequence[dict[str, Any]], **more: Any) -> tuple[bytes, int]:
    """The body of a request whose tensors all come as bytes, and the length of its JSON."""
    parts = [raw(one["datatype"], one["data"]) for one in tensors]
    heads = [
        {key: value for key, value in one.items() if key != "data"} | {"parameters": {"binary_data_size": len(part)}}
        for one, part in zip(tensors, parts, strict=True)
    ]
    head = json.dumps({"inputs": heads, **more}).encode()
    return head + b"".join(parts), len(head)
