"""What counts as a process that hangs, by a clock of the test."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from lepton.runs.engines import stillness
from lepton.runs.engines.stillness import Sight, Stillness
from lepton.testing.engines import eventually


def noticed_after(sights: dict[int, list[Sight]], *, every_s: float = stillness.LOOK_EVERY_S) -> float | None:
    """Look at processes at a steady pace; return when one is found to hang, or None."""
    step = 0
    watch = Stillness(sight=lambda pid: sights[pid][min(step, len(sights[pid]) - 1)])
    for step in range(100):
        if watch.look(sights, 1000.0 + step * every_s) is not None:
            return step * every_s
    return None


@pytest.mark.parametrize("state", ["T", "D"])
def test_a_process_that_cannot_go_on_is_noticed_within_ten_seconds(state: str) -> None:
    noticed_s = noticed_after({7: [Sight("S", 1, 5), Sight(state, 1, 5)]})
    assert noticed_s is not None
    assert 7.5 <= noticed_s <= 10 - stillness.LOOK_EVERY_S  # it may have begun just after a look


@pytest.mark.parametrize("state", ["S", "R", "Z", "t"])
def test_a_process_that_waits_works_has_ended_or_is_looked_into_by_a_debugger_does_not_hang(state: str) -> None:
    assert noticed_after({7: [Sight(state, 1, 5)]}) is None


def test_a_process_that_uses_the_processor_between_looks_does_not_hang() -> None:
    assert noticed_after({7: [Sight("D", 1, ticks) for ticks in range(100)]}) is None


def test_a_process_that_was_stopped_for_a_while_and_goes_on_does_not_hang() -> None:
    assert noticed_after({7: [Sight("T", 1, 5)] * 14 + [Sight("S", 1, 5)]}) is None


def test_another_process_with_the_same_number_begins_anew() -> None:
    sights = [Sight("T", 1, 5)] * 10 + [Sight("T", 2, 5)] * 90
    assert noticed_after({7: sights}) == pytest.approx(5.0 + 7.5)


def test_who_could_not_look_itself_blames_nobody_for_that() -> None:
    # As after a laptop was asleep: the process was not stopped for that long, nobody was there.
    watch = Stillness(sight=lambda _: Sight("T", 1, 5))
    assert watch.look([7], 0.0) is None
    assert watch.look([7], 3600.0) is None
    assert watch.look([7], 3600.5) is None


def test_a_real_process_that_is_stopped_is_seen_as_such() -> None:
    with subprocess.Popen([sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE) as process:
        process.send_signal(signal.SIGSTOP)
        eventually(lambda: (found := stillness.sight_of(process.pid)) is not None and found.state == "T", "it stands")
        watch = Stillness()
        assert [watch.look([os.getpid(), process.pid], now) for now in (0.0, 2.0, 4.0, 6.0)] == [None] * 4
        hung = watch.look([os.getpid(), process.pid], 8.0)
        assert hung is not None
        assert (hung.pid, hung.why) == (process.pid, "was stopped by a signal (SIGSTOP) for 8 s")
        process.kill()
    assert stillness.sight_of(process.pid) is None
