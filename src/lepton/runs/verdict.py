"""What to make of what an engine reports. Pure: no catalog, no clock, no processes."""

from __future__ import annotations

import signal
from dataclasses import dataclass

from lepton.core.errors import Internal, StorageFull
from lepton.runs.engines.port import EnginePhase, EngineStatus, Exit
from lepton.runs.records import RunState, Stopping, WorkerExit

WORKER_LOST = "worker_lost"
TIMED_OUT = "timed_out"
FIRST_BACKOFF_S, LONGEST_BACKOFF_S = 5.0, 600.0
_QUIET = frozenset({WorkerExit.DONE, WorkerExit.PEER_LOST, WorkerExit.STOPPED})


@dataclass(frozen=True)
class Verdict:
    """How a run that did not say so itself has ended; queued: it was only to make room.

    Attributes:
        again: Whether trying again can help.
    """

    state: RunState
    code: str | None = None
    message: str | None = None
    again: bool = False


_WANTED = {
    None: Verdict(RunState.CANCELLED),
    Stopping.PREEMPTED: Verdict(RunState.QUEUED),
    Stopping.TIMED_OUT: Verdict(
        RunState.FAILED,
        TIMED_OUT,
        "The run took longer than it may and was ended. Give it more time, or make it smaller.",
    ),
}


def judge(
    run_id: str, workers: int, status: EngineStatus, *, cancel_asked: bool, stopping: Stopping | None = None
) -> Verdict:
    """Say how a run ended whose workers are gone and which is still running in the catalog."""
    if cancel_asked or stopping is not None:
        return _WANTED[None if cancel_asked else stopping]
    again = f"Nothing was half-written; start it again with: lepton runs retry {run_id}"
    if status.phase is EnginePhase.LOST:
        return _lost(f"The workers were lost together with the process that watched them. {again}")
    by_itself = [e for e in status.exits if not e.stopped]
    culprit = next((e for e in by_itself if e.signal is not None or e.code not in _QUIET), None)
    if culprit is not None:
        return _blame(culprit, _who(culprit, workers), run_id, again)
    if any(e.code == WorkerExit.STOPPED for e in by_itself):
        return _lost(f"The workers were told to end by SIGTERM, but not by Lepton. {again}")
    if any(e.code == WorkerExit.PEER_LOST for e in by_itself):
        return _lost(f"The workers lost contact with each other. {again}")
    return _internal("The workers ended without a result.", run_id)


def _blame(culprit: Exit, who: str, run_id: str, again: str) -> Verdict:
    if culprit.signal is not None:
        return _lost(f"{who} was ended by {_signal_name(culprit.signal)}. {again}")
    if culprit.code == WorkerExit.STORAGE_FULL:
        message = f"No space is left where the data lives. Free some, then: lepton runs retry {run_id}"
        return Verdict(RunState.FAILED, StorageFull.code, message)
    return _internal(f"{who} ended with exit code {culprit.code}.", run_id)


def backoff_s(failures: int) -> float:
    """Return how long to wait before a run is tried again.

    Args:
        failures: How many times it has failed, from 1: 5 s, 10 s, 20 s, …, at most 10 minutes.
    """
    return float(min(FIRST_BACKOFF_S * 2 ** min(failures - 1, 10), LONGEST_BACKOFF_S))


def _lost(message: str) -> Verdict:
    return Verdict(RunState.FAILED, WORKER_LOST, message, again=True)


def _internal(what: str, run_id: str) -> Verdict:
    return Verdict(RunState.FAILED, Internal.code, f"{what} See: lepton runs logs {run_id}", again=True)


def _who(worker: Exit, workers: int) -> str:
    return f"Worker {worker.rank + 1} of {workers}" if workers > 1 else "The worker"


def _signal_name(number: int) -> str:
    try:
        name = signal.Signals(number).name
    except ValueError:
        name = f"signal {number}"
    return f"{name} (often: out of memory)" if number == signal.SIGKILL else name
