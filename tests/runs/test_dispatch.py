"""What becomes of runs that wait, fail, take too long, depend on others and come again."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from runs.small_platform import Platform
from runs.test_runs_operations import ANN, FakeEngine

from lepton.access.records import Actor, Role
from lepton.core.errors import Forbidden, InvalidInput, NotFound, Unavailable
from lepton.core.settings import Settings
from lepton.runs.engines.port import Exit
from lepton.runs.launching import Launching
from lepton.runs.records import Machine, Quota, Resources, Run, RunState, Scheduling, WorkerExit

ROOT = Actor("root-id", "root", {"default": Role.OWNER, "other": Role.OWNER}, is_admin=True)
KILLED = Exit(0, None, signal.SIGKILL)
STOPPED = Exit(0, WorkerExit.STOPPED, None, stopped=True)


@dataclass
class FakeClock:
    """A clock that a test sets."""

    now: datetime = datetime(2026, 3, 31, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def after(self, **more: float) -> None:
        self.now += timedelta(**more)


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine(slots=4)


@pytest.fixture
def platform(settings: Settings, engine: FakeEngine, clock: FakeClock) -> Iterator[Platform]:
    platform = Platform(settings, engine, clock)
    platform.create_tables()
    yield platform
    platform.close()


def submit(platform: Platform, *, project: str = "default", workers: int = 1, cpus: float = 1.0, **how: Any) -> Run:
    how["resources"] = Resources(cpus, how.pop("memory_mb", 0), 0)
    with platform.guard.allow(ANN, "models.train", project=project) as tx:
        return platform.runs.submit(
            ANN, tx, project=project, task="models.train", arguments={"do": "add"}, workers=workers,
            scheduling=Scheduling(**how),
        )  # fmt: skip


def get(platform: Platform, run: Run) -> Run:
    return platform.runs.get(ANN, run.id)


def succeed(platform: Platform, run: Run, *outputs: str) -> None:
    with platform.database.begin() as tx:
        platform.runs.succeed(tx, run.id, list(outputs))


def test_a_run_whose_workers_are_lost_is_tried_again_later_each_time(
    platform: Platform, engine: FakeEngine, clock: FakeClock
) -> None:
    run = submit(platform, retries=2)
    platform.runs.dispatch.tick()
    for failure, wait_s in enumerate([5, 10], start=1):
        engine.end(engine.started[-1].run_id, KILLED)
        platform.runs.dispatch.tick()
        again = get(platform, run)
        assert again.state is RunState.QUEUED
        assert f"attempt {failure + 1} of 3 follows" in again.message
        assert "SIGKILL" in again.message
        clock.after(seconds=wait_s - 1)
        platform.runs.dispatch.tick()
        assert len(engine.started) == failure
        clock.after(seconds=2)
        platform.runs.dispatch.tick()
        assert len(engine.started) == failure + 1
    engine.end(engine.started[-1].run_id, KILLED)
    platform.runs.dispatch.tick()
    last = get(platform, run)
    assert (last.state, last.error_code, last.attempt) == (RunState.FAILED, "worker_lost", 2)
    assert len({spec.run_id for spec in engine.started}) == 3, "an engine starts a name once"
    assert len({spec.argv[-1] for spec in engine.started}) == 1


def test_a_run_waits_for_an_engine_that_goes_away_as_it_is_asked_and_fails_if_it_only_refuses(
    platform: Platform, engine: FakeEngine
) -> None:
    run, refused = submit(platform), Unavailable("The cluster does not answer.")
    answers = engine.machines
    looks = iter([answers, answers])  # the queue and the message of the run look; then it is gone

    def machines() -> tuple[Machine, ...]:
        look = next(looks, None)
        if look is None:
            raise refused
        return look()

    engine.machines, engine.refusal = machines, refused  # type: ignore[method-assign]
    platform.runs.dispatch.tick()
    waiting = get(platform, run)
    assert (waiting.state, waiting.message) == (RunState.QUEUED, "The cluster does not answer.")
    platform.runs.dispatch.tick()
    assert get(platform, run).state is RunState.QUEUED
    assert platform.runs.queue(ANN).machines == ()
    engine.machines = answers  # type: ignore[method-assign]
    platform.runs.dispatch.tick()
    assert get(platform, run).state is RunState.FAILED


def test_an_engine_hears_which_runs_wait_for_room_until_none_does(platform: Platform, engine: FakeEngine) -> None:
    first, second = submit(platform, cpus=3), submit(platform, cpus=2)
    platform.runs.dispatch.tick()
    assert engine.wanted == [second.id]
    platform.runs.cancel(ANN, second.id)
    platform.runs.dispatch.tick()
    assert engine.wanted == []
    third = submit(platform, cpus=2)
    platform.runs.dispatch.tick()
    assert engine.wanted == [third.id]
    for run in (first, third):
        platform.runs.cancel(ANN, run.id)
    engine.end(first.id)
    for _ in range(2):
        platform.runs.dispatch.tick()
    assert engine.wanted == []


def test_the_logs_of_all_attempts_follow_each_other(platform: Platform, engine: FakeEngine, clock: FakeClock) -> None:
    run = submit(platform, retries=1)
    platform.runs.dispatch.tick()
    engine.end(run.id, KILLED)
    platform.runs.dispatch.tick()
    clock.after(seconds=10)
    platform.runs.dispatch.tick()
    engine.end(engine.started[-1].run_id, KILLED)
    platform.runs.dispatch.tick()
    seen, page = [], platform.runs.logs(ANN, run.id, limit=3)
    while True:
        seen += [(line.seq, line.text) for line in page.lines]
        if page.ended:
            break
        page = platform.runs.logs(ANN, run.id, after=page.next, limit=3)
    assert [text for _, text in seen] == [f"line {n}" for n in (1, 2, 3, 4, 5)] * 2
    assert [seq for seq, _ in seen] == sorted({seq for seq, _ in seen})


def test_what_a_worker_says_itself_is_not_tried_again(platform: Platform, engine: FakeEngine) -> None:
    run = submit(platform, retries=5)
    platform.runs.dispatch.tick()
    platform.runs.fail(run.id, InvalidInput("There is no such column. Name one that is."))
    engine.end(run.id, Exit(0, WorkerExit.FAILED, None))
    platform.runs.dispatch.tick()
    assert get(platform, run).state is RunState.FAILED


def test_a_run_that_takes_too_long_is_ended_and_says_so(
    platform: Platform, engine: FakeEngine, clock: FakeClock
) -> None:
    run = submit(platform, timeout_s=60, retries=3)
    platform.runs.dispatch.tick()
    clock.after(seconds=59)
    platform.runs.dispatch.tick()
    assert engine.cancelled == []
    clock.after(seconds=2)
    platform.runs.dispatch.tick()
    assert engine.cancelled == [run.id]
    engine.end(run.id, STOPPED)
    platform.runs.dispatch.tick()
    ended = get(platform, run)
    assert (ended.state, ended.error_code) == (RunState.FAILED, "timed_out")
    assert "longer than it may" in str(ended.error_message)


def test_a_run_makes_room_and_goes_on_later(platform: Platform, engine: FakeEngine, clock: FakeClock) -> None:
    small = submit(platform, cpus=4, preemptible=True)
    platform.runs.dispatch.tick()
    urgent = submit(platform, cpus=4, priority=10)
    clock.after(seconds=10)
    platform.runs.dispatch.tick()
    assert engine.cancelled == [small.id]
    platform.runs.dispatch.tick()
    assert get(platform, urgent).state is RunState.QUEUED
    engine.end(small.id, STOPPED)
    platform.runs.dispatch.tick()
    assert get(platform, urgent).state is RunState.RUNNING
    waiting = get(platform, small)
    assert waiting.state is RunState.QUEUED
    assert "made room for another run" in waiting.message
    succeed(platform, urgent)
    engine.end(urgent.id)
    platform.runs.dispatch.tick()
    assert get(platform, small).state is RunState.RUNNING
    assert get(platform, small).attempt == 1


def test_a_cancelled_run_is_not_tried_again(platform: Platform, engine: FakeEngine) -> None:
    run = submit(platform, retries=5, preemptible=True)
    platform.runs.dispatch.tick()
    platform.runs.cancel(ANN, run.id)
    platform.runs.dispatch.tick()
    engine.end(run.id, STOPPED)
    platform.runs.dispatch.tick()
    assert get(platform, run).state is RunState.CANCELLED


def test_the_same_key_is_the_same_run(platform: Platform, engine: FakeEngine) -> None:
    first, again = submit(platform, key="nightly"), submit(platform, key="nightly")
    assert first.id == again.id
    assert submit(platform, key="nightly", project="other").id != first.id
    assert submit(platform, key="other").id != first.id
    platform.runs.dispatch.tick()
    assert len(engine.started) == 3


def test_a_run_starts_after_others_have_succeeded(platform: Platform, engine: FakeEngine) -> None:
    first, second = submit(platform), submit(platform)
    last = submit(platform, after=(first.id, second.id))
    platform.runs.dispatch.tick()
    assert get(platform, last).message.startswith("starts after 2 other: ")
    succeed(platform, first)
    platform.runs.dispatch.tick()
    assert get(platform, last).message == f"starts after 1 other: {second.id}"
    succeed(platform, second)
    for _ in range(2):
        platform.runs.dispatch.tick()
    assert get(platform, last).state is RunState.RUNNING


def test_a_run_after_one_that_failed_fails_too_and_so_on(platform: Platform, engine: FakeEngine) -> None:
    first = submit(platform)
    second = submit(platform, after=(first.id,))
    third = submit(platform, after=(second.id,))
    platform.runs.dispatch.tick()
    engine.end(first.id, KILLED)
    for _ in range(3):
        platform.runs.dispatch.tick()
    for run, before in ((second, first), (third, second)):
        ended = get(platform, run)
        assert (ended.state, ended.error_code) == (RunState.FAILED, "dependency_failed")
        assert f"Run {before.id} failed" in str(ended.error_message)


def test_a_run_cannot_start_after_one_of_another_project(platform: Platform) -> None:
    first = submit(platform, project="other")
    with pytest.raises(NotFound, match="no run"):
        submit(platform, after=(first.id,))


def test_a_step_whose_code_and_inputs_did_not_change_is_reused(platform: Platform, engine: FakeEngine) -> None:
    def pipeline(code: str) -> tuple[Run, Run]:
        first = submit(platform, reuse=code)
        return first, submit(platform, reuse="train", after=(first.id,))

    def work_off() -> None:
        for _ in range(4):
            platform.runs.dispatch.tick()
            for spec in engine.started:
                run = platform.runs.get(ANN, spec.run_id)
                if not run.state.has_ended:
                    succeed(platform, run, f"model:{run.id}@1")
                    engine.end(run.id)

    one = pipeline("clean 1")
    work_off()
    assert len(engine.started) == 2
    two = pipeline("clean 1")
    work_off()
    assert len(engine.started) == 2
    for before, after in zip(one, two, strict=True):
        reused = get(platform, after)
        assert (reused.state, reused.reused_from) == (RunState.SUCCEEDED, before.id)
        assert reused.outputs == (f"model:{before.id}@1",)
        assert "same code, same inputs" in reused.message
    three = pipeline("clean 2")
    work_off()
    assert len(engine.started) == 4, "what follows a changed step is done again"
    assert get(platform, three[1]).reused_from is None
    submit(platform)
    submit(platform)
    work_off()
    assert len(engine.started) == 6, "without a word for code and inputs nothing is reused"


def test_a_quota_is_set_by_who_owns_the_platform_and_holds(
    platform: Platform, engine: FakeEngine, clock: FakeClock
) -> None:
    with pytest.raises(Forbidden):
        platform.runs.limit(ANN, Quota(running=1))
    with pytest.raises(InvalidInput, match="0 or more"):
        platform.runs.limit(ROOT, Quota(cpus=-1))
    platform.runs.limit(ROOT, Quota(running=1, hours=2))
    assert platform.runs.quota(ANN) == Quota(running=1, hours=2)
    first, second, other = submit(platform), submit(platform), submit(platform, project="other")
    platform.runs.dispatch.tick()
    assert {spec.run_id for spec in engine.started} == {first.id, other.id}
    assert get(platform, second).message == "the project uses 1 of the 1 runs of its quota"
    clock.after(hours=2.5)
    succeed(platform, first)
    platform.runs.dispatch.tick()
    assert "2.5 of its 2 processor hours of this month" in get(platform, second).message
    clock.after(hours=12)  # the month is over
    platform.runs.dispatch.tick()
    assert get(platform, second).state is RunState.RUNNING
    platform.runs.limit(ROOT, Quota())
    assert platform.runs.quota(ANN) == Quota()


def test_the_queue_shows_the_own_projects_and_the_sum_of_the_others(platform: Platform, engine: FakeEngine) -> None:
    submit(platform, cpus=3)
    waiting = submit(platform, cpus=2)
    submit(platform, project="other")
    platform.runs.dispatch.tick()
    bob = Actor("bob-id", "bob", {"default": Role.VIEWER})
    found = platform.runs.queue(bob)
    assert found.machines == (Resources(4, 1000, 0),)
    (mine,) = found.projects
    assert (mine.project, mine.use.resources.cpus, mine.use.running, mine.queued) == ("default", 3, 1, 1)
    assert (found.others.resources.cpus, found.others.running) == (1, 1)
    (queued,) = found.waiting
    assert (queued.run_id, queued.reason) == (waiting.id, "waiting for 2 processors (0 free)")


def test_a_schedule_repeats_a_run_in_the_name_of_who_made_it(
    platform: Platform, engine: FakeEngine, clock: FakeClock
) -> None:
    run = submit(platform, memory_mb=7)
    platform.runs.dispatch.tick()
    succeed(platform, run)
    made = platform.runs.schedule(ANN, run.id, "30 6 * * *", timezone="Europe/Berlin")
    assert made.next_at == datetime(2026, 4, 1, 4, 30, tzinfo=UTC)  # summer time has begun
    clock.after(hours=16)
    platform.runs.dispatch.tick()
    assert len(engine.started) == 1
    clock.after(hours=1)
    for _ in range(2):
        platform.runs.dispatch.tick()
    assert len(engine.started) == 2
    (schedule,) = platform.runs.schedules(ANN)
    again = platform.runs.get(ANN, str(schedule.last_run_id))
    assert (again.task, again.submitted_by, again.resources.memory_mb) == ("models.train", "ann", 7)
    assert platform.runs.assignment(again.id).arguments == {"do": "add"}
    assert schedule.next_at == datetime(2026, 4, 2, 4, 30, tzinfo=UTC)


def test_a_schedule_passes_over_a_time_while_the_run_before_goes_on_and_makes_up_for_a_missed_one_once(
    platform: Platform, engine: FakeEngine, clock: FakeClock
) -> None:
    run = submit(platform)
    platform.runs.dispatch.tick()
    made = platform.runs.schedule(ANN, run.id, "@hourly")
    clock.after(hours=10)  # as if nobody was there
    for _ in range(2):
        platform.runs.dispatch.tick()
    assert len(engine.started) == 2
    clock.after(hours=1)
    platform.runs.dispatch.tick()
    (schedule,) = platform.runs.schedules(ANN)
    assert (len(engine.started), schedule.skipped) == (2, 1)
    platform.runs.unschedule(ANN, made.id)
    assert platform.runs.schedules(ANN) == []
    with pytest.raises(NotFound, match="no schedule"):
        platform.runs.unschedule(ANN, made.id)


@pytest.mark.parametrize(
    ("cron", "timezone", "says"),
    [
        ("every day", "UTC", "is not a schedule"),
        ("61 * * * *", "UTC", "is not a schedule"),
        ("0 0 30 2 *", "UTC", "is not a schedule"),
        ("* * * * * *", "UTC", "is not a schedule"),
        ("@daily", "Berlin", "no time zone"),
        ("@daily", "../../etc/passwd", "no time zone"),
    ],
)
def test_a_schedule_that_nobody_can_mean_is_refused(platform: Platform, cron: str, timezone: str, says: str) -> None:
    run = submit(platform)
    with pytest.raises(InvalidInput, match=says):
        platform.runs.schedule(ANN, run.id, cron, timezone=timezone)


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"cpus": 0}, "cpus"),
        ({"priority": 101}, "priority"),
        ({"retries": -1}, "retries"),
        ({"timeout_s": 0.0}, "more than 0 s"),
        ({"memory_mb": -5}, "memory_mb"),
        ({"key": "a b"}, "A key is"),
    ],
)
def test_what_cannot_be_asked_of_the_queue_is_refused(platform: Platform, how: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidInput, match=says):
        submit(platform, **how)


def test_a_quota_holds_over_two_engines_together(platform: Platform, engine: FakeEngine) -> None:
    elsewhere = FakeEngine(slots=4)
    platform.runs.dispatch.launching = Launching("http://127.0.0.1:1", {}, elsewhere)
    platform.runs.limit(ROOT, Quota(running=1))
    here = submit(platform)
    with platform.guard.allow(ANN, "runs.submit", project="default") as tx:
        there = platform.runs.submit(ANN, tx, project="default", task="runs.submit", arguments={"argv": ["true"]})
    platform.runs.dispatch.tick()
    assert [spec.run_id for spec in engine.started] == [here.id]
    assert elsewhere.started == []
    assert get(platform, there).message == "the project uses 1 of the 1 runs of its quota"
    succeed(platform, here)
    platform.runs.dispatch.tick()
    assert [spec.run_id for spec in elsewhere.started] == [there.id]
