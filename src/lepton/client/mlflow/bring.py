"""Writes what a store of MLflow has into the platform, so that doing it again adds what is new and doubles nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from lepton.client.mlflow.folders import Folders
from lepton.client.mlflow.records import OtherPoint, OtherRun, Store, Unreachable
from lepton.client.mlflow.registry import ModelsBrought
from lepton.client.mlflow.server import Server
from lepton.client.mlflow.sqlite import SqliteFile
from lepton.client.runs import Runs
from lepton.client.transport import Transport
from lepton.core.errors import InvalidInput, NotFound, TooLarge
from lepton.core.ids import id_from

_CLIENT = "mlflow-import"
_POINTS = 20_000
_LONGEST, _KEY = 8000, 250


@dataclass
class Brought:
    """What came of it.

    Attributes:
        runs: Runs that were brought over now.
        known: Runs that had been before.
        unfinished: Runs that have not ended and were left where they are.
        files: Files that came with the runs.
        versions: Versions of registered models that were brought over now.
        missing: What of which run could not come, in a sentence each.
    """

    runs: int = 0
    known: int = 0
    unfinished: int = 0
    files: int = 0
    versions: int = 0
    missing: list[str] = field(default_factory=list)

    @property
    def seen(self) -> int:
        """How many runs were looked at."""
        return self.runs + self.known + self.unfinished


def open_store(source: str, artifacts: Path | None = None) -> Store:
    """Open what MLflow has recorded.

    Args:
        source: Its folder ``mlruns``, its SQLite file (a path, or ``sqlite:///…``), or the address of its server.
        artifacts: The folder in which its server kept files, for a SQLite file.

    Raises:
        InvalidInput: if there is nothing like it.
        Unavailable: if the server does not answer.
    """
    scheme = urlsplit(source).scheme
    if scheme in ("http", "https"):
        return Server(source)
    if scheme in ("sqlite", "file"):
        source = source.removeprefix("sqlite:///").removeprefix("file://")
    elif scheme:
        raise InvalidInput(
            f"MLflow's store at {scheme}:… is not read directly. Start its server on it (mlflow server "
            "--backend-store-uri …), and name the address of that."
        )
    path = Path(source).expanduser()
    if path.is_dir():
        return Folders(path / "mlruns" if (path / "mlruns").is_dir() else path)
    if path.is_file():
        return SqliteFile(path, artifacts)
    raise InvalidInput(f"There is no {source[:200]!r}. Name the folder 'mlruns', MLflow's SQLite file, or its server.")


def bring(
    store: Store,
    runs: Runs,
    *,
    transport: Transport,
    project: str,
    unfinished: bool = False,
    on_run: Callable[[Brought], None] = lambda _: None,
) -> Brought:
    """Bring all runs of a store over, with params, tags, curves, times and files; then its registered models.

    A run keeps its id in the tag ``mlflow.run_id``; ours is made of that one and the project, and what it has is sent
    in the same batches each time. So one that was broken off goes on where it was.

    Args:
        store: Where they are.
        runs: Where they go.
        transport: The same platform, for what is registered.
        project: The project there.
        unfinished: Whether runs that have not ended come too, as failed ones.
        on_run: Called behind each run.

    Raises:
        LeptonError: if the platform, or MLflow's server, cannot be reached any more.
    """
    done, ids = Brought(), {}
    for run in store.runs():
        run_id = ids[run.id] = id_of(project, run)
        if _is_complete(runs, run_id):
            done.known += 1
        elif run.state is None and not unfinished:
            del ids[run.id]
            done.unfinished += 1
        else:
            _bring_one(store, runs, run, run_id=run_id, done=done)
            done.runs += 1
        on_run(done)
    models = ModelsBrought(transport, project, ids)
    models.bring(store)
    done.versions = models.versions
    done.missing += models.missing
    return done


def id_of(project: str, run: OtherRun) -> str:
    """Return the id that a run of MLflow's has in a project: always the same, and sorted by when it started."""
    digest = hashlib.sha256(f"mlflow\0{project}\0{run.id}".encode()).digest()
    return id_from(run.started_at or datetime(1970, 1, 1, tzinfo=UTC), digest[:10])


def _is_complete(runs: Runs, run_id: str) -> bool:
    try:
        return runs.get(run_id).ended  # the end is what is sent last
    except NotFound:
        return False


def _bring_one(store: Store, runs: Runs, run: OtherRun, *, run_id: str, done: Brought) -> None:
    tags = {**run.tags, "mlflow.run_id": run.id, "experiment": run.experiment}
    if run.name:
        tags["name"] = run.name
    about = {"params": _fields(run, run.params, done), "tags": _fields(run, tags, done)}
    runs.create(run_id=run_id, started_at=_text(run.started_at), **about)
    for number, batch in enumerate(_batches(store.curves(run)), start=1):
        runs.track(run_id, {"client": _CLIENT, "batch": number, "curves": batch})
    _bring_files(store, runs, run, run_id=run_id, done=done)
    message = "" if run.state else "It had not ended when it was brought over from MLflow."
    runs.end(run_id, run.state or "failed", message, ended_at=run.ended_at)


def _bring_files(store: Store, runs: Runs, run: OtherRun, *, run_id: str, done: Brought) -> None:
    try:
        for file in store.files(run):
            try:
                with file.open() as content:
                    runs.put_artifact(run_id, file.path, content)
                done.files += 1
            except (TooLarge, InvalidInput) as error:
                done.missing.append(f"Run {run.id}: file {file.path[:100]!r} did not come. {error.message}")
            except OSError as error:
                done.missing.append(f"Run {run.id}: file {file.path[:100]!r} cannot be read: {error.strerror}.")
    except Unreachable as place:
        done.missing.append(f"Run {run.id}: its files did not come, as they are elsewhere ({place}).")


def _batches(curves: Mapping[str, list[OtherPoint]], most: int = _POINTS) -> Iterator[list[dict[str, object]]]:
    """Divide what a run measured, the same way each time."""
    pieces = (
        (key, curves[key][at : at + most])
        for key in sorted(curves)
        if 0 < len(key) <= _KEY
        for at in range(0, len(curves[key]), most)
    )
    batch: list[dict[str, object]] = []
    size = 0
    for key, points in pieces:
        if batch and size + len(points) > most:
            yield batch
            batch, size = [], 0
        size += len(points)
        batch.append(
            {
                "key": key,
                "steps": [point.step for point in points],
                "times_us": [point.time_ms * 1000 for point in points],
                "values": [point.value for point in points],
            }
        )
    if batch:
        yield batch


def _fields(run: OtherRun, given: Mapping[str, str], done: Brought) -> dict[str, str]:
    cut = sorted(key for key, value in given.items() if len(value) > _LONGEST or not 0 < len(key) <= _KEY)
    if cut:
        done.missing.append(f"Run {run.id}: {cut[0][:60]!r} is too long and was cut{' (and others)' * (len(cut) > 1)}.")
    return {key[:_KEY].replace("\0", ""): value[:_LONGEST].replace("\0", "") for key, value in given.items() if key}


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
