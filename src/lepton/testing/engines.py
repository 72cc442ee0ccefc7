"""What every engine must do, as a pytest class: subclass `EngineContract` as ``Test…`` and say how to make one."""

from __future__ import annotations

import os
import signal
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from lepton.core.ids import new_id
from lepton.runs.engines.port import Engine, EnginePhase, EngineSpec, EngineStatus
from lepton.runs.records import LogLine, Resources

LOG_KEY = bytes(range(32))


def eventually(condition: Callable[[], bool], what: str, *, within_s: float = 30.0) -> None:
    """Return as soon as the condition holds; fail with `what` if it does not in time."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {within_s:g} s: {what}")
        time.sleep(0.01)


def is_running(pid: int) -> bool:
    """Whether a process runs (one that has ended and was not yet collected does not)."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def python(code: str) -> tuple[str, ...]:
    """Return the command of a worker that runs a few lines of Python."""
    return (sys.executable, "-I", "-S", "-c", code)


class EngineContract(ABC):
    """The contract of `lepton.runs.engines.port.Engine`."""

    @abstractmethod
    def make_engine(self, folder: Path) -> Engine:
        """Return an engine with a grace period of about a second that keeps what it keeps in `folder`."""

    @pytest.fixture
    def engine(self, tmp_path: Path) -> Engine:
        """The engine under test."""
        return self.make_engine(tmp_path / "engine")

    def start(self, engine: Engine, argv: Sequence[str], *, workers: int = 1, run_id: str = "") -> str:
        """Submit a run and return its id."""
        run_id = run_id or new_id()
        engine.submit(EngineSpec(run_id, workers, argv, {"LEPTON_HOME": "/nowhere"}, LOG_KEY))
        return run_id

    def ended(self, engine: Engine, run_id: str) -> EngineStatus:
        """Wait for the end of a run."""
        over = (EnginePhase.EXITED, EnginePhase.LOST)
        eventually(lambda: engine.status(run_id).phase in over, f"the run {run_id} has ended")
        return engine.status(run_id)

    def texts(self, engine: Engine, run_id: str, *, rank: int | None = None) -> list[str]:
        """Return what workers have written so far."""
        lines = engine.logs(run_id, LOG_KEY)
        return [line.text for line in lines if (line.rank == rank if rank is not None else line.rank >= 0)]

    def test_a_run_that_was_never_submitted_is_unknown_and_has_no_log(self, engine: Engine) -> None:
        """Status and logs of what is not there."""
        run_id = new_id()
        assert engine.status(run_id) == EngineStatus(EnginePhase.UNKNOWN)
        assert engine.logs(run_id, LOG_KEY) == []
        engine.cancel(run_id)

    def test_a_run_ends_with_the_exit_code_of_each_worker(self, engine: Engine) -> None:
        """Two workers that end well."""
        status = self.ended(engine, self.start(engine, python("pass"), workers=2))
        assert status.phase is EnginePhase.EXITED
        assert {(e.rank, e.code, e.signal, e.stopped) for e in status.exits} == {
            (0, 0, None, False),
            (1, 0, None, False),
        }

    def test_a_worker_that_fails_says_how(self, engine: Engine) -> None:
        """Exit codes are kept."""
        status = self.ended(engine, self.start(engine, python("raise SystemExit(7)")))
        assert [(e.code, e.signal) for e in status.exits] == [(7, None)]

    def test_a_command_that_does_not_exist_is_a_run_that_ends_badly(self, engine: Engine) -> None:
        """The engine itself does not break."""
        status = self.ended(engine, self.start(engine, ("/nowhere/at/all",), workers=2))
        assert status.phase is EnginePhase.EXITED
        assert any(e.code not in (0, None) for e in status.exits)

    def test_submitting_twice_starts_one(self, engine: Engine, tmp_path: Path) -> None:
        """Also after it has ended."""
        mark = tmp_path / "starts"
        argv = python(f"import os; os.write(os.open({str(mark)!r}, os.O_CREAT | os.O_APPEND | os.O_WRONLY), b'x')")
        run_id = self.start(engine, argv)
        self.start(engine, argv, run_id=run_id)
        self.ended(engine, run_id)
        self.start(engine, argv, run_id=run_id)
        self.ended(engine, run_id)
        assert mark.read_text() == "x"

    def test_workers_get_the_variables_of_torchrun(self, engine: Engine) -> None:
        """Each its own rank, all the same meeting point."""
        names = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "LEPTON_HOME")
        run_id = self.start(engine, python(f"import os; print(*[os.environ[n] for n in {names!r}])"), workers=2)
        self.ended(engine, run_id)
        first, second = sorted(text.split() for text in self.texts(engine, run_id))
        assert [first[:5], second[:5]] == [["0", "2", "0", "2", "127.0.0.1"], ["1", "2", "1", "2", "127.0.0.1"]]
        assert first[5:] == second[5:]
        assert first[6] == "/nowhere"

    def test_workers_of_a_run_share_a_secret_that_another_run_does_not_have(self, engine: Engine) -> None:
        """It comes over standard input, and not by environment or arguments."""
        code = """
import os, sys
secret = sys.stdin.readline().strip()
seen = open('/proc/self/environ').read() + open('/proc/self/cmdline').read()
print(len(bytes.fromhex(secret)), secret in seen, secret)
"""
        runs = [self.start(engine, python(code), workers=2), self.start(engine, python(code))]
        for run_id in runs:
            self.ended(engine, run_id)
        first, second, other = (text.split() for run_id in runs for text in self.texts(engine, run_id))
        assert first == second
        assert first[:2] == ["32", "False"]
        assert first[2] != other[2]

    def test_rank_0_inherits_a_socket_that_listens_where_the_others_call(self, engine: Engine) -> None:
        """So no port has to be guessed."""
        code = """
import os, socket
if os.environ['RANK'] == '0':
    listener = socket.socket(fileno=int(os.environ['LEPTON_MASTER_FD']))
    print(listener.accept()[0].recv(16).decode())
else:
    caller = socket.create_connection((os.environ['MASTER_ADDR'], int(os.environ['MASTER_PORT'])))
    caller.sendall(b'hello')
"""
        run_id = self.start(engine, python(code), workers=2)
        assert [e.code for e in self.ended(engine, run_id).exits] == [0, 0]
        assert self.texts(engine, run_id) == ["hello"]

    def test_logs_come_in_order_and_go_on_after_a_cursor(self, engine: Engine) -> None:
        """Standard output and standard error alike, in pages."""
        code = "import sys; [print(f'line {i}', file=(sys.stdout, sys.stderr)[i % 2], flush=True) for i in range(200)]"
        run_id = self.start(engine, python(code))
        self.ended(engine, run_id)
        lines: list[LogLine] = []
        while page := engine.logs(run_id, LOG_KEY, after=lines[-1].seq if lines else 0, limit=30):
            assert len(page) <= 30
            lines += page
        assert [line.text for line in lines if line.rank == 0] == [f"line {i}" for i in range(200)]
        assert [line.seq for line in lines] == sorted({line.seq for line in lines})
        assert [line.time for line in lines] == sorted(line.time for line in lines)

    def test_a_log_can_be_followed_while_the_run_goes_on(self, engine: Engine) -> None:
        """Lines are there before the end."""
        run_id = self.start(engine, python("import signal; print('here', flush=True); signal.pause()"))
        eventually(lambda: self.texts(engine, run_id) == ["here"], "the line is in the log")
        assert engine.status(run_id).phase is EnginePhase.RUNNING
        engine.cancel(run_id)
        self.ended(engine, run_id)

    def test_cancel_tells_workers_to_end(self, engine: Engine) -> None:
        """SIGTERM comes first, and what follows from it is marked as asked for."""
        code = """
import signal, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
print('ready', flush=True)
while True: signal.pause()
"""
        run_id = self.start(engine, python(code), workers=2)
        eventually(lambda: self.texts(engine, run_id) == ["ready"] * 2, "both workers are ready")
        engine.cancel(run_id)
        engine.cancel(run_id)
        exits = self.ended(engine, run_id).exits
        assert sorted((e.rank, e.code, e.stopped) for e in exits) == [(0, 3, True), (1, 3, True)]

    def test_cancel_ends_workers_that_do_not_listen(self, engine: Engine) -> None:
        """SIGKILL follows after the grace period."""
        code = """
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print('ready', flush=True)
while True: signal.pause()
"""
        run_id = self.start(engine, python(code))
        eventually(lambda: self.texts(engine, run_id) == ["ready"], "the worker is ready")
        engine.cancel(run_id)
        assert [(e.signal, e.stopped) for e in self.ended(engine, run_id).exits] == [(signal.SIGKILL, True)]

    def test_a_worker_that_is_killed_takes_the_others_with_it(self, engine: Engine) -> None:
        """The first to end is the one to blame."""
        code = "import os, signal; print(os.getpid(), flush=True); signal.pause()"
        run_id = self.start(engine, python(code), workers=2)
        eventually(lambda: len(self.texts(engine, run_id)) == 2, "both workers have said who they are")
        os.kill(int(self.texts(engine, run_id, rank=1)[0]), signal.SIGKILL)
        exits = self.ended(engine, run_id).exits
        assert [(e.rank, e.signal, e.stopped) for e in exits] == [
            (1, signal.SIGKILL, False),
            (0, signal.SIGTERM, True),
        ]

    def test_what_waits_for_room_is_heard_and_is_not_started(self, engine: Engine) -> None:
        """However often it is said, and that nothing waits."""
        run_id = new_id()
        for waiting in ({run_id: (Resources(10_000),)}, {run_id: (Resources(10_000),)}, {}, {}):
            engine.want(waiting)
            assert engine.status(run_id).phase is EnginePhase.UNKNOWN

    def test_there_is_room_for_two_workers(self, engine: Engine) -> None:
        """Even on the smallest machine."""
        assert sum(machine.has.cpus for machine in engine.machines()) >= 2
