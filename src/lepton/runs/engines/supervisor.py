"""One small process per run: starts its workers, keeps what they write, and writes down how they ended.

``python -m lepton.runs.engines.supervisor <run folder>`` with its configuration on standard input. It belongs to
nobody: the control plane can be killed and this goes on. If it is killed itself, the kernel ends its workers.
Standard library and `cryptography` only, so that it starts at once and stays small.
"""

from __future__ import annotations

import errno
import os
import resource
import secrets
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from lepton.core.confine import adopt_orphans
from lepton.runs.engines import folder, forks
from lepton.runs.engines.journal import MAX_TEXT_BYTES, SUPERVISOR_RANK, JournalWriter
from lepton.runs.engines.port import Exit
from lepton.runs.engines.processes import ProcessMark, collect_children_but, end_children_but, worker_of
from lepton.runs.engines.stillness import LOOK_EVERY_S, Stillness

DRAIN_S = 1.0
_CANNOT_START = 127


Programs = Mapping[tuple[str, ...], Callable[[Sequence[str]], object]]
"""What can be become instead of started: by the beginning of a command, what is given its other arguments."""


class _Process(Protocol):
    @property
    def pid(self) -> int: ...

    def wait(self) -> int: ...


@dataclass
class _Worker:
    rank: int
    process: _Process
    told: bool = False
    hung: bool = False
    unfinished: bytearray = field(default_factory=bytearray)
    skipping: bool = False

    def signal_group(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)


class Supervisor:
    """Watches the workers of one run until the last has ended.

    Args:
        config: What is to be started.
        journal: Where what they write goes.
        programs: What workers can become without being started; only for a process of one thread.
        listener: What the worker of rank 0 is called at, if others are on other machines; closed here.
    """

    def __init__(
        self, config: folder.Config, journal: JournalWriter, *, programs: Programs | None = None,
        listener: socket.socket | None = None,
    ) -> None:  # fmt: skip
        self._config = config
        self._world = config.world or config.workers
        self._listener = listener
        self._journal = journal
        self._programs = programs or {}
        self._stillness = Stillness()
        self._selector = selectors.DefaultSelector()
        self._live: list[_Worker] = []
        self._exits: list[Exit] = []
        self._cancelled = False
        self._stopping_until: float | None = None
        self._wake, ear = socket.socketpair()
        for end in (self._wake, ear):
            end.setblocking(False)
        self._selector.register(ear, selectors.EVENT_READ, None)
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGCHLD, signal.SIGINT, signal.SIGHUP):
            # Not SIG_IGN, which the workers would inherit.
            signal.signal(number, self._heard)

    def run(self) -> list[Exit]:
        """Start all workers, or none, and return how they ended, first to end first."""
        adopt_orphans()  # what a launcher that was killed has left is then found, and ended
        self._start_all()
        while self._live:
            self._look(self._patience())
            self._end_hung()
            self._reap()
            self._end_the_rest()
        drained = time.monotonic() + DRAIN_S
        while len(self._selector.get_map()) > 1 and (left := drained - time.monotonic()) > 0:
            self._look(left)
        return self._exits

    def _heard(self, number: int, _frame: object) -> None:
        if number == signal.SIGTERM:
            self._cancelled = True

    def _start_all(self) -> None:
        config, listener = self._config, self._listener
        secret = f"{config.secret or secrets.token_hex(32)}\n".encode()
        if self._world > 1 and not config.master:
            listener = socket.create_server(("127.0.0.1", 0), backlog=self._world)
        address = config.master.split() or _address_of(listener)
        try:
            for rank in range(config.first, config.first + config.workers):
                self._start(rank, secret, address, listener)
        except (OSError, subprocess.SubprocessError) as error:
            self._say(f"a worker could not be started: {errno.errorcode.get(getattr(error, 'errno', 0), 'no reason')}")
            self._exits.append(Exit(config.first + len(self._live), _CANNOT_START, None, time=time.time()))
        finally:
            if listener is not None:
                listener.close()

    def _start(self, rank: int, secret: bytes, address: Sequence[str], listener: socket.socket | None) -> None:
        environment = self._config.environment | _torchrun(rank, self._config)
        environment["LEPTON_GRACE_S"] = str(self._config.grace_s)
        environment |= dict(zip(("MASTER_ADDR", "MASTER_PORT"), address, strict=False))
        inherited: tuple[int, ...] = ()
        if rank == 0 and listener is not None:
            inherited = (listener.fileno(),)
            environment["LEPTON_MASTER_FD"] = str(listener.fileno())
        process, stdout = self._process(environment, secret, inherited)
        worker = _Worker(rank, process)
        os.set_blocking(stdout, False)
        self._selector.register(stdout, selectors.EVENT_READ, worker)
        self._live.append(worker)

    def _process(self, environment: dict[str, str], secret: bytes, inherited: tuple[int, ...]) -> tuple[_Process, int]:
        """Start a worker, or fork one; return it, and where it is heard."""
        prepare = worker_of(os.getpid())
        argv = self._config.argv
        beginning = next((words for words in self._programs if tuple(argv[: len(words)]) == words), None)
        if beginning is not None:
            program = self._programs[beginning]

            def become() -> None:
                prepare()
                os.environ.clear()
                os.environ.update(environment)
                program(argv[len(beginning) :])

            reader, writer = os.pipe()
            os.write(writer, secret)
            os.close(writer)
            forked = forks.fork(become, stdin=reader, inherited=inherited)
            return forked, forked.stdout.fileno()
        process = subprocess.Popen(  # noqa: S603 - the command of the engine
            self._config.argv,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=inherited,
            start_new_session=True,
            preexec_fn=prepare,  # noqa: PLW1509 - this process has one thread
        )
        assert process.stdin is not None
        assert process.stdout is not None
        with suppress(BrokenPipeError):
            process.stdin.write(secret)
            process.stdin.close()
        return process, process.stdout.fileno()

    def _patience(self) -> float:
        left = LOOK_EVERY_S if self._stopping_until is None else self._stopping_until - time.monotonic()
        return min(max(0.05, left), LOOK_EVERY_S)

    def _look(self, timeout: float | None) -> None:
        for key, _ in self._selector.select(timeout):
            data = _read(key.fd)
            if key.data is None or data is None:
                continue
            if data:
                self._hear(key.data, data)
            else:
                self._selector.unregister(key.fileobj)
                self._finish_line(key.data)

    def _hear(self, worker: _Worker, data: bytes) -> None:
        *lines, rest = data.split(b"\n")
        for line in lines:
            worker.unfinished += line
            self._finish_line(worker)
            worker.skipping = False
        if not worker.skipping:
            worker.unfinished += rest
        if len(worker.unfinished) > MAX_TEXT_BYTES:  # the journal cuts it; the rest of the line is not kept
            self._finish_line(worker)
            worker.skipping = True

    def _finish_line(self, worker: _Worker) -> None:
        if worker.unfinished and not worker.skipping:
            text = worker.unfinished.decode(errors="replace").rstrip("\r")
            self._journal.write(worker.rank, time.time(), text)
        worker.unfinished.clear()

    def _reap(self) -> None:
        for worker in list(self._live):
            pid = worker.process.pid
            if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                continue
            worker.signal_group(signal.SIGKILL)  # what it started, while its number is still its own
            status = worker.process.wait()
            code, number = (status, None) if status >= 0 else (None, -status)
            self._exits.append(Exit(worker.rank, code, number, worker.told, worker.hung, time.time()))
            self._live.remove(worker)
            if number is not None:
                self._say(f"worker {worker.rank + 1} of {self._world} was ended by {_name(number)}")
            end_children_but({worker.process.pid for worker in self._live})
        collect_children_but({worker.process.pid for worker in self._live})

    def _end_hung(self) -> None:
        """End a worker whose own process hangs; what it has started is its affair, and ends with it."""
        workers = {worker.process.pid: worker for worker in self._live}
        hung = self._stillness.look(workers, time.monotonic())
        if hung is not None:
            worker = workers[hung.pid]
            worker.hung = True
            self._say(f"worker {worker.rank + 1} of {self._world} hangs and is ended: its process {hung.why}")
            worker.signal_group(signal.SIGKILL)

    def _end_the_rest(self) -> None:
        if self._stopping_until is None and (self._cancelled or any(exit_.code != 0 for exit_ in self._exits)):
            self._stopping_until = time.monotonic() + self._config.grace_s
            if self._cancelled:
                self._say("the run was cancelled; its workers are told to end")
            for worker in self._live:
                worker.told = True
                worker.signal_group(signal.SIGTERM)
        if self._stopping_until is not None and time.monotonic() >= self._stopping_until:
            for worker in self._live:
                worker.signal_group(signal.SIGKILL)

    def _say(self, text: str) -> None:
        self._journal.write(SUPERVISOR_RANK, time.time(), f"[{text}]")


def main() -> None:
    """Claim the run's folder and supervise, in a process that has no parent; say on standard output how it began."""
    path = Path(sys.argv[1])
    config = folder.Config.from_json(sys.stdin.buffer.read())
    if os.fork():
        os._exit(0)
    keep(path, config, answer=os.dup(1))


def keep(
    path: Path, config: folder.Config, *, answer: int, programs: Programs | None = None,
    listener: socket.socket | None = None,
) -> None:  # fmt: skip
    """Claim the run's folder and supervise its workers.

    Args:
        path: The folder.
        config: What is to be started.
        answer: Where one word is written of how it began; then closed.
        programs: What workers can become without being started.
        listener: What the worker of rank 0 is called at, if others are on other machines.
    """
    os.umask(0o077)
    # A core dump would be a copy of the data in plain text.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    nothing = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1):
        os.dup2(nothing, stream)
    os.close(nothing)
    try:
        journal = JournalWriter(path / folder.LOG, config.run_id, config.log_key, max_bytes=config.max_log_bytes)
        supervisor = Supervisor(config, journal, programs=programs, listener=listener)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})  # now it is heard
        mark = ProcessMark.of(os.getpid())
        word = folder.STARTED if mark is not None and folder.claim(path, mark, config.workers) else folder.TAKEN
    except OSError as error:
        word = folder.FULL if error.errno in (errno.ENOSPC, errno.EDQUOT) else folder.FAILED
    with suppress(BrokenPipeError):  # the control plane was killed meanwhile; the run goes on
        os.write(answer, f"{word}\n".encode())
    os.close(answer)
    if word == folder.STARTED:
        exits = supervisor.run()
        journal.close()
        folder.write_exits(path, exits)


def _torchrun(rank: int, config: folder.Config) -> dict[str, str]:
    world = config.world or config.workers
    variables = {
        "RANK": str(rank),
        "WORLD_SIZE": str(world),
        "LOCAL_RANK": str(rank - config.first),
        "LOCAL_WORLD_SIZE": str(config.workers),
        "MASTER_ADDR": "127.0.0.1",
    }
    if world > 1:
        variables["OMP_NUM_THREADS"] = "1"
    return variables


def _address_of(listener: socket.socket | None) -> tuple[str, ...]:
    if listener is None:
        return ()
    host, port = listener.getsockname()[:2]
    return host, str(port)


def _read(fd: int) -> bytes | None:
    try:
        return os.read(fd, 1 << 16)
    except BlockingIOError:
        return None


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


if __name__ == "__main__":
    main()
