"""The files of one run on this machine, as the supervisor writes them and the engine reads them.

``supervisor.json``: whose run it is, made once. ``log``: encrypted lines. ``exit.json``: how the workers ended, made
last. None of it holds data in plain text.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from lepton.core.errors import LeptonError, StorageFull, Unavailable
from lepton.runs.engines.port import EngineSpec, Exit
from lepton.runs.engines.processes import ProcessMark

LOG = "log"
STARTED, TAKEN, FULL, FAILED = "started", "taken", "full", "failed"
"""What a supervisor answers to whoever started it."""

_CLAIM = "supervisor.json"
_EXIT = "exit.json"
_EXIT_ROOM = "exit.json.new"
_BYTES_PER_EXIT = 128


@dataclass(frozen=True)
class Config:
    """What a supervisor is told over its standard input; never in a file, an argument or the environment.

    Attributes:
        workers: How many it keeps.
        first: Rank of the first of them.
        world: How many the run has on all machines; 0: these.
        master: ``HOST PORT`` where the worker of rank 0 is called, if it is on another machine than some.
        secret: What the workers of the run know and nobody else, in hex; empty: the supervisor makes one.
    """

    run_id: str
    workers: int
    argv: list[str]
    grace_s: float
    max_log_bytes: int
    environment: dict[str, str] = field(repr=False)
    log_key: bytes = field(repr=False)
    bare: bool = False
    first: int = 0
    world: int = 0
    master: str = ""
    secret: str = field(default="", repr=False)

    @classmethod
    def of(cls, spec: EngineSpec, *, grace_s: float, max_log_bytes: int) -> Config:
        """Return what the supervisor of a run is told."""
        return cls(
            spec.run_id, spec.workers, list(spec.argv), grace_s, max_log_bytes, dict(spec.environment), spec.log_key,
            spec.bare,
        )  # fmt: skip

    def to_json(self) -> bytes:
        """Return it as it goes over the pipe."""
        return json.dumps(asdict(self) | {"log_key": self.log_key.hex()}).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Config:
        """Read what `to_json` wrote."""
        values = json.loads(data)
        return cls(**(values | {"log_key": bytes.fromhex(values["log_key"])}))


def refusal(*, full: bool) -> LeptonError:
    """Return why no run can be started in its folder."""
    if full:
        return StorageFull("No space is left to start the workers. Free some, then retry the run.")
    return Unavailable("The workers could not be started. Look at the server's log, then retry the run.")


def is_full(error: OSError) -> bool:
    """Whether it is for want of space."""
    return error.errno in (errno.ENOSPC, errno.EDQUOT)


def claim(path: Path, mark: ProcessMark, workers: int) -> bool:
    """Make the run this process's own; False if it already is another's, living or dead."""
    own = path / f"claim.{mark.pid}"
    _write(own, json.dumps(asdict(mark)).encode())
    try:
        os.link(own, path / _CLAIM)  # appears with all of its content, or not at all
    except FileExistsError:
        return False
    finally:
        own.unlink()
    make_room(path, workers)
    return True


def make_room(path: Path, workers: int) -> None:
    """Take the room for the last word now, so that a disk that fills up meanwhile does not silence it."""
    _write(path / _EXIT_ROOM, b" " * (_BYTES_PER_EXIT * (workers + 1)))
    _sync(path)


def claimed_by(path: Path) -> ProcessMark | None:
    """Return which process has made the run its own, or None."""
    try:
        return ProcessMark(**json.loads((path / _CLAIM).read_bytes()))
    except FileNotFoundError:
        return None


def write_exits(path: Path, exits: Sequence[Exit]) -> None:
    """Write down how the workers ended, at once and for good."""
    room = path / _EXIT_ROOM
    with room.open("r+b") as file:
        file.write(json.dumps([asdict(exit_) for exit_ in exits]).encode())
        file.flush()
        os.fsync(file.fileno())
    room.rename(path / _EXIT)
    _sync(path)


def read_exits(path: Path) -> tuple[Exit, ...] | None:
    """Return how the workers ended, or None if that is not written down (yet)."""
    try:
        return tuple(Exit(**values) for values in json.loads((path / _EXIT).read_bytes()))
    except FileNotFoundError:
        return None


def _write(path: Path, data: bytes) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(fd)


def _sync(path: Path) -> None:
    with suppress(OSError):  # some file systems cannot
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
