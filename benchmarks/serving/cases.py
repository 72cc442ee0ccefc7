"""What is asked: the two models, their inputs, the right answers, and what a cell of the table is.

Numbers are written with the digits that a client would send: features as float64, pixels as float32 rounded to four
digits. Sixteen different requests go round, so that no server gains by remembering an answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

FEATURES = 30
PIXELS, CLASSES = 784, 10
LAYERS = (PIXELS, 512, 256, CLASSES)
REQUESTS = 16
"""Different requests of a case."""
COLUMNS = [f"feature_{number:02d}" for number in range(FEATURES)]


@dataclass(frozen=True)
class Case:
    """One kind of request.

    Attributes:
        model: ``logistic`` (30 float64 features) or ``mlp`` (784 float32 pixels, layers of 512, 256 and 10).
        rows: Rows in one request.
        format: ``json`` as the peer likes it best, ``oip`` for Open Inference Protocol v2 in JSON, ``binary`` for its
            binary tensors.
    """

    model: str
    rows: int
    format: str

    @property
    def name(self) -> str:
        """Its name on the command line."""
        return f"{self.model}-{self.rows}-{self.format}"

    def inputs(self, number: int) -> Array:
        """Return the rows of one of the requests, [rows, features]."""
        random = np.random.default_rng([number, self.rows, len(self.model)])
        if self.model == "logistic":
            return random.normal(size=(self.rows, FEATURES)).round(6)
        return random.uniform(size=(self.rows, PIXELS)).round(4).astype(np.float32)


FORMATS = ("json", "oip", "binary")
CASES = tuple(Case(model, rows, form) for model in ("logistic", "mlp") for rows in (1, 64) for form in FORMATS)
CONNECTIONS = (1, 16, 64)


@dataclass(frozen=True)
class Request:
    """A POST that a peer understands."""

    path: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "application/json"),)

    def bytes_for(self, port: int) -> bytes:
        """Write it as it goes over the wire: the few headers that a client needs, kept alive."""
        lines = [f"POST {self.path} HTTP/1.1", f"Host: 127.0.0.1:{port}", "Accept: */*"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        lines.append(f"Content-Length: {len(self.body)}")
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + self.body


@dataclass(frozen=True)
class Models:
    """The numbers that every peer serves.

    Attributes:
        weights: Of the logistic regression, float64 [30].
        bias: Of the logistic regression.
        layers: Of the MLP: float32 weights [in, out] and bias [out].
    """

    weights: Array
    bias: float
    layers: tuple[tuple[Array, Array], ...]

    def answers(self, case: Case, inputs: Array) -> Array:
        """Return what is right: the probability of class 1, [rows], or of each of the ten classes, [rows, 10]."""
        if case.model == "logistic":
            return np.asarray(1 / (1 + np.exp(-(inputs @ self.weights + self.bias))))
        hidden = inputs.astype(np.float64)
        for number, (weights, bias) in enumerate(self.layers):
            hidden = hidden @ weights + bias
            if number + 1 < len(self.layers):
                hidden = np.maximum(hidden, 0)
        shares = np.exp(hidden - hidden.max(axis=1, keepdims=True))
        return np.asarray(shares / shares.sum(axis=1, keepdims=True))


TOLERANCE = {"logistic": 1e-6, "mlp": 1e-4}
"""Largest difference of an answer: float64 all the way, and float32 through three layers."""


def mlp_layers() -> tuple[tuple[Array, Array], ...]:
    """Return layers with seeded weights (He's scale); no training, as only their arithmetic is timed."""
    random = np.random.default_rng(0)
    return tuple(
        (
            (random.normal(size=(a, b)) * np.sqrt(2 / a)).astype(np.float32),
            random.normal(0, 0.1, size=b).astype(np.float32),
        )
        for a, b in pairwise(LAYERS)
    )
