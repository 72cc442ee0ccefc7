"""No server that could be used: what one epoll loop in C reaches on this machine, with and without the arithmetic."""

from __future__ import annotations

import json
import struct

import numpy as np
from benchmarks.serving import oip
from benchmarks.serving.cases import CASES, REQUESTS, Array, Case, Request
from benchmarks.serving.load import compile_c
from benchmarks.serving.peer import NotMeasured, Peer, Place


def _prepare_fixed(place: Place) -> None:
    compile_c("ceiling", place.folder)
    answers = [_answer(place, case, case.inputs(number)) for case in CASES for number in range(REQUESTS)]
    (place.folder / "answers").write_bytes(b"".join(struct.pack("<I", len(answer)) + answer for answer in answers))


def _prepare_computing(place: Place) -> None:
    compile_c("ceiling", place.folder)
    (place.folder / "answers").write_bytes(b"")
    weights = np.append(place.models.weights, place.models.bias)
    (place.folder / "weights").write_bytes(weights.astype("<f8").tobytes())


def _answer(place: Place, case: Case, inputs: Array) -> bytes:
    shares = place.models.answers(case, inputs)
    outputs: list[dict[str, object]] = []
    if case.model == "logistic":
        outputs.append(_tensor("label", "INT64", (shares > 0.5).astype(int)))
        shares = np.stack([1 - shares, shares], axis=1)
    outputs.append(_tensor("probabilities", "FP64", shares))
    return json.dumps({"model_name": case.model, "outputs": outputs}, separators=(",", ":")).encode()


def _tensor(name: str, datatype: str, values: Array) -> dict[str, object]:
    return {"name": name, "datatype": datatype, "shape": list(values.shape), "data": values.ravel().tolist()}


def _fixed(_: Place, case: Case, inputs: Array) -> Request:
    number = next(n for n in range(REQUESTS) if np.array_equal(case.inputs(n), inputs))
    return oip.request(f"/{CASES.index(case) * REQUESTS + number}", case, inputs)


def _computing(_: Place, case: Case, inputs: Array) -> Request:
    if case.model != "logistic":
        raise NotMeasured("it computes only the logistic regression")
    return oip.request(f"/{case.format}", case, inputs)


def _command(place: Place) -> list[str]:
    files = [place.folder / name for name in ("answers", "weights")]
    return [str(place.folder / "ceiling"), str(place.port), *(str(file) for file in files if file.exists())]


FIXED = Peer(
    name="c-fixed",
    packages=(),
    formats=("oip",),
    prepare=_prepare_fixed,
    command=_command,
    request=_fixed,
    read=oip.read,
    quiet="it has none",
    note="C, epoll: finds the end of the request and answers fixed bytes",
)
COMPUTING = Peer(
    name="c-computing",
    packages=(),
    formats=("oip", "binary"),
    prepare=_prepare_computing,
    command=_command,
    request=_computing,
    read=oip.read,
    quiet="it has none",
    note="the same, and it parses the numbers and computes the answer",
)
