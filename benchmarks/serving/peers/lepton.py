"""Lepton as a user runs it: `lepton up`, a deployed endpoint, a real token; checks, metrics and limits are all on."""

from __future__ import annotations

import json
import os
import signal
from contextlib import suppress
from pathlib import Path

import numpy as np
from benchmarks.serving import oip, processes
from benchmarks.serving.cases import COLUMNS, Array, Case, Request
from benchmarks.serving.peer import NotMeasured, Peer, Place

HOME = "lepton-home"
"""Folder beside the peers' own; `models.train` made it."""


def _home(place: Place) -> Path:
    return place.folder.parent / HOME


def _prepare(place: Place) -> None:
    import lepton

    with lepton.open(_home(place)) as client:
        url = client.endpoints.deploy("bench", model="bench@1").url
        token = client.tokens.create("bench", scopes=["endpoints.predict"]).secret
    (place.folder / "address.json").write_text(json.dumps({"url": url, "token": token}))
    _stop(place)


def _address(place: Place) -> dict[str, str]:
    return dict(json.loads((place.folder / "address.json").read_text()))


def _port(place: Place) -> int:
    return int(_address(place)["url"].split(":")[2].partition("/")[0])


def _also(place: Place) -> list[int]:
    """The control plane, and whoever listens at the endpoint's address."""
    found = processes.listeners(_port(place))
    with suppress(OSError, ValueError, KeyError):
        found.append(int(json.loads((_home(place) / "server.json").read_text())["pid"]))
    return found


def _stop(place: Place) -> None:
    """End the replica with its platform, so that a start is a start of both."""
    for pid in _also(place)[::-1]:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)


def _request(place: Place, case: Case, inputs: Array) -> Request:
    if case.model != "logistic":
        raise NotMeasured("not served yet")
    token = ("Authorization", f"Bearer {_address(place)['token']}")
    if case.format != "json":
        request = oip.request("/v2/models/bench/infer", case, inputs, name="numbers")
        return Request(request.path, request.body, (*request.headers, token))
    records = [dict(zip(COLUMNS, row.tolist(), strict=True)) for row in inputs]
    body = json.dumps(records, separators=(",", ":")).encode()
    return Request("/predict/bench", body, (("Content-Type", "application/json"), token))


def _read(case: Case, head: bytes, body: bytes) -> Array:
    if case.format != "json":
        return oip.read(case, head, body)
    return np.asarray([row["probabilities"]["1"] for row in json.loads(body)["predictions"]])


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
