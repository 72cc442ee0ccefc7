"""The engine of one machine: workers as processes, each run under a supervisor of its own that outlives us."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from lepton.core.errors import Internal
from lepton.runs.engines import folder
from lepton.runs.engines.ends import Ends
from lepton.runs.engines.forkserver import ForkServer
from lepton.runs.engines.journal import MAX_LOG_BYTES, JournalError, JournalReader
from lepton.runs.engines.port import NODE_ADDRESS, EnginePhase, EngineSpec, EngineStatus
from lepton.runs.engines.processes import ProcessMark, memory_mb
from lepton.runs.engines.stillness import Stillness
from lepton.runs.records import LogLine, Machine, Part, Resources

START_TIMEOUT_S = 30.0
GRACE_S = 10.0
_SUPERVISOR = (sys.executable, "-m", "lepton.runs.engines.supervisor")
_PASSED_ON = (
    "PATH", "HOME", "USER", "LANG", "LC_ALL", "TZ", "TMPDIR", "VIRTUAL_ENV", "PYTHONPATH", "LD_LIBRARY_PATH",
    "SSL_CERT_FILE",
)  # fmt: skip
_NOT_FOR_WORKERS = frozenset({"LEPTON_TOKEN", "LEPTON_URL"})
_FOR_PACKAGES = frozenset({
    "UV_DEFAULT_INDEX", "UV_INDEX", "UV_INDEX_URL", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS", "UV_OFFLINE", "UV_NO_INDEX",
    "PIP_INDEX_URL", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
})  # fmt: skip
"""Where a launcher finds packages."""
_READERS = 64


class LocalEngine:
    """Runs workers on this machine.

    Args:
        root: Folder in which each run has one of its own.
        slots: How many processors runs may take; None: those of this machine, at least two.
        grace_s: How long a worker that was told to end may take.
        max_log_bytes: How much of a run's log is kept.

    Attributes:
        ended: Called, by another thread, when a run that it was asked about has ended.
    """

    def __init__(
        self,
        root: Path,
        *,
        slots: int | None = None,
        grace_s: float = GRACE_S,
        max_log_bytes: int = MAX_LOG_BYTES,
    ) -> None:
        self._root = root
        self._slots = slots or max(2, len(os.sched_getaffinity(0)))
        self._memory_mb = memory_mb()
        self._gpus = len(list(Path("/dev").glob("nvidia[0-9]*")))
        self._grace_s = grace_s
        self._max_log_bytes = max_log_bytes
        self._readers: OrderedDict[str, JournalReader] = OrderedDict()
        self._lock = threading.Lock()
        self._forks = ForkServer(environment({}, bare=True))
        self._stillness: dict[str, Stillness] = {}
        self._hung: set[str] = set()
        self._ends = Ends(self._tell)
        self.ended: Callable[[], None] = lambda: None

    def close(self) -> None:
        """Let go of what starts runs; they go on."""
        self._forks.close()
        self._ends.close()

    def submit(self, spec: EngineSpec) -> None:
        """Start a supervisor, unless the run has, or has had, one; return when it has begun.

        Raises:
            Unavailable: if it does not begin.
            StorageFull: if there is no space for the run's folder.
        """
        if self.status(spec.run_id).phase is not EnginePhase.UNKNOWN:
            return
        path = self._path(spec.run_id)
        config = folder.Config.of(spec, grace_s=self._grace_s, max_log_bytes=self._max_log_bytes)
        config = replace(config, environment=environment(spec.environment, bare=spec.bare))
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            answer = self._forks.start(path, config) or _launch(path, config)
        except OSError as error:
            raise folder.refusal(full=folder.is_full(error)) from error
        if answer not in (folder.STARTED, folder.TAKEN):
            raise folder.refusal(full=answer == folder.FULL)
        supervisor = folder.claimed_by(path)
        if supervisor is not None:
            self._ends.watch(supervisor.pid)

    def status(self, run_id: str) -> EngineStatus:
        """Say how the run stands, from its files and the table of processes alone."""
        path = self._path(run_id)
        exits = folder.read_exits(path)
        if exits is None:
            supervisor = folder.claimed_by(path)
            if supervisor is None:
                return EngineStatus(EnginePhase.UNKNOWN)
            if supervisor.is_alive():
                self._ends.watch(supervisor.pid)
                self._end_hung(run_id, supervisor)
                return EngineStatus(EnginePhase.RUNNING)
            exits = folder.read_exits(path)  # it may have ended well between the two looks
        self._stillness.pop(run_id, None)
        if exits is None:
            return EngineStatus(EnginePhase.LOST, hung=run_id in self._hung)
        return EngineStatus(EnginePhase.EXITED, exits)

    def _tell(self) -> None:
        self.ended()

    def _end_hung(self, run_id: str, supervisor: ProcessMark) -> None:
        """End a supervisor that hangs; the kernel ends its workers with it, and the next look finds it gone."""
        with self._lock:
            stillness = self._stillness.setdefault(run_id, Stillness())
            if stillness.look([supervisor.pid], time.monotonic()) is not None:
                self._hung.add(run_id)
                supervisor.send(signal.SIGKILL)

    def logs(self, run_id: str, log_key: bytes, *, after: int = 0, limit: int = 1000) -> list[LogLine]:
        """Return at most `limit` lines with a `seq` above `after`, oldest first.

        Raises:
            Internal: if the log on disk is not what was written.
        """
        with self._lock:
            reader = self._readers.pop(run_id, None) or JournalReader(self._path(run_id) / folder.LOG, run_id)
            self._readers[run_id] = reader
            if len(self._readers) > _READERS:
                self._readers.popitem(last=False)
        try:
            return reader.read(log_key, after=after, limit=limit)
        except JournalError:
            raise Internal(f"The log of run {run_id} is damaged or was changed outside of Lepton.") from None

    def cancel(self, run_id: str) -> None:
        """Tell the supervisor to end its workers; returns at once."""
        supervisor = folder.claimed_by(self._path(run_id))
        if supervisor is not None:
            supervisor.send(signal.SIGTERM)

    def machines(self) -> tuple[Machine, ...]:
        """Return this machine."""
        return (Machine("", Resources(float(self._slots), self._memory_mb, self._gpus)),)

    def parts(self, run_id: str) -> tuple[Part, ...]:
        """Return nothing: all runs are on this machine."""
        del run_id
        return ()

    def want(self, waiting: Mapping[str, Sequence[Resources]]) -> None:
        """Do nothing: this machine does not grow."""

    def _path(self, run_id: str) -> Path:
        if not run_id.isalnum():
            raise ValueError(f"{run_id!r} is not the id of a run.")
        return self._root / run_id


def _launch(path: Path, config: folder.Config) -> str:
    """Start a supervisor and return its answer, empty if it gave none."""
    process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
        [*_SUPERVISOR, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        cwd=path,
        env=config.environment,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    with process.stdout:
        with suppress(BrokenPipeError), process.stdin:
            process.stdin.write(config.to_json())
        ready, _, _ = select.select([process.stdout], [], [], START_TIMEOUT_S)
        answer = process.stdout.readline().decode().strip() if ready else ""
    if not answer:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()  # the supervisor itself is its child, and nobody's by now
    return answer


def environment(extra: Mapping[str, str], *, bare: bool = False) -> dict[str, str]:
    """Return what workers may see of our environment: no credentials, no surprises.

    Args:
        extra: What they see beside.
        bare: Whether what leads to keys and the catalog is left out too.
    """
    passed = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    # PG…: how libpq finds a PostgreSQL catalog.
    ours = {n: v for n, v in os.environ.items() if n.startswith(("LEPTON_", "PG")) and n not in _NOT_FOR_WORKERS}
    if bare:
        ours = {n: v for n, v in os.environ.items() if n in _FOR_PACKAGES}
    fixed = {"PYTHONUNBUFFERED": "1", "POLARS_OOC_DISK_BUDGET_MB": "0", NODE_ADDRESS: "127.0.0.1"}
    return passed | ours | fixed | dict(extra)
