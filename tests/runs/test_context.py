"""What a task can say, and how it reaches the catalog."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest

from lepton.access.records import Actor
from lepton.core.clock import utc_now
from lepton.core.errors import Unavailable
from lepton.runs import context as context_module
from lepton.runs.context import TaskContext
from lepton.runs.records import MetricPoint, Run, RunState
from lepton.testing.engines import eventually
from lepton.training.collective import LocalCollective


@dataclass
class FakeRecorder:
    """Remembers what it was told."""

    failing: bool = False
    points: list[MetricPoint] = field(default_factory=list)
    progress: list[tuple[float, str]] = field(default_factory=list)
    attempts: int = 0

    def record_metrics(self, run_id: str, points: Sequence[MetricPoint]) -> None:
        self.points += points

    def record_progress(self, run_id: str, fraction: float, message: str) -> None:
        self.attempts += 1
        if self.failing:
            raise Unavailable("away")
        self.progress.append((fraction, message))


def make(recorder: FakeRecorder, rank: int = 0, **more: Any) -> TaskContext:
    run = Run("R1", "default", "models.train", RunState.RUNNING, 1, "ann", utc_now(), message="starting a worker")
    return TaskContext(
        run=run,
        actor=Actor("ann-id", "ann", {}),
        arguments={},
        rank=rank,
        world_size=2,
        collective=LocalCollective(),
        recorder=recorder,
        **more,
    )


def test_the_last_progress_is_always_written() -> None:
    recorder = FakeRecorder()
    context = make(recorder)
    for step in range(1000):
        context.progress(step / 1000, f"step {step}")
    context.close()
    assert recorder.progress[-1] == (0.999, "step 999")
    assert len(recorder.progress) < 100


def test_progress_is_seen_while_the_task_is_busy() -> None:
    recorder = FakeRecorder()
    context = make(recorder)
    context.progress(0.5, "half")
    eventually(lambda: recorder.progress == [(0.5, "half")], "it is written without another call")
    context.progress(0.75, "more")
    eventually(lambda: recorder.progress[-1] == (0.75, "more"), "so is the next")
    context.close()


def test_a_share_is_between_0_and_1() -> None:
    recorder = FakeRecorder()
    context = make(recorder)
    context.progress(7, "far")
    context.close()
    assert recorder.progress[-1] == (1.0, "far")


def test_a_metric_keeps_the_message_that_was_there() -> None:
    recorder = FakeRecorder()
    context = make(recorder)
    context.metric("loss" * 40, 0.5, step=3)
    context.close()
    assert [(len(p.key), p.step, p.value) for p in recorder.points] == [(64, 3, 0.5)]
    assert recorder.progress[-1] == (0.0, "starting a worker")


def test_only_rank_0_tells_progress_and_metrics() -> None:
    recorder = FakeRecorder()
    lines: list[str] = []
    context = make(recorder, rank=1, write_line=lines.append)
    context.progress(0.5, "half")
    context.metric("loss", 1.0)
    context.log("here")
    context.close()
    assert (recorder.progress, recorder.points, lines) == ([], [], ["here"])


def test_a_task_does_not_fail_because_its_progress_cannot_be_written(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(context_module, "WRITE_EVERY_S", 0.001)
    recorder = FakeRecorder(failing=True)
    context = make(recorder)
    context.progress(0.5, "half")
    eventually(lambda: recorder.attempts > 0, "it has been tried")
    recorder.failing = False
    context.progress(0.6, "again")
    context.close()
    assert recorder.progress[-1] == (0.6, "again")
    assert "Unavailable" in caplog.text


def test_closing_without_a_word_writes_nothing() -> None:
    recorder = FakeRecorder()
    make(recorder).close()
    assert recorder.attempts == 0


def test_should_stop_says_whether_the_run_was_cancelled() -> None:
    stop = threading.Event()
    context = make(FakeRecorder(), stop_asked=stop)
    assert not context.should_stop()
    stop.set()
    assert context.should_stop()
