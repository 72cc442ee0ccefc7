"""Versions beside the main one: who gets how much, what goes back and why, and that nobody asked in vain meanwhile."""

from __future__ import annotations

import json
import os
import signal
import time
from collections import Counter
from collections.abc import Callable

import polars as pl
import pytest
import sqlalchemy as sa
from endpoints.graphs import damage, make_it_fail, make_it_slow
from models.workshop import EDITOR, OWNER, Workshop

from lepton.access.audit import audit
from lepton.access.records import Actor, Role
from lepton.core.errors import Conflict, Forbidden, Internal, InvalidInput, NotFound
from lepton.core.refs import Ref
from lepton.endpoints import records
from lepton.endpoints.operations import Endpoints
from lepton.endpoints.plans import Asked
from lepton.endpoints.records import Beside, Deployed, Endpoint, EndpointState
from lepton.endpoints.replica.config import Limits, Workers

CALLER = Actor("cal-id", "cal", {"default": Role.CALLER})
VIEWER = Actor("vi-id", "vi", {"default": Role.VIEWER})
BODY = json.dumps([{"area": 55.0, "city": "Bern"}]).encode()
SHADOW = Beside(records.Role.SHADOW)


def canary(percent: int) -> Beside:
    return Beside(records.Role.CANARY, percent)


@pytest.fixture
def two(workshop: Workshop, endpoints: Endpoints) -> Endpoints:
    """Two versions of one model, the first of which answers as endpoint ``size``."""
    workshop.train(target="big")
    workshop.train(target="big")
    endpoints.deploy(EDITOR, "size", Ref("model", 1))
    endpoints.tick()
    return endpoints


def ask(endpoints: Endpoints, times: int) -> Counter[str]:
    """Ask that many times and count which version answered, or why none did."""
    found: Counter[str] = Counter()
    for _ in range(times):
        try:
            found[json.loads(endpoints.predict(CALLER, "size", BODY))["model"]] += 1
        except Internal as error:
            found[error.message] += 1
    return found


def size(endpoints: Endpoints) -> Endpoint:
    return endpoints.get(EDITOR, "size").endpoint


def shares(endpoints: Endpoints) -> list[tuple[str, str, int]]:
    return [(one.model, one.role, one.percent) for one in endpoints.get(EDITOR, "size").rollout]


def until(endpoints: Endpoints, condition: Callable[[], object]) -> None:
    """Be the controller until something is so."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "in vain"
        endpoints.tick(wait_s=0)


def test_a_canary_answers_its_share_and_is_promoted_by_deploying_it(two: Endpoints) -> None:
    two.deploy(EDITOR, "size", Ref("model", 2), beside=canary(50))
    assert ask(two, 5) == {"model@1": 5}  # until its workers are ready
    two.tick()
    assert shares(two) == [("model@1", "main", 50), ("model@2", "canary", 50)]
    found = ask(two, 60)
    assert set(found) == {"model@1", "model@2"}
    assert min(found.values()) >= 10  # of 60 by half: less once in 10 million
    two.deploy(EDITOR, "size", Ref("model", 2))
    two.tick()
    assert shares(two) == [("model@2", "main", 100)]
    assert ask(two, 20) == {"model@2": 20}
    assert size(two).previous == "model@1"


def test_rolling_back_drops_the_canary_and_then_leads_to_the_version_before(two: Endpoints) -> None:
    two.deploy(EDITOR, "size", Ref("model", 2))
    two.deploy(EDITOR, "size", Ref("model", 1), beside=canary(20))
    assert two.rollback(EDITOR, "size").companions == ()
    two.tick()
    assert ask(two, 5) == {"model@2": 5}
    assert two.rollback(EDITOR, "size").model == "model@1"
    two.tick()
    assert ask(two, 5) == {"model@1": 5}
    with pytest.raises(Conflict, match="no canary, and no version before model@1 that it could go back to"):
        two.rollback(EDITOR, "size")


def test_a_canary_that_fails_goes_back_by_itself_and_no_main_request_is_lost(
    workshop: Workshop, two: Endpoints
) -> None:
    make_it_fail(workshop, Ref("model", 2))
    two.deploy(EDITOR, "size", Ref("model", 2), beside=canary(40))
    two.tick()
    assert shares(two)[1] == ("model@2", "canary", 40)
    found: Counter[str] = Counter()
    deadline = time.monotonic() + 60
    while size(two).canary is not None:
        assert time.monotonic() < deadline, found
        found += ask(two, 10)
        two.tick(wait_s=0)
    failed = found.pop("The model's graph could not be run on these rows.")
    assert failed > 20
    assert set(found) == {"model@1"}, "somebody else did not get an answer"
    found = ask(two, 5)  # workers with the canary are still there
    until(two, lambda: size(two).state is EndpointState.READY)
    assert ask(two, 30) == {"model@1": 30}
    told = size(two).went_back
    assert told.startswith("Canary model@2 went back, as ")
    assert told.endswith(" requests failed, and 0 % of the main version's.")
    wanted = sa.select(audit).where(audit.c.action == "endpoints.rollback")
    with workshop.database.read() as tx:
        (line,) = tx.execute(wanted)
    assert (line.actor, line.target, line.outcome) == ("(lepton)", "size", "allowed")


def test_a_slow_canary_goes_back_by_itself_with_the_times(workshop: Workshop, two: Endpoints) -> None:
    make_it_slow(workshop, Ref("model", 2))
    two.deploy(EDITOR, "size", Ref("model", 2), beside=canary(40))
    two.tick()
    deadline = time.monotonic() + 120
    while size(two).canary is not None:
        assert time.monotonic() < deadline, two.get(EDITOR, "size").rollout
        assert set(ask(two, 5)) <= {"model@1", "model@2"}
        two.tick(wait_s=0)
    assert "of its requests took over" in size(two).went_back
    assert "99 in 100 of the main version's at most" in size(two).went_back


def test_a_canary_beside_which_workers_keep_dying_goes_back(two: Endpoints) -> None:
    two.deploy(EDITOR, "size", Ref("model", 2), beside=canary(1))
    two.tick()
    killed: set[int] = set()

    def gone() -> bool:
        detail = two.get(EDITOR, "size")
        if detail.endpoint.canary is None:
            return True
        for worker in detail.replica.workers if detail.replica else ():
            if worker.state == "ready" and worker.pid not in killed:
                killed.add(worker.pid)
                os.kill(worker.pid, signal.SIGKILL)
        return False

    until(two, gone)
    assert (
        size(two).went_back == "Canary model@2 went back, as workers ended by themselves 3 times since it was deployed."
    )
    two.tick()
    assert ask(two, 10) == {"model@1": 10}


@pytest.mark.parametrize("beside", [canary(10), SHADOW])
def test_what_cannot_be_loaded_goes_back_by_itself_with_the_sentence(
    workshop: Workshop, two: Endpoints, beside: Beside
) -> None:
    two.deploy(EDITOR, "size", Ref("model", 2), beside=beside)
    damage(workshop.blobs.path(workshop.models.artifact(EDITOR, Ref("model", 2)).blob_id))
    until(two, lambda: size(two).went_back)
    found = size(two)
    assert found.companions == ()
    assert found.went_back.startswith(
        f"{beside.role.value.capitalize()} model@2 went back, as the endpoint could not be started with it: "
    )
    two.tick()
    assert (size(two).state, ask(two, 10)) == (EndpointState.READY, {"model@1": 10})
    assert size(two).went_back, "the sentence stays until somebody deploys"
    assert two.deploy(EDITOR, "size", Ref("model", 1)).went_back == ""


def test_a_shadow_answers_nobody_and_is_compared(two: Endpoints) -> None:
    two.deploy(EDITOR, "size", Ref("model", 2), beside=SHADOW)
    two.tick()
    assert ask(two, 30) == {"model@1": 30}

    def shadow() -> Deployed:
        return two.get(EDITOR, "size").rollout[1]

    until(two, lambda: (shadow().comparison or pytest.fail("no comparison")).rows == 30)
    found = shadow()
    assert (found.role, found.percent, found.requests, found.errors) == ("shadow", 0, 30, 0)
    assert found.comparison == records.Compared(30, 100.0, 0.0, 0.0, 0, 0)
    assert found.p99_ms is not None
    assert two.get(EDITOR, "size").rollout[0].comparison is None


def test_versions_that_take_other_columns_are_refused_with_their_names(workshop: Workshop, two: Endpoints) -> None:
    frame = pl.DataFrame({"area": [float(n) for n in range(100)], "rooms": [float(n % 5) for n in range(100)],
                          "big": [("no", "yes")[n > 50] for n in range(100)]})  # fmt: skip
    workshop.datasets.add("other", frame, run_id="01J00000000000000000000001")
    workshop.train(target="big", dataset=Ref("other"))
    with pytest.raises(Conflict, match=r"it does not take column 'city', and also takes column 'rooms'\."):
        two.deploy(EDITOR, "size", Ref("model", 3), beside=canary(10))
    assert shares(two) == [("model@1", "main", 100)]


def test_what_makes_no_sense_beside_the_main_version_is_refused(two: Endpoints) -> None:
    with pytest.raises(Conflict, match="answers for endpoint 'size' already"):
        two.deploy(EDITOR, "size", Ref("model", 1), beside=canary(10))
    with pytest.raises(NotFound, match="no endpoint 'new'"):
        two.deploy(EDITOR, "new", Ref("model", 1), beside=SHADOW)
    for percent in (0, 100, -1):
        with pytest.raises(InvalidInput, match="From 1 to 99"):
            canary(percent)
    with pytest.raises(InvalidInput, match="either a canary or a shadow"):
        Beside.of(10, shadow=True)
    with pytest.raises(Forbidden):
        two.rollback(VIEWER, "size")


def test_a_canary_and_a_shadow_stand_side_by_side_and_changing_limits_keeps_them(
    workshop: Workshop, two: Endpoints
) -> None:
    workshop.train(target="big")
    two.deploy(EDITOR, "size", Ref("model", 2), beside=canary(10))
    two.deploy(EDITOR, "size", Ref("model", 3), beside=SHADOW)
    before = shares(two)
    assert before == [("model@1", "main", 90), ("model@2", "canary", 10), ("model@3", "shadow", 0)]
    with pytest.raises(Conflict, match="endpoint 'size' answers with it"):
        workshop.models.delete(OWNER, Ref("model"))
    limited = two.deploy(
        EDITOR, "size", Ref("model", 1), asked=Asked(limits=Limits(max_rate=5.0), workers=Workers(2, 2))
    )
    assert (limited.limits, limited.workers) == (Limits(5.0), Workers(2, 2))
    assert shares(two) == before
    two.deploy(EDITOR, "size", Ref("model", 2), beside=SHADOW)  # the canary becomes the shadow
    assert shares(two) == [("model@1", "main", 100), ("model@2", "shadow", 0)]
    assert size(two).limits == Limits(5.0)
    two.deploy(EDITOR, "size", Ref("model", 1))
    assert shares(two) == [("model@1", "main", 100)]
