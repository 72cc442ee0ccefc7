"""The verbs of runs over a catalog, with an engine that only remembers."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from runs.small_platform import CANARY, Platform

from lepton.access.records import Actor, Role
from lepton.core.clock import utc_now
from lepton.core.errors import Conflict, Forbidden, InvalidInput, LeptonError, NotFound, Unavailable
from lepton.core.settings import Settings
from lepton.runs import rows, track_rows
from lepton.runs.controller import RunController
from lepton.runs.engines.port import EnginePhase, EngineSpec, EngineStatus, Exit
from lepton.runs.records import TRANSITIONS, LogLine, Machine, MetricPoint, Part, Resources, Run, RunState
from lepton.testing.engines import eventually

ANN = Actor("ann-id", "ann", {"default": Role.EDITOR, "other": Role.EDITOR})


@dataclass
class FakeEngine:
    """An engine that starts nothing; a test says how runs stand."""

    slots: int = 2
    refusal: LeptonError | None = None
    started: list[EngineSpec] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    stands: dict[str, EngineStatus] = field(default_factory=dict)
    wanted: list[str] = field(default_factory=list)
    nodes: dict[str, float] = field(default_factory=dict)

    def submit(self, spec: EngineSpec) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.started.append(spec)
        self.stands[spec.run_id] = EngineStatus(EnginePhase.RUNNING)

    def status(self, run_id: str) -> EngineStatus:
        return self.stands.get(run_id, EngineStatus(EnginePhase.UNKNOWN))

    def logs(self, run_id: str, log_key: bytes, *, after: int = 0, limit: int = 1000) -> list[LogLine]:
        lines = [LogLine(seq, 0, utc_now(), f"line {seq}") for seq in range(1, 6)]
        return [line for line in lines if line.seq > after][:limit]

    def cancel(self, run_id: str) -> None:
        self.cancelled.append(run_id)

    def machines(self) -> tuple[Machine, ...]:
        if self.nodes:
            return tuple(Machine(name, Resources(cpus, 1000, 0)) for name, cpus in self.nodes.items())
        return (Machine("", Resources(self.slots, 1000, 0)),)

    def parts(self, run_id: str) -> tuple[Part, ...]:
        return next((spec.parts for spec in self.started if spec.run_id == run_id), ())

    def want(self, waiting: Mapping[str, Sequence[Resources]]) -> None:
        self.wanted = list(waiting)

    def end(self, run_id: str, *exits: Exit) -> None:
        self.stands[run_id] = EngineStatus(EnginePhase.EXITED, exits or (Exit(0, 0, None),))


@pytest.fixture
def engine() -> FakeEngine:
    return FakeEngine()


@pytest.fixture
def platform(settings: Settings, engine: FakeEngine) -> Iterator[Platform]:
    platform = Platform(settings, engine)
    platform.create_tables()
    yield platform
    platform.close()


def submit(platform: Platform, *, project: str = "default", workers: int = 1, **arguments: Any) -> Run:
    with platform.guard.allow(ANN, "models.train", project=project) as tx:
        return platform.runs.submit(ANN, tx, project=project, task="models.train", arguments=arguments, workers=workers)


def state(platform: Platform, run: Run) -> RunState:
    return platform.runs.get(ANN, run.id).state


def started(platform: Platform) -> Run:
    run = submit(platform)
    platform.runs.dispatch.tick()
    assert state(platform, run) is RunState.RUNNING
    return run


def test_a_run_is_there_only_if_the_verb_that_wants_it_commits(platform: Platform) -> None:
    def half() -> None:
        with platform.guard.allow(ANN, "models.train") as tx:
            platform.runs.submit(ANN, tx, project="default", task="models.train", arguments={})
            raise Conflict("no")

    with pytest.raises(Conflict):
        half()
    assert platform.runs.list(ANN) == []


@pytest.mark.parametrize("workers", [0, -1, 65])
def test_the_number_of_workers_has_limits(platform: Platform, workers: int) -> None:
    with pytest.raises(InvalidInput, match="1 to 64 workers"):
        submit(platform, workers=workers)


def test_a_worker_is_told_what_the_submitter_wanted(platform: Platform, engine: FakeEngine) -> None:
    run = submit(platform, labels={"a": "b"}, seed=1)
    with pytest.raises(Conflict, match="is queued"):
        platform.runs.assignment(run.id)
    platform.runs.dispatch.tick()
    assignment = platform.runs.assignment(run.id)
    assert assignment.arguments == {"labels": {"a": "b"}, "seed": 1}
    assert (assignment.user_id, assignment.scopes) == ("ann-id", None)
    (spec,) = engine.started
    assert spec.argv[-1] == run.id
    assert spec.environment["LEPTON_HOME"] == str(platform.settings.home)
    assert spec.environment["LEPTON_CATALOG"] == platform.settings.catalog
    assert len(spec.log_key) == 32


def test_a_run_keeps_the_limits_of_the_token_it_was_submitted_with(platform: Platform) -> None:
    limited = Actor("bob-id", "bob", {"default": Role.OWNER}, scopes=frozenset({"models.train"}))
    with platform.guard.allow(limited, "models.train") as tx:
        run = platform.runs.submit(limited, tx, project="default", task="models.train", arguments={})
    platform.runs.dispatch.tick()
    assert platform.runs.assignment(run.id).scopes == frozenset({"models.train"})


def test_runs_start_in_the_order_in_which_they_came_and_as_a_whole(platform: Platform, engine: FakeEngine) -> None:
    first, second, third = submit(platform), submit(platform, workers=2), submit(platform, workers=2)
    platform.runs.dispatch.tick()
    # Two processors: the second run needs both.
    assert [spec.run_id for spec in engine.started] == [first.id]
    assert platform.runs.get(ANN, second.id).message == "waiting for 2 processors (1 free)"
    engine.end(first.id)
    platform.runs.dispatch.tick()
    assert [spec.run_id for spec in engine.started] == [first.id, second.id]
    engine.end(second.id)
    platform.runs.dispatch.tick()
    assert state(platform, third) is RunState.RUNNING


def test_a_run_that_wants_more_than_there_is_starts_alone_and_says_so(platform: Platform, engine: FakeEngine) -> None:
    small, large = submit(platform), submit(platform, workers=5)
    platform.runs.dispatch.tick()
    assert state(platform, large) is RunState.QUEUED
    engine.end(small.id)
    platform.runs.dispatch.tick()
    run = platform.runs.get(ANN, large.id)
    assert run.state is RunState.RUNNING
    assert run.message == "starting 5 workers, more than this machine has room for at a time (2)"


def test_a_run_that_cannot_be_started_has_failed(platform: Platform, engine: FakeEngine) -> None:
    engine.refusal = Unavailable("The workers could not be started.")
    run = submit(platform)
    platform.runs.dispatch.tick()
    failed = platform.runs.get(ANN, run.id)
    assert (failed.state, failed.error_code) == (RunState.FAILED, "unavailable")
    assert failed.error_message == "The workers could not be started."


def test_what_ended_without_a_word_has_failed(platform: Platform, engine: FakeEngine) -> None:
    run = started(platform)
    engine.end(run.id)
    platform.runs.dispatch.tick()
    assert (state(platform, run), platform.runs.get(ANN, run.id).error_code) == (RunState.FAILED, "internal")


def test_a_queued_run_is_cancelled_at_once(platform: Platform, engine: FakeEngine) -> None:
    run = submit(platform)
    cancelled = platform.runs.cancel(ANN, run.id)
    assert cancelled.state is RunState.CANCELLED
    assert cancelled.ended_at is not None
    platform.runs.dispatch.tick()
    assert engine.started == []


def test_a_running_run_is_cancelled_when_its_workers_have_ended(platform: Platform, engine: FakeEngine) -> None:
    run = started(platform)
    assert platform.runs.cancel(ANN, run.id).state is RunState.RUNNING
    platform.runs.dispatch.tick()
    assert engine.cancelled == [run.id]
    assert state(platform, run) is RunState.RUNNING
    engine.end(run.id, Exit(0, None, 9, stopped=True))
    platform.runs.dispatch.tick()
    assert state(platform, run) is RunState.CANCELLED


def test_a_run_cancelled_before_its_workers_began_starts_none(platform: Platform, engine: FakeEngine) -> None:
    run = submit(platform)
    with platform.database.begin() as tx:
        rows.move(tx, run.id, RunState.RUNNING)
    platform.runs.cancel(ANN, run.id)
    platform.runs.dispatch.tick()
    assert (state(platform, run), engine.started) == (RunState.CANCELLED, [])


def test_success_and_what_was_made_are_one_commit(platform: Platform) -> None:
    run = started(platform)
    platform.runs.record_metrics(run.id, [MetricPoint("loss", 1, utc_now(), 0.5)])
    with platform.guard.allow(ANN, "models.train") as tx:
        platform.runs.succeed(tx, run.id, ["model:m@1"])
    done = platform.runs.get(ANN, run.id)
    assert (done.state, done.outputs, done.progress) == (RunState.SUCCEEDED, ("model:m@1",), 1.0)
    assert [point.value for point in platform.runs.metrics(ANN, run.id)] == [0.5]


def test_a_result_that_comes_after_the_end_is_not_kept(platform: Platform, engine: FakeEngine) -> None:
    run = started(platform)
    platform.runs.fail(run.id, InvalidInput("The target is constant. Choose another."))

    def late() -> None:
        with platform.guard.allow(ANN, "models.train") as tx:
            platform.runs.succeed(tx, run.id, ["model:m@1"])

    with pytest.raises(Conflict, match="nothing of it is kept"):
        late()
    failed = platform.runs.get(ANN, run.id)
    assert (failed.state, failed.outputs) == (RunState.FAILED, ())
    assert (failed.error_code, failed.error_message) == ("invalid_input", "The target is constant. Choose another.")


def test_a_failure_that_comes_after_the_end_changes_nothing(platform: Platform) -> None:
    run = started(platform)
    with platform.guard.allow(ANN, "models.train") as tx:
        platform.runs.succeed(tx, run.id, [])
    platform.runs.fail(run.id, InvalidInput("Late."))
    platform.runs.record_progress(run.id, 0.1, "late")
    done = platform.runs.get(ANN, run.id)
    assert (done.state, done.error_code, done.progress, done.message) == (RunState.SUCCEEDED, None, 1.0, "done")


@pytest.mark.parametrize("before", RunState)
def test_every_change_of_state_is_one_of_the_table(platform: Platform, before: RunState) -> None:
    for after in RunState:
        run = submit(platform)
        with platform.database.begin() as tx:
            tx.execute(rows.runs.update().where(rows.runs.c.id == run.id).values(state=before.value))
            moved = rows.move(tx, run.id, after)
        assert moved == (after in TRANSITIONS[before])
        assert state(platform, run) is (after if moved else before)


def test_of_many_that_end_a_run_one_does(platform: Platform) -> None:
    run = started(platform)
    ways = [RunState.SUCCEEDED, RunState.FAILED, RunState.CANCELLED] * 2
    begin, won = threading.Barrier(len(ways)), []

    def end(way: RunState) -> None:
        begin.wait()
        with platform.database.begin() as tx:
            if rows.move(tx, run.id, way):
                won.append(way)

    threads = [threading.Thread(target=end, args=(way,)) for way in ways]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert won == [state(platform, run)]


def test_progress_and_metrics_are_seen_while_it_runs(platform: Platform) -> None:
    run = started(platform)
    values = [1.0, math.nan, math.inf, -math.inf]
    platform.runs.record_metrics(run.id, [MetricPoint("loss", i, utc_now(), v) for i, v in enumerate(values)])
    assert platform.runs.metrics(ANN, run.id) == []
    platform.runs.record_progress(run.id, 0.5, f"reading {CANARY}")
    seen = platform.runs.get(ANN, run.id)
    assert (seen.progress, seen.message) == (0.5, f"reading {CANARY}")
    points = platform.runs.metrics(ANN, run.id)
    assert [(p.step, math.isnan(p.value)) for p in points] == [(0, False), (1, True), (2, True), (3, True)]


def test_metrics_that_could_not_be_written_are_written_later(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = started(platform)
    platform.runs.record_metrics(run.id, [MetricPoint("loss", 1, utc_now(), 1.0)])
    with monkeypatch.context() as broken:
        broken.setattr(track_rows, "add_metrics", lambda *_: (_ for _ in ()).throw(Unavailable("away")))
        with pytest.raises(Unavailable):
            platform.runs.record_progress(run.id, 0.5, "")
    platform.runs.record_metrics(run.id, [MetricPoint("loss", 2, utc_now(), 0.5)])
    platform.runs.record_progress(run.id, 0.6, "")
    assert [point.step for point in platform.runs.metrics(ANN, run.id)] == [1, 2]


def test_logs_come_in_pages_that_say_when_no_more_can_follow(platform: Platform, engine: FakeEngine) -> None:
    run = started(platform)
    page = platform.runs.logs(ANN, run.id, limit=3)
    assert ([line.seq for line in page.lines], page.next, page.ended) == ([1, 2, 3], 3, False)
    engine.end(run.id)
    platform.runs.dispatch.tick()
    assert not platform.runs.logs(ANN, run.id, limit=3).ended
    rest = platform.runs.logs(ANN, run.id, after=3, limit=3)
    assert ([line.seq for line in rest.lines], rest.next, rest.ended) == ([4, 5], 5, True)
    assert platform.runs.logs(ANN, run.id, after=5) == type(rest)((), 5, ended=True)


def test_list_shows_the_newest_of_the_project_first(platform: Platform) -> None:
    runs = [submit(platform) for _ in range(3)]
    elsewhere = submit(platform, project="other")
    platform.runs.cancel(ANN, runs[0].id)
    assert [run.id for run in platform.runs.list(ANN)] == [run.id for run in reversed(runs)]
    assert [run.id for run in platform.runs.list(ANN, limit=1)] == [runs[2].id]
    assert [run.id for run in platform.runs.list(ANN, state=RunState.CANCELLED)] == [runs[0].id]
    assert [run.id for run in platform.runs.list(ANN, project="other")] == [elsewhere.id]


def test_who_has_no_role_in_a_project_finds_nothing_of_it(platform: Platform) -> None:
    run = submit(platform, project="other")
    stranger = Actor("eve-id", "eve", {"default": Role.OWNER})
    for verb in (
        platform.runs.get,
        platform.runs.logs,
        platform.runs.metrics,
        platform.runs.cancel,
        platform.runs.retry,
    ):
        with pytest.raises(NotFound):
            verb(stranger, run.id)
        with pytest.raises(NotFound, match="There is no run 'x'"):
            verb(stranger, "x")


def test_a_viewer_sees_but_does_not_touch(platform: Platform) -> None:
    run = started(platform)
    viewer = Actor("vic-id", "vic", {"default": Role.VIEWER})
    assert platform.runs.get(viewer, run.id).id == run.id
    assert platform.runs.logs(viewer, run.id).lines
    for verb in (platform.runs.cancel, platform.runs.retry):
        with pytest.raises(Forbidden):
            verb(viewer, run.id)


def test_a_retry_needs_the_right_to_do_what_the_run_does(platform: Platform) -> None:
    run = submit(platform, seed=1)
    platform.runs.cancel(ANN, run.id)
    limited = Actor("bob-id", "bob", {"default": Role.EDITOR}, scopes=frozenset({"runs.retry", "runs.get"}))
    with pytest.raises(Forbidden, match=r"models\.train"):
        platform.runs.retry(limited, run.id)
    able = Actor("bob-id", "bob", {"default": Role.EDITOR})
    again = platform.runs.retry(able, run.id)
    assert (again.retry_of, again.submitted_by) == (run.id, "bob")
    platform.runs.dispatch.tick()
    assert platform.runs.assignment(again.id).arguments == {"seed": 1}


def test_a_run_whose_key_is_gone_is_still_listed(platform: Platform) -> None:
    run = submit(platform)
    platform.keyring.shred("default", f"run/{run.id}")
    shown = platform.runs.get(ANN, run.id)
    assert (shown.params, shown.message) == ({}, "waiting for free workers")
    platform.runs.dispatch.tick()
    failed = platform.runs.get(ANN, run.id)
    assert (failed.state, failed.error_code, failed.error_message) == (RunState.FAILED, "not_found", None)


def test_the_controller_goes_on_after_a_tick_that_failed(caplog: pytest.LogCaptureFixture) -> None:
    class FakeRuns:
        ticks = 0
        changed = threading.Event()

        def tick(self) -> bool:
            self.ticks += 1
            if self.ticks < 4:
                raise ValueError(CANARY)
            return True

    runs: Any = FakeRuns()
    controller = RunController(runs, check_every_s=0.001)
    controller.start()
    eventually(lambda: runs.ticks > 5, "it goes on")
    controller.stop()
    assert caplog.text.count("ValueError") == 1
    assert "test_runs_operations.py" in caplog.text
    assert CANARY not in caplog.text


def test_a_controller_with_nothing_to_do_is_woken_by_what_is_submitted() -> None:
    class FakeRuns:
        ticks = 0
        changed = threading.Event()

        def tick(self) -> bool:
            self.ticks += 1
            return False

    runs: Any = FakeRuns()
    controller = RunController(runs, check_every_s=60.0)
    controller.start()
    eventually(lambda: runs.ticks == 1, "it has looked, and would wait for minutes")
    runs.changed.set()
    eventually(lambda: runs.ticks == 2, "it looks again")
    controller.stop()


def test_submitting_wakes_the_controller(platform: Platform) -> None:
    platform.runs.changed.clear()
    submit(platform)
    assert platform.runs.changed.is_set()
