from lepton.endpoints.restarts import LONGEST_S, RestartDelays


def waits(delays: RestartDelays, attempts: int) -> list[int]:
    """Seconds before each attempt of a replica that dies at once."""
    now_s, result = 1000, []
    for _ in range(attempts):
        waited = 0
        while not delays.due("churn/1", now_s):
            now_s += 1
            waited += 1
        delays.note("churn/1", now_s)
        result.append(waited)
    return result


def test_a_replica_that_keeps_dying_is_started_again_with_growing_pauses() -> None:
    assert waits(RestartDelays(), 10) == [0, 0, 1, 2, 4, 8, 16, 32, 60, 60]


def test_a_replica_that_lived_long_is_started_again_at_once() -> None:
    delays = RestartDelays()
    waits(delays, 8)
    delays.note("churn/1", 5000)
    assert delays.due("churn/1", 5000)


def test_a_new_deployment_does_not_wait_for_the_failures_of_the_old_one() -> None:
    delays = RestartDelays()
    waits(delays, 8)
    assert delays.due("churn/2", 1001)
    assert LONGEST_S == 60
