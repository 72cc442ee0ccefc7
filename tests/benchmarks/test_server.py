"""A server is measured only when it answers right, and nothing of it stays behind."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from benchmarks.serving import processes, server
from benchmarks.serving.cases import FEATURES, Array, Case, Models, Request, mlp_layers
from benchmarks.serving.measure import Findings, Plan, measure
from benchmarks.serving.peer import NotMeasured, Peer, Place
from benchmarks.serving.peers import ceiling
from benchmarks.serving.server import serve

JSON = Case("logistic", 1, "oip")
CORE = min(os.sched_getaffinity(0))


@pytest.fixture
def place(tmp_path: Path) -> Place:
    folder = tmp_path / "peer"
    folder.mkdir()
    weights = np.random.default_rng(0).normal(size=FEATURES)
    return Place(Path(sys.executable), folder, free_port(), CORE, Models(weights, 0.5, mlp_layers()), {})


def free_port() -> int:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def running_shell(script: str) -> Peer:
    return replace(ceiling.COMPUTING, command=lambda _: ["sh", "-c", script], ready_s=0.5)


def test_the_whole_way_from_start_to_readings(place: Place, load_program: Path) -> None:
    cases = [JSON, Case("logistic", 64, "binary")]
    plan = Plan(load_program, cases, [2], full_s=0.1, half_s=0.1, core=max(os.sched_getaffinity(0)))
    findings = Findings()
    ceiling.COMPUTING.prepare(place)
    with serve(ceiling.COMPUTING, place) as running:
        assert len([*measure(running, plan, findings)]) == 2
    assert findings.refused == {}
    assert set(findings.cells) == {(case, 2) for case in cases}
    for (reading,) in findings.cells.values():
        assert reading.rate > 100
        assert 1 < reading.cpu_us < 10_000
        assert 0 < reading.p50_ms <= reading.p99_ms
        assert reading.half_rate == reading.rate / 2
    assert len(findings.start_s) == len(findings.memory) == 1


def wrong_number(shares: Array) -> Array:
    return shares + 2e-6


def too_few(shares: Array) -> Array:
    return shares[:0]


@pytest.mark.parametrize("spoil", [wrong_number, too_few])
def test_a_wrong_answer_is_refused(place: Place, load_program: Path, spoil: Callable[[Array], Array]) -> None:
    def read(case: Case, head: bytes, body: bytes) -> Array:
        return spoil(ceiling.COMPUTING.read(case, head, body))

    peer = replace(ceiling.COMPUTING, read=read)
    plan = Plan(load_program, [JSON], [1], full_s=0.1, half_s=0.1, core=CORE)
    findings = Findings()
    peer.prepare(place)
    with serve(peer, place) as running:
        assert len([*measure(running, plan, findings)]) == 1
    assert findings.cells == {}
    assert findings.refused[JSON].startswith("wrong answers")


def test_an_answer_that_turns_wrong_under_load_is_refused(place: Place, load_program: Path) -> None:
    def read(case: Case, head: bytes, body: bytes) -> Array:
        asked.append(body)
        right = ceiling.COMPUTING.read(case, head, body)
        return right if len(asked) <= 16 else right + 1

    asked: list[bytes] = []
    peer = replace(ceiling.COMPUTING, read=read)
    plan = Plan(load_program, [JSON], [1], full_s=0.1, half_s=0.1, core=CORE)
    findings = Findings()
    peer.prepare(place)
    with serve(peer, place) as running:
        assert len([*measure(running, plan, findings)]) == 1
    assert findings.cells == {}
    assert findings.refused[JSON].startswith("wrong answers")


def test_a_server_that_ends_says_why_with_its_last_words(place: Place) -> None:
    peer = running_shell("echo the port is taken >&2; exit 3")
    with pytest.raises(NotMeasured, match="ended while starting: the port is taken"), serve(peer, place):
        pass


def test_a_server_that_does_not_listen_is_given_up_with_all_its_processes(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "GRACE_S", 0.2)
    peer = running_shell("sleep 61 & echo $! > child; sleep 62")
    with pytest.raises(NotMeasured, match=r"no answer within 0\.5 s"), serve(peer, place):
        pass
    child = int((place.folder / "child").read_text())
    assert processes.alive([child]) == []


def test_a_request_goes_over_the_wire_whole() -> None:
    request = Request("/predict", json.dumps([1.5]).encode(), (("Authorization", "Bearer x"),))
    assert request.bytes_for(80) == (
        b"POST /predict HTTP/1.1\r\nHost: 127.0.0.1:80\r\nAccept: */*\r\nAuthorization: Bearer x\r\n"
        b"Content-Length: 5\r\n\r\n[1.5]"
    )
