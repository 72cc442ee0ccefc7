"""An engine's end of its fork server: the process that forks supervisors (`lepton.launch.forkserver`).

It is started when it is first needed, and again when it is gone. Whoever finds that it does not answer can start a
supervisor without it: a run's folder is claimed once, whoever asks.
"""

from __future__ import annotations

import os
import select
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from lepton.core.title import ROOM
from lepton.runs.engines import folder

PATIENCE_S = 8.0
"""How long it may take to answer, its own start included."""
_COMMAND = (sys.executable, "-P", "-m", "lepton.launch.forkserver", ROOM)


class ForkServer:
    """Starts supervisors.

    Args:
        environment: What the process sees: nothing that a run must not.
        patience_s: How long to wait for an answer.
    """

    def __init__(self, environment: Mapping[str, str], *, patience_s: float = PATIENCE_S) -> None:
        self._environment = environment
        self._patience_s = patience_s
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None

    @property
    def pid(self) -> int | None:
        """Its process, or None."""
        return None if self._process is None else self._process.pid

    def start(self, path: Path, config: folder.Config) -> str:
        """Have a supervisor started.

        Args:
            path: The folder of the run.
            config: What it is to do.

        Returns:
            What it answered; empty: nothing, and whether there will be one is for the folder to say.
        """
        with self._lock:
            answer = self._ask(path, config)
            if not answer:
                self.close()
            return answer

    def close(self) -> None:
        """End the process; what it has forked goes on."""
        if self._socket is not None:
            self._socket.close()
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        self._process = self._socket = None

    def _ask(self, path: Path, config: folder.Config) -> str:
        config_reader, config_writer = os.pipe()
        answer_reader, answer_writer = os.pipe()
        with open(config_writer, "wb") as told, open(answer_reader, "rb") as heard:
            try:
                socket.send_fds(self._connected(), [os.fsencode(path)], [config_reader, answer_writer])
            except OSError:
                return ""
            finally:
                os.close(config_reader)
                os.close(answer_writer)
            with suppress(BrokenPipeError):
                told.write(config.to_json())
                told.close()
            ready, _, _ = select.select([heard], [], [], self._patience_s)
            return heard.readline().decode().strip() if ready else ""

    def _connected(self) -> socket.socket:
        if self._process is not None and self._process.poll() is not None:
            self.close()
        if self._socket is None:
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                    _COMMAND, stdin=theirs.fileno(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                    start_new_session=True, cwd="/", env=dict(self._environment),
                )  # fmt: skip
            self._socket = ours
        return self._socket

    def __del__(self) -> None:
        with suppress(Exception):  # an engine is often just forgotten
            self.close()
