"""``python -m lepton.worker <run id>``: takes a run, runs its task, says how it ended.

Started by an engine, one process per rank. Rank 0 commits the result itself, in one transaction, so a run ends well
also while the control plane is away. What goes wrong is written without the text of foreign errors, which could
quote the data.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import traceback
import warnings
from contextlib import ExitStack, closing
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, TextIO

from lepton.core.errors import Internal, LeptonError, StorageFull, Unavailable
from lepton.core.settings import Settings
from lepton.runs.context import TaskContext
from lepton.runs.records import Assignment, WorkerExit

if TYPE_CHECKING:
    from lepton.platform import Platform

_BETWEEN_WORKERS = ("lepton.training.collective", "lepton.training.channel")


def main() -> None:
    """Work on the run named on the command line and exit with one of `WorkerExit`."""
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda _number, _frame: stop.set())
    _keep_quiet()
    code = work(sys.argv[1], bytes.fromhex(sys.stdin.readline()), stop)
    sys.stdout.flush()
    sys.exit(code)


def work(run_id: str, secret: bytes, stop: threading.Event) -> WorkerExit:
    """Run the task of a run as the rank that the environment says.

    Args:
        run_id: The run.
        secret: What the workers of the run know and nobody else.
        stop: Set when the run is to end.
    """
    from lepton.platform import Platform

    try:
        with closing(Platform(Settings.from_environment())) as platform, ExitStack() as opened:
            try:
                _run_task(platform, platform.runs.assignment(run_id), secret, stop, opened)
            except Exception as error:  # noqa: BLE001 - the edge of the worker
                # The other workers are still connected here, so the first to fail is the first to say so.
                return _failed(platform, run_id, error, stopping=stop.is_set())
    except Exception as error:  # noqa: BLE001 - not even the catalog can be reached
        _tell(error)
        return WorkerExit.STORAGE_FULL if isinstance(error, StorageFull) else WorkerExit.UNRECORDED
    return WorkerExit.STOPPED if stop.is_set() else WorkerExit.DONE


def _run_task(
    platform: Platform, assignment: Assignment, secret: bytes, stop: threading.Event, opened: ExitStack
) -> None:
    from lepton.platform import TASKS
    from lepton.training.collective import TcpCollective, open_collective

    run = assignment.run
    task = TASKS.get(run.task)
    if task is None:
        raise Internal(f"This version of Lepton has no task {run.task!r}.")
    actor = platform.access.actor_for_run(assignment.user_id, assignment.scopes)
    collective = open_collective(os.environ, secret)
    if isinstance(collective, TcpCollective):
        opened.enter_context(collective)
    context = TaskContext(
        run=run,
        actor=actor,
        arguments=assignment.arguments,
        rank=collective.rank,
        world_size=collective.world_size,
        collective=collective,
        recorder=platform.runs,
        write_line=_write_line,
        stop_asked=stop,
    )
    with closing(context):
        task(platform)(context)


def _failed(platform: Platform, run_id: str, error: Exception, *, stopping: bool) -> WorkerExit:
    """Tell the catalog why the run failed, unless that is somebody else's to tell."""
    _tell(error)
    if stopping:
        return WorkerExit.STOPPED
    if isinstance(error, Unavailable) and _came_from(error, _BETWEEN_WORKERS):
        return WorkerExit.PEER_LOST
    if not isinstance(error, LeptonError):
        error = Internal(f"Internal error; where it happened is in the run's log: lepton runs logs {run_id}")
    try:
        platform.runs.fail(run_id, error)
    except StorageFull:
        return WorkerExit.STORAGE_FULL
    return WorkerExit.FAILED


def _tell(error: BaseException) -> None:
    """Write what went wrong: our own sentence, or the class and the frames of a foreign error, never its text."""
    if isinstance(error, LeptonError):
        _write_line(f"{type(error).__name__}: {error.message}")
        return
    _write_line(f"{type(error).__module__}.{type(error).__qualname__} at")
    for frame in traceback.extract_tb(error.__traceback__):
        _write_line(f"  {_place(frame.filename)}:{frame.lineno} {frame.name}")


def _came_from(error: BaseException, modules: tuple[str, ...]) -> bool:
    return any(frame.f_globals.get("__name__") in modules for frame, _ in traceback.walk_tb(error.__traceback__))


def _keep_quiet() -> None:
    """Keep the texts of foreign warnings and of errors nobody caught out of the log: they may quote the data."""

    def hook(_kind: type[BaseException], error: BaseException, _trace: TracebackType | None) -> None:
        _tell(error)

    def thread_hook(failure: threading.ExceptHookArgs) -> None:
        if failure.exc_value is not None:
            _tell(failure.exc_value)

    def show(
        message: Warning | str,  # noqa: ARG001
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,  # noqa: ARG001
        line: str | None = None,  # noqa: ARG001
    ) -> None:
        _write_line(f"{category.__name__} at {_place(filename)}:{lineno}")

    sys.excepthook = hook
    threading.excepthook = thread_hook
    warnings.showwarning = show


def _place(filename: str) -> str:
    """Return a file as its package sees it, without the folders of this machine."""
    parts = Path(filename).parts
    roots = [i for i, part in enumerate(parts) if part in ("site-packages", "src")]
    return "/".join(parts[roots[-1] + 1 :] if roots else parts[-2:])


def _write_line(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
