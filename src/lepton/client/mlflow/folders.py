"""MLflow's runs as files: a folder for each experiment, in it one for each run. Links are not followed."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import BinaryIO, cast
from urllib.parse import unquote, urlsplit

import yaml

from lepton.client.mlflow.records import (
    STATES,
    OtherFile,
    OtherModel,
    OtherPoint,
    OtherRun,
    OtherVersion,
    Unreachable,
    finite,
    moment,
    path_of_source,
)
from lepton.core.errors import InvalidInput

_STATUS = {1: "RUNNING", 2: "SCHEDULED", 3: "FINISHED", 4: "FAILED", 5: "KILLED"}
_META = "meta.yaml"


class Folders:
    """A folder that MLflow keeps its runs in, usually called ``mlruns``.

    Args:
        root: The folder.

    Raises:
        InvalidInput: if it is none of MLflow's.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._experiments = [folder for folder in _inside(root) if (folder / _META).is_file()]
        if not self._experiments:
            raise InvalidInput(
                f"There are no experiments of MLflow in {str(root)[:200]!r}. Name the folder 'mlruns', MLflow's SQLite "
                "file, or the address of its server."
            )
        self._models: dict[str, list[tuple[str, Path]]] = {}

    def count(self) -> int | None:
        """How many runs there are, deleted ones with them."""
        return sum(len(self._folders_of(experiment)) for experiment in self._experiments)

    def runs(self) -> Iterator[OtherRun]:
        """All runs that are not deleted."""
        for experiment in self._experiments:
            about = _meta(experiment)
            if about.get("lifecycle_stage") == "deleted":
                continue
            self._models = _models(experiment / "models")
            for folder in self._folders_of(experiment):
                run = _meta(folder)
                if run.get("lifecycle_stage") != "deleted":
                    yield _run(folder, run, str(about.get("name", experiment.name)))

    def curves(self, run: OtherRun) -> dict[str, list[OtherPoint]]:
        """All that a run measured."""
        folder = Path(run.place) / "metrics"
        return {key: _points(path) for key, path in _files(folder)}

    def files(self, run: OtherRun) -> Iterator[OtherFile]:
        """The files of a run, then those of its models."""
        yield from files_in(Path(run.place) / "artifacts")
        for name, folder in self._models.get(run.id, []):
            yield from files_in(folder / "artifacts", under=f"{name}/")

    def models(self) -> Iterator[OtherModel]:
        """All registered models."""
        names = {
            model.name: name
            for experiment in self._experiments
            for found in _models(experiment / "models").values()
            for name, model in found
        }
        for folder in _inside(self._root / "models"):
            about = _meta(folder)
            versions = (_version(inside, names) for inside in _inside(folder) if inside.name.startswith("version-"))
            yield OtherModel(
                name=str(about.get("name", folder.name)),
                description=str(about.get("description") or ""),
                tags={key: _text(path) for key, path in _files(folder / "tags")},
                aliases={key: int(_text(path)) for key, path in _files(folder / "aliases") if _text(path).isdigit()},
                versions=tuple(sorted((one for one in versions if one is not None), key=lambda one: one.number)),
            )

    def close(self) -> None:
        """Nothing is held."""

    @staticmethod
    def _folders_of(experiment: Path) -> list[Path]:
        return [folder for folder in _inside(experiment) if (folder / _META).is_file() and folder.name != "models"]


def files_in(folder: Path, under: str = "") -> Iterator[OtherFile]:
    """The files in a folder and those below it, by their paths in it."""
    for path, file in _files(folder):
        yield OtherFile(under + path, partial(_open, file))


def folder_of(place: str, below: Path | None) -> Path:
    """Return the folder that an address of MLflow's means.

    Args:
        place: A path, or a URI with ``file:`` or ``mlflow-artifacts:``.
        below: Where MLflow's server kept the files that go by the latter.

    Raises:
        Unreachable: if it is on no disk of this machine.
    """
    uri = urlsplit(place)
    if uri.scheme in ("", "file"):
        return Path(unquote(uri.path) if uri.scheme else place)
    if uri.scheme == "mlflow-artifacts" and below is not None:
        inside = below / unquote(uri.path).lstrip("/")
        if inside.resolve().is_relative_to(below.resolve()):
            return inside
    raise Unreachable(uri.scheme)


def _run(folder: Path, run: Mapping[str, object], experiment: str) -> OtherRun:
    tags = {key: _text(path) for key, path in _files(folder / "tags")}
    status = run.get("status")
    return OtherRun(
        id=str(run.get("run_id") or run.get("run_uuid") or folder.name),
        experiment=experiment,
        name=str(run.get("run_name") or tags.get("mlflow.runName", "")),
        state=STATES.get(_STATUS.get(status, "") if isinstance(status, int) else str(status)),
        started_at=moment(run.get("start_time")),
        ended_at=moment(run.get("end_time")),
        params={key: _text(path) for key, path in _files(folder / "params")},
        tags=tags,
        place=str(folder),  # what meta.yaml says is where it was made, perhaps on another machine
    )


def _version(folder: Path, names: Mapping[str, str]) -> OtherVersion | None:
    about = _meta(folder)
    number, run_id = str(about.get("version", "")), str(about.get("run_id") or "")
    if not number.isdigit() or about.get("current_stage") == "Deleted_Internal":
        return None
    return OtherVersion(
        number=int(number),
        description=str(about.get("description") or ""),
        tags={key: _text(path) for key, path in _files(folder / "tags")},
        run_id=run_id,
        path=path_of_source(str(about.get("source", "")), run_id, names.get),
    )


def _models(folder: Path) -> dict[str, list[tuple[str, Path]]]:
    """The models that MLflow 3 keeps beside the runs that logged them, by run."""
    found: dict[str, list[tuple[str, Path]]] = {}
    for model in _inside(folder):
        about = _meta(model)
        if about.get("source_run_id") and about.get("lifecycle_stage") != "deleted":
            name = str(about.get("name") or model.name)
            found.setdefault(str(about["source_run_id"]), []).append((name, model))
    return found


def _points(path: Path) -> list[OtherPoint]:
    points = []
    for line in path.read_text(errors="replace").splitlines():
        parts = line.split()
        with suppress(ValueError, IndexError):  # a line that a crash cut
            time_ms, value = int(parts[0]), float(parts[1])
            points.append(OtherPoint(int(parts[2]) if len(parts) > 2 else 0, time_ms, finite(value)))
    return points


def _meta(folder: Path) -> Mapping[str, object]:
    try:
        found = yaml.safe_load((folder / _META).read_text())
    except (OSError, ValueError, yaml.YAMLError):
        return {"lifecycle_stage": "deleted"}  # half written or half removed: MLflow does not show it either
    return cast("Mapping[str, object]", found) if isinstance(found, dict) else {"lifecycle_stage": "deleted"}


def _text(path: Path) -> str:
    return path.read_text(errors="replace")


def _open(path: Path) -> BinaryIO:
    return path.open("rb")


def _inside(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.is_symlink())


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    for where, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(where) / name
            if path.is_file() and not path.is_symlink():
                yield path.relative_to(folder).as_posix(), path
