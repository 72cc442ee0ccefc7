"""The process that forks supervisors: it holds nothing, can be killed, and what is left of others it ends."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from lepton.core.ids import new_id
from lepton.runs.engines import folder, forkserver
from lepton.runs.engines.local import LocalEngine
from lepton.runs.engines.port import EnginePhase, EngineSpec, EngineStatus
from lepton.testing.engines import LOG_KEY, eventually, is_running, python

WAIT = python("import os, signal; print(os.getpid(), flush=True); signal.pause()")


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[LocalEngine]:
    engine = LocalEngine(tmp_path, grace_s=1.0)
    yield engine
    engine.close()


def start(engine: LocalEngine, argv: tuple[str, ...], **environment: str) -> str:
    run_id = new_id()
    engine.submit(EngineSpec(run_id, 1, argv, environment, LOG_KEY))
    return run_id


def server(engine: LocalEngine) -> int:
    pid = engine._forks.pid
    assert pid is not None
    return pid


def supervisor(tmp_path: Path, run_id: str) -> int:
    mark = folder.claimed_by(tmp_path / run_id)
    assert mark is not None
    return mark.pid


def said(engine: LocalEngine, run_id: str) -> list[int]:
    eventually(lambda: bool(engine.logs(run_id, LOG_KEY)), "the worker has said who it is")
    return [int(line.text) for line in engine.logs(run_id, LOG_KEY)]


def ended(engine: LocalEngine, run_id: str) -> EngineStatus:
    over = (EnginePhase.EXITED, EnginePhase.LOST)
    eventually(lambda: engine.status(run_id).phase in over, f"the run {run_id} has ended")
    return engine.status(run_id)


def test_each_run_has_a_supervisor_with_a_name_of_its_own(engine: LocalEngine, tmp_path: Path) -> None:
    runs = [start(engine, WAIT) for _ in range(2)]
    for run_id in runs:
        words = Path(f"/proc/{supervisor(tmp_path, run_id)}/cmdline").read_bytes().decode().rstrip("\0").split("\0")
        assert words[1:] == ["-m", "lepton.runs.engines.supervisor", str(tmp_path / run_id)]
        assert os.getsid(supervisor(tmp_path, run_id)) == supervisor(tmp_path, run_id)
        engine.cancel(run_id)
        ended(engine, run_id)


def test_no_run_finds_the_environment_of_another(engine: LocalEngine) -> None:
    first = start(engine, python("import os; print(len(os.environ['ONLY_MINE']))"), ONLY_MINE="canary" * 3)
    ended(engine, first)
    assert said(engine, first) == [18]
    second = start(engine, python("import os; print(int('ONLY_MINE' in os.environ))"))
    ended(engine, second)
    assert said(engine, second) == [0]
    assert b"canary" not in Path(f"/proc/{server(engine)}/environ").read_bytes()
    with open(f"/proc/{server(engine)}/maps") as maps, open(f"/proc/{server(engine)}/mem", "rb") as memory:
        for line in maps:
            place, rights, *_ = line.split()
            if rights.startswith("rw") and not line.rstrip().endswith(("[vvar]", "[vsyscall]")):
                begin, end = (int(part, 16) for part in place.split("-"))
                memory.seek(begin)
                assert b"canarycanary" not in memory.read(end - begin)


def test_when_it_is_killed_runs_go_on_and_the_next_gets_a_new_one(engine: LocalEngine) -> None:
    first = start(engine, WAIT)
    (worker,) = said(engine, first)
    old = server(engine)
    os.kill(old, signal.SIGKILL)
    eventually(lambda: not is_running(old), "it is gone")
    second = start(engine, WAIT)
    assert said(engine, second)
    assert server(engine) != old
    assert is_running(worker)
    for run_id in (first, second):
        engine.cancel(run_id)
        assert ended(engine, run_id).phase is EnginePhase.EXITED


def test_when_it_does_not_answer_the_run_starts_without_it(
    engine: LocalEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended(engine, start(engine, python("")))
    old = server(engine)
    os.kill(old, signal.SIGSTOP)
    monkeypatch.setattr(engine._forks, "_patience_s", 0.2)
    run_id = start(engine, WAIT)
    assert said(engine, run_id)
    assert engine._forks.pid is None
    assert not is_running(old)
    engine.cancel(run_id)
    assert [exit_.stopped for exit_ in ended(engine, run_id).exits] == [True]


def test_it_ends_with_its_engine_and_runs_go_on(tmp_path: Path) -> None:
    engine = LocalEngine(tmp_path, grace_s=1.0)
    run_id = start(engine, WAIT)
    (worker,) = said(engine, run_id)
    pid = server(engine)
    engine._forks._socket.close()  # type: ignore[union-attr] - as when the platform is killed
    eventually(lambda: not is_running(pid), "it is gone")
    assert is_running(worker)
    engine.cancel(run_id)
    ended(engine, run_id)
    engine.close()


DAEMON = python("""
import os, signal
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        print(os.getpid(), flush=True)
        signal.pause()
    os._exit(0)
signal.pause()
""")


@pytest.mark.parametrize("victim", ["worker", "supervisor"])
def test_what_a_worker_has_hidden_ends_also_when_who_watched_it_is_killed(
    engine: LocalEngine, tmp_path: Path, victim: str
) -> None:
    run_id = start(engine, DAEMON)
    (hidden,) = said(engine, run_id)
    above = supervisor(tmp_path, run_id)
    (worker,) = (int(word) for word in Path(f"/proc/{above}/task/{above}/children").read_text().split()[:1])
    os.kill(above if victim == "supervisor" else worker, signal.SIGKILL)
    ended(engine, run_id)
    eventually(lambda: not is_running(hidden), "nothing is left")


def test_its_patience_ends_before_a_run_counts_as_slow() -> None:
    assert forkserver.PATIENCE_S < 10
