"""A replica's processes: real ones, killed, replaced and scaled while real clients ask."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from endpoints.replicas import ROWS, SECRET, Clients, Models, Running, running, trained

from lepton.core.errors import InvalidInput, Unavailable
from lepton.endpoints import processes
from lepton.endpoints.replica.config import Workers
from lepton.endpoints.replica.control import Control
from lepton.runs.engines.processes import ProcessMark

TWO = Workers(2, 2)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    return trained(tmp_path_factory.mktemp("home-" + "x" * 60))  # its sockets' paths are longer than the kernel takes


@pytest.fixture(scope="module")
def sane(models: Models) -> Iterator[Running]:
    """A replica for tests that change nothing about it."""
    with running(models.config(1)) as replica:
        yield replica


def test_a_new_version_takes_over_without_a_failed_request(models: Models) -> None:
    with running(models.config(1, workers=TWO)) as replica:
        replica.serves(1, workers=2)
        with Clients(replica).asking() as clients:
            for generation, version in ((2, 2), (3, 1), (4, 2)):
                clients.answered()
                replica.control.deploy(models.config(version, generation=generation, workers=TWO))
                replica.until(lambda status, wanted=generation: status.serving == wanted and not status.coming)  # type: ignore[misc]
                assert replica.ask()[0] == f"model@{version}"
            replica.serves(4, workers=2)
            clients.answered()
        assert clients.failures == []
        assert set(clients.answers) == {"model@1", "model@2"}


def test_a_client_with_an_open_connection_is_told_to_come_again(models: Models) -> None:
    with running(models.config(1)) as replica:
        replica.serves(1)
        connection = replica.connect()
        assert replica.ask(connection) == ("model@1", True)
        replica.control.deploy(models.config(2, generation=2))
        replica.until(lambda status: status.serving == 2 and not status.coming)
        assert "draining" in [worker.state for worker in replica.status().workers]
        assert replica.ask(connection) == ("model@1", False)  # answered, with `Connection: close`
        assert replica.ask(connection) == ("model@2", True)
        connection.close()


def test_when_a_worker_is_killed_the_others_take_what_comes(models: Models, tmp_path: Path) -> None:
    moved = tmp_path / "graph"
    config = models.config(1, workers=TWO)
    graph = Path(config.deployments[0].blob_path).read_bytes()
    moved.write_bytes(graph)
    config = replace(config, deployments=(replace(config.deployments[0], blob_path=str(moved)),))
    with running(config) as replica:
        replica.serves(1, workers=2)
        moved.unlink()  # the successor cannot load it, so only the other worker can answer
        with Clients(replica).asking() as clients:
            clients.answered()
            first, second = replica.pids()
            os.kill(first, signal.SIGKILL)
            replica.until(lambda status: first not in [worker.pid for worker in status.workers])
            for _ in range(20):  # half of them would wait in the socket of the one that is gone
                replica.ask()
            assert replica.pids() == [second]
            moved.write_bytes(graph)
            restored = replica.serves(1, workers=2)
            clients.answered()
        assert len(clients.failures) <= 4, clients.failures  # one for each client at most: what it was answering
        assert sum(worker.restarts for worker in restored.workers) == 1


def test_workers_come_and_go_without_a_failed_request(models: Models) -> None:
    with running(models.config(1, workers=Workers(1, 1))) as replica:
        replica.serves(1)
        with Clients(replica).asking() as clients:
            for count in (3, 2, 1):
                replica.control.scale(Workers(count, count))
                replica.serves(1, workers=count)
                clients.answered()
        assert clients.failures == []


def test_all_workers_answer_and_share_what_comes(models: Models) -> None:
    with running(models.config(1, workers=Workers(2, 3))) as replica:
        replica.serves(1, workers=2)
        for _ in range(64):
            replica.ask()
        # 64 connections over 12 sockets of two workers: that one gets none has a chance of 2^-64.
        replica.until(lambda status: sum(worker.requests for worker in status.workers) == 64)
        assert all(worker.requests for worker in replica.status().workers)


def test_nobody_asks_nobody_waits_and_the_first_who_asks_again_is_answered(models: Models) -> None:
    config = models.config(1, workers=Workers(0, 2, idle_s=0.2))
    with running(config) as replica:
        for _ in range(2):
            replica.until(lambda status: status.serving == 1 and status.wanted == 0 and not status.workers)
            with ThreadPoolExecutor(8) as crowd:
                answers = list(crowd.map(lambda _: replica.ask()[0], range(8)))
            assert answers == ["model@1"] * 8


def test_a_version_that_cannot_be_loaded_leaves_the_old_one_answering(models: Models) -> None:
    with running(models.config(1)) as replica:
        before = replica.serves(1).workers
        with Clients(replica).asking() as clients:
            clients.answered()
            replica.control.deploy(models.config(0, generation=2))
            failed = replica.until(lambda status: not status.coming)
            clients.answered()
        assert (failed.told, failed.serving) == (2, 1)
        assert failed.message
        assert str(models.home) not in failed.message
        assert [worker.pid for worker in replica.serves(1).workers] == [worker.pid for worker in before]
        assert clients.failures == []
        replica.control.deploy(models.config(2, generation=3))
        assert replica.serves(3).message == ""


def test_nothing_listens_before_the_first_version_is_loaded(models: Models) -> None:
    with running(models.config(0)) as replica:
        failed = replica.until(lambda status: not status.coming)
        assert (failed.serving, failed.workers) == (0, ())
        with pytest.raises(ConnectionRefusedError):
            replica.ask()
        replica.control.deploy(models.config(1, generation=2))
        replica.serves(2)
        assert replica.ask()[0] == "model@1"


def test_of_deployments_that_come_together_the_last_is_served(models: Models) -> None:
    with running(models.config(1)) as replica:
        for generation, version in ((2, 2), (3, 0), (4, 2), (5, 1)):
            replica.control.deploy(models.config(version, generation=generation))
        assert replica.serves(5).message == ""
        assert replica.ask()[0] == "model@1"


def test_a_supervisor_that_is_killed_leaves_nobody_behind_and_its_port_free(models: Models) -> None:
    config = models.config(1, workers=TWO)
    with running(config) as replica:
        workers = [ProcessMark.of(pid) for pid in (worker.pid for worker in replica.serves(1, workers=2).workers)]
        kept = [replica.connect() for _ in range(4)]
        for connection in kept:
            replica.ask(connection)
        os.kill(replica.process.mark.pid, signal.SIGKILL)
        while any(mark is not None and mark.is_alive() for mark in workers):
            pass
        with pytest.raises(Unavailable):
            replica.status()
        # Connections of the one that was killed linger, and do not keep the port from the next.
        with running(replace(config, port=replica.process.port)) as again:
            assert again.process.port == replica.process.port
            again.serves(1, workers=2)
            assert again.ask()[0] == "model@1"
        for connection in kept:
            connection.close()


def test_all_workers_speak_grpc_on_one_port_of_their_own(models: Models) -> None:
    import tritonclient.grpc as triton

    with running(replace(models.config(1, workers=TWO), grpc=True)) as replica:
        port = replica.serves(1, workers=2).grpc_port
        assert port not in (0, replica.process.port)
        rows = json.loads(ROWS)
        inputs = []
        for name, value in rows[0].items():
            is_text = isinstance(value, str)
            inputs.append(triton.InferInput(name, [1], "BYTES" if is_text else "FP64"))
            inputs[-1].set_data_from_numpy(np.array([value], dtype=object if is_text else np.float64))
        with triton.InferenceServerClient(f"127.0.0.1:{port}") as client:
            headers = {"authorization": f"Bearer {SECRET}"}
            answer = client.infer("size", inputs, headers=headers)
            assert answer.as_numpy("label").tolist() == [b"yes"]
            with pytest.raises(triton.InferenceServerException, match="needs a token"):
                client.infer("size", inputs)
    with running(models.config(1)) as silent:
        assert silent.serves(1).grpc_port == 0


def test_a_replica_does_not_share_the_port_of_another(models: Models) -> None:
    with running(models.config(1)) as first, running(replace(models.config(2), port=first.process.port)) as second:
        assert second.process.port != first.process.port


@pytest.mark.parametrize("how", ["stop", "SIGTERM"])
def test_a_replica_that_is_stopped_finishes_what_it_was_asked(models: Models, how: str) -> None:
    with running(models.config(1)) as replica:
        replica.serves(1)
        with socket.create_connection(("127.0.0.1", replica.process.port), timeout=30) as client:
            head = f"POST /predict/size HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {SECRET}\r\n"
            client.sendall(f"{head}Content-Length: {len(ROWS)}\r\n\r\n".encode() + ROWS[:3])
            replica.until(lambda status: sum(worker.in_flight for worker in status.workers) == 1)
            if how == "stop":
                replica.control.stop()
            else:
                replica.process.mark.send(signal.SIGTERM)
            while _connects(replica):  # it accepts nothing more
                pass
            client.sendall(ROWS[3:])
            answer = b"".join(iter(lambda: client.recv(4096), b""))
        assert answer.startswith(b"HTTP/1.1 200")
        assert b"connection: close" in answer.lower()
        while processes.alive(replica.process):
            pass


def test_only_who_knows_the_secret_is_answered(models: Models) -> None:
    with running(models.config(1)) as replica:
        path = Path(replica.config.control_path)
        assert len(str(path)) > 107
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        with pytest.raises(InvalidInput, match="does not understand"):
            Control.at(path, "guessed").stop()
        replica.serves(1)


def test_workers_leave_no_core_dump_and_have_room_for_many_connections(sane: Running) -> None:
    sane.serves(1)
    (pid,) = sane.pids()
    core, files = (resource.prlimit(pid, limit) for limit in (resource.RLIMIT_CORE, resource.RLIMIT_NOFILE))
    assert core == (0, 0)
    assert files[0] == min(files[1], 65_536)


def test_keys_are_in_no_argument_and_in_no_environment(sane: Running) -> None:
    sane.serves(1)
    key = sane.config.deployments[0].key
    for pid in (sane.process.mark.pid, *sane.pids()):
        for name in ("cmdline", "environ"):
            assert key.encode() not in Path(f"/proc/{pid}/{name}").read_bytes()


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"hello",
        b"\xff\xfe",
        b"[]",
        b"[" * 100_000,
        b'{"secret": "of-the-test", "verb": "deploy", "body": {}}',
        b'{"secret": "of-the-test", "verb": "deploy", "body": [1]}',
        b'{"secret": "of-the-test", "verb": "scale", "body": {"min": 2, "max": 1}}',
        b'{"secret": "of-the-test", "verb": "scale", "body": {"min": "x", "max": null}}',
        b'{"secret": "of-the-test", "verb": "explode", "body": null}',
        b'{"secret": null, "verb": "stop", "body": null}',
    ],
)
def test_what_makes_no_sense_is_answered_and_changes_nothing(sane: Running, line: bytes) -> None:
    before = sane.serves(1)
    folder = os.open(Path(sane.config.control_path).parent, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(f"/proc/self/fd/{folder}/{Path(sane.config.control_path).name}")
        os.close(folder)
        connection.sendall(line + b"\n")
        assert json.loads(connection.makefile("rb").readline())["error"]["code"] == "invalid_input"
    after = sane.status()
    assert (after.told, after.serving, after.min, after.max) == (before.told, before.serving, before.min, before.max)
    assert sane.ask()[0] == "model@1"


def _connects(replica: Running) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", replica.process.port), timeout=1):
            return True
    except ConnectionError:
        return False
