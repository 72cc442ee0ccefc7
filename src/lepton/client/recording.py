"""`lepton.start_run`: records work as a run. Every call writes to a spool and returns; a thread sends."""

from __future__ import annotations

import atexit
import io
import logging
import os
import shutil
import sys
import threading
import time
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from lepton.client import pictures
from lepton.client.machine import Machine
from lepton.client.sdk import Client, connect
from lepton.client.sending import Sender, send_left
from lepton.client.spool import Spool
from lepton.client.surroundings import surroundings
from lepton.client.transport import encode
from lepton.core.errors import InvalidInput, LeptonError, Unavailable
from lepton.core.ids import new_id
from lepton.core.settings import Settings
from lepton.runs.artifacts import check_path

LOG = logging.getLogger("lepton.tracking")
_SEND_EVERY_S = 0.5
_MEASURE_EVERY_S = 10.0
_BEAT_EVERY_S = 300.0
_LONGEST_WAIT_S = 30.0
_NOTE_FOR_S = 10.0
"""So long a run that ends is held up by what is noted of the code and the packages."""
_KEY, _VALUE = 250, 8000


class TrackedRun:
    """A run that is being recorded; use it in a ``with`` block, or call `end`. Safe to share between threads.

    Attributes:
        id: Id of the run.
    """

    def __init__(self, client: Client, spool: Spool, run_id: str, *, owned: Callable[[], None] | None) -> None:
        self.id = run_id
        self._spool = spool
        self._client = client
        self._owned = owned
        self._lock = threading.Lock()
        self._files = 0
        self._lost = False
        self._ended = False
        self._wake = threading.Event()
        self._sender = Sender(spool, client.runs)
        self._thread = threading.Thread(target=self._work, name="lepton-tracking", daemon=True)
        self._noting: threading.Thread | None = None

    def metric(self, key: str, value: float, step: int = 0) -> None:
        """Add a point to a curve.

        Args:
            key: Name of the curve, at most 250 characters.
            value: A number; NaN and infinities are kept as "not finite".
            step: Iteration, epoch or whatever the curve counts.
        """
        self._write(["m", int(step), time.time_ns() // 1000, {key[:_KEY]: float(value)}])

    def metrics(self, values: Mapping[str, float], step: int = 0) -> None:
        """Add a point to each of several curves."""
        numbers = {key[:_KEY]: float(value) for key, value in values.items()}
        self._write(["m", int(step), time.time_ns() // 1000, numbers])

    def param(self, key: str, value: object) -> None:
        """Set a setting of the run; kept as text, not encrypted."""
        self.params({key: value})

    def params(self, values: Mapping[str, object]) -> None:
        """Set several settings."""
        self._write(["p", _texts(values)])

    def tag(self, key: str, value: object) -> None:
        """Say a word about the run; not encrypted."""
        self._write(["t", _texts({key: value})])

    def artifact(self, file: str | Path | bytes, path: str | None = None) -> None:
        """Keep a file with the run, as it is now.

        Args:
            file: A path, or the bytes themselves.
            path: Its place among the files of the run; its name if absent.

        Raises:
            InvalidInput: if there is no such file, or the path cannot be one.
        """
        if path is None:
            if isinstance(file, bytes):
                raise InvalidInput("Bytes have no name. Say which: run.artifact(content, 'notes.txt').")
            path = Path(file).name
        check_path(path)
        folder = self._spool.files()
        folder.mkdir(mode=0o700, exist_ok=True)
        with self._lock:
            self._files += 1
            name = f"{self._files}"
        try:
            if isinstance(file, bytes):
                (folder / name).write_bytes(file)
            else:
                shutil.copyfile(Path(file).expanduser(), folder / name)
        except (FileNotFoundError, IsADirectoryError):
            raise InvalidInput(f"There is no file {file!s}. Check the path.") from None
        self._write({"artifact": path, "file": name})

    def image(self, name: str, image: object) -> None:
        """Keep a picture under ``images/``: a NumPy array, a PIL image, or the bytes of a PNG or JPEG."""
        suffix, data = pictures.image(image)
        self.artifact(data, f"images/{name}" if Path(name).suffix else f"images/{name}{suffix}")

    def plot(self, name: str, figure: Any) -> None:
        """Keep a Matplotlib figure as a PNG under ``plots/``."""
        drawn = io.BytesIO()
        figure.savefig(drawn, format="png")
        self.artifact(drawn.getvalue(), f"plots/{name}.png")

    def table(self, name: str, table: object) -> None:
        """Keep a table as JSON under ``tables/``: a Polars or pandas frame, an Arrow table, or a list of dicts."""
        columns, rows = pictures.table(table)
        self.artifact(encode({"columns": columns, "rows": rows}), f"tables/{name}.json")

    @property
    def should_stop(self) -> bool:
        """Whether the run was cancelled on the platform, as far as is known here."""
        return self._sender.state == "cancelled"

    def end(self, state: str = "succeeded", message: str = "", *, timeout_s: float = 30.0) -> None:
        """End the run and wait until everything is sent; what is not by then is sent by the next process that records.

        Args:
            state: ``succeeded``, ``failed`` or ``cancelled``.
            message: Why it failed.
            timeout_s: Longest wait.
        """
        if self._noting is not None:  # which takes longer than a short run
            self._noting.join(_NOTE_FOR_S)
        with self._lock:
            if self._ended:
                return
            self._ended = True
        atexit.unregister(self._at_exit)
        self._append({"end": state, "message": message[:2000]})
        self._wake.set()
        self._thread.join(timeout_s)
        if self._thread.is_alive():
            warnings.warn(
                f"Run {self.id} is not sent completely yet. The next process that records a run here does it, "
                "or: lepton runs sync",
                stacklevel=2,
            )
            return
        self._spool.close()
        if self._owned is not None:
            self._owned()

    def __enter__(self) -> TrackedRun:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.end()
        elif issubclass(kind, KeyboardInterrupt):
            self.end("cancelled")
        else:
            self.end("failed", kind.__name__)  # not its text, which may quote the data

    def begin(self, *, with_surroundings: bool, with_machine: bool) -> None:
        """Start the threads; `start_run` calls it."""
        atexit.register(self._at_exit)
        self._thread.start()
        if with_surroundings:
            self._noting = threading.Thread(target=self._note_surroundings, name="lepton-surroundings", daemon=True)
            self._noting.start()
        if with_machine:
            threading.Thread(target=self._measure, name="lepton-machine", daemon=True).start()

    def _write(self, frame: object) -> None:
        if self._ended:
            raise InvalidInput(f"Run {self.id} has ended. Start another with: lepton.start_run()")
        self._append(frame)

    def _append(self, frame: object) -> None:
        try:
            with self._lock:
                self._spool.append(frame)
        except OSError as error:
            if not self._lost:  # work does not fail because it cannot be recorded
                self._lost = True
                warnings.warn(f"What run {self.id} tells cannot be kept: {error.strerror}.", stacklevel=3)

    def _work(self) -> None:
        pause_s, failed, beat_at = _SEND_EVERY_S, "", time.monotonic()
        while not self._sender.done:
            try:
                while self._sender.send() and not self._sender.done:
                    beat_at = time.monotonic()
                if time.monotonic() - beat_at > _BEAT_EVERY_S:
                    self._sender.beat()
                    beat_at = time.monotonic()
                pause_s, failed = _SEND_EVERY_S, ""
            except LeptonError as error:
                pause_s = min(pause_s * 2, _LONGEST_WAIT_S)
                if error.message != failed:
                    LOG.warning("Run %s waits to be sent: %s", self.id, error.message)
                failed = error.message
            if not self._sender.done:
                self._wake.wait(pause_s)
                if failed and self._wake.is_set():
                    time.sleep(min(pause_s, 0.5))  # the end is waited for: ask more often, but not in a loop
                elif not self._ended:
                    self._wake.clear()
        self._spool.remove()

    def _note_surroundings(self) -> None:
        found = surroundings(Path.cwd())
        with suppress(InvalidInput):  # it has ended meanwhile
            self._write(["t", _texts(found.tags)])
            for path, content in found.files.items():
                self.artifact(content, path)

    def _measure(self) -> None:
        machine, count = Machine(), 0
        with suppress(InvalidInput):
            while not self._ended:
                time.sleep(_MEASURE_EVERY_S)
                count += 1
                self.metrics(machine.measure(), count)

    def _at_exit(self) -> None:
        self.end("failed" if hasattr(sys, "last_value") else "succeeded", timeout_s=10.0)


def start_run(
    name: str = "",
    *,
    experiment: str = "",
    params: Mapping[str, object] | None = None,
    tags: Mapping[str, object] | None = None,
    project: str = "default",
    system_metrics: bool = True,
) -> TrackedRun:
    """Record what this program does as a run; within a run of Lepton, go on with that one.

    The platform is the one of ``LEPTON_URL`` and ``LEPTON_TOKEN``, or the one that ``lepton up`` started, or, if there
    is none, one in this process over ``LEPTON_HOME``. It may be away: what is told waits in ``LEPTON_HOME/spool``.

    Args:
        name: What to call it.
        experiment: What it belongs to.
        params: Its settings.
        tags: Words about it.
        project: Where it belongs.
        system_metrics: Whether to measure processor, memory, disk and GPUs every 10 seconds.
    """
    settings = Settings.from_environment()
    client, target, owned = _platform(settings, project)
    inside = os.environ.get("LEPTON_RUN_ID")
    run_id, sender_id = inside or new_id(), new_id()
    about: dict[str, object] | None = None
    if inside is None:
        about = {"name": name, "experiment": experiment, "params": _texts(params or {}), "tags": _texts(tags or {})}
        about["started_at"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    folder = settings.home / "spool"
    spool = Spool.create(folder, sender_id)
    spool.append({"run_id": run_id, "client": sender_id, "target": target, "create": about})
    if inside is not None and (params or tags):
        spool.append(["p", _texts(params or {})])
        spool.append(["t", _texts(tags or {})])
    run = TrackedRun(client, spool, run_id, owned=owned)
    run.begin(with_surroundings=True, with_machine=system_metrics)
    threading.Thread(target=_send_left, args=(folder, client, target), name="lepton-left", daemon=True).start()
    return run


def sync() -> int:
    """Send what processes that are gone have left in ``LEPTON_HOME/spool``; return how many runs that were."""
    settings = Settings.from_environment()
    client, target, owned = _platform(settings, "default")
    try:
        return send_left(settings.home / "spool", client.runs, target=target)
    finally:
        if owned is not None:
            owned()


def _platform(settings: Settings, project: str) -> tuple[Client, str, Callable[[], None] | None]:
    """Return the platform, what to call it whatever its port, and what closes it if it is in this process."""
    url = os.environ.get("LEPTON_URL")
    target = f"{url.rstrip('/') if url else settings.home} {project}"
    try:
        client = connect(project=project)
    except Unavailable:
        import lepton  # the platform itself is loaded only if it has to run here

        client = lepton.open(settings.home)
        return client, target, client.close
    return client, target, client.close


def _send_left(folder: Path, client: Client, target: str) -> None:
    with suppress(LeptonError, OSError):  # the next process tries again
        send_left(folder, client.runs, target=target)


def _texts(values: Mapping[str, object]) -> dict[str, str]:
    """Write params or tags as the platform takes them."""
    return {
        str(key)[:_KEY].replace("\0", "") or "unnamed": str(value)[:_VALUE].replace("\0", "")
        for key, value in values.items()
    }
