"""Counts add up, and Prometheus reads them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from lepton.endpoints.replica.metrics import LATENCY_BOUNDS_S, Counts, exposition

LATENCIES = st.lists(st.floats(1e-6, 100), min_size=1, max_size=60)


def counted(latencies: list[float], status: int = 200) -> Counts:
    counts = Counts()
    for seconds in latencies:
        counts.answered(status, seconds)
    return counts


@given(LATENCIES, LATENCIES)
def test_the_counts_of_two_workers_add_up(here: list[float], there: list[float]) -> None:
    both = counted(here)
    both.add(counted(there))
    together = counted(here + there)
    assert both.latencies == together.latencies
    assert both.requests == together.requests == {200: len(here) + len(there)}
    assert both.answers == len(here) + len(there)


@given(LATENCIES, st.sampled_from([0.5, 0.9, 0.99]))
def test_a_quantile_is_the_bound_above_the_true_one(latencies: list[float], share: float) -> None:
    found = counted(latencies).quantile_s(share)
    true = sorted(latencies)[max(0, -(-int(len(latencies) * share * 1000) // 1000) - 1)]
    assert found is not None
    assert found >= true
    below = [bound for bound in (0.0, *LATENCY_BOUNDS_S) if bound < found]
    assert sum(seconds > below[-1] for seconds in latencies) >= 1


def test_without_answers_there_is_no_quantile() -> None:
    assert Counts().quantile_s(0.5) is None


def test_prometheus_reads_what_is_written() -> None:
    counts = counted([0.0005, 0.002], 200)
    counts.answered(503, 0.1)
    counts.predicted(4, 0.001)
    text = exposition([({"endpoint": 'a"b\\c\nd', "model": "m@1"}, counts, {"queue": 3, "in_flight": 4})])
    families = {family.name: family for family in text_string_to_metric_families(text)}
    requests = {s.labels["status"]: s.value for s in families["lepton_endpoint_requests"].samples}
    assert requests == {"200": 2, "503": 1}
    latency = families["lepton_endpoint_latency_seconds"]
    assert latency.type == "histogram"
    assert next(s.value for s in latency.samples if s.name.endswith("_count")) == 3
    buckets = [s.value for s in latency.samples if s.name.endswith("_bucket")]
    assert buckets == sorted(buckets)
    assert latency.samples[0].labels["endpoint"] == 'a"b\\c\nd'
    assert families["lepton_endpoint_queue"].samples[0].value == 3
    rows = families["lepton_endpoint_batch_rows"].samples
    assert next(s.value for s in rows if s.name.endswith("_sum")) == 4
