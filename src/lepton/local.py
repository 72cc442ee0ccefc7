"""A platform on this machine: started in the background, stopped, found again, or opened inside this process.

The server process writes ``server.json`` (who it is) and ``client.json`` (how the owner of this account talks to it)
into the home folder; this module reads them. It holds no other state.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from lepton.client import Client
from lepton.client.sdk import local_address
from lepton.core.errors import Conflict, InvalidInput, LeptonError, Unavailable
from lepton.core.locks import locked
from lepton.core.settings import Settings

if TYPE_CHECKING:
    import uvicorn

    from lepton.platform import Platform

_START_S = 60.0
_STOP_S = 20.0
_LET_GO_S = 2.0
_LOOK_EVERY_S = 0.02


@dataclass(frozen=True)
class Server:
    """A platform that runs in the background."""

    pid: int
    url: str
    started_at: datetime


@dataclass(frozen=True)
class Started:
    """What `up` found or made; `already` says that it ran before."""

    server: Server
    already: bool


def up(settings: Settings) -> Started:
    """Start the platform over a home folder in the background, unless it runs already.

    Raises:
        Conflict: if its port is taken, or the home is open inside another program.
        InvalidInput: if the home folder cannot be made.
        Unavailable: if it did not start; the message ends with what its log says.
    """
    _make_home(settings.home)
    with locked(settings.home / "up.lock"):
        running = status(settings)
        if running is not None and _wait(settings, running.pid) is not None:
            return Started(running, already=True)
        os.close(_hold(settings.home / "open.lock"))
        _check_port(settings)
        process = _spawn(settings)
        server = _wait(settings, process.pid, process)
        if server is None:
            raise Unavailable(f"The platform did not start. {_last_words(settings)}")
        process.returncode = 0  # it outlives us on purpose; without this Python warns that it does
        return Started(server, already=False)


def status(settings: Settings) -> Server | None:
    """Return the platform that runs over a home folder, or None."""
    try:
        found = orjson.loads((settings.home / "server.json").read_bytes())
        server = Server(int(found["pid"]), str(found["url"]), datetime.fromisoformat(found["started_at"]))
    except (OSError, orjson.JSONDecodeError, KeyError, TypeError, ValueError):
        return None
    # A process id is used again after a crash or a reboot, but always by a process younger than the file.
    began = _began_at(server.pid)
    return server if began is not None and began <= server.started_at + timedelta(seconds=2) else None


def down(settings: Settings) -> Server | None:
    """Stop the platform over a home folder and return what was stopped, or None if none ran.

    Runs go on by themselves; the next `up` finds them again.
    """
    server = status(settings)
    if server is None:
        return None
    for number, patience_s in ((signal.SIGTERM, _STOP_S), (signal.SIGKILL, 5.0)):
        with suppress(ProcessLookupError):
            os.kill(server.pid, number)
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            if _began_at(server.pid) is None:
                return server
            time.sleep(_LOOK_EVERY_S)
    raise Unavailable(f"The platform (process {server.pid}) does not stop. Look at {settings.home / 'server.log'}.")


def client_of(settings: Settings, *, project: str = "default") -> Client:
    """Return a client, with the owner's local token, of the platform that runs over a home folder.

    Raises:
        Unavailable: if none runs.
    """
    address = local_address(settings) if status(settings) is not None else None
    if address is None:
        raise Unavailable(f"No platform runs over {settings.home}. Start it with: lepton up")
    return Client(address["url"], address["token"], project=project)


def open(home: str | Path | None = None, *, project: str = "default") -> Client:  # noqa: A001 - read as lepton.open()
    """Open a home folder and return a client: of the platform that runs over it, or of one inside this process.

    A platform inside this process is the same app over the same files; it ends with `Client.close`, at the end of
    a ``with`` block, or with the process. Its address is on loopback and its token is kept in memory only. Opening a
    home again in the process that has it open returns the same client.

    Args:
        home: The folder; None takes ``LEPTON_HOME`` or ``~/.lepton``.
        project: The project that every call is about.

    Raises:
        Conflict: if the home is open inside another program.
    """
    settings = Settings.from_environment()
    if home is not None:
        settings = replace(settings, home=Path(home).expanduser().absolute())
    opened = _OPENED.get(settings.home)
    if opened is not None:  # a notebook cell that is run again
        return opened
    _make_home(settings.home)
    with locked(settings.home / "up.lock"):
        if status(settings) is not None:
            return client_of(settings, project=project)
        opened = _Embedded(replace(settings, host="127.0.0.1", port=0), project=project)
    _OPENED[settings.home] = opened
    return opened


def _make_home(home: Path) -> None:
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise InvalidInput(
            f"The folder {home} cannot be made ({error.strerror}). Choose another one with LEPTON_HOME."
        ) from None


class _Embedded(Client):
    """A client that brings its platform along."""

    def __init__(self, settings: Settings, *, project: str) -> None:
        os.environ["POLARS_OOC_DISK_BUDGET_MB"] = "0"  # before Polars is imported: it must not spill plaintext
        from lepton.platform import Platform

        self._home = settings.home
        self._lock = _hold(settings.home / "open.lock")
        try:
            self._platform: Platform | None = Platform(settings)
            token = self._platform.access.mint_local_token()
            self._server, self._thread, url = _serve_in_thread(self._platform)
        except BaseException:
            os.close(self._lock)
            raise
        super().__init__(url, token, project=project)
        atexit.register(self.close)

    def close(self) -> None:
        """Stop the platform and let go of the home folder."""
        platform, self._platform = self._platform, None
        if platform is None:
            return
        atexit.unregister(self.close)
        _OPENED.pop(self._home, None)
        super().close()
        platform.stop()
        self._server.should_exit = True
        self._thread.join()
        platform.close()
        os.close(self._lock)


_OPENED: dict[Path, _Embedded] = {}
"""The homes that this process has open; a process can hold each only once."""


def _serve_in_thread(platform: Platform) -> tuple[uvicorn.Server, threading.Thread, str]:
    import uvicorn

    from lepton.server import create_app

    listener = socket.create_server(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    platform.listens_at(url)
    platform.start()
    app = create_app(platform)
    config = uvicorn.Config(
        app, ws="none", lifespan="off", log_config=None, access_log=False, timeout_graceful_shutdown=3
    )
    server = uvicorn.Server(config)
    app.state.is_closing = lambda: server.should_exit
    thread = threading.Thread(target=server.run, args=([listener],), name="lepton", daemon=True)
    thread.start()
    while not server.started:
        if not thread.is_alive():
            raise Unavailable("The platform could not start inside this process. Try: lepton up")
        time.sleep(_LOOK_EVERY_S)
    return server, thread, url


def _spawn(settings: Settings) -> subprocess.Popen[bytes]:
    environment = {name: value for name, value in os.environ.items() if name != "LEPTON_TOKEN"} | {
        "LEPTON_HOME": str(settings.home),
        "LEPTON_CATALOG": settings.catalog,
        "LEPTON_HOST": settings.host,
        "LEPTON_PORT": str(settings.port),
        "LEPTON_MAX_UPLOAD_MB": str(settings.max_upload_bytes >> 20),
        "LEPTON_MAX_BUNDLE_MB": str(settings.max_bundle_bytes >> 20),
    }
    log = os.open(settings.home / "server.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "lepton.server"],  # -P: a folder 'lepton' where one stands is not imported
            cwd=settings.home,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    finally:
        os.close(log)


def _wait(settings: Settings, pid: int, process: subprocess.Popen[bytes] | None = None) -> Server | None:
    """Return the server once it answers; None if its process ends before."""
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        ended = process.poll() is not None if process is not None else _began_at(pid) is None
        if ended:
            return None
        server = status(settings)
        if server is not None and server.pid == pid and _answers(server.url):
            return server
        time.sleep(_LOOK_EVERY_S)
    if process is not None:
        process.kill()
        process.wait()
    raise Unavailable(f"The platform did not answer within {_START_S:g} seconds. {_last_words(settings)}")


def _answers(url: str) -> bool:
    try:
        with Client(url, None, timeout_s=2.0) as client:
            return client.health().status == "ok"
    except LeptonError:
        return False


def _last_words(settings: Settings) -> str:
    path = settings.home / "server.log"
    try:
        lines = path.read_text(errors="replace").splitlines()[-40:]
    except OSError:
        lines = []
    # Lines of a traceback are indented, and what SQLAlchemy adds to its errors stands in brackets.
    told = [line for line in lines if line[:1] not in ("", " ", "(", "[")]
    return f"Its log {path} ends with: {told[-1][:300]}" if told else f"Its log {path} is empty."


def _check_port(settings: Settings) -> None:
    if settings.port == 0:
        return
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            raise Conflict(
                f"The address {settings.host}:{settings.port} cannot be used ({error.strerror}). "
                f"Choose another port: LEPTON_PORT={settings.port % 65535 + 1} lepton up"
            ) from None


def _hold(path: Path) -> int:
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + _LET_GO_S
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() < deadline:  # of a platform that was just killed, the last threads may still be ending
                time.sleep(_LOOK_EVERY_S)
                continue
            os.close(handle)
            raise Conflict(
                f"{path.parent} is open inside another program. Close it there, or share one platform with: lepton up"
            ) from None
        return handle


def _began_at(pid: int) -> datetime | None:
    """Return when a process began; None if there is none, or only its remains."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        boot = next(line for line in Path("/proc/stat").read_text().splitlines() if line.startswith("btime"))
    except (FileNotFoundError, ProcessLookupError):
        return _began_by_ps(pid) if not Path("/proc/self").exists() else None
    if fields[0] == "Z":
        with suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
        return None
    seconds = int(fields[19]) / os.sysconf("SC_CLK_TCK")
    return datetime.fromtimestamp(int(boot.split()[1]) + seconds, UTC)


def _began_by_ps(pid: int) -> datetime | None:
    """The same on systems without /proc, such as macOS."""
    command = ["ps", "-o", "lstart=", "-p", str(pid)]
    found = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "LC_ALL": "C"})  # noqa: S603
    text = found.stdout.strip()
    return datetime.strptime(text, "%a %b %d %H:%M:%S %Y").astimezone(UTC) if text else None
