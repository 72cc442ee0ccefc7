"""A platform whose endpoints are on several machines: the same verbs, with more behind them."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace

import httpx2
import pytest
from endpoints.callers import FakeHolders
from endpoints.conftest import made_endpoints
from models.workshop import EDITOR, Workshop

from lepton.access.records import Actor, Role
from lepton.core.errors import InvalidInput
from lepton.core.refs import Ref
from lepton.core.settings import Settings
from lepton.endpoints import processes
from lepton.endpoints.operations import Endpoints
from lepton.endpoints.plans import Asked
from lepton.endpoints.records import EndpointDetail, EndpointState
from lepton.endpoints.replica.config import Workers
from lepton.testing.engines import eventually

CALLER = Actor("cal-id", "cal", {"default": Role.CALLER})
ROW = {"area": 55.0, "city": "Bern"}
TWO = Asked(replicas=2)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return replace(settings, engine="local://127.0.0.2,127.0.0.3")


def ask(endpoints: Endpoints, token: str) -> int:
    url = endpoints.get(EDITOR, "size").endpoint.url
    assert url is not None
    answer = httpx2.post(url, json=[ROW], headers={"Authorization": f"Bearer {token}"}, timeout=30)
    return answer.status_code


def ready(endpoints: Endpoints, machines: int = 2) -> EndpointDetail:
    """Look after it until every machine answers."""
    found: list[EndpointDetail] = []

    def answers() -> bool:
        endpoints.tick(wait_s=0)
        found.append(endpoints.get(EDITOR, "size"))
        seen = found[-1].replica
        return (
            found[-1].endpoint.state is EndpointState.READY
            and seen is not None
            and [one.state for one in seen.machines] == ["ready"] * machines
        )

    eventually(answers, f"{machines} machines answer", within_s=60)
    return found[-1]


def test_an_endpoint_answers_from_several_machines_at_one_address(workshop: Workshop, endpoints: Endpoints) -> None:
    workshop.train(target="big")
    endpoints.deploy(EDITOR, "size", Ref("model", 1), asked=TWO)
    detail = ready(endpoints)
    assert detail.endpoint.workers == Workers(1, 1, replicas=2)
    assert detail.replica is not None
    assert {one.machine for one in detail.replica.machines} == {"127.0.0.2", "127.0.0.3"}
    assert json.loads(endpoints.predict(CALLER, "size", json.dumps([ROW]).encode()))["predictions"][0]["label"] == "yes"


def test_more_machines_are_asked_for_without_a_new_version(workshop: Workshop, endpoints: Endpoints) -> None:
    workshop.train(target="big")
    endpoints.deploy(EDITOR, "size", Ref("model", 1))
    before = ready(endpoints, 1).endpoint
    endpoints.deploy(EDITOR, "size", Ref("model", 1), asked=TWO)
    after = ready(endpoints, 2).endpoint
    assert (after.generation, after.url) == (before.generation, before.url)
    endpoints.deploy(EDITOR, "size", Ref("model", 1), asked=Asked(workers=Workers(2, 2)))
    assert endpoints.get(EDITOR, "size").endpoint.workers == Workers(2, 2, replicas=2), "what is not said stays"


def test_a_revoked_token_is_refused_by_every_machine(
    workshop: Workshop, endpoints: Endpoints, holders: FakeHolders
) -> None:
    workshop.train(target="big")
    endpoints.deploy(EDITOR, "size", Ref("model", 1), asked=TWO)
    ready(endpoints)
    eventually(lambda: [ask(endpoints, "good") for _ in range(10)] == [200] * 10, "every machine knows the token")
    assert ask(endpoints, "viewer") == 403
    holders.refused |= {"good": holders.allowed.pop("good")}
    endpoints.tick(wait_s=0)
    eventually(lambda: [ask(endpoints, "good") for _ in range(10)] == [403] * 10, "no machine takes it", within_s=5)


def test_what_all_machines_answered_is_counted_together(workshop: Workshop, endpoints: Endpoints) -> None:
    workshop.train(target="big")
    endpoints.deploy(EDITOR, "size", Ref("model", 1), asked=TWO)
    ready(endpoints)
    eventually(lambda: ask(endpoints, "good") == 200, "the token is known")
    before = 0

    def counted() -> int:
        endpoints.tick(wait_s=0)
        return endpoints.metrics(EDITOR, "size").deployments[0].requests.get(200, 0)

    eventually(lambda: counted() > 0, "the first is counted")
    before = counted()
    for _ in range(20):
        assert ask(endpoints, "good") == 200
    eventually(lambda: counted() >= before + 20, "all are counted, whichever machine answered")


def test_a_platform_that_comes_back_finds_its_machines_again(
    workshop: Workshop, endpoints: Endpoints, restarted: Callable[[], Endpoints]
) -> None:
    workshop.train(target="big")
    endpoints.deploy(EDITOR, "size", Ref("model", 1), asked=TWO)
    before = ready(endpoints)
    after = ready(restarted())
    assert after.endpoint.replica == before.endpoint.replica
    assert before.replica is not None
    assert after.replica is not None
    assert {one.pid for one in after.replica.workers} == {one.pid for one in before.replica.workers}


def test_a_killed_balancer_process_comes_back_to_its_machines(workshop: Workshop, endpoints: Endpoints) -> None:
    workshop.train(target="big")
    endpoints.deploy(EDITOR, "size", Ref("model", 1), asked=TWO)
    before = ready(endpoints)
    assert before.endpoint.replica is not None
    assert before.replica is not None
    os.kill(before.endpoint.replica.mark.pid, signal.SIGKILL)
    eventually(lambda: not processes.alive(before.endpoint.replica), "it has ended")
    after = ready(endpoints)
    assert after.endpoint.url == before.endpoint.url
    assert after.replica is not None
    assert {one.pid for one in after.replica.workers} == {one.pid for one in before.replica.workers}


def test_a_deleted_endpoint_leaves_nothing(workshop: Workshop, endpoints: Endpoints) -> None:
    workshop.train(target="big")
    endpoints.deploy(EDITOR, "size", Ref("model", 1), asked=TWO)
    ready(endpoints)
    endpoints.delete(EDITOR, "size")
    assert [*workshop.settings.replicas.iterdir()] == []


@pytest.fixture
def on_one_machine(workshop: Workshop, holders: FakeHolders) -> Iterator[Endpoints]:
    workshop.settings = replace(workshop.settings, engine="local")
    made = made_endpoints(workshop, holders)
    yield made
    made.stop_replicas()


def test_a_platform_of_one_machine_says_what_to_do(workshop: Workshop, on_one_machine: Endpoints) -> None:
    workshop.train(target="big")
    with pytest.raises(InvalidInput, match=r"--workers.*LEPTON_ENGINE"):
        on_one_machine.deploy(EDITOR, "size", Ref("model", 1), asked=TWO)
