"""Plain JSON as the peers without a protocol of their own take it: ``{"rows": [[…], …]}``, and a dictionary back."""

from __future__ import annotations

import json

import numpy as np
from benchmarks.serving.cases import Array, Case, Request


def digits(row: Array) -> list[float]:
    """Return numbers that JSON writes with the few digits they were rounded to, from float32 too."""
    rounded: list[float] = row.astype(np.float64).round(6).tolist()
    return rounded


def request(path: str, key: str, inputs: Array) -> Request:
    """Write a request whose body has the rows under one key."""
    return Request(path, json.dumps({key: [digits(row) for row in inputs]}, separators=(",", ":")).encode())


def read(case: Case, _: bytes, body: bytes) -> Array:
    """Return the probabilities of an answer; of the logistic regression those of class 1."""
    answer = json.loads(body)
    shares = np.asarray(answer.get("predictions", answer)["probabilities"])
    return shares[:, 1] if case.model == "logistic" else shares
