"""What stands for an engine on another machine: keeps the workers of one run there. Started as ``lepton.launch.agent``.

It is started with nothing but the engine's certificate, says in its log where it is, and is told the rest over TLS: no
secret is in its arguments, its environment or its log. The workers are kept by the same supervisor as at home, in a
child that is forked before there is a second thread, and that imports what it needs while the agent is looked for.
Another child ends the agent if it hangs.
"""

from __future__ import annotations

import base64
import json
import os
import resource
import secrets
import select
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lepton import __version__
from lepton.core.confine import adopt_orphans
from lepton.core.conversation import CALLER, Hello, serve
from lepton.core.errors import InvalidInput
from lepton.core.tls import Identity
from lepton.runs.engines import folder, supervisor
from lepton.runs.engines.forks import end_after
from lepton.runs.engines.local import environment
from lepton.runs.engines.port import NODE_ADDRESS, Exit
from lepton.runs.engines.processes import dies_with, end_children_but
from lepton.runs.engines.stillness import LOOK_EVERY_S, Stillness
from lepton.runs.engines.supervisor import Programs

KIND = "agent"
LEADS = "LEPTON_LEADS"
"""Environment variable of an agent: set, it keeps the worker of rank 0 of a run that has workers on other machines."""
HUNG = "lepton: this agent hung and was ended"
"""What is in its log then."""
PATIENCE_S = 120.0
"""How long it waits to be told what to start."""
LINGER_S = 600.0
"""How long it keeps the end of the log for an engine that is away."""
CHUNK_BYTES = 4 << 20
_WATCH_EVERY_S = 0.5
_MOST_CALLERS = 128


class Agent:
    """Keeps one run.

    Args:
        path: Its folder on this machine, for as long as this lives.
        supervisor: The child that keeps the workers.
        config: Where that reads what to start.
        master_port: Where the worker of rank 0 is called; 0: by none on another machine.
    """

    def __init__(self, path: Path, supervisor: int, config: int, *, master_port: int = 0) -> None:
        self._path = path
        self._supervisor = supervisor
        self._pipe = config
        self._gang = {"port": master_port, "secret": secrets.token_hex(32)}
        self._told = threading.Event()
        self._let_go = threading.Event()
        self._config: folder.Config | None = None
        self._exits: list[Exit] | None = None

    def answer(self, verb: str, body: Any) -> Any:
        """Answer the engine."""
        if verb == "start":
            return self._start(body)
        if verb == "gang":
            return self._gang
        if verb == "status":
            exits = None if self._exits is None else [asdict(exit_) for exit_ in self._exits]
            return {"told": self._told.is_set(), "exits": exits}
        if verb == "log":
            return self._log(int(body))
        if verb == "cancel":
            return self.cancel()
        if verb == "bye":
            return self._let_go.set()
        raise InvalidInput("An agent can be asked to start, cancel and let go, for its status, its log and its gang.")

    @property
    def is_told(self) -> bool:
        """Whether there are workers, or are about to be."""
        return self._told.is_set()

    def cancel(self) -> None:
        """Tell the workers to end; does nothing when they have."""
        if self._exits is None:
            with suppress(ProcessLookupError):
                os.kill(self._supervisor, signal.SIGTERM)

    def run(self, watcher: int) -> None:
        """Wait for what to start, keep it, and keep what is left of it until the engine has that.

        Args:
            watcher: The child that watches over this process.
        """
        if not self._told.wait(PATIENCE_S) or self._config is None:
            return
        with open(self._pipe, "wb") as pipe:
            pipe.write(self._config.to_json())
        stillness, ended = Stillness(), os.pidfd_open(self._supervisor)
        while not select.select([ended], [], [], LOOK_EVERY_S)[0]:
            if stillness.look([self._supervisor], time.monotonic()) is not None:
                os.kill(self._supervisor, signal.SIGKILL)
        os.waitpid(self._supervisor, 0)
        end_children_but({watcher})  # what it has left if it was killed
        exits = folder.read_exits(self._path)
        if exits is None:
            sys.exit(1)  # how the workers ended nobody knows: the run is lost
        self._exits = list(exits)
        self._let_go.wait(LINGER_S)

    def _start(self, body: Any) -> None:
        if self._told.is_set():
            return
        config = folder.Config.from_json(json.dumps(body).encode())
        address = {NODE_ADDRESS: os.environ[NODE_ADDRESS]}
        config.environment.update(environment(config.environment | address, bare=config.bare))
        self._config = config
        self._told.set()

    def _log(self, offset: int) -> str:
        try:
            with (self._path / folder.LOG).open("rb") as file:
                file.seek(offset)
                return base64.b64encode(file.read(CHUNK_BYTES)).decode()
        except FileNotFoundError:
            return ""


def main(programs: Callable[[], Programs]) -> None:
    """Keep a run until it has ended, or until whoever started this has.

    Args:
        programs: Imports what workers can become without being started; called in the child that keeps them.
    """
    os.umask(0o077)
    # A core dump would be a copy of the data in plain text.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    path = Path(tempfile.mkdtemp(prefix="lepton-run-"))
    try:
        adopt_orphans()
        watcher = _watch_over_us()  # before there is a socket, which it would keep
        address = os.environ[NODE_ADDRESS] = os.environ.get(NODE_ADDRESS) or _own_address()
        master = socket.create_server((address, 0), backlog=_MOST_CALLERS) if os.environ.pop(LEADS, "") else None
        port = 0 if master is None else master.getsockname()[1]
        agent = Agent(path, *_supervise(path, programs, master), master_port=port)
        if master is not None:
            master.close()  # the child has it, and lets go of it when the workers have met
        _end_with(os.getppid(), path)
        signal.signal(signal.SIGTERM, lambda *_: agent.cancel() if agent.is_told else sys.exit(1))
        identity = Identity.new()
        with socket.create_server((address, 0)) as listener:
            serve(listener, identity.server(os.environ.pop(CALLER)), agent.answer)
            hello = Hello(KIND, address, listener.getsockname()[1], identity.certificate, __version__)
            os.write(1, f"{hello.to_line()}\n".encode())
            agent.run(watcher)
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _watch_over_us() -> int:
    """Fork the child that ends this process if it hangs, which its engine takes for a network that does not answer."""
    us, end_with_us = os.getpid(), dies_with(os.getpid())
    pid = os.fork()
    if pid == 0:

        def watch() -> None:
            end_with_us()
            signal.signal(signal.SIGTERM, signal.SIG_IGN)  # which Ray sends to all of us
            stillness = Stillness()
            while stillness.look([us], time.monotonic()) is None:
                time.sleep(LOOK_EVERY_S)
            os.write(1, f"{HUNG}\n".encode())
            os.kill(us, signal.SIGKILL)

        end_after(watch)
    return pid


def _supervise(path: Path, programs: Callable[[], Programs], master: socket.socket | None) -> tuple[int, int]:
    """Fork the child that keeps the workers; return it, and where it is told what to start."""
    reader, writer = os.pipe()
    end_with_us = dies_with(os.getpid())
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})  # in the child, until there are workers to tell
    pid = os.fork()
    if pid == 0:

        def keep() -> None:
            end_with_us()
            os.close(writer)
            found = programs()
            with open(reader, "rb") as pipe:
                told = pipe.read()
            if told:
                nobody = os.open(os.devnull, os.O_WRONLY)
                supervisor.keep(path, folder.Config.from_json(told), answer=nobody, programs=found, listener=master)

        end_after(keep)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    os.close(reader)
    return pid, writer


def _own_address() -> str:
    """Return the address of this machine by which it reaches the cluster's head, and so is reached."""
    head, _, port = os.environ.get("RAY_ADDRESS", "127.0.0.1:1").rpartition(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect((head, int(port)))  # sends nothing
        return str(probe.getsockname()[0])


def _end_with(parent: int, path: Path) -> None:
    """End this process when its parent has: the kernel ends the workers with it."""

    def watch() -> None:
        while os.getppid() == parent:
            threading.Event().wait(_WATCH_EVERY_S)
        shutil.rmtree(path, ignore_errors=True)
        os._exit(1)

    threading.Thread(target=watch, name="parent", daemon=True).start()
