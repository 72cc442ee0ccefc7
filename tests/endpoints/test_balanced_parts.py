"""The parts of an endpoint on several machines that need no machine."""

from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lepton.core.conversation import Hello
from lepton.core.errors import InvalidInput
from lepton.endpoints.balanced import standing, wire
from lepton.endpoints.balanced.configuration import Front, Server, configuration
from lepton.endpoints.balanced.place import Standing
from lepton.endpoints.balanced.state import State
from lepton.endpoints.replica.config import Deployment, Limits, ReplicaConfig, Workers
from lepton.endpoints.replica.control import ReplicaStatus, WorkerStatus
from lepton.runs.engines.addresses import AddressesEngine
from lepton.runs.engines.choose import open_engine
from lepton.runs.engines.local import LocalEngine

HELLO = Hello("replica", "10.0.0.7", 4000, "a certificate", "0.1.0")
LINES = st.text(st.characters(blacklist_categories=("Cs",), blacklist_characters="\n"), max_size=200)


def config(replicas: int = 2, *, generation: int = 1, limits: Limits | None = None) -> ReplicaConfig:
    deployment = Deployment(
        endpoint="size", project="default", model="model@1", generation=generation, blob_path="/b", blob_id="b", key="",
        signature="", secret="", token_key="", limits=limits or Limits(),
    )  # fmt: skip
    return ReplicaConfig(
        deployments=(deployment,), generation=generation, host="127.0.0.1", port=0, workers=Workers(replicas=replicas),
        control_path="/c", control_secret="",
    )  # fmt: skip


def status(*, told: int = 1, serving: int = 1, coming: bool = False, message: str = "") -> ReplicaStatus:
    worker = WorkerStatus(0, 7, "ready", serving, 0, 0, 0, 5, 1)
    return ReplicaStatus(
        pid=1, told=told, serving=serving, coming=coming, message=message, host="", port=4001, grpc_port=0,
        min=1, max=1,
        wanted=1, requests=5, errors=1, workers=(worker,),
    )  # fmt: skip


UP = Standing("R1", HELLO, status())


def test_an_endpoint_is_the_sum_of_its_replicas() -> None:
    found = standing.summary(config(), {0: UP, 1: replace(UP, run_id="R2")})
    assert (found.serving, found.coming, found.message) == (1, False, "")
    assert (found.requests, found.errors, found.wanted, found.replicas) == (10, 2, 2, 2)
    assert [(worker.slot, worker.machine) for worker in found.workers] == [(0, "10.0.0.7"), (64, "10.0.0.7")]


def test_a_machine_that_is_not_there_is_not_waited_for_while_another_answers() -> None:
    alone = Standing("R2", message="No machine has room for this replica yet.")
    found = standing.summary(config(), {0: UP, 1: alone})
    assert (found.serving, found.coming) == (1, False)
    assert found.message.startswith("No machine has room")
    assert [one.state for one in found.machines] == ["ready", "waiting"]
    assert standing.summary(config(1), {0: alone}).coming, "where nobody answers, it is waited for"


def test_a_replica_that_moves_is_waited_for() -> None:
    moving = Standing("R2", HELLO, status(told=2, serving=1, coming=True))
    assert standing.summary(
        config(generation=2), {0: Standing("R1", HELLO, status(told=2, serving=2)), 1: moving}
    ).coming
    silent = replace(moving, silent=True)
    assert not standing.summary(
        config(generation=2), {0: Standing("R1", HELLO, status(told=2, serving=2)), 1: silent}
    ).coming


def test_one_that_went_silent_is_asked_only_if_no_other_is_left() -> None:
    silent = replace(UP, silent=True)
    assert standing.answering({0: silent, 1: UP}) == [1]
    assert standing.answering({0: silent}) == [0]
    assert standing.answering({0: Standing("R1", HELLO)}) == []


def test_limits_are_divided_and_never_become_none() -> None:
    told = standing.share_of(config(4, limits=Limits(100.0, 0, 2)))
    assert told.deployments[0].limits == Limits(25.0, 0, 1)
    assert told.workers.replicas == 1


@given(st.builds(Hello, st.just("replica"), st.text(), st.integers(1, 65535), st.text(), st.text()))
def test_what_a_replica_says_of_itself_is_read_as_it_was_written(hello: Hello) -> None:
    line = hello.to_line()
    assert "\n" not in line
    assert Hello.from_line(line, "replica") == hello
    assert Hello.from_line(line, "agent") is None


@given(LINES)
def test_any_other_line_of_a_log_is_no_replica(line: str) -> None:
    assert Hello.from_line(line, "replica") is None
    assert Hello.from_line(f'{{"lepton"{line}', "replica") is None


@given(data=st.binary(max_size=5000), size=st.integers(1, 1000))
def test_a_model_arrives_as_it_was_sent(tmp_path_factory: pytest.TempPathFactory, data: bytes, size: int) -> None:
    folder = tmp_path_factory.mktemp("blobs")
    chunks = [data[at : at + size] for at in range(0, len(data), size)]
    offset = 0
    for chunk in [*chunks, b""]:
        assert not (folder / "b1.blob").exists(), "it has a name only when it is whole"
        body = {"id": "b1", "offset": offset, "data": base64.b64encode(chunk).decode(), "last": not chunk}
        wire.receive_blob(folder, body)
        offset += len(chunk)
    assert (folder / "b1.blob").read_bytes() == data


def test_a_model_with_a_hole_is_refused(tmp_path: Path) -> None:
    wire.receive_blob(tmp_path, {"id": "b1", "offset": 0, "data": base64.b64encode(b"abc").decode(), "last": False})
    with pytest.raises(ValueError, match="a chunk is missing"):
        wire.receive_blob(tmp_path, {"id": "b1", "offset": 9, "data": "", "last": True})


@pytest.mark.parametrize("name", ["../../etc/passwd", "", "a/b", "a.b"])
def test_a_name_never_leads_elsewhere(name: str) -> None:
    with pytest.raises(ValueError, match="no id"):
        wire.blob_name(name)


def test_what_is_known_again_after_a_kill(tmp_path: Path) -> None:
    state = State(tmp_path / "d", {})
    state.remember(0, "R1")
    state.remember(1, "R2")
    state.forget(0)
    again = State(tmp_path / "d", {})
    assert (again.slots, again.run_of(1), again.run_of(0)) == ([1], "R2", "")
    assert (again.identity, again.log_key) == (state.identity, state.log_key)
    assert (tmp_path / "d" / "state.json").stat().st_mode & 0o77 == 0
    (tmp_path / "d" / "state.json").write_text("{")
    assert State(tmp_path / "d", {}).slots == [], "a damaged file is a new beginning"


def test_a_replica_is_taken_by_its_certificate_and_asked_how_it_is_unless_it_may_sleep() -> None:
    server = Server("replica0", "10.0.0.7:4001", "10.0.0.7:4002", Path("/d/r.pem"))
    text = configuration(Front(5, 6), [server], checked=True, threads=2)
    assert "server replica0 10.0.0.7:4001 ssl verify required ca-file /d/r.pem" in text
    assert "server replica0 10.0.0.7:4002 ssl verify required ca-file /d/r.pem" in text
    assert "bind fd@5" in text
    assert "bind fd@6 proto h2" in text
    assert text.count(" check ") == 1
    asleep = configuration(Front(5), [server], checked=False, threads=2)
    assert " check " not in asleep
    assert "fd@6" not in asleep


def test_the_engine_is_the_one_that_is_named(tmp_path: Path) -> None:
    assert type(open_engine("local", tmp_path)) is LocalEngine
    assert type(open_engine("local://127.0.0.2,127.0.0.3", tmp_path)) is AddressesEngine


@pytest.mark.parametrize("name", ["", "k8s://here", "local://", "local://somewhere", "ray://", "ray"])
def test_an_engine_that_is_none_is_said_with_those_that_are(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidInput, match=r"'local', or 'ray://HOST:PORT'"):
        open_engine(name, tmp_path)
