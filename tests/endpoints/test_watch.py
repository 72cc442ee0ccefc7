"""What all workers told adds up, whoever of them has ended."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from lepton.endpoints.replica.control import Words
from lepton.endpoints.replica.metrics import Counts
from lepton.endpoints.replica.reports import Comparison, Report, decode, encode
from lepton.endpoints.watch import STEP_S, Hearing, Watch, of_endpoint


def counts(*statuses: int, seconds: float = 0.001) -> Counts:
    found = Counts()
    for status in statuses:
        found.answered(status, seconds)
    found.predicted(max(1, len(statuses)), seconds)
    return found


def told(found: Counts, *, model: str = "m@1", queued: int = 0, comparison: Comparison | None = None) -> str:
    return encode([Report("size", model, found, queued=queued, comparison=comparison)])


def take(watch: Watch, words: Words, now_s: float) -> list[Report]:
    """Let a watch of endpoint ``size`` take words."""
    alive, ended = Hearing().read(words)
    return watch.take(of_endpoint(alive, "size"), of_endpoint(ended, "size"), now_s)


@given(st.lists(st.sampled_from([200, 400, 503])), st.text(max_size=9))
def test_a_report_is_read_back_as_it_was_written(statuses: list[int], window: str) -> None:
    report = Report("size", "m@1", counts(*statuses), 3, Comparison(rows=2, same=1), window, [{"row": [1, None]}])
    assert decode(encode([report])) == [report]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 5), st.booleans()), max_size=20))
def test_nothing_is_lost_or_counted_twice_when_workers_end(steps: list[tuple[str, int, bool]]) -> None:
    """Workers count up; some end with a last word, some without, and others take their names' places."""
    watch, alive, total, lives = Watch(), {}, 0, 0
    names: dict[str, str] = {}
    for now_s, (who, more, ends) in enumerate(steps):
        name = names.setdefault(who, f"{who}{lives}")
        known = alive.get(name, Counts())
        for _ in range(more):
            known.answered(200, 0.001)
        total += more
        ended = {}
        if ends:
            alive.pop(name, None)
            ended = {name: told(known)}
            del names[who]
            lives += 1
        else:
            alive[name] = known
        take(watch, Words({n: told(c) for n, c in alive.items()}, ended), float(now_s))
        assert sum(tally.counts.answers for tally in watch.tallies().values()) == total


def test_models_that_are_infinitely_apart_are_reported_as_that() -> None:
    found = Comparison(rows=1, difference_sum=math.inf, difference_most=math.nan)
    (report,) = decode(encode([Report("size", "m@1", counts(200), comparison=found)]))
    assert report.comparison is not None
    assert (report.comparison.difference_sum, report.comparison.difference_most) == (math.inf, math.inf)


def test_a_worker_that_went_without_a_last_word_counts_with_what_it_said_before() -> None:
    watch = Watch()
    take(watch, Words({"0": told(counts(200, 200), queued=4)}, {}), 0.0)
    assert watch.tallies()["m@1"].queued == 4
    take(watch, Words({}, {}), 1.0)
    assert (watch.tallies()["m@1"].counts.answers, watch.tallies()["m@1"].queued) == (2, 0)


def test_the_history_tells_rates_and_latencies_of_each_step() -> None:
    watch = Watch()
    done = counts(200)
    take(watch, Words({"0": told(done)}, {}), 0.0)
    for _ in range(8):
        done.answered(200, 0.004)
    done.answered(503, 0.1)
    done.answered(503, 0.1)
    take(watch, Words({"0": told(done)}, {}), STEP_S)
    (point,) = watch.history("m@1")
    assert (point.requests_per_s, point.errors_per_s) == (10 / STEP_S, 2 / STEP_S)
    assert point.p50_s == 0.004
    assert point.p99_s == 0.1
    assert watch.recent("m@1", 60).answers == 10
    assert watch.recent("m@1", 60).errors == 2
    assert watch.recent("other@1", 60).answers == 0


def test_deployments_are_told_apart_and_comparisons_add_up() -> None:
    watch = Watch()
    shadow = [Comparison(rows=5, same=4, difference_sum=1.0, difference_most=0.5), Comparison(rows=1, skipped=2)]
    words = {str(n): told(counts(200), model="m@2", comparison=one) for n, one in enumerate(shadow)}
    take(watch, Words(words | {"2": told(counts(200, 200))}, {}), 0.0)
    tallies = watch.tallies()
    assert {model: tally.counts.answers for model, tally in tallies.items()} == {"m@1": 2, "m@2": 2}
    assert tallies["m@2"].comparison == Comparison(6, 4, 1.0, 0.5, 0, 2)


def test_only_what_is_new_is_handed_on() -> None:
    watch = Watch()
    words = Words({"0": told(counts(200))}, {})
    assert len(take(watch, words, 0.0)) == 1
    assert take(watch, words, 1.0) == []
