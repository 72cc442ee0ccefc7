"""What an engine is. The catalog owns the truth about runs; an engine knows only processes.

`lepton.testing.engines.EngineContract` holds every implementation to this text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from lepton.runs.records import ONE_CPU, LogLine, Machine, Part, Resources

NODE_ADDRESS = "LEPTON_NODE_ADDRESS"
"""Environment variable of a worker: where other machines reach the one that it is on."""


class EnginePhase(StrEnum):
    """What an engine knows of a run.

    ``UNKNOWN``: never started here. ``RUNNING``: its workers live, or are about to. ``EXITED``: all of its workers
    have ended, and how is known. ``LOST``: it was started, and is gone without a word.
    """

    UNKNOWN = "unknown"
    RUNNING = "running"
    EXITED = "exited"
    LOST = "lost"


@dataclass(frozen=True)
class Exit:
    """How one worker ended.

    Attributes:
        rank: Which worker.
        code: Its exit code, None if a signal ended it.
        signal: Number of the signal, None if it ended by itself.
        stopped: Whether the engine had told it to end, because of a cancel or because another worker had died.
        hung: Whether the engine has ended it because it did not go on.
        time: When that was seen, by the clock of its machine; seconds since 1970. 0: nobody has looked.
    """

    rank: int
    code: int | None
    signal: int | None
    stopped: bool = False
    hung: bool = False
    time: float = field(default=0.0, compare=False)


@dataclass(frozen=True)
class EngineStatus:
    """What an engine knows of a run.

    Attributes:
        phase: How it stands.
        exits: How its workers ended, in the order in which they did.
        hung: Whether it was lost because whoever kept its workers did not go on, and was ended.
        waits_s: For how long it has had no place, while it counts as running; nothing of it has begun. Infinite: it
            gets none where it was to be.
    """

    phase: EnginePhase
    exits: tuple[Exit, ...] = ()
    hung: bool = False
    waits_s: float = 0.0


@dataclass(frozen=True)
class EngineSpec:
    """What is to be started.

    Attributes:
        run_id: Id of the run; at most one start follows, however often it is submitted.
        workers: Number of processes; all of them or none.
        argv: The command of each worker.
        environment: Variables on top of the engine's own, such as ``LEPTON_HOME``.
        log_key: 32 bytes that encrypt the log.
        resources: What each worker takes; an engine that places workers asks for it.
        parts: On which machines the workers are, the ranks from 0 one after the other; empty: all on one, and any.
        bare: Whether workers get `environment` and nothing of the engine's own that leads to keys or the catalog.
        apart: Runs with the same word are started on different machines as far as there are such; empty: anywhere.
    """

    run_id: str
    workers: int
    argv: Sequence[str]
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    log_key: bytes = field(default=b"", repr=False)
    apart: str = ""
    resources: Resources = ONE_CPU
    bare: bool = False
    parts: tuple[Part, ...] = ()


class Engine(Protocol):
    """Starts workers, watches them, keeps what they write, ends them.

    Each worker gets the variables of torchrun (``RANK``, ``WORLD_SIZE``, ``LOCAL_RANK``, ``LOCAL_WORLD_SIZE``,
    ``MASTER_ADDR``, ``MASTER_PORT``) and one line on its standard input: a secret in hex, shared by the workers of
    the run and nobody else. ``LEPTON_NODE_ADDRESS`` is where other machines reach the one that it is on.
    """

    def submit(self, spec: EngineSpec) -> None:
        """Start the workers unless that has been done for this run id before.

        Raises:
            Unavailable: if they cannot be started now.
            StorageFull: if there is no space for the run's folder.
        """

    def status(self, run_id: str) -> EngineStatus:
        """Say how the run stands."""

    def logs(self, run_id: str, log_key: bytes, *, after: int = 0, limit: int = 1000) -> list[LogLine]:
        """Return at most `limit` lines with a `seq` above `after`, oldest first.

        Raises:
            Internal: if the log on disk is not what was written.
        """

    def cancel(self, run_id: str) -> None:
        """Tell the workers to end (SIGTERM), and after a grace period end them (SIGKILL). Returns at once.

        A run that waits for a place has ended then, and nothing of it begins any more.
        """

    def machines(self) -> tuple[Machine, ...]:
        """Return the machines that there are now."""

    def parts(self, run_id: str) -> tuple[Part, ...]:
        """Return where the workers of a run are; nothing if there is only one place, or it has not been chosen."""

    def want(self, waiting: Mapping[str, Sequence[Resources]]) -> None:
        """Hear which runs wait for room, first to start first, and get more machines for them if that can be done.

        It is called again and again, also with none. What there is then, `machines` says.

        Args:
            waiting: For each, the pieces of room that it needs, each on one machine and all at a time.

        Raises:
            Unavailable: if whoever has machines does not answer.
        """
