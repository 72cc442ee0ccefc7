"""The local engine: the contract of engines, and what only processes of this machine can show."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lepton.core.errors import Internal, StorageFull, Unavailable
from lepton.core.ids import new_id
from lepton.runs.engines import folder, forkserver, local
from lepton.runs.engines.local import LocalEngine
from lepton.runs.engines.port import Engine, EnginePhase, EngineSpec, EngineStatus
from lepton.runs.engines.processes import ProcessMark
from lepton.testing.engines import LOG_KEY, EngineContract, eventually, is_running, python

WAIT = python("import os, signal; print(os.getpid(), flush=True); signal.pause()")


class TestLocalEngine(EngineContract):
    def make_engine(self, folder: Path) -> LocalEngine:
        return LocalEngine(folder, grace_s=1.0, max_log_bytes=64 << 10)

    def waiting_run(self, engine: Engine, workers: int = 2) -> tuple[str, list[int]]:
        run_id = self.start(engine, WAIT, workers=workers)
        eventually(lambda: len(self.texts(engine, run_id)) == workers, "all workers have said who they are")
        return run_id, [int(text) for text in self.texts(engine, run_id)]

    def test_an_engine_made_later_adopts_what_runs(self, tmp_path: Path) -> None:
        run_id, pids = self.waiting_run(self.make_engine(tmp_path))
        later = self.make_engine(tmp_path)
        assert later.status(run_id).phase is EnginePhase.RUNNING
        assert len(later.logs(run_id, LOG_KEY)) == 2
        later.cancel(run_id)
        assert self.ended(later, run_id).phase is EnginePhase.EXITED
        assert not any(map(is_running, pids))

    def test_a_run_outlives_the_process_that_started_it(self, tmp_path: Path) -> None:
        run_id = new_id()
        code = f"""
import os, signal
from pathlib import Path
from lepton.runs.engines.local import LocalEngine
from lepton.runs.engines.port import EngineSpec
engine = LocalEngine(Path({str(tmp_path)!r}), grace_s=1.0)
engine.submit(EngineSpec({run_id!r}, 2, {WAIT!r}, {{}}, bytes(range(32))))
os.killpg(0, signal.SIGKILL)
"""
        starter = subprocess.run([sys.executable, "-c", code], start_new_session=True, check=False)
        assert starter.returncode == -signal.SIGKILL
        engine = self.make_engine(tmp_path)
        eventually(lambda: len(self.texts(engine, run_id)) == 2, "both workers live")
        assert engine.status(run_id).phase is EnginePhase.RUNNING
        engine.cancel(run_id)
        self.ended(engine, run_id)

    def test_killing_the_supervisor_leaves_no_orphan(self, engine: LocalEngine, tmp_path: Path) -> None:
        run_id, pids = self.waiting_run(engine)
        supervisor = folder.claimed_by(tmp_path / "engine" / run_id)
        assert supervisor is not None
        os.kill(supervisor.pid, signal.SIGKILL)
        assert self.ended(engine, run_id).phase is EnginePhase.LOST
        eventually(lambda: not any(map(is_running, pids)), "the workers are gone")

    def test_workers_and_supervisors_that_are_stopped_are_noticed_and_ended(
        self, engine: LocalEngine, tmp_path: Path
    ) -> None:
        (first, workers), (second, others) = self.waiting_run(engine), self.waiting_run(engine)
        supervisor = folder.claimed_by(tmp_path / "engine" / second)
        assert supervisor is not None
        stopped_at = time.time()
        os.kill(workers[1], signal.SIGSTOP)
        os.kill(supervisor.pid, signal.SIGSTOP)
        over = (EnginePhase.EXITED, EnginePhase.LOST)
        eventually(lambda: [engine.status(one).phase in over for one in (first, second)] == [True] * 2, "both ended")
        assert engine.status(second) == EngineStatus(EnginePhase.LOST, hung=True)
        hung, told = engine.status(first).exits
        assert (hung.rank, hung.signal, hung.hung, told.rank, told.stopped) == (1, signal.SIGKILL, True, 0, True)
        (line,) = (line for line in engine.logs(first, LOG_KEY) if "hangs" in line.text)
        assert re.fullmatch(
            r"\[worker 2 of 2 hangs and is ended: its process was stopped by a signal \(SIGSTOP\) for 8 s\]", line.text
        )
        # 10 s, and half as long again for a machine that has other tests to run.
        assert 7 < line.time.timestamp() - stopped_at < 15
        eventually(lambda: not any(map(is_running, [*workers, *others])), "nothing is left")

    def test_a_lost_run_is_not_started_again(self, engine: LocalEngine, tmp_path: Path) -> None:
        run_id, _ = self.waiting_run(engine, 1)
        supervisor = folder.claimed_by(tmp_path / "engine" / run_id)
        assert supervisor is not None
        os.kill(supervisor.pid, signal.SIGKILL)
        self.ended(engine, run_id)
        self.start(engine, WAIT, run_id=run_id)
        assert engine.status(run_id).phase is EnginePhase.LOST

    def test_two_engines_that_submit_at_once_start_one(self, tmp_path: Path) -> None:
        # Both look before either starts: what decides is the claim, not the look.
        run_id, engine = new_id(), self.make_engine(tmp_path)
        path = tmp_path / run_id
        path.mkdir()
        config = folder.Config(run_id, 1, list(WAIT), 1.0, 1 << 20, {}, LOG_KEY)
        assert [local._launch(path, config), local._launch(path, config)] == [folder.STARTED, folder.TAKEN]
        eventually(lambda: len(self.texts(engine, run_id)) == 1, "a worker lives")
        engine.cancel(run_id)
        assert len(self.ended(engine, run_id).exits) == 1
        assert len(self.texts(engine, run_id)) == 1

    def test_a_process_that_got_the_number_of_a_supervisor_is_not_taken_for_it(self, engine: LocalEngine) -> None:
        own = ProcessMark.of(os.getpid())
        assert own is not None
        assert own.is_alive()
        other = ProcessMark(own.pid, own.started - 1, own.boot)
        assert not other.is_alive()
        assert not ProcessMark(own.pid, own.started, "another boot").is_alive()
        other.send(signal.SIGKILL)  # would end this test

    def test_what_a_worker_started_ends_with_it(self, engine: LocalEngine) -> None:
        code = "import os, time; pid = os.fork() or time.sleep(300); print(pid)"
        run_id = self.start(engine, python(code))
        self.ended(engine, run_id)
        (pid,) = (int(text) for text in self.texts(engine, run_id))
        eventually(lambda: not is_running(pid), "the grandchild is gone")

    def test_no_line_of_the_log_is_readable_on_disk(self, engine: LocalEngine, tmp_path: Path) -> None:
        run_id = self.start(engine, python("print('canary-' + 'x' * 9)"))
        self.ended(engine, run_id)
        assert self.texts(engine, run_id) == ["canary-xxxxxxxxx"]
        files = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert {path.name for path in files} == {"log", "exit.json", "supervisor.json"}
        assert not any(b"canary-xxx" in path.read_bytes() or LOG_KEY in path.read_bytes() for path in files)
        assert all(path.stat().st_mode & 0o077 == 0 for path in [tmp_path / "engine" / run_id, *files])

    def test_a_log_that_is_too_long_is_cut_and_says_so(self, engine: LocalEngine, tmp_path: Path) -> None:
        run_id = self.start(engine, python("for i in range(20_000): print('x' * 100)"))
        status = self.ended(engine, run_id)
        assert [e.code for e in status.exits] == [0]
        lines = engine.logs(run_id, LOG_KEY, limit=20_000)
        assert lines[-1].text == "[the log is full at 65536 bytes; what follows is not kept]"
        assert (tmp_path / "engine" / run_id / "log").stat().st_size < 80 << 10

    def test_a_line_that_is_too_long_is_cut_and_the_next_is_whole(self, engine: LocalEngine) -> None:
        run_id = self.start(engine, python("print('y' * 300_000); print('next'); print('no newline', end='')"))
        self.ended(engine, run_id)
        first, *others = self.texts(engine, run_id)
        assert first.endswith("… [cut]")
        assert len(first.encode()) <= 8192
        assert others == ["next", "no newline"]

    def test_a_torn_end_of_the_log_is_left_out(self, engine: LocalEngine, tmp_path: Path) -> None:
        run_id = self.start(engine, python("print('one'); print('two')"))
        self.ended(engine, run_id)
        log = tmp_path / "engine" / run_id / "log"
        whole = log.read_bytes()
        for torn in (whole[:-1], whole[:-20], whole + b"\0\0\0", whole + bytes(512)):
            log.write_bytes(torn)
            expected = ["one"] if len(torn) < len(whole) else ["one", "two"]
            assert self.texts(engine, run_id) == expected

    def test_a_changed_log_is_refused(self, engine: LocalEngine, tmp_path: Path) -> None:
        run_id = self.start(engine, python("print('one'); print('two')"))
        self.ended(engine, run_id)
        log = tmp_path / "engine" / run_id / "log"
        whole = bytearray(log.read_bytes())
        whole[-1] ^= 1
        log.write_bytes(whole)
        with pytest.raises(Internal, match="changed outside of Lepton"):
            engine.logs(run_id, LOG_KEY)
        assert [line.text for line in engine.logs(run_id, LOG_KEY, limit=1)] == ["one"]

    def test_workers_see_only_what_they_need_of_the_environment(
        self, engine: LocalEngine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "no")
        monkeypatch.setenv("LEPTON_TOKEN", "no")
        monkeypatch.setenv("LEPTON_PORT", "7071")
        run_id = self.start(engine, python("import os; print(*sorted(os.environ))"), workers=2)
        self.ended(engine, run_id)
        names = set(self.texts(engine, run_id, rank=1)[0].split())
        assert {"PATH", "LEPTON_PORT", "OMP_NUM_THREADS", "POLARS_OOC_DISK_BUDGET_MB"} <= names
        assert not {"AWS_SECRET_ACCESS_KEY", "LEPTON_TOKEN", "LEPTON_MASTER_FD"} & names

    def test_workers_make_no_core_dumps(self, engine: LocalEngine) -> None:
        run_id = self.start(engine, python("import resource; print(resource.getrlimit(resource.RLIMIT_CORE))"))
        self.ended(engine, run_id)
        assert self.texts(engine, run_id) == ["(0, 0)"]

    def test_a_supervisor_is_small(self, engine: LocalEngine, tmp_path: Path) -> None:
        run_id, _ = self.waiting_run(engine)
        supervisor = folder.claimed_by(tmp_path / "engine" / run_id)
        assert supervisor is not None
        status = Path(f"/proc/{supervisor.pid}/status").read_text()
        resident_kb = int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")))
        engine.cancel(run_id)
        self.ended(engine, run_id)
        assert resident_kb < 48 << 10

    def test_a_supervisor_that_cannot_start_is_unavailable(
        self, engine: LocalEngine, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for module, name in ((local, "_SUPERVISOR"), (forkserver, "_COMMAND")):
            monkeypatch.setattr(module, name, (sys.executable, "-c", "raise SystemExit(1)"))
        with pytest.raises(Unavailable, match="could not be started"):
            self.start(engine, WAIT)

    def test_a_full_disk_is_storage_full(self, small_disk: Path) -> None:
        engine = self.make_engine(small_disk)
        filler = os.open(small_disk / "filler", os.O_CREAT | os.O_WRONLY)
        with pytest.raises(OSError, match="No space"):
            os.posix_fallocate(filler, 0, 1 << 20)
        os.posix_fallocate(filler, 0, 64 << 10)
        os.close(filler)
        with pytest.raises(StorageFull):
            self.start(engine, WAIT)

    def test_a_disk_that_fills_up_silences_the_log_but_not_the_end(self, small_disk: Path) -> None:
        engine = LocalEngine(small_disk, grace_s=1.0)
        run_id = self.start(engine, python("for i in range(20_000): print('x' * 100)\nraise SystemExit(74)"))
        assert [e.code for e in self.ended(engine, run_id).exits] == [74]
        assert 0 < len(engine.logs(run_id, LOG_KEY)) < 1000


def test_a_spec_shows_neither_key_nor_environment() -> None:
    assert "secret" not in repr(EngineSpec("a", 1, ["b"], {"LEPTON_CATALOG": "secret"}, b"secret"))
