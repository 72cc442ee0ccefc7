"""One worker of a run of a user's own command, from the assignment to the last output."""

from __future__ import annotations

import math
import os
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import orjson

from lepton.client.heartbeat import HEARTBEAT
from lepton.client.sdk import Client
from lepton.client.transport import path_of
from lepton.core import confine
from lepton.core.errors import Conflict, LeptonError, NotFound, Unauthenticated
from lepton.launch import environment, meeting, outputs, places, shares
from lepton.launch.cgroups import ControlGroup
from lepton.launch.checkpoints import Checkpoints
from lepton.launch.child import Child, Limits
from lepton.launch.confined import Confinement
from lepton.launch.control import Control, Stopped
from lepton.launch.places import Place
from lepton.launch.redact import Redactor
from lepton.launch.silence import beat_of
from lepton.launch.unpack import unpack
from lepton.runs.records import LaunchExit

MAX_PROCESSES, MAX_OPEN_FILES = 4096, 4096
MAX_UNPACKED_BYTES = 16 << 30
BUILD_TIMEOUT_S = 3600.0
_SPARE_GRACE_S = 2.0
"""So much of the engine's patience is for ourselves, after the command was told to end."""
_TORCHRUN = (
    "RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "LEPTON_NODE_ADDRESS",
    "LANG", "LC_ALL", "TZ", "LD_LIBRARY_PATH", "SSL_CERT_FILE",
)  # fmt: skip


@dataclass(frozen=True)
class Assignment:
    """What is to be started, as the platform says it."""

    argv: list[str]
    workers: int
    cpus: float
    memory_mb: int
    gpus: int
    timeout_s: int
    hang_timeout_s: int
    environment: str | None
    outputs: list[str]
    secrets: Mapping[str, str] = field(repr=False)


class Launcher:
    """Starts one worker's command.

    Args:
        run_id: The run.
        secret: What the workers of the run know and nobody else.
        variables: The environment that the engine made.
        stop: Set when the run is to end.
    """

    def __init__(self, run_id: str, secret: bytes, variables: Mapping[str, str], stop: threading.Event) -> None:
        self._run_id = run_id
        self._secret = secret
        self._variables = variables
        self._stop = stop
        self._rank = int(variables["RANK"])
        self._control = Control(variables, stop)
        self._grace_s = max(float(variables.get("LEPTON_GRACE_S", "10")) - _SPARE_GRACE_S, 0.5)

    def run(self) -> int:
        """Return the exit code of the command, minus the number of its signal, or a `LaunchExit`."""
        try:
            found = self._control.ask(lambda client: client.transport.get(path_of("launch", self._run_id)))
            assignment = Assignment(**orjson.loads(found))
            with ExitStack() as held:
                return self._run(assignment, held)
        except Stopped:
            return -signal.SIGTERM
        except meeting.Alone:
            return LaunchExit.ALONE
        except environment.NoEnvironment as error:
            say(str(error))
            return LaunchExit.NO_ENVIRONMENT
        except LeptonError as error:
            say(error.message)
            return LaunchExit.NOT_STARTED

    def _run(self, assignment: Assignment, held: ExitStack) -> int:
        user = self._user(held)
        if user is None and not confine.has_landlock():
            return LaunchExit.UNCONFINED
        place = held.enter_context(places.place(self._run_id, self._rank))
        self._control.ask(lambda client: self._fetch(client, place))
        checkpoints = Checkpoints(self._run_id, place.checkpoints, self._control, say)
        if self._variables.get("LEPTON_ATTEMPT", "0") != "0":
            checkpoints.restore()
        place.name_python()
        place.give_to(user)
        redactor = Redactor([*assignment.secrets.values(), self._variables["LEPTON_TOKEN"]])
        share = _Share(
            held.enter_context(shares.processors(assignment.cpus)),
            held.enter_context(shares.gpus(assignment.gpus, self._variables)),
        )
        room = _Room(assignment, place, share, user, self._variables, redactor, self._grace_s)
        venv = self._environment(assignment, room)
        meeting.meet(self._rank, assignment.workers, self._secret, self._stop)
        told = self._control.for_the_command()
        with room.command(assignment.argv, told, venv, f"{self._run_id}-{self._rank}") as command:
            checkpoints.start()  # a thread, so not before the command was forked
            try:
                code = command.run(self._stop)
            finally:
                checkpoints.finish()
        if self._rank == 0:  # also when it was told to end: what it has saved then is what a next run goes on from
            self._keep(place, assignment.outputs)
        return code

    def _user(self, held: ExitStack) -> int | None:
        if os.geteuid() != 0:
            return None
        paths = (sys.executable, os.path.realpath(sys.executable), *confine.readable_paths())
        if confine.everyone_reaches(paths):
            return held.enter_context(places.user_of(self._run_id))
        if self._rank == 0:
            say(
                "this command runs as root, without root's powers, as Lepton is installed where only root reaches it; "
                "see docs/commands.md"
            )
        return None

    def _fetch(self, client: Client, place: Place) -> None:
        for old in place.work.iterdir():  # of an attempt that broke off
            _remove(old)
        with client.transport.download(path_of("launch", self._run_id, "bundle")) as download:
            unpack(_Stream(download.chunks), place.work, max_bytes=MAX_UNPACKED_BYTES)  # type: ignore[arg-type]

    def _environment(self, assignment: Assignment, room: _Room) -> Path | None:
        if assignment.environment is None:
            return None
        file = room.place.work / assignment.environment
        declared = environment.Declared(file, room.place.work, self._variables["LEPTON_PROJECT"])
        return environment.build(
            declared, lambda argv, more, path: room.build(argv, more, path, self._stop), user=room.user, stop=self._stop
        )

    def _keep(self, place: Place, patterns: Sequence[str]) -> None:
        """Keep what the command has left; what cannot be kept is said, and does not change how the run ended."""
        for output in outputs.find(place.outputs, place.work, patterns):
            try:
                self._control.ask(lambda client, output=output: self._put(client, output))  # type: ignore[misc]
            except (Unauthenticated, NotFound, Conflict, Stopped):  # the run has ended meanwhile
                return
            except LeptonError as error:
                say(f"{output.path} was not kept: {error.message}")
            except OSError as error:
                say(f"{output.path} was not kept: {error.strerror}")

    def _put(self, client: Client, output: outputs.Output) -> None:
        with os.fdopen(outputs.open_output(output.file), "rb") as file:
            client.runs.put_artifact(self._run_id, output.path, file)


@dataclass(frozen=True)
class _Share:
    """What a worker has of the machine for itself; no processors are any."""

    cpus: list[int]
    gpus: str


@dataclass(frozen=True)
class _Room:
    """Where the command of one worker runs, and within which limits."""

    assignment: Assignment
    place: Place
    share: _Share
    user: int | None
    variables: Mapping[str, str] = field(repr=False)
    redactor: Redactor
    grace_s: float

    @contextmanager
    def command(self, argv: Sequence[str], told: Mapping[str, str], venv: Path | None, name: str) -> Iterator[Child]:
        """Start the command; it is to be run in the block."""
        assignment, memory_bytes = self.assignment, self.assignment.memory_mb << 20
        group = ControlGroup.make(
            f"lepton-{name}", memory_bytes=memory_bytes, cpus=assignment.cpus, processes=MAX_PROCESSES
        )
        confinement = self._confinement(
            list(argv),
            {
                **self._environment(venv),
                **self._going_on(),
                shares.VISIBLE: self.share.gpus,
                **told,
                **assignment.secrets,
            },
            readable=[str(venv)] if venv else [],
            writable=[],
            cgroup=group.entrance if group else "",
        )
        limits = Limits(memory_bytes, assignment.timeout_s, self.grace_s, assignment.hang_timeout_s)
        try:
            yield Child(
                confinement,
                limits,
                redactor=self.redactor,
                write=_write,
                group=group,
                beat=beat_of(self.place.heartbeat),
            )
        finally:
            if group is not None:
                group.remove()

    def build(self, argv: list[str], more: Mapping[str, str], path: Path, stop: threading.Event) -> int:
        """Run a command that builds an environment."""
        passed = {name: self.variables[name] for name in self.variables if name.startswith(("UV_", "PIP_"))}
        passed |= {name: value for name, value in self.variables.items() if name.lower().endswith("_proxy")}
        local = [part.removeprefix("file://") for value in passed.values() for part in value.split()]
        own = {"UV_NO_CACHE": "1", "UV_PYTHON_DOWNLOADS": "never", "UV_NO_PROGRESS": "1"}
        confinement = self._confinement(
            argv,
            {**self._environment(None), **passed, **own, **more},
            readable=[part for part in local if part.startswith("/")],
            writable=[str(path)],
        )
        limits = Limits(self.assignment.memory_mb << 20, BUILD_TIMEOUT_S, self.grace_s)
        code = Child(confinement, limits, redactor=self.redactor, write=_write).run(stop)
        if stop.is_set():
            raise Stopped
        return code

    def _confinement(
        self, argv: list[str], variables: dict[str, str], *, readable: list[str], writable: list[str], cgroup: str = ""
    ) -> Confinement:
        return Confinement(
            argv=argv,
            environment=variables,
            folder=str(self.place.work),
            readable=[*confine.readable_paths(), *readable],
            writable=[str(self.place.root), *writable],
            user=self.user,
            locked=confine.has_landlock(),
            cgroup=cgroup,
            processes=MAX_PROCESSES,
            files=MAX_OPEN_FILES,
            cpus=self.share.cpus,
        )

    def _environment(self, venv: Path | None) -> dict[str, str]:
        kept = {name: self.variables[name] for name in _TORCHRUN if name in self.variables}
        own = (venv / "bin",) if venv else (self.place.programs, Path(sys.executable).parent)
        programs = (*own, "/usr/local/bin", "/usr/bin", "/bin")
        made = {
            "PATH": os.pathsep.join(map(str, programs)),
            "HOME": str(self.place.home),
            "TMPDIR": str(self.place.tmp),
            "USER": "lepton",
            "LANG": "C.UTF-8",
            "PYTHONUNBUFFERED": "1",
            "OMP_NUM_THREADS": str(max(1, math.floor(self.assignment.cpus))),
            "LEPTON_OUTPUTS": str(self.place.outputs),
        }
        if venv is not None:
            made["VIRTUAL_ENV"] = str(venv)
        elif "PYTHONPATH" in self.variables:
            made["PYTHONPATH"] = self.variables["PYTHONPATH"]
        return made | kept

    def _going_on(self) -> dict[str, str]:
        return {
            "LEPTON_CHECKPOINTS": str(self.place.checkpoints),
            "LEPTON_ATTEMPT": self.variables.get("LEPTON_ATTEMPT", "0"),
            HEARTBEAT: str(self.place.heartbeat),
        }


class _Stream:
    """Pieces, read as a file."""

    def __init__(self, chunks: object) -> None:
        self._chunks = iter(chunks)  # type: ignore[call-overload]
        self._rest = b""

    def read(self, size: int) -> bytes:
        """Return up to so many bytes."""
        while len(self._rest) < size and (chunk := next(self._chunks, None)) is not None:
            self._rest += chunk
        data, self._rest = self._rest[:size], self._rest[size:]
        return data


def say(text: str) -> None:
    """Add a line of our own to the run's log."""
    _write(f"[{text}]\n".encode())


def _write(line: bytes) -> None:
    stream: BinaryIO = sys.stdout.buffer
    stream.write(line)
    stream.flush()


def _remove(path: Path) -> None:
    import shutil

    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        with suppress(FileNotFoundError):
            path.unlink()
