"""Which runs start next: fair between projects, first come within one, nobody starved, no quota passed."""

from __future__ import annotations

import bisect
import heapq
import itertools
import random
import time
from collections import defaultdict
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lepton.runs.queue import DEPTH, PATIENCE_S, PREEMPT_AFTER_S, Decision, Started, Waiting, decide
from lepton.runs.records import Machine, Quota, Resources

MACHINE = Resources(8, 16_000, 2)


def ask(
    *waiting: Waiting,
    started: list[Started] | None = None,
    machines: tuple[Resources, ...] = (MACHINE,),
    cluster: dict[str, Resources] | None = None,
    quotas: dict[str, Quota] | None = None,
    hours: dict[str, float] | None = None,
) -> Decision:
    by_project: dict[str, list[Waiting]] = defaultdict(list)
    for run in waiting:
        by_project[run.project].append(run)
    there = [Machine("", has) for has in machines] if cluster is None else [Machine(*one) for one in cluster.items()]
    return decide(by_project, started or [], there, quotas=quotas or {}, hours=hours or {})


def wait(name: str, cpus: float = 1, project: str = "a", **more: float) -> Waiting:
    memory, gpus = int(more.pop("memory", 0)), int(more.pop("gpus", 0))
    return Waiting(name, project, Resources(cpus, memory, gpus), **more)  # type: ignore[arg-type]


def run(name: str, cpus: float = 1, project: str = "a", **more: float) -> Started:
    memory, gpus = int(more.pop("memory", 0)), int(more.pop("gpus", 0))
    return Started(name, project, Resources(cpus, memory, gpus), **more)  # type: ignore[arg-type]


def test_a_run_starts_with_all_of_its_workers_or_not_at_all() -> None:
    found = ask(wait("r", 4), started=[run("s", 5)])
    assert found.start == ()
    assert found.reasons == {"r": "waiting for 4 processors (3 free)"}


def test_a_smaller_run_overtakes_one_that_does_not_fit_until_that_has_waited_for_long() -> None:
    busy = [run("s", 6)]
    assert ask(wait("large", 4, waited_s=1), wait("small", 2), started=busy).start == ("small",)
    found = ask(wait("large", 4, waited_s=PATIENCE_S + 1), wait("small", 2), started=busy)
    assert found.start == ()
    assert "its turn comes after run large" in found.reasons["small"]


def test_what_is_kept_for_one_is_kept_from_other_projects_too() -> None:
    busy = [run("s", 6, "c")]
    found = ask(wait("large", 4, "a", waited_s=PATIENCE_S + 1), wait("small", 2, "b"), started=busy)
    assert found.start == ()
    # A GPU that it does not ask for is not kept, nor are processors beyond what it needs.
    found = ask(
        wait("gpu", 1, "a", gpus=2, waited_s=PATIENCE_S + 1),
        wait("small", 3, "b"),
        wait("larger", 4, "d"),
        started=[run("s", 3, "c", gpus=1)],
    )
    assert set(found.start) == {"small"}


def test_what_more_machines_would_help_is_said_and_what_a_quota_holds_is_not_among_it() -> None:
    busy = [run("s", 6)]
    waiting = (wait("large", 4), wait("huge", 1, gpus=3), wait("held", 4, "b"), wait("small", 2))
    found = ask(*waiting, started=busy, quotas={"b": Quota(cpus=2)})
    assert found.start == ("small",)
    assert found.lacking == ("large", "huge")
    assert ask(wait("any", 1), cluster={}).lacking == ("any",)


def test_the_project_with_the_smaller_dominant_share_is_next() -> None:
    # Ghodsi et al., section 4.1: 9 processors and 18 GB; A's tasks take 1 and 4, B's take 3 and 1: three and two.
    runs = [wait(f"a{i}", 1, "a", memory=4) for i in range(9)] + [wait(f"b{i}", 3, "b", memory=1) for i in range(9)]
    found = ask(*runs, machines=(Resources(9, 18, 0),))
    assert sorted(found.start) == ["a0", "a1", "a2", "b0", "b1"]


def test_within_a_project_the_order_is_kept() -> None:
    assert ask(wait("1", 3), wait("2", 3), wait("3", 3)).start == ("1", "2")


def test_too_many_processors_for_the_only_machine_start_alone() -> None:
    assert ask(wait("huge", 20), started=[run("s", 1)]).start == ()
    assert ask(wait("huge", 20)).start == ("huge",)


@pytest.mark.parametrize(("more", "says"), [({"memory": 20_000}, "MB of memory"), ({"gpus": 3}, "GPUs")])
def test_a_run_larger_than_any_machine_says_so_and_holds_up_nobody(more: dict[str, int], says: str) -> None:
    found = ask(wait("huge", 1, waited_s=1e6, **more), wait("small", 8))
    assert found.start == ("small",)
    assert says in found.reasons["huge"]
    assert "the largest machine has" in found.reasons["huge"]


@pytest.mark.parametrize(
    ("quota", "says"),
    [
        (Quota(cpus=2), "the project uses 2 of the 2 processors of its quota"),
        (Quota(memory_mb=100), "the project uses 100 of the 100 MB of memory of its quota"),
        (Quota(gpus=1), "the project uses 1 of the 1 GPUs of its quota"),
        (Quota(running=1), "the project uses 1 of the 1 runs of its quota"),
        (Quota(hours=10), "the project has used 10.5 of its 10 processor hours of this month"),
    ],
)
def test_a_quota_holds_a_project_and_nobody_else(quota: Quota, says: str) -> None:
    one = wait("r", 1, "a", memory=50, gpus=1)
    busy = [run("s", 2, "a", memory=100, gpus=1)]
    found = ask(one, wait("other", 1, "b"), started=busy, quotas={"a": quota}, hours={"a": 10.5})
    assert found.start == ("other",)
    assert found.reasons["r"] == says


def test_a_run_beyond_its_quota_says_that_it_never_fits() -> None:
    assert ask(wait("r", 4), quotas={"a": Quota(cpus=2)}).reasons["r"] == (
        "it asks for 4 processors and the project's quota is 2"
    )


def test_a_run_makes_room_for_one_of_higher_priority_of_its_project() -> None:
    busy = [run("old", 4, preemptible=True, ran_s=50), run("new", 4, preemptible=True, ran_s=5)]
    found = ask(wait("urgent", 3, priority=5, waited_s=PREEMPT_AFTER_S), started=busy)
    assert found.preempt == ("new",)  # which loses less
    assert found.start == ()
    assert ask(wait("urgent", 3, priority=5, waited_s=0), started=busy).preempt == ()
    assert ask(wait("same", 3, waited_s=PREEMPT_AFTER_S), started=busy).preempt == ()
    fixed = [run("old", 4), run("new", 4)]
    assert ask(wait("urgent", 3, priority=5, waited_s=PREEMPT_AFTER_S), started=fixed).preempt == ()


def test_nothing_is_ended_for_a_run_that_would_not_fit_even_then_or_when_enough_is_ending() -> None:
    busy = [run("s", 6), run("p", 2, preemptible=True)]
    assert ask(wait("urgent", 3, priority=5, waited_s=60), started=busy).preempt == ()
    leaving = [run("p", 4, preemptible=True, leaving=True), run("q", 4, preemptible=True)]
    assert ask(wait("urgent", 4, priority=5, waited_s=60), started=leaving).preempt == ()


def test_a_project_gets_its_fair_share_back_and_they_do_not_take_turns() -> None:
    greedy = [run(f"g{i}", 2, "greedy", preemptible=True, ran_s=i) for i in range(4)]
    found = ask(wait("mine", 2, "late", waited_s=60), started=greedy)
    assert found.preempt == ("g0",)
    even = [run("g", 4, "greedy", preemptible=True), run("m", 4, "late", preemptible=True)]
    assert ask(wait("more", 2, "late", waited_s=60), started=even).preempt == ()


# A cluster of many tenants, in simulated time


@dataclass
class Job:
    name: str
    project: str
    needs: Resources
    length_s: float
    priority: int
    preemptible: bool
    came_s: float
    done_s: float = 0.0
    began_s: float | None = None
    first_s: float | None = None
    leaving: bool = False


@dataclass
class Cluster:
    """Plays `decide` over jobs; time goes from one event to the next."""

    machine: Resources
    quotas: dict[str, Quota]
    jobs: list[Job]
    grace_s: float = 1.0
    now: float = 0.0
    waiting: dict[str, list[tuple[int, float, str]]] = field(default_factory=lambda: defaultdict(list))
    running: dict[str, Job] = field(default_factory=dict)
    shares: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    longest_s: float = 0.0
    decisions: int = 0
    preempted: int = 0
    deciding_s: float = 0.0
    finished: int = 0
    used: dict[str, Resources] = field(default_factory=lambda: defaultdict(lambda: Resources.NONE))
    count: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    first: dict[str, tuple[str, float]] = field(default_factory=dict)
    """By project, which run is the first that waits, and since when."""

    def play(self) -> None:
        by_name = {job.name: job for job in self.jobs}
        events: list[tuple[float, int, str, str]] = []
        count = itertools.count()
        for job in self.jobs:
            heapq.heappush(events, (job.came_s, next(count), "came", job.name))
        stale: dict[str, int] = {}
        while events:
            until, number, what, name = heapq.heappop(events)
            self._pass(until - self.now)
            self.now = until
            job = by_name[name]
            if what == "came":
                self._queue(job)
            elif stale.get(name) == number:
                self._end(job, finished=what == "ends")
            if events and events[0][0] == until:
                continue  # what happens at the same time is decided on together
            found = self._decide(by_name)
            for one in found.start:
                stale[one] = self._start(by_name[one], events, count)
            for one in found.preempt:
                self.preempted += 1
                by_name[one].leaving = True
                stale[one] = next(count)
                heapq.heappush(events, (self.now + self.grace_s, stale[one], "leaves", one))
            self._check()

    def _queue(self, job: Job) -> None:
        bisect.insort(self.waiting[job.project], (-job.priority, job.came_s, job.name))

    def _pass(self, seconds: float) -> None:
        if seconds and all(len(self.waiting[p]) > 20 for p in self.quotas):  # all want more than there is
            for project in self.quotas:
                used = self.used[project]
                self.shares[project] += seconds * max(
                    used.cpus / self.machine.cpus,
                    used.memory_mb / self.machine.memory_mb,
                    used.gpus / self.machine.gpus,
                )

    def _decide(self, by_name: dict[str, Job]) -> Decision:
        heads = {
            project: [
                Waiting(n, project, by_name[n].needs, -p, self.now - by_name[n].came_s)
                for p, _, n in itertools.islice(queue, DEPTH)
            ]
            for project, queue in self.waiting.items()
        }
        started = [
            Started(j.name, j.project, j.needs, j.priority, self.now - (j.began_s or 0), j.preemptible, j.leaving)
            for j in self.running.values()
        ]
        began = time.process_time()
        found = decide(heads, started, [Machine("", self.machine)], quotas=self.quotas, hours={})
        self.deciding_s += time.process_time() - began
        self.decisions += 1
        return found

    def _start(self, job: Job, events: list[tuple[float, int, str, str]], count: itertools.count[int]) -> int:
        self.waiting[job.project].remove((-job.priority, job.came_s, job.name))
        job.began_s = self.now
        job.first_s = job.first_s or self.now
        self.running[job.name] = job
        self.used[job.project] = self.used[job.project] + job.needs
        self.count[job.project] += 1
        number = next(count)
        heapq.heappush(events, (self.now + job.length_s - job.done_s, number, "ends", job.name))
        return number

    def _end(self, job: Job, *, finished: bool) -> None:
        del self.running[job.name]
        self.used[job.project] = self.used[job.project] - job.needs
        self.count[job.project] -= 1
        assert job.began_s is not None
        job.done_s += self.now - job.began_s
        job.leaving = False
        if finished:
            self.finished += 1
        else:
            self._queue(job)

    def _check(self) -> None:
        """No machine holds more than it has, and no quota is passed, at any moment."""
        assert sum(self.used.values(), Resources.NONE).fits_in(self.machine)
        for project, quota in self.quotas.items():
            use = self.used[project]
            assert quota.running is None or self.count[project] <= quota.running
            assert quota.cpus is None or use.cpus <= quota.cpus
            assert quota.memory_mb is None or use.memory_mb <= quota.memory_mb
            assert quota.gpus is None or use.gpus <= quota.gpus
            name = self.waiting[project][0][2] if self.waiting[project] else ""
            known, since = self.first.get(project, ("", 0.0))
            if name != known:
                self.first[project] = (name, self.now)
            elif name:
                self.longest_s = max(self.longest_s, self.now - since)


def shapes(rng: random.Random, project: str) -> Resources:
    if project == "processors":
        return Resources(rng.choice([1, 1, 2, 4, 8]), rng.choice([256, 512, 1024]), 0)
    if project == "memory":
        return Resources(rng.choice([0.5, 1, 1]), rng.choice([2048, 4096, 8192]), 0)
    return Resources(rng.choice([1, 2, 4, 16]), rng.choice([512, 4096]), rng.choice([0, 1, 1, 2]))


def jain(values: list[float]) -> float:
    """Return Jain's index of fairness: 1 when all are equal, 1/n when one has all."""
    return sum(values) ** 2 / (len(values) * sum(value * value for value in values))


def test_ten_thousand_runs_of_three_tenants_share_a_cluster() -> None:
    rng = random.Random(1)
    machine = Resources(32, 65_536, 8)
    quotas = {"processors": Quota(running=20), "memory": Quota(memory_mb=57_344), "mixed": Quota(cpus=28, gpus=7)}
    jobs = []
    for number in range(10_000):
        project = rng.choices(list(quotas), [4, 3, 3])[0]
        length_s, priority, came_s = min(rng.expovariate(1 / 20) + 0.5, 120), rng.choice([0, 0, 0, 1]), rng.random()
        preemptible = rng.random() < 0.2
        needs = shapes(rng, project)
        jobs.append(Job(f"r{number:05}", project, needs, length_s, priority, preemptible, 3_000 * came_s))
    cluster = Cluster(machine, quotas, jobs)
    cluster.play()
    assert cluster.finished == 10_000
    assert cluster.preempted > 100
    assert jain(list(cluster.shares.values())) >= 0.95
    assert cluster.deciding_s / cluster.decisions < 0.001
    # Who is first in its project starts when the longest run that was there when patience ended is over, and the
    # longest of another project for which room was kept too.
    assert cluster.longest_s <= PATIENCE_S + 2 * 120
    wide, narrow = (
        [(job.first_s or 0) - job.came_s for job in jobs if job.project == "mixed" and job.needs.cpus == cpus]
        for cpus in (16, 1)
    )
    assert sum(wide) / len(wide) < 1.2 * sum(narrow) / len(narrow), "who asks for much waits for longer"


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_whatever_waits_what_starts_fits_and_has_no_reason_to_wait(data: st.DataObject) -> None:
    numbers = st.integers(0, 6)
    needs = st.builds(
        Resources, st.sampled_from([0.5, 1.0, 2.0, 5.0]), numbers.map(lambda n: n * 1000), st.integers(0, 2)
    )
    projects, waits = st.sampled_from(["a", "b", "c"]), st.sampled_from([0.0, 10.0, 100.0])
    waiting = [
        Waiting(f"w{i}", data.draw(projects), data.draw(needs), data.draw(st.integers(-1, 1)), data.draw(waits))
        for i in range(data.draw(numbers))
    ]  # fmt: skip
    started = [
        Started(f"s{i}", data.draw(projects), Resources(1, 1000, 0), 0, 1.0, data.draw(st.booleans())) for i in range(3)
    ]
    quota = Quota(cpus=data.draw(st.sampled_from([None, 3])), running=data.draw(st.sampled_from([None, 2])))
    found = ask(*waiting, started=started, quotas={"a": quota})
    assert {*found.start} | {*found.reasons} == {one.run_id for one in waiting}
    assert not {*found.start} & {*found.reasons}
    assert {*found.preempt} <= {one.run_id for one in started if one.preemptible}
    begun = [one for one in waiting if one.run_id in found.start]
    assert sum((one.needs for one in [*started, *begun]), Resources.NONE).fits_in(MACHINE)
    of_a = [one for one in [*started, *begun] if one.project == "a"]
    if any(one.project == "a" for one in begun):
        assert quota.running is None or len(of_a) <= quota.running
        assert quota.cpus is None or sum(one.needs.cpus for one in of_a) <= quota.cpus
    assert ask(*waiting, started=started, quotas={"a": quota}) == found
