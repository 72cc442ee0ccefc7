"""Several endpoints in one replica: they answer side by side, are deployed apart, and each is counted by itself."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace

import httpx2
import pytest
from endpoints.callers import FakeHolders
from endpoints.conftest import made_endpoints
from endpoints.graphs import damage
from models.workshop import EDITOR, Workshop

from lepton.access.records import Actor, Role
from lepton.core.errors import Conflict, InvalidInput, NotFound, TooManyRequests, Unavailable
from lepton.core.refs import Ref
from lepton.core.settings import Settings
from lepton.endpoints import processes
from lepton.endpoints.keeper import Found
from lepton.endpoints.operations import Endpoints
from lepton.endpoints.plans import Asked
from lepton.endpoints.records import Beside, Endpoint, EndpointState
from lepton.endpoints.records import Role as Standing
from lepton.endpoints.replica.config import Limits, Workers
from lepton.endpoints.sharing import groups, standing

CALLER = Actor("cal-id", "cal", {"default": Role.CALLER})
SIZE_ROW = {"area": 55.0, "city": "Bern"}
CITY_ROW = {"area": 55.0, "big": "yes"}


def ask(endpoints: Endpoints, name: str, row: dict[str, object]) -> str:
    """Return which model version answered."""
    return str(json.loads(endpoints.predict(CALLER, name, json.dumps([row]).encode()))["model"])


def standing_of(endpoints: Endpoints, name: str) -> Endpoint:
    return endpoints.get(EDITOR, name).endpoint


@pytest.fixture
def shared(workshop: Workshop, endpoints: Endpoints) -> Endpoints:
    """``size`` with a replica, and ``town`` that shares it."""
    workshop.train(target="big")
    workshop.train(target="city")
    endpoints.deploy(EDITOR, "size", Ref("model", 1))
    endpoints.tick()
    endpoints.deploy(EDITOR, "town", Ref("model", 2), asked=Asked(shares="size"))
    endpoints.tick()
    return endpoints


def test_two_endpoints_answer_from_one_process_on_one_port(shared: Endpoints) -> None:
    size, town = standing_of(shared, "size"), standing_of(shared, "town")
    assert (size.state, town.state) == (EndpointState.READY, EndpointState.READY)
    assert (town.shares, size.shares) == ("size", "")
    assert town.replica == size.replica
    assert town.url == f"http://{size.host}:{size.replica.port if size.replica else 0}/predict/town"
    assert ask(shared, "size", SIZE_ROW) == "model@1"
    assert ask(shared, "town", CITY_ROW) == "model@2"
    status = shared.get(EDITOR, "town").replica
    assert status is not None
    staying = [worker for worker in status.workers if worker.state != "draining"]  # the one before may still be leaving
    assert len(staying) == 1


def test_each_is_deployed_and_counted_by_itself(workshop: Workshop, shared: Endpoints) -> None:
    workshop.train(target="big")
    for _ in range(3):
        ask(shared, "size", SIZE_ROW)
    ask(shared, "town", CITY_ROW)
    before = standing_of(shared, "size")
    shared.deploy(EDITOR, "size", Ref("model", 3))
    assert standing_of(shared, "town").state is EndpointState.READY  # it is not what is starting
    shared.tick()
    assert standing_of(shared, "size").replica != before.replica  # told of something else
    assert (ask(shared, "size", SIZE_ROW), ask(shared, "town", CITY_ROW)) == ("model@3", "model@2")
    counted: dict[str, dict[str, int]] = {}
    while sum(sum(models.values()) for models in counted.values()) < 6:
        shared.tick(wait_s=0)
        counted = {
            name: {one.model: sum(one.requests.values()) for one in shared.metrics(EDITOR, name).deployments}
            for name in ("size", "town")
        }
    assert counted == {"size": {"model@3": 1, "model@1": 3}, "town": {"model@2": 2}}


def test_a_guest_that_cannot_be_loaded_fails_alone_and_says_so(workshop: Workshop, shared: Endpoints) -> None:
    workshop.train(target="city")
    bad = shared.deploy(EDITOR, "town", Ref("model", 3))
    damage(workshop.blobs.path(bad.blob_id))
    shared.tick()
    town, size = standing_of(shared, "town"), standing_of(shared, "size")
    assert town.state is EndpointState.FAILED
    assert town.message.startswith("Endpoint 'town', in the same replica: ")
    assert (size.state, size.message) == (EndpointState.READY, "")
    assert (ask(shared, "size", SIZE_ROW), ask(shared, "town", CITY_ROW)) == ("model@1", "model@2")
    shared.deploy(EDITOR, "town", Ref("model", 2))
    shared.tick()
    assert standing_of(shared, "town").state is EndpointState.READY


def test_a_guest_goes_and_the_others_stay(shared: Endpoints) -> None:
    with pytest.raises(Conflict, match="'size' is not deleted, as 'town' shares its replica"):
        shared.delete(EDITOR, "size")
    size = standing_of(shared, "size")
    assert size.replica is not None
    shared.delete(EDITOR, "town")
    shared.tick()
    assert processes.alive(size.replica)
    assert ask(shared, "size", SIZE_ROW) == "model@1"
    with pytest.raises(NotFound):
        ask(shared, "town", CITY_ROW)
    asked = httpx2.post(str(size.url).replace("/size", "/town"), json=[CITY_ROW], headers={"Authorization": "Bearer x"})
    assert asked.status_code == 401
    shared.delete(EDITOR, "size")
    assert not processes.alive(size.replica)


def test_a_killed_replica_and_a_platform_that_comes_back_find_both(
    shared: Endpoints, restarted: Callable[[], Endpoints]
) -> None:
    replica = standing_of(shared, "size").replica
    assert replica is not None
    replica.mark.send(9)
    while processes.alive(replica):
        pass
    shared.tick()
    assert (ask(shared, "size", SIZE_ROW), ask(shared, "town", CITY_ROW)) == ("model@1", "model@2")
    later = restarted()
    assert later.get(EDITOR, "town").replica is not None  # asked before the first look at the endpoint it shares with
    later.tick()
    assert standing_of(later, "town").replica == standing_of(shared, "size").replica
    assert ask(later, "town", CITY_ROW) == "model@2"


def test_a_canary_of_a_guest_answers_its_share(workshop: Workshop, shared: Endpoints) -> None:
    workshop.train(target="city")
    shared.deploy(EDITOR, "town", Ref("model", 3), beside=Beside(Standing.CANARY, 50))
    shared.tick()
    seen = {ask(shared, "town", CITY_ROW) for _ in range(60)}  # all the same version by chance: 2 ** -59
    assert seen == {"model@2", "model@3"}
    assert ask(shared, "size", SIZE_ROW) == "model@1"
    shared.rollback(EDITOR, "town")
    shared.tick()
    assert {ask(shared, "town", CITY_ROW) for _ in range(20)} == {"model@2"}


def test_limits_are_of_each_endpoint(shared: Endpoints) -> None:
    shared.deploy(EDITOR, "town", Ref("model", 2), asked=Asked(limits=Limits(max_rate=1)))
    shared.tick()
    refused = 0
    for _ in range(5):
        try:
            ask(shared, "town", CITY_ROW)
        except TooManyRequests:
            refused += 1
        ask(shared, "size", SIZE_ROW)
    assert refused  # four predictions take less than a second each


def test_what_cannot_be_shared_is_refused_with_a_sentence(workshop: Workshop, shared: Endpoints) -> None:
    workshop.train(target="big")
    with pytest.raises(NotFound, match="no endpoint 'nobody'"):
        shared.deploy(EDITOR, "more", Ref("model", 1), asked=Asked(shares="nobody"))
    with pytest.raises(InvalidInput, match="cannot share its own replica"):
        shared.deploy(EDITOR, "more", Ref("model", 1), asked=Asked(shares="more"))
    with pytest.raises(Conflict, match="'town' shares the replica of 'size' itself. Share that of 'size'"):
        shared.deploy(EDITOR, "more", Ref("model", 1), asked=Asked(shares="town"))
    with pytest.raises(InvalidInput, match="'town' has the workers of 'size'"):
        shared.deploy(EDITOR, "town", Ref("model", 2), asked=Asked(workers=Workers(2, 2)))
    with pytest.raises(InvalidInput, match="'more' has the workers of 'size'"):
        shared.deploy(EDITOR, "more", Ref("model", 1), asked=Asked(replicas=1, shares="size"))
    with pytest.raises(Conflict, match="'size' has a replica of its own and keeps it"):
        shared.deploy(EDITOR, "size", Ref("model", 1), asked=Asked(shares="town"))
    assert [one.name for one in shared.list(EDITOR)] == ["size", "town"]


def test_more_workers_of_the_host_answer_for_the_guest_too(shared: Endpoints) -> None:
    shared.deploy(EDITOR, "size", Ref("model", 1), asked=Asked(workers=Workers(2, 2)))
    shared.tick()
    assert standing_of(shared, "town").workers == Workers(2, 2)
    ready: list[str] = []
    while len(ready) < 2:
        status = shared.get(EDITOR, "town").replica
        ready = [] if status is None else [one.state for one in status.workers if one.state == "ready"]
    assert {ask(shared, "town", CITY_ROW) for _ in range(10)} == {"model@2"}


@pytest.fixture
def on_two_machines(workshop: Workshop, holders: FakeHolders, settings: Settings) -> Iterator[Endpoints]:
    workshop.settings = replace(settings, engine="local://127.0.0.2,127.0.0.3")
    made = made_endpoints(workshop, holders)
    yield made
    made.stop_replicas()


def test_endpoints_share_replicas_on_several_machines(workshop: Workshop, on_two_machines: Endpoints) -> None:
    workshop.train(target="big")
    workshop.train(target="city")
    on_two_machines.deploy(EDITOR, "size", Ref("model", 1), asked=Asked(replicas=2))
    on_two_machines.deploy(EDITOR, "town", Ref("model", 2), asked=Asked(shares="size"))
    on_two_machines.tick()
    assert standing_of(on_two_machines, "town").state is EndpointState.READY
    for _ in range(10):
        assert ask(on_two_machines, "town", CITY_ROW) == "model@2"
        assert ask(on_two_machines, "size", SIZE_ROW) == "model@1"


def test_groups_are_told_by_the_sum_of_their_generations(shared: Endpoints) -> None:
    (group,) = groups(reversed(shared.list(EDITOR)))
    assert [one.name for one in group.members] == ["size", "town"]
    assert group.whole.generation == 2
    shared.delete(EDITOR, "town")
    (alone,) = groups(shared.list(EDITOR))
    assert (alone.guests, alone.whole.generation) == ((), 3)  # what is told next is newer than what was told before


@pytest.mark.parametrize(
    ("state", "found", "expected"),
    [
        ("ready", Found(None, EndpointState.STARTING, "", busy=True, goes_on=True), ("ready", "")),
        ("ready", Found(None, EndpointState.FAILED, "Why.", busy=False, goes_on=True), ("ready", "")),
        ("ready", Found(None, EndpointState.FAILED, "Why.", busy=False), ("failed", "Why.")),
        ("ready", Found(None, EndpointState.STARTING, "", busy=True), ("starting", "")),
        ("starting", Found(None, EndpointState.FAILED, "Why.", busy=False, goes_on=True), ("failed", "Why.")),
        ("failed", Found(None, EndpointState.STARTING, "", busy=True, goes_on=True), ("failed", "Before.")),
        ("failed", Found(None, None, "", busy=False), ("failed", "Before.")),
        ("failed", Found(None, EndpointState.READY, "", busy=False), ("ready", "")),
    ],
)
def test_who_was_not_deployed_is_neither_starting_nor_failed(
    shared: Endpoints, state: str, found: Found, expected: tuple[str, str]
) -> None:
    message = "Before." if state == "failed" else ""
    member = replace(standing_of(shared, "town"), state=EndpointState(state), message=message)
    assert standing(member, found) == (EndpointState(expected[0]), expected[1])


def test_a_replica_says_nothing_before_it_listens(workshop: Workshop, endpoints: Endpoints) -> None:
    workshop.train(target="big")
    endpoints.deploy(EDITOR, "size", Ref("model", 1))
    endpoints.deploy(EDITOR, "second", Ref("model", 1), asked=Asked(shares="size"))
    with pytest.raises(Unavailable, match="'second' does not answer yet"):
        ask(endpoints, "second", SIZE_ROW)
    endpoints.tick()
    assert ask(endpoints, "second", SIZE_ROW) == "model@1"
    endpoints.deploy(EDITOR, "third", Ref("model", 1), asked=Asked(shares="size"))
    with pytest.raises(Unavailable, match="'third' does not answer yet"):  # and the replica does, for the others
        ask(endpoints, "third", SIZE_ROW)
