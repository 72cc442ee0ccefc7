"""What a training asks the platform, with the token of its run; a platform that is away for a while is waited for."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from lepton.client.recording import TrackedRun, start_run
from lepton.client.sdk import Client, connect
from lepton.client.transport import path_of
from lepton.core.errors import InvalidInput, LeptonError, Unavailable

if TYPE_CHECKING:
    import polars as pl

PATIENCE_S = 600.0
_EVERY_S = 0.5
_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 5.0
T = TypeVar("T")


class PlatformOfRun:
    """The platform, as one worker of a run sees it.

    Args:
        environment: What its launcher has told it.
        client: Speaks with the platform; None: as the run.

    Attributes:
        run_id: Id of the run.
    """

    def __init__(self, environment: Mapping[str, str], client: Client | None = None) -> None:
        if "LEPTON_RUN_ID" not in environment:
            raise InvalidInput("A trainer works inside a run. Start one with: lepton models train")
        self.run_id = environment["LEPTON_RUN_ID"]
        self._rank = int(environment.get("RANK", "0"))
        self._client = client or connect(project=environment.get("LEPTON_PROJECT"))
        self._told_at = 0.0
        self._record: TrackedRun | None = None

    def read(self, ref: str, columns: Sequence[str]) -> pl.DataFrame:
        """Return columns of a dataset version."""
        return self._ask(lambda client: client.datasets.read(ref, columns=columns))

    def blocks(self, ref: str, columns: Sequence[str], first: int, end: int) -> Generator[pl.DataFrame, None, None]:
        """Read columns of a dataset version block after block; a stream that breaks off is taken up where it was."""
        patience = _Patience()
        while True:
            try:
                for block in self._client.datasets.blocks(ref, columns=columns, rows=(first, end)):
                    first, patience = first + block.height, _Patience()
                    yield block
            except Unavailable as error:
                patience.wait(error)
            else:
                return

    def metrics(self, values: Mapping[str, float], step: int) -> None:
        """Add a point to curves of the run."""
        if self._rank == 0:
            if self._record is None:
                self._record = start_run()
            self._record.metrics(values, step)

    def progress(self, fraction: float, message: str) -> None:
        """Say how far the run is, a few times a second at most; does nothing on ranks above 0."""
        now = time.monotonic()
        if self._rank or now - self._told_at < _EVERY_S:
            return
        self._told_at = now
        self._tell("progress", {"fraction": min(max(fraction, 0.0), 1.0), "message": message})

    def fail(self, message: str) -> None:
        """Say why the run cannot succeed."""
        self._tell("failure", {"message": message})

    def deliver(self, archive: bytes) -> str:
        """Bring what was trained; returns the address of the version."""
        path = path_of("launch", self.run_id, "model")
        answer = self._ask(lambda client: client.transport.upload(path, [archive], query={}, size_bytes=len(archive)))
        return _ref_of(answer)

    def close(self) -> None:
        """Send what is on its way."""
        if self._record is not None:
            self._record.end()
        self._client.close()

    def _tell(self, what: str, body: Mapping[str, object]) -> None:
        try:
            self._client.transport.send("POST", path_of("launch", self.run_id, what), json=body)
        except LeptonError:  # the run goes on, or ends, all the same
            return

    def _ask(self, question: Callable[[Client], T]) -> T:
        patience = _Patience()
        while True:
            try:
                return question(self._client)
            except Unavailable as error:
                patience.wait(error)


class _Patience:
    """Waits for a platform that is away, longer each time, for `PATIENCE_S` in all."""

    def __init__(self) -> None:
        self._deadline, self._pause_s = time.monotonic() + PATIENCE_S, _PAUSE_S

    def wait(self, error: Unavailable) -> None:
        """Wait a little; after so long, raise the error instead."""
        if time.monotonic() > self._deadline:
            raise error
        time.sleep(self._pause_s)
        self._pause_s = min(self._pause_s * 2, _LONGEST_PAUSE_S)


def say(text: str) -> None:
    """Add a line to the log of the run."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def threads(environment: Mapping[str, str]) -> int:
    """Return how many processors this worker has for itself."""
    told = environment.get("OMP_NUM_THREADS", "")
    return max(1, int(told)) if told.isdigit() else len(os.sched_getaffinity(0))


def gpu(environment: Mapping[str, str]) -> int | None:
    """Return the number of this worker's GPU among those that it sees; None if it has none."""
    return 0 if environment.get("CUDA_VISIBLE_DEVICES", "") else None


def _ref_of(answer: bytes) -> str:
    import orjson

    return str(orjson.loads(answer)["ref"])
