from datetime import UTC, datetime, timedelta

from lepton.endpoints.records import Endpoint, EndpointState
from lepton.endpoints.restarts import LONGEST_S, RestartDelays

START = datetime(2026, 1, 1, tzinfo=UTC)


def endpoint(generation: int = 1) -> Endpoint:
    return Endpoint(
        id="01J00000000000000000000000",
        project="default",
        name="churn",
        model="churn@1",
        model_version_id="01J00000000000000000000001",
        blob_id="b",
        generation=generation,
        state=EndpointState.STARTING,
        message="",
        replica=None,
        host="127.0.0.1",
        created_at=START,
        created_by="owner",
    )


def waits(delays: RestartDelays, attempts: int) -> list[int]:
    """Seconds before each attempt of a replica that dies at once."""
    now, result = START, []
    for _ in range(attempts):
        waited = 0
        while not delays.due(endpoint(), now):
            now += timedelta(seconds=1)
            waited += 1
        delays.note(endpoint(), now)
        result.append(waited)
    return result


def test_a_replica_that_keeps_dying_is_started_again_with_growing_pauses() -> None:
    assert waits(RestartDelays(), 10) == [0, 0, 1, 2, 4, 8, 16, 32, 60, 60]


def test_a_replica_that_lived_long_is_started_again_at_once() -> None:
    delays = RestartDelays()
    waits(delays, 8)
    calm = START + timedelta(hours=1)
    delays.note(endpoint(), calm)
    assert delays.due(endpoint(), calm)


def test_a_new_deployment_does_not_wait_for_the_failures_of_the_old_one() -> None:
    delays = RestartDelays()
    waits(delays, 8)
    assert delays.due(endpoint(generation=2), START + timedelta(seconds=1))
    assert LONGEST_S == 60
