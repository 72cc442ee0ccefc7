"""Endpoints on several machines behind a real HAProxy; each of several addresses of this one is taken for a machine."""

from __future__ import annotations

import http.client
import json
import os
import signal
import ssl
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from endpoints.certificates import certificate
from endpoints.replicas import ROWS, SECRET, Clients, Models, Running, running, trained
from tritonclient.grpc import InferenceServerClient, InferInput

from lepton.core.errors import InvalidInput, Unavailable
from lepton.endpoints.replica.config import Limits, ReplicaConfig, Workers
from lepton.endpoints.replica.control import ReplicaStatus
from lepton.testing.engines import eventually, is_running

HERE = "local://127.0.0.2,127.0.0.3,127.0.0.4"


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    return trained(tmp_path_factory.mktemp("models"))


def on_machines(models: Models, replicas: int, version: int = 1, *, generation: int = 1, **other: Any) -> ReplicaConfig:
    workers = other.pop("workers", Workers())
    config = models.config(version, generation=generation, workers=replace(workers, replicas=replicas))
    return replace(config, **{"engine": HERE} | other)


def all_serve(generation: int, replicas: int) -> Callable[[ReplicaStatus], bool]:
    return lambda status: (
        not status.coming
        and status.serving == generation
        and [one.state for one in status.machines] == ["ready"] * replicas
    )


@contextmanager
def spread(config: ReplicaConfig) -> Iterator[Running]:
    """Run an endpoint on machines; when the block begins, all of them answer."""
    with running(config) as replica:
        replica.until(all_serve(config.generation, config.workers.replicas))
        yield replica


def unexpected(failures: list[str]) -> list[str]:
    """Failures, but for those that HAProxy 2.6 leaves to the client when a machine resets a connection.

    It does not ask another then: it answers 502 if that was the connection's first request, and closes the connection
    without an answer else, on which browsers and client libraries ask again (RFC 9110, 9.2.2).
    """
    closed = [one for one in failures if one.startswith("kept") and "RemoteDisconnected" in one]
    refused = [one for one in failures if "ended before it answered. Ask again." in one]
    return [one for one in failures if one not in closed + refused]


def nodes_of(replica: Running) -> dict[str, int]:
    """The process that keeps the replica at each address."""
    found = {}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            command = (path / "cmdline").read_bytes().split(b"\0")
            environment = (path / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if b"lepton.endpoints.balanced.node" in command and is_running(int(path.name)):
            values = dict(one.split(b"=", 1) for one in environment if b"=" in one)
            if f"/{Path(replica.config.control_path).name}.d/" in os.readlink(path / "cwd") + "/":
                found[values[b"LEPTON_NODE_ADDRESS"].decode()] = int(path.name)
    return found


def machine_of(worker_pid: int) -> int:
    """The supervisor of a worker."""
    return int(Path(f"/proc/{worker_pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_requests_go_to_replicas_on_different_machines(models: Models) -> None:
    with spread(on_machines(models, 3)) as replica:
        clients = Clients(replica)
        with clients.asking(4):
            clients.answered(200)
            answered = replica.until(lambda s: s.requests > 100 and all(w.requests > 10 for w in s.workers))
        assert not clients.failures
        assert {one.machine for one in answered.machines} == {"127.0.0.2", "127.0.0.3", "127.0.0.4"}
        eventually(lambda: len(replica.control.watch().alive) == 3, "the workers of all machines tell how they do")


def test_a_new_version_moves_to_every_machine_without_a_failed_request(models: Models) -> None:
    first = on_machines(models, 2)
    with spread(first) as replica:
        clients = Clients(replica)
        with clients.asking():
            clients.answered()
            replica.control.deploy(
                replace(on_machines(models, 2, version=2, generation=2), control_path=first.control_path)
            )
            replica.until(all_serve(2, 2))
            clients.answers.clear()
            clients.answered()
        assert not clients.failures
        assert set(clients.answers) == {"model@2"}


def test_replicas_come_and_go_without_a_failed_request(models: Models) -> None:
    with spread(on_machines(models, 1)) as replica:
        clients = Clients(replica)
        with clients.asking():
            for count in (3, 1, 2):
                clients.answered()
                replica.control.scale(Workers(replicas=count))
                replica.until(all_serve(1, count))
        clients.answered(0)
        assert not clients.failures


def test_a_machine_that_is_lost_costs_no_request_and_is_replaced(models: Models) -> None:
    with spread(on_machines(models, 2)) as replica:
        before = {one.pid for one in replica.status().workers}
        lost = nodes_of(replica)["127.0.0.2"]
        clients = Clients(replica)
        with clients.asking():
            clients.answered()
            os.kill(lost, signal.SIGKILL)
            clients.answered(500)
            replica.until(
                lambda s: all_serve(1, 2)(s) and len({w.pid for w in s.workers} - before) == 1 and len(s.workers) == 2
            )
            clients.answered()
        assert not unexpected(clients.failures), "a request that was lost with its machine is asked again of another"
        gone = before - {one.pid for one in replica.status().workers}
        eventually(lambda: not any(is_running(pid) for pid in gone), "what ran on the lost machine has ended with it")


def test_the_balancer_is_started_again_when_it_ends(models: Models) -> None:
    with spread(on_machines(models, 1)) as replica:
        master = next(
            int(path.name)
            for path in Path("/proc").glob("[0-9]*")
            if _parent(path) == replica.process.mark.pid and b"haproxy" in _command(path)
        )
        os.kill(master, signal.SIGKILL)
        eventually(lambda: _answers(replica), "it answers again")


def test_one_that_was_killed_comes_back_to_its_replicas(models: Models) -> None:
    config = on_machines(models, 2)
    with spread(config) as replica:
        before = {one.pid for one in replica.status().workers}
        os.kill(replica.process.mark.pid, signal.SIGKILL)
        eventually(lambda: not replica.process.mark.is_alive(), "it has ended")
        with spread(replace(config, port=replica.process.port)) as successor:
            assert successor.process.port == replica.process.port
            assert {one.pid for one in successor.status().workers} == before, "the replicas have not even noticed"
            assert successor.ask()[0] == "model@1"
        eventually(lambda: not any(map(is_running, before)), "it ended what the one before it had started")


def test_nothing_is_left_when_it_is_stopped(models: Models) -> None:
    config = on_machines(models, 2)
    with spread(config) as replica:
        pids = [one.pid for one in replica.status().workers] + list(nodes_of(replica).values())
        assert len(pids) == 4
    eventually(lambda: not any(map(is_running, pids)), "all processes have ended")
    assert not Path(f"{config.control_path}.d").exists()


def test_what_is_being_answered_is_finished_when_it_is_stopped(models: Models) -> None:
    with spread(on_machines(models, 2)) as replica, closing(replica.connect()) as kept:
        kept.connect()
        head = f"Expect: 100-continue\r\nAuthorization: Bearer {SECRET}\r\nContent-Length: {len(ROWS)}\r\n\r\n"
        kept.sock.sendall(b"POST /predict/size HTTP/1.1\r\nHost: here\r\n" + head.encode())
        assert b" 100 " in kept.sock.recv(1000), "a replica waits for the rows"
        replica.control.stop()
        kept.sock.sendall(ROWS)
        assert kept.sock.recv(1000).startswith(b"HTTP/1.1 200 ")


def test_a_damaged_model_is_refused_with_a_sentence_and_the_old_one_goes_on(models: Models) -> None:
    first = on_machines(models, 2)
    with spread(first) as replica:
        damaged = replace(on_machines(models, 2, version=0, generation=2), control_path=first.control_path)
        other_id = "damaged-blob"
        deployments = tuple(replace(one, blob_id=other_id) for one in damaged.deployments)
        replica.control.deploy(replace(damaged, deployments=deployments))
        refused = replica.until(lambda s: s.told == 2 and not s.coming and s.message)
        assert refused.serving == 1
        assert replica.ask()[0] == "model@1"


def test_nobody_is_kept_anywhere_while_nobody_asks(models: Models) -> None:
    with running(on_machines(models, 2, workers=Workers(min=0, max=1, idle_s=1.0))) as replica:
        replica.until(lambda s: all_serve(1, 2)(s) and not s.workers)
        assert replica.ask()[0] == "model@1", "the first request is held until a worker is there"


def test_limits_are_of_all_machines_together(models: Models) -> None:
    config = on_machines(models, 2)
    limited = tuple(replace(one, limits=Limits(max_rate=4.0)) for one in config.deployments)
    with spread(replace(config, deployments=limited)) as replica:
        statuses = []
        for _ in range(20):
            connection = replica.connect()
            connection.request("POST", "/predict/size", ROWS, {"Authorization": f"Bearer {SECRET}"})
            response = connection.getresponse()
            response.read()
            statuses.append(response.status)
            connection.close()
        assert 3 <= statuses.count(200) <= 10  # 4 a second, and each half second that this takes adds 2
        assert 429 in statuses


def test_it_is_asked_over_https_with_the_certificate_of_the_platform(models: Models, tmp_path: Path) -> None:
    certificate(tmp_path)
    chain, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    with spread(on_machines(models, 1, tls=(str(chain), str(key)))) as replica:
        context = ssl.create_default_context(cafile=str(chain))
        context.check_hostname = False
        connection = http.client.HTTPSConnection("127.0.0.1", replica.process.port, context=context, timeout=30)
        connection.request("POST", "/predict/size", ROWS, {"Authorization": f"Bearer {SECRET}"})
        assert connection.getresponse().status == 200
        connection.close()


@pytest.mark.parametrize("secured", [False, True])
def test_grpc_goes_through_the_balancer(models: Models, tmp_path: Path, secured: bool) -> None:
    certificate(tmp_path)
    tls = (str(tmp_path / "cert.pem"), str(tmp_path / "key.pem")) if secured else ()
    with spread(on_machines(models, 2, grpc=True, tls=tls)) as replica:
        address = f"127.0.0.1:{replica.status().grpc_port}"
        kept = InferenceServerClient(address, ssl=secured, root_certificates=tls[0] if secured else None)
        with closing(kept) as client:
            area = InferInput("area", [1, 1], "FP64")
            area.set_data_from_numpy(np.array([[55.0]]))
            for _ in range(4):
                answer = client.infer("size", [area], headers={"authorization": f"Bearer {SECRET}"}, client_timeout=30)
                assert answer.get_response().model_version


def test_a_replica_takes_requests_and_commands_over_tls_only(models: Models) -> None:
    with spread(on_machines(models, 1)) as replica:
        state = json.loads(Path(f"{replica.config.control_path}.d/state.json").read_text())
        assert os.stat(f"{replica.config.control_path}.d/state.json").st_mode & 0o77 == 0
        for port in _ports_of("127.0.0.2"):
            assert not _speaks_plain_http("127.0.0.2", port)
        assert "PRIVATE" in state["identity"]["key"]


def test_no_haproxy_is_said_with_how_to_get_it(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LEPTON_HAPROXY", "/nowhere/haproxy")
    with pytest.raises(Unavailable, match="apt-get install haproxy"), running(on_machines(models, 1)):
        pass


def test_an_engine_that_is_not_there_is_said(models: Models) -> None:
    with (
        pytest.raises(Unavailable, match="LEPTON_ENGINE cannot be"),
        running(replace(on_machines(models, 1), engine="k8s://x")),
    ):
        pass


def test_more_replicas_than_anybody_has_machines_for() -> None:
    with pytest.raises(InvalidInput, match="From 1 to 100"):
        Workers(replicas=101)


def _answers(replica: Running) -> bool:
    try:
        return replica.ask()[0] == "model@1"
    except (OSError, http.client.HTTPException, AssertionError):
        return False


def _speaks_plain_http(address: str, port: int) -> bool:
    plain = http.client.HTTPConnection(address, port, timeout=5)
    try:
        plain.request("POST", "/predict/size", ROWS, {"Authorization": f"Bearer {SECRET}"})
        plain.getresponse()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        plain.close()
    return True


def _parent(process: Path) -> int:
    try:
        return int((process / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def _command(process: Path) -> bytes:
    try:
        return (process / "cmdline").read_bytes()
    except OSError:
        return b""


def _ports_of(address: str) -> list[int]:
    """TCP ports that somebody listens on at an address."""
    wanted = "".join(f"{int(part):02X}" for part in reversed(address.split(".")))
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return [int(row[1].split(":")[1], 16) for row in rows if row[1].startswith(wanted) and row[3] == "0A"]
