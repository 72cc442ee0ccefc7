"""``client.runs``: slow work, looked at, waited for and steered; and the files it leaves."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Literal, overload

from lepton.client.answers import Answer, Cell, Items, decode, decode_items
from lepton.client.files import Export, open_file, save
from lepton.client.transport import Transport, path_of
from lepton.core.errors import RunFailed
from lepton.runs.artifacts import check_path

_ENDED = {"succeeded", "failed", "cancelled"}


@dataclass(frozen=True, kw_only=True)
class RunError:
    """Why a run failed."""

    code: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Run(Answer):
    """One execution of slow work.

    Attributes:
        state: ``queued``, ``running``, ``succeeded``, ``failed`` or ``cancelled``.
        progress: Share that is done, 0 to 1.
        message: What it is doing now.
        outputs: What it made, such as ``dataset:cancer@2``.
    """

    id: str
    task: str
    state: str
    workers: int
    submitted_by: str
    created_at: datetime
    progress: float = 0.0
    message: str = ""
    started_at: datetime | None = None
    ended_at: datetime | None = None
    error: RunError | None = None
    params: Mapping[str, Cell] = field(default_factory=dict)
    inputs: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    retry_of: str | None = None

    @property
    def ended(self) -> bool:
        """Whether it is over, well or not."""
        return self.state in _ENDED

    def made(self, kind: str) -> list[str]:
        """Return the refs of what it made of one kind, such as ``dataset``."""
        return [ref for name, _, ref in (output.partition(":") for output in self.outputs) if name == kind]


OnProgress = Callable[[Run], None]
"""Called with the run each time it changed while waiting."""


@dataclass(frozen=True, kw_only=True)
class LogLine(Answer):
    """One line that a worker wrote."""

    seq: int
    rank: int
    time: datetime
    text: str


@dataclass(frozen=True, kw_only=True)
class LogPage(Answer):
    """Some lines of a run's log; `next` is where the following ones start."""

    lines: tuple[LogLine, ...]
    next: int
    ended: bool


@dataclass(frozen=True, kw_only=True)
class MetricPoint:
    """One measured value."""

    step: int
    time: datetime
    value: float | None


@dataclass(frozen=True, kw_only=True)
class Metric:
    """What a run measured under one key."""

    key: str
    points: tuple[MetricPoint, ...]


@dataclass(frozen=True, kw_only=True)
class Metrics(Answer):
    """All that a run measured."""

    metrics: tuple[Metric, ...]

    def values(self, key: str) -> list[float]:
        """Return the values under one key in order of their steps; empty if there are none."""
        points = [point for metric in self.metrics if metric.key == key for point in metric.points]
        return [point.value for point in sorted(points, key=lambda p: p.step) if point.value is not None]


@dataclass(frozen=True, kw_only=True)
class Artifact(Answer):
    """A file that a run has left.

    Attributes:
        path: Where it is among the files of the run, such as ``plots/loss.png``.
        sha256: Digest of its content; hexadecimal.
    """

    path: str
    size_bytes: int
    sha256: str
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A curve in short; `last_value` is the one at the highest step."""

    key: str
    last_step: int
    last_value: float | None
    min_value: float | None
    max_value: float | None
    points: int


@dataclass(frozen=True, kw_only=True)
class Tracked(Answer):
    """What a run has told of itself."""

    params: Mapping[str, str]
    tags: Mapping[str, str]
    metrics: tuple[Curve, ...]


@dataclass(frozen=True, kw_only=True)
class Receipt(Answer):
    """What became of a batch: whether it was kept now, the highest number that is, and how the run stands."""

    batch: int
    is_new: bool
    kept: int
    state: str


class Runs:
    """The verbs on runs."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(
        self,
        *,
        state: str | None = None,
        filter: str | None = None,  # noqa: A002 - the word of the interface
        order_by: str | None = None,
        limit: int = 100,
        offset: int | None = None,
    ) -> Items[Run]:
        """List runs, the newest first.

        Args:
            state: Only those in this state.
            filter: Only those of which this holds, such as ``metrics.loss < 0.1 and params.model = 'mlp'``.
            order_by: What to sort by, such as ``metrics.loss desc``; runs that lack it are left out.
            limit: At most so many.
            offset: How many to pass over.
        """
        query = {"state": state, "filter": filter, "order_by": order_by, "limit": limit, "offset": offset}
        return decode_items(Run, self._transport.get(path_of("runs"), query))

    def get(self, run_id: str) -> Run:
        """Return one run as it is now."""
        return decode(Run, self._transport.get(path_of("runs", run_id)))

    @overload
    def logs(self, run_id: str, *, after: int = 0, follow: Literal[False] = False) -> LogPage: ...
    @overload
    def logs(self, run_id: str, *, after: int = 0, follow: Literal[True]) -> Iterator[LogLine]: ...
    def logs(self, run_id: str, *, after: int = 0, follow: bool = False) -> LogPage | Iterator[LogLine]:
        """Return what the workers wrote.

        Args:
            run_id: Which run.
            after: Number of the line to begin behind; 0 begins at the beginning.
            follow: Whether to iterate over the lines, waiting for more until the run ends, instead of returning
                those that there are now.
        """
        if follow:
            return self._follow(run_id, after)
        return decode(LogPage, self._transport.get(path_of("runs", run_id, "logs"), {"after": after}))

    def _follow(self, run_id: str, after: int) -> Iterator[LogLine]:
        for event in self._transport.events(path_of("runs", run_id, "logs"), after=str(after) if after else ""):
            if event.name == "line":
                yield decode(LogLine, event.data)

    def metrics(self, run_id: str, key: str | None = None) -> Metrics:
        """Return what the run measured so far: all curves, or one."""
        return decode(Metrics, self._transport.get(path_of("runs", run_id, "metrics"), {"key": key}))

    def tracked(self, run_id: str) -> Tracked:
        """Return params, tags and the curves of a run in short."""
        return decode(Tracked, self._transport.get(path_of("runs", run_id, "tracked")))

    def create(self, **about: object) -> Run:
        """Note a run whose work is done elsewhere; `lepton.start_run` is the comfortable way to do it.

        Args:
            about: ``run_id``, ``name``, ``experiment``, ``params``, ``tags``, ``started_at``, as in the REST interface.
        """
        return decode(Run, self._transport.send("POST", path_of("runs"), json=about))

    def track(self, run_id: str, batch: Mapping[str, object]) -> Receipt:
        """Send a batch of points, params and tags; one whose number the platform knows changes nothing."""
        return decode(Receipt, self._transport.send("POST", path_of("runs", run_id, "track"), json=batch))

    def end(self, run_id: str, state: str = "succeeded", message: str = "") -> None:
        """End a run whose work is done elsewhere."""
        body = {"state": state, "message": message}
        self._transport.send("POST", path_of("runs", run_id, "end"), json=body)

    def artifacts(self, run_id: str) -> Items[Artifact]:
        """List the files that a run has left, by path."""
        return decode_items(Artifact, self._transport.get(path_of("runs", run_id, "artifacts")))

    def put_artifact(self, run_id: str, path: str, content: str | Path | bytes | BinaryIO) -> Artifact:
        """Keep a file with a run; one of the same path is replaced.

        Args:
            run_id: Which run.
            path: Its place among the files of the run, such as ``plots/loss.png``.
            content: Path of a file, an open one, or the bytes themselves.

        Raises:
            InvalidInput: if the path cannot be one, or the file cannot be opened.
        """
        place = _artifact(run_id, path)
        with open_file(io.BytesIO(content) if isinstance(content, bytes) else content) as (chunks, size_bytes):
            body = self._transport.upload(place, chunks, query={}, size_bytes=size_bytes, method="PUT")
        return decode(Artifact, body)

    def get_artifact(self, run_id: str, path: str) -> bytes:
        """Return the content of one file of a run."""
        return self._transport.get(_artifact(run_id, path))

    def download(self, run_id: str, path: str, to: str | Path | BinaryIO) -> Export:
        """Write one file of a run to a file, in a folder that is made if needed, or into an open one.

        Raises:
            NotFound: if the run has none of that path.
            InvalidInput: if it cannot be written.
        """
        with self._transport.download(_artifact(run_id, path)) as download:
            if isinstance(to, str | Path):
                Path(to).expanduser().parent.mkdir(parents=True, exist_ok=True)
            return save(download, to)

    def cancel(self, run_id: str) -> Run:
        """Ask a run to stop."""
        return decode(Run, self._transport.send("POST", path_of("runs", run_id, "cancel")))

    def retry(self, run_id: str) -> Run:
        """Start a new run with what an ended one was given."""
        return decode(Run, self._transport.send("POST", path_of("runs", run_id, "retry")))

    def wait(self, run_id: str, *, on_progress: OnProgress | None = None) -> Run:
        """Return the run once it has succeeded.

        Args:
            run_id: Which run.
            on_progress: Called with the run as it is, and each time it changed.

        Raises:
            RunFailed: if it failed or was cancelled; the message is the run's.
        """
        with closing(self._transport.events(path_of("runs", run_id))) as events:
            for event in events:
                run = decode(Run, event.data)
                if on_progress is not None:
                    on_progress(run)
                if run.ended:
                    break
        if run.state != "succeeded":
            raise _failure(run)
        return run


def _artifact(run_id: str, path: str) -> str:
    return path_of("runs", run_id, "artifacts", *check_path(path).split("/"))


def _failure(run: Run) -> RunFailed:
    if run.error is not None and run.error.message:
        return RunFailed(run.error.message)
    return RunFailed(f"Run {run.id} ({run.task}) was {run.state}. See: lepton runs logs {run.id}")
