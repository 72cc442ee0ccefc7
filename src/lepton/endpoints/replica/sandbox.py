"""A user's class as a runtime: in a process of its own that may do nearly nothing; this end trusts nothing it says.

The worker never imports the code. Every batch has a time limit; a process that hangs, ends or talks garbage is ended
and started again, at once and then with growing pauses. `jail` is the other end, `frames` what both say.
"""

from __future__ import annotations

import builtins
import logging
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from lepton.core import confine
from lepton.core.confine import Limits
from lepton.core.errors import Internal, Unavailable
from lepton.endpoints.replica.answers import from_array
from lepton.endpoints.replica.frames import Channel, Ended, Frame, Garbled, Kind, pack_batch, pack_begin, read_answer
from lepton.endpoints.restarts import RestartDelays
from lepton.models.bundle import unpack
from lepton.models.prediction import Arrays
from lepton.models.signature import NUMBERS, Signature

log = logging.getLogger("lepton.replica")

LOAD_S = 60.0
"""How long a class may take to load."""
BATCH_S = 10.0
"""How long it may take for a batch."""
_END_S = 2.0
_MEMORY = Path("/dev/shm")  # noqa: S108 - a folder of its own is made there, for nobody else to read


class Sandbox:
    """A process that predicts with a user's class; gone for good after the first thing that goes wrong with it.

    Raises:
        Internal: if the code cannot be loaded.
        Unavailable: if its process ended, hung or talked garbage.
    """

    def __init__(self, begin: list[bytes], limits: Limits, *, load_s: float) -> None:
        self.missing: list[str] = []
        self._folder = tempfile.mkdtemp(prefix="lepton-", dir=_MEMORY if _MEMORY.is_dir() else None)
        if os.getuid() == 0:
            os.chmod(self._folder, 0o777)  # noqa: S103 - whoever it becomes; an empty folder over it hides it soon
        ours, theirs = socket.socketpair()
        self._channel = Channel(ours)
        with theirs:
            self.process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
                [sys.executable, "-P", "-B", "-m", "lepton.endpoints.replica.jail", self._folder,
                 *limits.to_arguments()],
                stdin=theirs.fileno(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=self._environment(),
                cwd=self._folder, start_new_session=True,
            )  # fmt: skip
        try:
            self._begin(begin, load_s)
        except BaseException:
            self.end()
            raise

    def ask(self, parts: list[bytes], rows: int, *, most_bytes: int, within_s: float) -> Frame:
        """Send a batch and return the answer, or what the code says went wrong.

        Raises:
            Unavailable: if there is none.
        """
        started = time.monotonic()
        try:
            self._channel.send(Kind.BATCH, parts, rows=rows, within_s=within_s)
            left_s = max(within_s - (time.monotonic() - started), 1e-3)
            frame = self._channel.receive(within_s=left_s, most_bytes=most_bytes)
            if frame.kind not in (Kind.ANSWER, Kind.FAILED):
                raise Garbled
        except (Garbled, Ended, TimeoutError) as error:
            self.end()
            raise Unavailable(f"{_WHY[type(error)]} Its process is started again; try again in a moment.") from None
        return frame

    def end(self) -> None:
        """End the process with all that it has started."""
        self._channel.close()
        self.process.terminate()  # the guard ends what it guards
        try:
            self.process.wait(_END_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _begin(self, begin: list[bytes], load_s: float) -> None:
        try:
            confined = self._channel.receive(within_s=load_s, most_bytes=4096)
        except (Garbled, Ended, TimeoutError):
            raise Internal(
                "This machine cannot confine the code of a model, so it was not run: Linux 5.13 or later with Landlock "
                "is needed. See: docs/security.md"
            ) from None
        self.missing = bytes(confined.body).decode().splitlines()
        try:
            self._channel.send(Kind.BEGIN, begin, within_s=load_s)
            frame = self._channel.receive(within_s=load_s, most_bytes=64)
        except (Garbled, Ended, TimeoutError) as error:
            raise Internal(f"The model's code could not be loaded. {_WHY[type(error)]}") from None
        if frame.kind is Kind.FAILED:
            raise Internal(f"The model's code could not be loaded: it raised {_raised(frame)}.")

    def _environment(self) -> dict[str, str]:
        own = {
            "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": self._folder, "TMPDIR": self._folder,
            "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1",
        }  # fmt: skip
        if path := os.environ.get("PYTHONPATH"):
            own["PYTHONPATH"] = path
        return own


class PythonRuntime:
    """A user's class behind an endpoint.

    Args:
        bundle: Its files, see `lepton.models.bundle`.
        signature: What it takes and answers.
        limits: What its process may use.
        load_s: How long it may take to load.
        batch_s: How long it may take for a batch.
        clock: Seconds that only go forward, for the pauses between starts.

    Raises:
        Internal: if the code cannot be loaded, or this machine cannot confine it.
    """

    max_rows = 1024
    off_loop = True

    def __init__(
        self, bundle: bytes, signature: Signature, *, limits: Limits | None = None, load_s: float = LOAD_S,
        batch_s: float = BATCH_S, clock: Callable[[], float] = time.monotonic,
    ) -> None:  # fmt: skip
        self._signature = signature
        self._texts = tuple(signature.tensors.values())
        numbers = [column.name for column in signature.numbers]
        self._begin = pack_begin(unpack(bundle), numbers=numbers, texts=[*signature.tensors])
        self._limits, self._load_s, self._batch_s, self._clock = limits or Limits(), load_s, batch_s, clock
        self._delays = RestartDelays()
        confine.hide_memory()  # before any code of a user runs as the same user
        self._sandbox: Sandbox | None = self._start()

    def predict(self, inputs: Arrays) -> Arrays:
        """Ask the process.

        Raises:
            Internal: if the code raised, or answered something else than its signature promises.
            Unavailable: if its process had to be ended, or is not started again yet.
        """
        rows = len(next(iter(inputs.values())))
        sandbox = self._sandbox or self._start()
        parts = pack_batch(inputs.get(NUMBERS), [inputs[tensor] for tensor in self._texts])
        most_bytes = 8 * (rows + 1) * (len(self._signature.classes or ()) + 64)
        self._sandbox = None  # until it has proved itself
        frame = sandbox.ask(parts, rows, most_bytes=most_bytes, within_s=self._batch_s)
        try:
            array = None if frame.kind is Kind.FAILED else read_answer(frame)
        except Garbled:
            sandbox.end()
            raise Unavailable(f"{_WHY[Garbled]} Its process is started again; try again in a moment.") from None
        self._sandbox = sandbox
        if array is None:
            raise Internal(f"The model's code raised {_raised(frame)}. Nothing was predicted.")
        return from_array(self._signature, rows, array)

    def close(self) -> None:
        """End the process."""
        if self._sandbox is not None:
            self._sandbox.end()
            self._sandbox = None

    def _start(self) -> Sandbox:
        now_s = self._clock()
        if not self._delays.due("code", now_s):
            raise Unavailable("The model's process keeps ending and is started again in a while. Try again later.")
        self._delays.note("code", now_s)
        sandbox = Sandbox(self._begin, self._limits, load_s=self._load_s)
        for sentence in sandbox.missing:
            log.warning("the code of a model is confined less than it could be: %s", sentence)
        self._sandbox = sandbox
        return sandbox


_WHY: dict[type[Exception], str] = {
    Garbled: "The model's code answered something that is no answer, and was ended.",
    Ended: "The model's code ended, or used more memory than it may.",
    TimeoutError: "The model's code took too long, and was ended.",
}


def _raised(frame: Frame) -> str:
    """Name what was raised, as far as it is known not to quote anything: a built-in exception and a line."""
    name = "an exception"
    with suppress(UnicodeDecodeError):
        given = bytes(frame.body).decode("ascii")
        found = getattr(builtins, given, None)
        if isinstance(found, type) and issubclass(found, BaseException):
            name = given
    return f"{name} in line {frame.rows} of model.py" if 0 < frame.rows < 1_000_000 else name
