"""What to make of what an engine reports. Pure: no catalog, no clock, no processes."""

from __future__ import annotations

import signal
from dataclasses import dataclass

from lepton.core.errors import Internal, StorageFull
from lepton.runs.commands import Command
from lepton.runs.engines.port import EnginePhase, EngineStatus, Exit
from lepton.runs.records import LaunchExit, RunState, Stopping, WorkerExit

WORKER_LOST = "worker_lost"
WORKER_FAILED, OUT_OF_MEMORY, TIMED_OUT = "worker_failed", "out_of_memory", "timed_out"
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
    Stopping.UNPLACED: Verdict(RunState.QUEUED),
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
        how = "The workers were lost together with the process that watched them."
        if status.hung:
            how = f"The process that watched the workers hung: it {_HUNG}."
        return _lost(f"{how} {again}")
    by_itself = [e for e in status.exits if not e.stopped]
    culprit = next((e for e in by_itself if e.signal is not None or e.code not in _QUIET), None)
    if culprit is not None:
        return _blame(culprit, _who(culprit, workers), run_id, again)
    if any(e.code == WorkerExit.STOPPED for e in by_itself):
        return _lost(f"The workers were told to end by SIGTERM, but not by Lepton. {again}")
    if any(e.code == WorkerExit.PEER_LOST for e in by_itself):
        return _lost(f"The workers lost contact with each other. {again}")
    return _internal("The workers ended without a result.", run_id)


def judge_command(
    run_id: str, workers: int, status: EngineStatus, command: Command | None, *, cancel_asked: bool,
    stopping: Stopping | None = None,
) -> Verdict:  # fmt: skip
    """Say how a run of a user's own command ended: well if all of its workers did.

    Args:
        run_id: Which run.
        workers: How many it had.
        status: What the engine says.
        command: What was run; None if that cannot be read any more.
        cancel_asked: Whether somebody wanted it to end.
        stopping: Why else it was told to end, or None.
    """
    done = len(status.exits) == workers and all(e.code == 0 for e in status.exits)
    if status.phase is EnginePhase.LOST or cancel_asked or (stopping is not None and not done):
        return judge(run_id, workers, status, cancel_asked=cancel_asked, stopping=stopping)
    by_itself = [e for e in status.exits if not e.stopped]
    failed = [e for e in by_itself if e.signal is not None or e.code != 0]
    # Who only noticed that another was gone is not to blame for that.
    culprit = next((e for e in failed if e.code != LaunchExit.ALONE), failed[0] if failed else None)
    if culprit is None:
        if len(by_itself) < workers:  # nobody failed, and somebody was told to end
            return _lost(f"The workers were told to end, but nobody asked for it. Again: lepton runs retry {run_id}")
        return Verdict(RunState.SUCCEEDED)
    who = _who(culprit, workers)
    if culprit.hung:
        return _lost(f"{who} hung: what keeps its command {_HUNG}. See: lepton runs logs {run_id}")
    code, message = WORKER_FAILED, f"{who} ended with exit code {culprit.code}."
    if culprit.signal is not None:
        message = f"{who} was ended by {_signal_name(culprit.signal)}."
    elif culprit.code in _OF_LAUNCHERS:
        code, text = _OF_LAUNCHERS[LaunchExit(culprit.code)]
        memory_mb, timeout_s = (command.resources.memory_mb, command.timeout_s) if command else (0, 0)
        message = text.format(
            who=who,
            memory=size(memory_mb),
            more=size(max(memory_mb * 2, 256)),
            timeout=f"{timeout_s:,} s",
            hang=f"{command.hang_timeout_s if command else 0:,} s",
        )
    return Verdict(RunState.FAILED, code, f"{message} See: lepton runs logs {run_id}", again=True)


_HUNG = "was stopped or waited for a device that did not answer, for more than 7 s, and was ended"
_OF_LAUNCHERS = {
    LaunchExit.OUT_OF_MEMORY: (
        OUT_OF_MEMORY,
        "{who} used more than the {memory} it asked for and was ended. Ask for more: --memory {more}.",
    ),
    LaunchExit.MACHINE_FULL: (
        OUT_OF_MEMORY,
        "{who} used so much memory that the machine would have had none left, and was ended. Let it use less, or say "
        "how much it needs: --memory {more}.",
    ),
    LaunchExit.TIMED_OUT: (
        TIMED_OUT,
        "{who} took longer than the {timeout} it was given and was ended. Give it more: --timeout.",
    ),
    LaunchExit.SILENT: (
        WORKER_LOST,
        "{who} hung: for {hang} there was no sign that it works, neither a line nor a heartbeat nor the use of a "
        "processor, and it was ended. If it only waits, give it more: --hang-timeout.",
    ),
    LaunchExit.NO_ENVIRONMENT: (WORKER_FAILED, "The environment could not be built; the log says why."),
    LaunchExit.NOT_STARTED: (WORKER_FAILED, "{who} could not start the command; the log says why."),
    LaunchExit.UNCONFINED: (
        WORKER_FAILED,
        "The machine cannot keep a command from the platform's keys, so it was not run: Linux 5.13 or later with "
        "Landlock is needed.",
    ),
    LaunchExit.ALONE: (WORKER_LOST, "The workers lost contact with each other before the command began."),
    LaunchExit.HUNG: (WORKER_LOST, f"{{who}} hung: a process of its command {_HUNG}."),
}


def size(memory_mb: int) -> str:
    """Return an amount of memory as one writes it behind --memory: 512M, 1G."""
    return f"{memory_mb >> 10}G" if memory_mb and memory_mb % 1024 == 0 else f"{memory_mb}M"


def _blame(culprit: Exit, who: str, run_id: str, again: str) -> Verdict:
    if culprit.hung:
        return _lost(f"{who} hung: its process {_HUNG}. {again}")
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
