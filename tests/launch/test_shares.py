"""Which processors and GPUs a worker has: no two workers have the same, and what a killed one had is free again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from lepton.core.errors import Unavailable
from lepton.launch import shares

HOLDER = """
import sys
from pathlib import Path
from lepton.launch import shares
shares.ground = lambda: Path(sys.argv[1])
with shares.gpus(int(sys.argv[2]), {shares.VISIBLE: sys.argv[3]}) as mine:
    print(mine, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def ground(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(shares, "ground", lambda: tmp_path)
    return tmp_path


@contextmanager
def holder(ground: Path, wanted: int, there: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Another process that holds GPUs until it is told to end."""
    command = [sys.executable, "-c", HOLDER, str(ground), str(wanted), there]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process, process.stdout.readline().strip()


def test_workers_have_different_gpus(ground: Path) -> None:
    with holder(ground, 2, "0,1,2,3") as (_, first), holder(ground, 1, "0,1,2,3") as (_, second):
        assert (first, second) == ("0,1", "2")
        with shares.gpus(1, {shares.VISIBLE: "0,1,2,3"}) as mine:
            assert mine == "3"


def test_what_a_killed_worker_had_is_free_again(ground: Path) -> None:
    with holder(ground, 2, "4,5") as (process, first):
        assert first == "4,5"
        process.send_signal(signal.SIGKILL)
        process.wait()
        with shares.gpus(2, {shares.VISIBLE: "4,5"}) as mine:
            assert mine == "4,5"


def test_too_few_gpus_are_said_in_a_sentence(ground: Path) -> None:
    with (
        holder(ground, 1, "0,1"),
        pytest.raises(Unavailable, match="wants 2 GPUs for each worker, and 1 of this machine"),
        shares.gpus(2, {shares.VISIBLE: "0,1"}),
    ):
        pass


def test_who_wants_no_gpu_sees_none(tmp_path: Path) -> None:
    (tmp_path / "nvidia0").touch()
    with shares.gpus(0, {}, tmp_path) as mine:
        assert mine == ""


def test_the_gpus_that_the_system_shows_are_those_there_are(tmp_path: Path) -> None:
    for name in ("nvidia0", "nvidia10", "nvidia2", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    with shares.gpus(3, {}, tmp_path) as mine:
        assert mine == "0,2,10"


def test_workers_have_different_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3, 4, 5, 6})
    with shares.processors(1) as first, shares.processors(2) as second, shares.processors(2) as third:
        assert (first, second) == ([3], [4, 5])
        assert third == []  # there are not as many left: it shares what there is
        with shares.processors(1) as fourth:
            assert fourth == [6]


@pytest.mark.parametrize("wanted", [0.5, 1.5, 2.0, 8.0])
def test_who_wants_a_part_or_all_of_the_processors_may_use_any(wanted: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    with shares.processors(wanted) as mine:
        assert mine == []


def test_shares_are_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    for _ in range(3):
        with ExitStack() as held:
            assert held.enter_context(shares.processors(1)) == [0]
            assert held.enter_context(shares.processors(1)) == [1]
