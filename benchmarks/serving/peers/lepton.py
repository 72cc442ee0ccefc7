"""Lepton as a user runs it: `lepton up`, a deployed endpoint, a real token; checks, metrics and limits are all on."""

from __future__ import annotations

import json
import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from benchmarks.serving import oip, processes, records
from benchmarks.serving.cases import COLUMNS, Array, Case, Request
from benchmarks.serving.peer import Peer, Place

ENDPOINTS = {"logistic": "bench", "mlp": "mlp"}
HOME = "lepton-home"
"""Folder beside the peers' own; `models.train` made it."""


def _home(place: Place) -> Path:
    return place.folder.parent / HOME


def _prepare(place: Place) -> None:
    import lepton

    with lepton.open(_home(place)) as client:
        token = client.tokens.create("bench", scopes=["endpoints.predict"]).secret
        urls = {"logistic": client.endpoints.deploy("bench", model="bench@1").url}
        client.models.register("mlp", code=place.onnx["mlp"])
        urls["mlp"] = client.endpoints.deploy("mlp", model="mlp@1").url
    (place.folder / "address.json").write_text(json.dumps({"urls": urls, "token": token}))
    _stop(place)


def _address(place: Place) -> dict[str, Any]:
    return dict(json.loads((place.folder / "address.json").read_text()))


def _port(place: Place, model: str) -> int:
    return int(_address(place)["urls"][model].split(":")[2].partition("/")[0])


def _also(place: Place) -> list[int]:
    """The control plane, and whoever listens at the endpoints' addresses."""
    found = [pid for model in _address(place)["urls"] for pid in processes.listeners(_port(place, model))]
    with suppress(OSError, ValueError, KeyError):
        found.append(int(json.loads((_home(place) / "server.json").read_text())["pid"]))
    return found


def _stop(place: Place) -> None:
    """End the replica with its platform, so that a start is a start of both."""
    for pid in _also(place)[::-1]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)


def _request(place: Place, case: Case, inputs: Array) -> Request:
    token = ("Authorization", f"Bearer {_address(place)['token']}")
    if case.format != "json":
        request = oip.request(f"/v2/models/{ENDPOINTS[case.model]}/infer", case, inputs, name="numbers")
        return Request(request.path, request.body, (*request.headers, token))
    names = COLUMNS if case.model == "logistic" else [f"x{number}" for number in range(1, inputs.shape[1] + 1)]
    rows = [dict(zip(names, map(float, records.digits(row)), strict=True)) for row in inputs]
    body = json.dumps(rows, separators=(",", ":")).encode()
    return Request(f"/predict/{ENDPOINTS[case.model]}", body, (("Content-Type", "application/json"), token))


def _read(case: Case, head: bytes, body: bytes) -> Array:
    if case.format != "json":
        return oip.read(case, head, body)
    shares = [row["probabilities"] for row in json.loads(body)["predictions"]]
    if case.model == "logistic":
        return np.asarray([row["1"] for row in shares])
    return np.asarray([list(row.values()) for row in shares])


PEER = Peer(
    name="lepton",
    packages=(),
    formats=("json", "oip", "binary"),
    prepare=_prepare,
    command=lambda place: [str(place.python), "-m", "lepton.cli", "up"],
    environment=lambda place: {
        "LEPTON_HOME": str(_home(place)),
        "LEPTON_PORT": str(place.port),
        "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
    },
    request=_request,
    read=_read,
    port=_port,
    also=_also,
    stop=_stop,
    quiet="it has none",
    note="token, checks, metrics and limits on; named columns in JSON; CPU and memory include the control plane",
)
