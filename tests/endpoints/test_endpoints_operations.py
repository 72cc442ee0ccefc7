from __future__ import annotations

import json
import os
import signal
import ssl
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import httpx2
import polars as pl
import pytest
import sqlalchemy as sa
from endpoints.callers import FakeHolders
from endpoints.certificates import certificate
from endpoints.conftest import made_endpoints
from endpoints.graphs import damage
from models.workshop import EDITOR, OWNER, STEWARD, Workshop
from prometheus_client.parser import text_string_to_metric_families

from lepton.access.records import Actor, Role
from lepton.core.columns import ColumnClass
from lepton.core.errors import Conflict, Forbidden, InvalidInput, NotFound, Unavailable
from lepton.core.refs import Ref
from lepton.core.settings import Settings
from lepton.endpoints import processes, rows
from lepton.endpoints.drift import Level
from lepton.endpoints.drifting import DriftReport
from lepton.endpoints.measures import EndpointMetrics
from lepton.endpoints.operations import Endpoints
from lepton.endpoints.plans import Asked
from lepton.endpoints.records import EndpointState
from lepton.endpoints.replica.config import Workers
from lepton.runs.engines.processes import ProcessMark

ROW = {"area": 55.0, "city": "Bern"}
CALLER = Actor("cal-id", "cal", {"default": Role.CALLER})
VIEWER = Actor("vi-id", "vi", {"default": Role.VIEWER})


def label(endpoints: Endpoints, name: str = "size", actor: Actor = CALLER) -> str:
    answer = json.loads(endpoints.predict(actor, name, json.dumps([ROW]).encode()))
    return str(answer["predictions"][0]["label"])


def test_a_deployed_model_answers_until_its_endpoint_is_deleted(workshop: Workshop, endpoints: Endpoints) -> None:
    workshop.train(target="big")
    assert endpoints.deploy(EDITOR, "size", Ref("model", 1)).state is EndpointState.STARTING
    with pytest.raises(Unavailable, match="'size' does not answer yet"):
        label(endpoints)
    endpoints.tick()
    endpoint = endpoints.get(EDITOR, "size").endpoint
    assert (endpoint.state, endpoint.model) == (EndpointState.READY, "model@1")
    assert label(endpoints) == "yes"
    assert [found.name for found in endpoints.list(VIEWER)] == ["size"]
    endpoints.delete(EDITOR, "size")
    assert endpoint.replica is not None
    assert not processes.alive(endpoint.replica)
    with pytest.raises(NotFound, match="no endpoint 'size'"):
        label(endpoints)


def test_another_version_takes_over_on_the_same_address(workshop: Workshop, endpoints: Endpoints) -> None:
    workshop.train(target="big")
    workshop.train(target="city")
    endpoints.deploy(EDITOR, "size", Ref("model", 1))
    endpoints.tick()
    first = endpoints.get(EDITOR, "size").endpoint
    endpoints.deploy(EDITOR, "size", Ref("model", 2))
    assert label(endpoints) == "yes"  # the old one answers until the new one listens
    endpoints.tick()
    second = endpoints.get(EDITOR, "size").endpoint
    assert (second.model, second.url, second.state) == ("model@2", first.url, EndpointState.READY)
    assert first.replica is not None
    assert second.replica is not None
    assert second.replica.mark == first.replica.mark  # the same supervisor, with new workers
    answer = json.loads(endpoints.predict(CALLER, "size", json.dumps([{"area": 55.0, "big": "yes"}]).encode()))
    assert answer["model"] == "model@2"


def test_a_replica_that_died_is_started_again(workshop: Workshop, endpoints: Endpoints) -> None:
    workshop.train(target="big")
    endpoints.deploy(EDITOR, "size", Ref("model", 1))
    endpoints.tick()
    replica = endpoints.get(EDITOR, "size").endpoint.replica
    assert replica is not None
    os.kill(replica.mark.pid, signal.SIGKILL)
    while processes.alive(replica):
        pass
    with pytest.raises(Unavailable, match="started again by itself"):
        label(endpoints)
    endpoints.tick()
    assert label(endpoints) == "yes"


def test_a_platform_that_comes_back_adopts_its_replicas(
    workshop: Workshop, endpoints: Endpoints, restarted: Callable[[], Endpoints]
) -> None:
    workshop.train(target="big")
    endpoints.deploy(EDITOR, "size", Ref("model", 1))
    endpoints.tick()
    before = endpoints.get(EDITOR, "size").endpoint.replica
    later = restarted()
    later.tick()
    assert later.get(EDITOR, "size").endpoint.replica == before
    assert label(later) == "yes"


def test_a_model_that_cannot_be_loaded_fails_with_a_sentence(workshop: Workshop, endpoints: Endpoints) -> None:
    workshop.train(target="big")
    endpoint = endpoints.deploy(EDITOR, "size", Ref("model", 1))
    path = workshop.blobs.path(endpoint.blob_id)
    damage(path)
    endpoints.tick()
    failed = endpoints.get(EDITOR, "size").endpoint
    assert failed.state is EndpointState.FAILED
    assert failed.message
    assert str(path) not in failed.message


def test_a_model_that_an_endpoint_answers_with_is_not_deleted(workshop: Workshop, endpoints: Endpoints) -> None:
    workshop.train(target="big")
    endpoints.deploy(EDITOR, "size", Ref("model", 1))
    with pytest.raises(Conflict, match="'model@1' is not deleted, as endpoint 'size' answers with it"):
        workshop.models.delete(EDITOR, Ref("model"))
    endpoints.delete(EDITOR, "size")
    workshop.models.delete(EDITOR, Ref("model"))


def test_each_verb_needs_its_permission(workshop: Workshop, endpoints: Endpoints) -> None:
    workshop.train(target="big")
    for forbidden in (
        lambda: endpoints.deploy(VIEWER, "size", Ref("model", 1)),
        lambda: endpoints.delete(CALLER, "size"),
        lambda: endpoints.predict(VIEWER, "size", b"[]"),
        lambda: endpoints.list(CALLER),
    ):
        with pytest.raises(Forbidden):
            forbidden()


def test_what_cannot_be_deployed_is_refused_and_leaves_nothing(workshop: Workshop, endpoints: Endpoints) -> None:
    workshop.train(target="big")
    with pytest.raises(InvalidInput, match="cannot name an endpoint"):
        endpoints.deploy(EDITOR, "Size!", Ref("model", 1))
    with pytest.raises(NotFound, match="no version 7"):
        endpoints.deploy(EDITOR, "size", Ref("model", 7))
    assert endpoints.list(OWNER) == []


def test_a_model_that_answers_with_personal_values_is_deployed_by_who_may_read_them(
    workshop: Workshop, endpoints: Endpoints
) -> None:
    frame = workshop.datasets.open(OWNER, Ref("table")).scan(["area", "city", "big"]).collect()
    workshop.datasets.add("people", frame, run_id="01J00000000000000000000001", big=ColumnClass.PERSONAL)
    workshop.train(STEWARD, target="big", dataset=Ref("people"))
    with pytest.raises(Forbidden, match="'big', which is personal and which you may not read"):
        endpoints.deploy(EDITOR, "size", Ref("model", 1))
    assert endpoints.list(OWNER) == []
    assert endpoints.deploy(STEWARD, "size", Ref("model", 1)).state is EndpointState.STARTING


def pids(endpoints: Endpoints, state: str = "ready") -> list[int]:
    replica = endpoints.get(EDITOR, "size").replica
    return [worker.pid for worker in replica.workers if worker.state == state] if replica else []


def test_an_endpoint_has_as_many_workers_as_was_asked_for(workshop: Workshop, endpoints: Endpoints) -> None:
    workshop.train(target="big")
    endpoints.deploy(EDITOR, "size", Ref("model", 1), asked=Asked(workers=Workers(2, 2)))
    endpoints.tick()
    before = endpoints.get(EDITOR, "size")
    assert before.endpoint.workers == Workers(2, 2)
    assert len(pids(endpoints)) == 2
    first = pids(endpoints)
    more = endpoints.deploy(EDITOR, "size", Ref("model", 1), asked=Asked(workers=Workers(3, 3)))
    assert (more.generation, more.state) == (before.endpoint.generation, EndpointState.READY)  # nobody is replaced
    endpoints.tick()
    while len(pids(endpoints)) < 3:
        pass
    assert set(first) < set(pids(endpoints))
    again = endpoints.deploy(EDITOR, "size", Ref("model", 1))
    assert (again.generation, again.workers) == (before.endpoint.generation + 1, Workers(3, 3))
    endpoints.tick()
    assert len(pids(endpoints)) == 3
    assert not set(first) & set(pids(endpoints))


def test_a_new_version_that_cannot_be_loaded_leaves_the_old_one_answering(
    workshop: Workshop, endpoints: Endpoints
) -> None:
    workshop.train(target="big")
    workshop.train(target="big")
    endpoints.deploy(EDITOR, "size", Ref("model", 1))
    endpoints.tick()
    path = workshop.blobs.path(endpoints.deploy(EDITOR, "size", Ref("model", 2)).blob_id)
    path.chmod(0o600)
    content = path.read_bytes()
    path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    endpoints.tick()
    failed = endpoints.get(EDITOR, "size").endpoint
    assert (failed.state, failed.model) == (EndpointState.FAILED, "model@2")
    assert failed.message
    assert label(endpoints) == "yes"
    path.write_bytes(content)
    while endpoints.get(EDITOR, "size").endpoint.state is not EndpointState.READY:  # it is tried again by itself
        endpoints.tick()
    assert pids(endpoints)


def test_workers_end_with_a_supervisor_that_is_killed_and_come_back_with_the_next(
    workshop: Workshop, endpoints: Endpoints
) -> None:
    workshop.train(target="big")
    endpoints.deploy(EDITOR, "size", Ref("model", 1), asked=Asked(workers=Workers(2, 2)))
    endpoints.tick()
    before = endpoints.get(EDITOR, "size").endpoint
    marks = [ProcessMark.of(pid) for pid in pids(endpoints)]
    assert before.replica is not None
    os.kill(before.replica.mark.pid, signal.SIGKILL)
    while any(mark is not None and mark.is_alive() for mark in marks):
        pass
    assert endpoints.get(EDITOR, "size").replica is None
    endpoints.tick()
    after = endpoints.get(EDITOR, "size").endpoint
    assert (after.url, len(pids(endpoints))) == (before.url, 2)
    assert label(endpoints) == "yes"


def test_a_replica_that_lives_but_says_nothing_is_replaced(
    workshop: Workshop, endpoints: Endpoints, monkeypatch: pytest.MonkeyPatch
) -> None:
    workshop.train(target="big")
    endpoints.deploy(EDITOR, "size", Ref("model", 1))
    endpoints.tick()
    before = endpoints.get(EDITOR, "size").endpoint.replica
    assert before is not None
    (workshop.settings.replicas / endpoints.get(EDITOR, "size").endpoint.id).unlink()
    monkeypatch.setattr("lepton.endpoints.keeper.SILENT_S", 0.0)
    endpoints.tick()
    after = endpoints.get(EDITOR, "size").endpoint.replica
    assert after is not None
    assert after.mark != before.mark
    assert not processes.alive(before)
    assert label(endpoints) == "yes"


def test_a_replica_whose_start_was_not_written_down_is_found_again(workshop: Workshop, endpoints: Endpoints) -> None:
    workshop.train(target="big")
    endpoints.deploy(EDITOR, "size", Ref("model", 1))
    endpoints.tick()
    before = endpoints.get(EDITOR, "size").endpoint.replica
    assert before is not None
    with workshop.database.begin() as tx:  # as a control plane leaves it that is killed between start and commit
        tx.execute(rows.endpoints.update().values(replica_pid=None, port=None))
    endpoints.tick()
    assert endpoints.get(EDITOR, "size").endpoint.replica == before
    assert label(endpoints) == "yes"


def measured(endpoints: Endpoints, answers: int) -> EndpointMetrics:
    """What is told of the endpoint once so many answers were heard of."""
    deadline = time.monotonic() + 30
    while sum((found := endpoints.metrics(VIEWER, "size")).deployments[0].requests.values()) < answers:
        assert time.monotonic() < deadline, found
        endpoints.tick(wait_s=0)
    return found


def test_metrics_count_what_was_answered_and_prometheus_reads_them(workshop: Workshop, endpoints: Endpoints) -> None:
    workshop.train(target="big")
    endpoints.deploy(EDITOR, "size", Ref("model", 1))
    endpoints.tick()
    for _ in range(3):
        label(endpoints)
    with pytest.raises(InvalidInput):
        endpoints.predict(CALLER, "size", b"[{}]")
    (found,) = measured(endpoints, 4).deployments
    assert (found.model, found.requests, found.rows) == ("model@1", {200: 3, 400: 1}, 3)
    families = {
        sample.name + str(sample.labels.get("status", "")): (sample.labels, sample.value)
        for family in text_string_to_metric_families(endpoints.exposition(VIEWER))
        for sample in family.samples
    }
    labels, value = families["lepton_endpoint_requests_total200"]
    assert {key: labels[key] for key in ("endpoint", "model", "project")} == {
        "endpoint": "size", "model": "model@1", "project": "default",
    }  # fmt: skip
    assert value == 3
    gauges = {name: families[f"lepton_endpoint_{name}"][1] for name in ("queue", "workers", "model_version")}
    assert gauges == {"queue": 0, "workers": 1, "model_version": 1}
    with pytest.raises(Forbidden):
        endpoints.metrics(CALLER, "size")
    endpoints.delete(EDITOR, "size")
    assert "requests_total" not in endpoints.exposition(VIEWER)


def ask(endpoints: Endpoints, area: float, times: int, city: str = "Bern") -> None:
    rows = [{"area": area + n % 3, "city": city} for n in range(100)]
    for _ in range(times):
        endpoints.predict(CALLER, "size", json.dumps(rows).encode())


def drift_of(endpoints: Endpoints, actor: Actor, rows: int, *, area: float = 500.0) -> DriftReport:
    """Ask until so many rows were counted, and return what is told of drift."""
    deadline = time.monotonic() + 30
    while True:
        report = endpoints.metrics(actor, "size").deployments[0].drift
        if report is not None and report.counted >= rows:
            return report
        ask(endpoints, area, 1)
        assert time.monotonic() < deadline, report
        endpoints.tick(wait_s=0)


def test_rows_unlike_those_of_training_are_noticed_and_a_restart_forgets_nothing(
    workshop: Workshop, endpoints: Endpoints, restarted: Callable[[], Endpoints]
) -> None:
    workshop.train(target="big")
    endpoints.deploy(EDITOR, "size", Ref("model", 1))
    endpoints.tick()
    report = drift_of(endpoints, VIEWER, 600)
    levels = {column.name: column.level for column in report.columns}
    assert levels == {"area": Level.MAJOR, "city": Level.MAJOR}  # training had two cities
    area = report.columns[0].last_hour
    assert area is not None
    assert (area.unseen_share, area.rows) == (1.0, report.counted)
    assert report.seen >= report.counted
    assert endpoints.get(VIEWER, "size").drift is Level.MAJOR
    replica = endpoints.get(VIEWER, "size").endpoint.replica
    assert replica is not None
    processes.stop(replica)  # and with it all that its workers have counted
    later = restarted()
    later.tick()
    assert label(later) == "yes"
    while later.get(VIEWER, "size").drift is Level.STABLE:
        later.tick(wait_s=0)
    assert later.get(VIEWER, "size").drift is Level.MAJOR


def test_numbers_of_a_personal_column_are_shown_to_who_may_read_it(workshop: Workshop, endpoints: Endpoints) -> None:
    frame = pl.DataFrame({"area": [float(n % 40) for n in range(200)], "city": ["Bern", "Graz"] * 100})
    frame = frame.with_columns(big=pl.Series([("no", "yes")[n % 40 > 20] for n in range(200)]))
    workshop.datasets.add("people", frame, run_id="01J00000000000000000000000", area=ColumnClass.PERSONAL)
    workshop.train(STEWARD, dataset=Ref("people"), target="big", features=("area", "city"))
    endpoints.deploy(STEWARD, "size", Ref("model", 1))
    endpoints.tick()
    seen = {column.name: column for column in drift_of(endpoints, STEWARD, 600).columns}
    assert seen["area"].last_hour is not None
    hidden = {column.name: column for column in drift_of(endpoints, VIEWER, 600).columns}
    assert (hidden["area"].last_hour, hidden["area"].deployed) == (None, None)
    assert hidden["area"].level is Level.MAJOR
    assert hidden["city"].last_hour is not None


def test_a_few_requests_are_kept_sealed_and_go_with_the_endpoint(workshop: Workshop, settings: Settings) -> None:
    workshop.settings = replace(settings, request_log_one_in=1)
    endpoints = made_endpoints(workshop, FakeHolders())
    workshop.train(target="big")
    endpoints.deploy(EDITOR, "size", Ref("model", 1))
    endpoints.tick()
    try:
        ask(endpoints, area=77.125, times=3)
        deadline = time.monotonic() + 30
        while len(found := endpoints.logs(EDITOR, "size")) < 3:
            assert time.monotonic() < deadline, found
            endpoints.tick(wait_s=0)
        assert {(one.model, one.rows, one.row["area"], one.row["city"]) for one in found} == {
            ("model@1", 100, 77.125, "Bern")
        }
        assert [one.id for one in found] == sorted((one.id for one in found), reverse=True)
        assert len(endpoints.logs(EDITOR, "size", limit=2)) == 2
        with pytest.raises(Forbidden):
            endpoints.logs(VIEWER, "size")
        with workshop.database.read() as tx:
            kept = tx.execute(sa.select(rows.endpoint_requests.c.sealed)).scalars().all()
        assert not any(b"77.125" in sealed or b"Bern" in sealed for sealed in kept)
        endpoints.delete(EDITOR, "size")
        with workshop.database.read() as tx:
            assert not tx.execute(sa.select(rows.endpoint_requests)).all()
            assert not tx.execute(sa.select(rows.endpoint_drift)).all()
    finally:
        endpoints.stop_replicas()


def test_the_newest_requests_are_kept(workshop: Workshop, endpoints: Endpoints) -> None:
    workshop.train(target="big")
    endpoint = endpoints.deploy(EDITOR, "size", Ref("model", 1))
    with workshop.database.begin() as tx:
        for first in (0, 5, 8):
            added = {f"{n:026d}": b"sealed" for n in range(first, first + 10)}
            rows.add_requests(tx, endpoint.id, added, most=12)
        assert [id_ for id_, _ in rows.requests(tx, endpoint.id, 100)] == [f"{n:026d}" for n in range(17, 5, -1)]
        rows.add_requests(tx, "nobody", {"x": b"sealed"}, most=12)
        assert rows.requests(tx, "nobody", 100) == []


def test_endpoints_are_asked_over_https_when_there_is_a_certificate(
    workshop: Workshop, endpoints: Endpoints, tmp_path: Path
) -> None:
    certificate(tmp_path)
    endpoints._settings = endpoints._configs._settings = replace(
        workshop.settings, tls=(tmp_path / "cert.pem", tmp_path / "key.pem")
    )
    workshop.train(target="big")
    endpoints.deploy(EDITOR, "size", Ref("model", 1))
    endpoints.tick()
    url = endpoints.get(EDITOR, "size").endpoint.url
    assert url is not None
    assert url.startswith("https://")
    assert label(endpoints) == "yes"  # through the platform, which trusts this certificate and no other
    trusted = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
    with httpx2.Client(verify=trusted, headers={"Authorization": "Bearer good"}) as client:
        assert client.post(url, json=[ROW]).json()["predictions"][0]["label"] == "yes"
    with pytest.raises(httpx2.TransportError):
        httpx2.post(url.replace("https", "http"), json=[ROW])
    with pytest.raises(httpx2.ConnectError):
        httpx2.post(url, json=[ROW])  # who does not trust it


def test_a_certificate_that_cannot_be_read_fails_with_a_sentence(
    workshop: Workshop, endpoints: Endpoints, tmp_path: Path
) -> None:
    certificate(tmp_path)
    (tmp_path / "key.pem").write_text("no key")
    endpoints._settings = endpoints._configs._settings = replace(
        workshop.settings, tls=(tmp_path / "cert.pem", tmp_path / "key.pem")
    )
    workshop.train(target="big")
    endpoints.deploy(EDITOR, "size", Ref("model", 1))
    endpoints.tick()
    failed = endpoints.get(EDITOR, "size").endpoint
    assert failed.state is EndpointState.FAILED
    assert "LEPTON_TLS_KEY" in failed.message
    assert str(tmp_path) not in failed.message
