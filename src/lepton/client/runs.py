"""``client.runs``: slow work, looked at, waited for and steered; and the files it leaves."""

from __future__ import annotations

import io
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import BinaryIO, Literal, overload

from lepton.client import submitting
from lepton.client.answers import Answer, Cell, Items, decode, decode_items
from lepton.client.files import Export, open_file, save
from lepton.client.submitting import OnUpload
from lepton.client.transport import Transport, path_of
from lepton.core.errors import RunFailed
from lepton.runs.artifacts import check_path

_ENDED = {"succeeded", "failed", "cancelled"}


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What a worker, a run or a machine takes or has."""

    cpus: float = 1.0
    memory_mb: int = 0
    gpus: int = 0


@dataclass(frozen=True, kw_only=True)
class RunError:
    """Why a run failed."""

    code: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Run(Answer):
    """One execution of slow work.

    Attributes:
        verb: What asked for it, such as ``models.train``; `task` is how it is run: ``runs.submit`` for a command,
            and a training with a framework is one.
        state: ``queued``, ``running``, ``succeeded``, ``failed`` or ``cancelled``.
        progress: Share that is done, 0 to 1.
        message: What it is doing now.
        columns: What it has told, of what a list was asked for, such as ``metrics.loss``.
        outputs: What it made, such as ``dataset:cancer@2``.
    """

    id: str
    task: str
    verb: str
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
    resources: Resources = Resources()
    priority: int = 0
    attempt: int = 0
    retries: int = 0
    timeout_s: float | None = None
    after: tuple[str, ...] = ()
    reused_from: str | None = None
    columns: Mapping[str, Cell] = field(default_factory=dict)

    @property
    def ended(self) -> bool:
        """Whether it is over, well or not."""
        return self.state in _ENDED

    def made(self, kind: str) -> list[str]:
        """Return the refs of what it made of one kind, such as ``dataset``."""
        return [ref for name, _, ref in (output.partition(":") for output in self.outputs) if name == kind]


@dataclass(frozen=True, kw_only=True)
class Quota(Answer):
    """The most that a project may use at a time; None: as much as there is.

    Attributes:
        hours: Processor hours in a calendar month (UTC).
    """

    cpus: float | None = None
    memory_mb: int | None = None
    gpus: int | None = None
    running: int | None = None
    hours: float | None = None


@dataclass(frozen=True, kw_only=True)
class Use:
    """What some runs take together."""

    resources: Resources
    running: int


@dataclass(frozen=True, kw_only=True)
class ProjectUse:
    """What a project uses, and may use; `hours` is counted only if there is a quota of them."""

    project: str
    use: Use
    queued: int
    quota: Quota
    hours: float


@dataclass(frozen=True, kw_only=True)
class QueuedRun:
    """A run that waits, and why."""

    run_id: str
    project: str
    task: str
    submitted_by: str
    created_at: datetime
    needs: Resources
    priority: int
    reason: str


@dataclass(frozen=True, kw_only=True)
class Queue(Answer):
    """What there is to compute with, who uses it, and who waits.

    Attributes:
        machines: What each machine has.
        projects: Those that one is in.
        others: What all others use together.
        waiting: First to start first, within each project.
    """

    machines: tuple[Resources, ...]
    projects: tuple[ProjectUse, ...]
    others: Use
    waiting: tuple[QueuedRun, ...]


@dataclass(frozen=True, kw_only=True)
class Schedule(Answer):
    """A run that is repeated.

    Attributes:
        run_id: The run that is repeated.
        next_at: When it comes next.
        skipped: How many times in a row it was passed over, as the run before had not ended.
    """

    id: str
    run_id: str
    cron: str
    timezone: str
    created_at: datetime
    created_by: str
    next_at: datetime
    last_run_id: str | None = None
    skipped: int = 0


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
        columns: Sequence[str] = (),
    ) -> Items[Run]:
        """List runs, the newest first.

        Args:
            state: Only those in this state.
            filter: Only those of which this holds, such as ``metrics.loss < 0.1 and params.model = 'mlp'``.
            order_by: What to sort by, such as ``metrics.loss desc``; runs that lack it are left out.
            limit: At most so many.
            offset: How many to pass over.
            columns: What to tell of each in its `columns`, such as ``metrics.loss``, ``params.lr`` or ``params.*``.
        """
        query = {"state": state, "filter": filter, "order_by": order_by, "limit": limit, "offset": offset}
        return decode_items(Run, self._transport.get(path_of("runs"), {**query, "column": tuple(columns)}))

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

    def submit(  # noqa: PLR0913 - one call, with everything a command can have
        self,
        command: Sequence[str] | str | None = None,
        *,
        folder: str | Path = ".",
        like: str | None = None,
        workers: int | None = None,
        cpus: float | None = None,
        memory: str | int | None = None,
        gpus: int | None = None,
        timeout_s: int | None = None,
        hang_timeout_s: int | None = None,
        environment: str | None = None,
        outputs: Sequence[str] | None = None,
        secrets: Mapping[str, str] | Sequence[str] = (),
        params: Mapping[str, Cell] | None = None,
        name: str | None = None,
        key: str | None = None,
        priority: int | None = None,
        preemptible: bool | None = None,
        retries: int | None = None,
        after: Sequence[str] = (),
        reuse: bool = False,
        extra: Mapping[str, bytes] | None = None,
        on_upload: OnUpload | None = None,
    ) -> Run:
        """Send a folder and run a command in it, on the platform's machines; returns the run at once.

        What is None is as usual (one worker, one processor, no limits, priority 0), or as in the run that is named by
        `like`.

        Args:
            command: Program and arguments, such as ``["python", "train.py"]``.
            folder: What goes along, without what ``.gitignore`` and ``.leptonignore`` name, and without histories,
                environments, caches and files that look like secrets.
            like: Id of a run of a command whose folder is taken, and whatever else is not said here. Its secrets are
                taken only if it is your own.
            workers: Processes that run it, each with the variables of torchrun.
            cpus: Processors of each.
            memory: The most that each may use, such as ``"512M"`` or ``"2G"``, or a number of MiB; 0 for as much as
                there is.
            gpus: GPUs of each.
            timeout_s: How long it may take; 0 for as long as it likes.
            hang_timeout_s: After how long without a sign of work it is ended as hung; 0 for never.
            environment: ``requirements.txt``, ``uv.lock`` or ``pyproject.toml`` in the folder; None for the platform's
                own packages.
            outputs: Patterns of files to keep, such as ``"results/*.csv"``, beside all in ``$LEPTON_OUTPUTS``.
            secrets: Environment variables that no log shows, by name; names alone are taken from this process.
            params: Settings to show with the run.
            name: What you call it.
            key: Submitting twice with one key runs once, and returns the same run.
            priority: From -100 to 100; of the runs of a project, the highest is next.
            preemptible: Whether it may be ended to make room for others; it is started again when there is room.
            retries: How many times it is tried again when its workers fail or are lost.
            after: Ids of runs that must have succeeded before.
            reuse: Whether to take the results of a run with the same command, settings and folder, if there is one that
                has succeeded after the same runs.
            extra: Small files that go along beside those of the folder, by their paths in it.
            on_upload: Called with the bytes sent so far and in all.

        Raises:
            TooLarge: if the folder is; it names the largest files.
            InvalidInput: if the command, or what it asks for, makes no sense.
        """
        words = shlex.split(command) if isinstance(command, str) else command and list(command)
        asked = {
            "command": words, "like": like, "workers": workers, "cpus": cpus,
            "memory_mb": None if memory is None else submitting.megabytes(memory), "gpus": gpus,
            "timeout_s": timeout_s, "hang_timeout_s": hang_timeout_s, "environment": environment,
            "outputs": None if outputs is None else list(outputs),
            "secrets": submitting.secrets_of(secrets), "params": None if params is None else dict(params),
            "name": name, "key": key, "priority": priority, "preemptible": preemptible, "retries": retries,
            "after": list(after), "reuse": reuse,
        }  # fmt: skip
        about = {name: value for name, value in asked.items() if value is not None}
        packed = None if like else submitting.Folder(Path(folder), extra or {})
        return decode(Run, submitting.send(self._transport, about, packed, on_upload))

    def metrics(self, run_id: str, key: str | None = None, *, points: int | None = None) -> Metrics:
        """Return what the run measured so far: all curves, or one; whole, or about so many points of each at most."""
        query = {"key": key, "points": points}
        return decode(Metrics, self._transport.get(path_of("runs", run_id, "metrics"), query))

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

    def end(
        self, run_id: str, state: str = "succeeded", message: str = "", *, ended_at: datetime | None = None
    ) -> None:
        """End a run whose work is done elsewhere; `ended_at` is now if None."""
        body = {"state": state, "message": message, "ended_at": ended_at}
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

    def queue(self) -> Queue:
        """Return what there is to compute with, who uses it, and why runs wait."""
        return decode(Queue, self._transport.get(path_of("runs", "queue")))

    def quota(self) -> Quota:
        """Return what the project may use at most."""
        return decode(Quota, self._transport.get(path_of("runs", "quota")))

    def limit(
        self, *, cpus: float | None = None, memory_mb: int | None = None, gpus: int | None = None,
        running: int | None = None, hours: float | None = None,
    ) -> Quota:  # fmt: skip
        """Replace what the project may use at most; what is left out is not limited any more.

        Args:
            cpus: Processors at a time.
            memory_mb: Memory in MiB at a time, of runs that say how much they take.
            gpus: GPUs at a time.
            running: Runs at a time.
            hours: Processor hours in a calendar month (UTC).
        """
        asked = {"cpus": cpus, "memory_mb": memory_mb, "gpus": gpus, "running": running, "hours": hours}
        return decode(Quota, self._transport.send("PUT", path_of("runs", "quota"), json=asked))

    def schedule(self, run_id: str, cron: str, *, timezone: str = "UTC") -> Schedule:
        """Repeat a run again and again, with what it was given.

        Args:
            run_id: Which run.
            cron: Minute, hour, day of the month, month and day of the week, or a word such as ``@daily``.
            timezone: In which they are meant, such as ``Europe/Berlin``.
        """
        asked = {"cron": cron, "timezone": timezone}
        return decode(Schedule, self._transport.send("POST", path_of("runs", run_id, "schedule"), json=asked))

    def schedules(self) -> Items[Schedule]:
        """List the runs that are repeated."""
        return decode_items(Schedule, self._transport.get(path_of("runs", "schedules")))

    def unschedule(self, schedule_id: str) -> None:
        """Repeat a run no more."""
        self._transport.send("DELETE", path_of("runs", "schedules", schedule_id))

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
    return RunFailed(f"Run {run.id} ({run.verb}) was {run.state}. See: lepton runs logs {run.id}")
