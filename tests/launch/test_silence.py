"""When a command that seems alive counts as hung, by a clock of the test."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import lepton
from lepton.launch.silence import Silence, beat_of


class Command:
    """A command as its launcher sees it, a look every half second."""

    def __init__(self, most_s: float) -> None:
        self.now, self.used_s, self.beat = 100.0, 0.0, 0
        self.silence = Silence(most_s, lambda: self.beat, self.now)

    def passes(self, seconds: float, *, load: float = 0.0, speaks: bool = False, beats: bool = False) -> bool:
        """Let time pass; return whether it counted as hung meanwhile."""
        for _ in range(int(seconds * 2)):
            self.now += 0.5
            self.used_s += load * 0.5
            self.beat += beats
            if speaks:
                self.silence.hear()
            if self.silence.has_lasted(self.used_s, self.now):
                return True
        return False


def test_who_did_not_ask_for_it_may_wait_for_ever() -> None:
    assert not Command(0).passes(100_000)


@pytest.mark.parametrize("sign", [{"load": 0.02}, {"speaks": True}, {"beats": True}])
def test_any_sign_of_work_will_do_and_without_one_it_hangs(sign: dict[str, float]) -> None:
    command = Command(60)
    assert not command.passes(600, **sign)  # type: ignore[arg-type]
    assert command.passes(120)


def test_threads_that_only_look_for_work_are_no_sign() -> None:
    assert Command(60).passes(60, load=0.005)


def test_who_has_called_heartbeat_must_go_on_calling_it() -> None:
    command = Command(60)
    assert not command.passes(100, load=1.0, speaks=True)
    assert not command.passes(600, beats=True)
    assert command.passes(120, load=1.0, speaks=True)


def test_a_heartbeat_touches_the_file_that_the_launcher_looks_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "heartbeat"
    beat = beat_of(file)
    assert beat() == 0
    monkeypatch.delenv("LEPTON_HEARTBEAT", raising=False)
    lepton.heartbeat()
    assert beat() == 0
    monkeypatch.setenv("LEPTON_HEARTBEAT", str(file))
    lepton.heartbeat()
    os.utime(file, ns=(1, 1))
    lepton.heartbeat()
    assert beat() > 1
    monkeypatch.setenv("LEPTON_HEARTBEAT", "/nowhere/at/all")
    lepton.heartbeat()
