"""Whatever of a run is killed, it ends with the result that it would have had, and nothing is left behind."""

from __future__ import annotations

import json
import os
import random
import re
import signal
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from platforms import in_a_process
from runs import killed

import lepton
from lepton import local
from lepton.client.runs import LogLine
from lepton.core.settings import Settings
from lepton.testing.engines import eventually

STEPS, EVERY, PAUSE_S = 40, 10, 0.05


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """A platform in a process of its own, that can be killed."""
    with in_a_process(tmp_path_factory.mktemp("kill") / "home") as settings:
        yield settings


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("folder")
    (folder / "train.py").write_text(killed.worker(steps=STEPS, every=EVERY, pause_s=PAUSE_S))
    return folder


def processes_of(run_id: str) -> dict[str, list[int]]:
    """Supervisors, launchers and commands of a run, by what they are."""
    found: dict[str, list[int]] = {"supervisor": [], "launcher": [], "command": []}
    for path in Path("/proc").glob("[0-9]*"):
        try:
            words = (path / "cmdline").read_bytes().decode(errors="replace").split("\0")
            variables = (path / "environ").read_bytes().decode(errors="replace")
        except OSError:
            continue
        mine = f"LEPTON_RUN_ID={run_id}" in variables
        if "lepton.runs.engines.supervisor" in words and run_id in " ".join(words):
            found["supervisor"].append(int(path.name))
        elif "lepton.launch" in words and run_id in words:
            found["launcher"].append(int(path.name))
        elif mine and "train.py" in words:
            found["command"].append(int(path.name))
    return found


def begun(client: lepton.Client, run_id: str) -> list[int]:
    """At which step each attempt has begun, as rank 0 says."""
    lines = client.runs.logs(run_id).lines
    return [int(text[1]) for line in lines if line.rank == 0 and (text := re.fullmatch(r"begins at (\d+)", line.text))]


VICTIMS = ("command", "launcher", "supervisor", "platform")
STOPPABLE = VICTIMS[:3]


@pytest.mark.parametrize(("victim", "seed"), [(victim, seed) for seed, victim in enumerate(VICTIMS)])
def test_a_run_ends_with_its_result_whatever_of_it_is_killed(
    settings: Settings, folder: Path, victim: str, seed: int
) -> None:
    Trial(settings, folder, victim, random.Random(seed)).play()


def test_a_run_ends_with_its_result_whatever_of_it_is_stopped_and_hangs(settings: Settings, folder: Path) -> None:
    trials = [
        Trial(settings, folder, victim, random.Random(seed), number=signal.SIGSTOP)
        for seed, victim in enumerate(STOPPABLE)
    ]
    with ThreadPoolExecutor() as pool:  # they are noticed at the same time
        list(pool.map(Trial.strike, trials))
    for trial in trials:
        trial.check()


class Trial:
    """Submit a run, kill or stop one process at a random moment, and look what becomes of the run."""

    def __init__(
        self, settings: Settings, folder: Path, victim: str, rng: random.Random, *, number: int = signal.SIGKILL
    ) -> None:
        self.settings, self.victim, self.rng, self.number = settings, victim, rng, number
        with local.client_of(settings) as client:
            self.run = client.runs.submit(["python", "train.py"], folder=folder, workers=2, cpus=0.3, retries=3)

    def play(self) -> None:
        """Do all of it."""
        self.strike()
        self.check()

    def strike(self) -> None:
        """Wait until it works, and a random moment more, and send the signal."""
        with local.client_of(self.settings) as client:
            eventually(lambda: bool(begun(client, self.run.id)), "it works", within_s=60)
        self.moment_s = self.rng.uniform(0.1, STEPS * PAUSE_S * 0.9)
        due_s = time.monotonic() + self.moment_s
        eventually(lambda: time.monotonic() > due_s, "the moment has come")
        if self.victim == "platform":
            server = local.status(self.settings)
            assert server is not None
            os.kill(server.pid, self.number)
            local.up(self.settings)
        else:
            os.kill(self.rng.choice(processes_of(self.run.id)[self.victim]), self.number)
        self.struck_at = time.time()

    def check(self) -> None:
        """Look at how it has ended."""
        with local.client_of(self.settings) as client:
            eventually(lambda: client.runs.get(self.run.id).ended, "it has ended", within_s=90)
            ended, lines = client.runs.get(self.run.id), client.runs.logs(self.run.id).lines
            assert ended.state == "succeeded", (ended.error, [line.text for line in lines])
            result = json.loads(client.runs.get_artifact(self.run.id, "result.json"))
            assert result == killed.result(steps=STEPS)
            eventually(lambda: not any(processes_of(self.run.id).values()), "nothing of it is left")
            starts = begun(client, self.run.id)
        assert len(starts) == (1 if self.victim == "platform" else 2)
        assert all(start % EVERY == 0 for start in starts)
        if self.number == signal.SIGSTOP:
            self.check_noticed(lines)
        elif self.victim != "platform":
            # One interval is repeated at most, beside what was saved within the last half second and was on its way.
            assert self.moment_s / PAUSE_S - starts[-1] <= EVERY + EVERY

    def check_noticed(self, lines: Sequence[LogLine]) -> None:
        """Look at when it was noticed that something hung."""
        if self.victim == "supervisor":  # it is itself what writes the log; the next attempt begins 5 s after its end
            noticed_at = max(line.time.timestamp() for line in lines if line.text.startswith("begins at")) - 5
        else:
            (noticed_at,) = [line.time.timestamp() for line in lines if "hangs and is ended" in line.text]
        # 10 s, and half as long again for a machine that has other tests to run.
        assert 7 < noticed_at - self.struck_at < 15


def many(count: int) -> None:
    """Kill a random process at a random moment, again and again: ``python tests/runs/test_kill_anything.py 50``."""
    with tempfile.TemporaryDirectory() as place:
        os.environ |= {"LEPTON_HOME": f"{place}/home", "LEPTON_PORT": "0"}
        folder = Path(place, "folder")
        folder.mkdir()
        (folder / "train.py").write_text(killed.worker(steps=STEPS, every=EVERY, pause_s=PAUSE_S))
        settings = Settings.from_environment()
        local.up(settings)
        well = 0
        try:
            for number in range(1, count + 1):
                rng = random.Random()
                victim, how = rng.choice(
                    [(one, signal.SIGKILL) for one in VICTIMS] + [(one, signal.SIGSTOP) for one in STOPPABLE]
                )
                try:
                    Trial(settings, folder, victim, rng, number=how).play()
                    well += 1
                except (AssertionError, pytest.fail.Exception) as error:
                    print(f"{number}: {victim}, {how.name}: {error}")
                print(f"{well} of {number} ended with their result", flush=True)
        finally:
            local.down(settings)


if __name__ == "__main__":
    many(int(sys.argv[1]))
