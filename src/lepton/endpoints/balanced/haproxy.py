"""The load balancer of one endpoint: HAProxy, started once, told of changes without losing a connection."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

from lepton.core.errors import Unavailable
from lepton.endpoints.balanced.configuration import Front, Server, configuration

PROGRAM = "LEPTON_HAPROXY"
"""Environment variable that names the program; by default it is looked for in PATH and where Debian puts it."""
MOST_THREADS = 4
RELOAD_TIMEOUT_S = 5.0
MISSING = (
    "HAProxy is not on this machine. It stands in front of endpoints on several machines: "
    "install it (Debian and Ubuntu: apt-get install haproxy), or name the program in LEPTON_HAPROXY."
)
_DIE_WITH_US = """
import ctypes, os, sys
ctypes.CDLL(None).prctl(1, 15, 0, 0, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


def program() -> str:
    """Return the path of HAProxy.

    Raises:
        Unavailable: if there is none.
    """
    found = shutil.which(os.environ.get(PROGRAM) or "haproxy", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if found is None:
        raise Unavailable(MISSING)
    return found


class Balancer:
    """HAProxy in front of replicas. It is ended by the kernel when this process ends.

    Args:
        folder: Where its configuration and its control socket are; mode 0700.
        front: Where the endpoint is asked.

    Raises:
        Unavailable: if there is no HAProxy on this machine, or it does not begin.
    """

    def __init__(self, folder: Path, front: Front) -> None:
        self._program = program()
        self._folder = folder
        self._front = front
        self._told = ""
        self._process: subprocess.Popen[bytes] | None = None
        self._reloads = 0

    def tell(self, servers: list[Server], *, checked: bool) -> None:
        """Send requests to exactly these replicas; returns when new ones go nowhere else.

        Raises:
            Unavailable: if HAProxy refuses, or cannot be started.
        """
        threads = min(MOST_THREADS, len(os.sched_getaffinity(0)))
        text = configuration(self._front, servers, checked=checked, threads=threads)
        lives = self._process is not None and self._process.poll() is None
        if lives and text == self._told:
            return
        (self._folder / "haproxy.cfg").write_text(text)
        if lives:
            assert self._process is not None
            self._reloads += 1
            self._process.send_signal(signal.SIGUSR2)
        else:
            self._start()
        self._wait_for_reload()
        self._told = text

    def stop(self) -> None:
        """Accept nobody more, let what is being answered be finished, and end."""
        if self._process is not None:
            self._process.send_signal(signal.SIGUSR1)

    @property
    def over(self) -> bool:
        """Whether it does not run."""
        return self._process is None or self._process.poll() is not None

    def kill(self) -> None:
        """End it now."""
        if self._process is not None:
            self._process.terminate()

    def _start(self) -> None:
        self._reloads = 0
        with suppress(FileNotFoundError):
            self._socket.unlink()
        listeners = [fd for fd in (self._front.listener, self._front.grpc_listener) if fd is not None]
        # A fresh interpreter, not a function between fork and exec: this process has threads.
        with (self._folder / "haproxy.log").open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own command
                [
                    sys.executable, "-I", "-S", "-c", _DIE_WITH_US,
                    self._program, "-W", "-db", "-f", "haproxy.cfg", "-S", "unix@haproxy.sock,mode,600",
                ],
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                pass_fds=listeners,
            )  # fmt: skip

    @property
    def _socket(self) -> Path:
        return self._folder / "haproxy.sock"

    def _wait_for_reload(self) -> None:
        deadline = time.monotonic() + RELOAD_TIMEOUT_S
        while time.monotonic() < deadline and not self.over:
            if self._has_reloaded():
                return
            time.sleep(0.02)
        raise Unavailable(f"HAProxy did not take its new configuration. It says: {self._said()}")

    def _has_reloaded(self) -> bool:
        try:
            rows = [line.split() for line in self._ask("show proc").splitlines()]
        except OSError:
            return False
        by_kind = {
            row[1]: row for row in rows if len(row) > 3 and row[0].isdigit() and (row[1] != "worker" or row[2] == "0")
        }
        return "worker" in by_kind and "master" in by_kind and int(by_kind["master"][2]) >= self._reloads

    def _ask(self, question: str) -> str:
        # By way of the folder's descriptor: a path may be longer than an address of a socket can be.
        folder = os.open(self._folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
                connection.settimeout(1.0)
                connection.connect(f"/proc/self/fd/{folder}/haproxy.sock")
                connection.sendall(f"{question}\n".encode())
                connection.shutdown(socket.SHUT_WR)
                with connection.makefile("rb") as answer:
                    return answer.read().decode(errors="replace")
        finally:
            os.close(folder)

    def _said(self) -> str:
        text = (self._folder / "haproxy.log").read_text(errors="replace").strip()
        return text.splitlines()[-1] if text else "nothing"
