"""Lets the app listen: one process, one port, one home folder that nobody else holds."""

from __future__ import annotations

import errno
import fcntl
import logging
import os
import secrets
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import orjson
import uvicorn

from lepton.core.clock import utc_now
from lepton.core.errors import Conflict, InvalidInput, StorageFull
from lepton.core.settings import Settings
from lepton.platform import Platform
from lepton.server.app import create_app
from lepton.server.errors import places

_BACKLOG = 1024
_GRACE_S = 3


def serve(settings: Settings) -> None:
    """Run a platform until the process is told to stop.

    While it runs, ``server.json`` in the home says which process it is, and ``client.json`` (readable by this account
    only) how to talk to it as its owner.

    Raises:
        Conflict: if the home is in use by another platform, or the port by another program.
    """
    settings.home.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _held(settings.home), _listening(settings) as listener:
        url = _address(settings.host, listener.getsockname()[1])
        platform = Platform(settings)
        try:
            platform.access.bootstrap()
            token = platform.access.mint_local_token()
            platform.listens_at(url)
            platform.start()
            _write(settings.home / "client.json", {"url": url, "token": token})
            _write(settings.home / "server.json", _about_us(url))
            logging.getLogger("lepton.server").info("listening on %s", url)
            _run(platform, listener)
        finally:
            for name in ("server.json", "client.json"):
                (settings.home / name).unlink(missing_ok=True)
            platform.stop()
            platform.close()


def prepare_log() -> None:
    """Write log lines to standard error; of an exception, never its text, which may quote somebody's data."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Formatter("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    logging.getLogger("lepton").setLevel(logging.INFO)


class _Formatter(logging.Formatter):
    def formatException(self, ei: object) -> str:  # noqa: N802 - overrides
        error = ei[1] if isinstance(ei, tuple) else None
        return places(error) if isinstance(error, BaseException) else ""


def _run(platform: Platform, listener: socket.socket) -> None:
    app = create_app(platform)
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_GRACE_S,
    )
    # uvicorn stops at a signal and then raises it again; ours turns that into an orderly end of this process.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _end)
    server = uvicorn.Server(config)
    app.state.is_closing = lambda: server.should_exit
    server.run(sockets=[listener])


def _end(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)


@contextmanager
def _held(home: Path) -> Iterator[None]:
    """Hold the home folder; the system lets go of it when the process ends, however it ends."""
    handle = os.open(home / "open.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Conflict(
                f"Another platform runs over {home}. Stop it with: lepton down, or choose another folder with "
                "LEPTON_HOME."
            ) from None
        yield
    finally:
        os.close(handle)


@contextmanager
def _listening(settings: Settings) -> Iterator[socket.socket]:
    try:
        family = socket.getaddrinfo(settings.host, settings.port, type=socket.SOCK_STREAM)[0][0]
    except (socket.gaierror, UnicodeError):
        raise InvalidInput(
            f"LEPTON_HOST is {settings.host!r}, which is no address of this machine. Use 127.0.0.1."
        ) from None
    with socket.socket(family, socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((settings.host, settings.port))
            listener.listen(_BACKLOG)
        except OSError as error:
            raise _no_port(settings, error) from None
        yield listener


def _no_port(settings: Settings, error: OSError) -> Conflict | InvalidInput:
    if error.errno == errno.EADDRINUSE:
        other = settings.port % 65535 + 1
        return Conflict(
            f"Port {settings.port} on {settings.host} is in use by another program. Choose another one: "
            f"LEPTON_PORT={other} lepton up, or 0 for any free one."
        )
    return InvalidInput(
        f"Port {settings.port} on {settings.host} cannot be used ({error.strerror}). Choose LEPTON_HOST=127.0.0.1 and "
        "a port above 1023 with LEPTON_PORT."
    )


def _address(host: str, port: int) -> str:
    """The URL at which programs on this machine reach us."""
    reachable = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104
    return f"http://{reachable}:{port}"


def _about_us(url: str) -> dict[str, object]:
    return {
        "pid": os.getpid(),
        "url": url,
        "started_at": utc_now().isoformat(),
        "process_start": _process_start(),
    }


def _process_start() -> int | None:
    """When the kernel started this process, in clock ticks since boot: tells it from a later one of the same id."""
    try:
        return int(Path("/proc/self/stat").read_text().rpartition(")")[2].split()[19])
    except OSError:
        return None


def _write(path: Path, content: dict[str, object]) -> None:
    """Replace a file in one step, readable by this account only."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        handle = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(orjson.dumps(content))
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        if error.errno == errno.ENOSPC:
            raise StorageFull("No space is left in LEPTON_HOME. Free some disk space and start again.") from None
        raise
