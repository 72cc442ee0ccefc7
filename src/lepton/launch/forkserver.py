"""``python -m lepton.launch.forkserver``: has everything imported that runs need, and forks a supervisor for each.

An engine talks to it over a socket on standard input: for each run, the run's folder, with two files: one to read the
configuration from, and one to answer to. It reads no configuration itself, so nothing of one run is in its memory, and
so in that of another. It ends with the engine; the supervisors go on. What a supervisor that was killed has left
becomes its child, and is ended.
"""

from __future__ import annotations

import gc
import os
import selectors
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from lepton.core.confine import adopt_orphans
from lepton.core.title import Title
from lepton.launch import warm
from lepton.launch.__main__ import main as launch
from lepton.runs.engines import folder, forks, supervisor
from lepton.runs.engines.processes import collect_children_but, end_children_but
from lepton.runs.launching import LAUNCHER

_SUPERVISOR = (sys.executable, "-m", "lepton.runs.engines.supervisor")
_MAX_PATH = 4096


class ForkServer:
    """Forks supervisors.

    Args:
        engine: Who asks.
    """

    def __init__(self, engine: socket.socket) -> None:
        self._engine = engine
        self._title = Title()
        self._supervisors: set[int] = set()
        self._wake, ear = socket.socketpair()
        for end in (self._wake, ear):
            end.setblocking(False)
        self._ear = ear
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)

    def serve(self) -> None:
        """Fork until the engine is gone."""
        adopt_orphans()
        warm.up()
        gc.collect()
        gc.freeze()  # what is shared with the children stays shared
        with selectors.DefaultSelector() as selector:
            selector.register(self._engine, selectors.EVENT_READ)
            selector.register(self._ear, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fileobj is self._ear:
                        self._ear.recv(1 << 10)
                        self._collect()
                    elif not self._fork():
                        return

    def _fork(self) -> bool:
        """Fork what is asked for; False if nobody will ask any more."""
        path, files, _, _ = socket.recv_fds(self._engine, _MAX_PATH, 2)
        if not path:
            return False
        try:
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})
            pid = os.fork()
            if pid == 0:
                forks.end_after(lambda: self._supervise(Path(os.fsdecode(path)), *files))
            self._supervisors.add(pid)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
            for file in files:
                os.close(file)
        return True

    def _supervise(self, path: Path, config: int, answer: int) -> None:
        forks.reset_signals()
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGCHLD})
        os.setsid()
        os.chdir(path)
        forks.close_others({config, answer})
        self._title.show((*_SUPERVISOR, str(path)))
        with open(config, "rb") as file:
            found = folder.Config.from_json(file.read())
        os.environ.clear()
        os.environ.update(found.environment)
        supervisor.keep(path, found, answer=answer, programs={LAUNCHER: self._launch})

    def _launch(self, arguments: Sequence[str]) -> None:
        self._title.show((*LAUNCHER, *arguments))
        launch(arguments[0])

    def _collect(self) -> None:
        """Collect supervisors that have ended, and end what they have left."""
        while True:
            try:
                pid, _ = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if not pid:
                break
            self._supervisors.discard(pid)
        collect_children_but(self._supervisors)
        end_children_but(self._supervisors)


def main() -> None:
    """Serve the engine that has started this."""
    # Not SIG_IGN, which the workers would inherit.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    with socket.socket(fileno=os.dup(0)) as engine:
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, 0)
        os.close(nothing)
        ForkServer(engine).serve()


if __name__ == "__main__":
    main()
