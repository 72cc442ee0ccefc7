"""MLflow's runs in its SQLite file, which is only read; the files of runs are where it says."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from lepton.client.mlflow.folders import files_in, folder_of
from lepton.client.mlflow.records import (
    STATES,
    OtherFile,
    OtherModel,
    OtherPoint,
    OtherRun,
    OtherVersion,
    finite,
    moment,
    path_of_source,
)
from lepton.core.errors import InvalidInput

_RUNS = """
    SELECT r.run_uuid AS id, r.name, r.status, r.start_time, r.end_time, r.artifact_uri, e.name AS experiment
    FROM runs r JOIN experiments e ON e.experiment_id = r.experiment_id
    WHERE r.lifecycle_stage = 'active' AND e.lifecycle_stage = 'active'
"""
_MODELS = """
    SELECT name, artifact_location FROM logged_models
    WHERE source_run_id = ? AND ifnull(lifecycle_stage, 'active') <> 'deleted'
"""
_MODELS_REGISTERED = "SELECT name, description FROM registered_models"
_ALIASES = "SELECT alias, version FROM registered_model_aliases WHERE name = ?"
_MODEL_TAGS = "SELECT key, value FROM registered_model_tags WHERE name = ?"
_VERSION_TAGS = "SELECT key, value FROM model_version_tags WHERE name = ? AND version = ?"
_VERSIONS = """
    SELECT version, description, run_id, source FROM model_versions
    WHERE name = ? AND current_stage <> 'Deleted_Internal' ORDER BY version
"""


class SqliteFile:
    """A database file of MLflow's.

    Args:
        path: The file.
        artifacts: Where its server kept files; ``mlartifacts`` beside the file if None and there is such a folder.

    Raises:
        InvalidInput: if it is none of MLflow's.
    """

    def __init__(self, path: Path, artifacts: Path | None) -> None:
        beside = path.parent / "mlartifacts"
        self._home = path.parent
        self._artifacts = artifacts or (beside if beside.is_dir() else None)
        try:
            self._rows = sqlite3.connect(f"file:{quote(str(path))}?mode=ro", uri=True)
            self._rows.row_factory = sqlite3.Row
            tables = {row[0] for row in self._rows.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        except sqlite3.Error:
            tables = set()
        if not {"runs", "experiments", "metrics", "params", "tags"} <= tables:
            raise InvalidInput(
                f"{str(path)[:200]!r} is no database of MLflow's. Name the folder 'mlruns', MLflow's SQLite file, or "
                "the address of its server."
            )
        self._has_models = "logged_models" in tables
        self._has_registry = {"registered_models", "model_versions", "registered_model_aliases"} <= tables

    def count(self) -> int | None:
        """How many runs there are."""
        return int(self._rows.execute(f"SELECT count(*) FROM ({_RUNS})").fetchone()[0])  # noqa: S608 - a constant

    def runs(self) -> Iterator[OtherRun]:
        """All runs that are not deleted."""
        for row in self._rows.execute(f"{_RUNS} ORDER BY e.experiment_id, r.start_time, r.run_uuid"):
            tags = self._texts("tags", row["id"])
            yield OtherRun(
                id=row["id"],
                experiment=row["experiment"],
                name=row["name"] or tags.get("mlflow.runName", ""),
                state=STATES.get(row["status"]),
                started_at=moment(row["start_time"]),
                ended_at=moment(row["end_time"]),
                params=self._texts("params", row["id"]),
                tags=tags,
                place=row["artifact_uri"] or "",
            )

    def curves(self, run: OtherRun) -> dict[str, list[OtherPoint]]:
        """All that a run measured."""
        found: dict[str, list[OtherPoint]] = {}
        query = "SELECT key, step, timestamp, value, is_nan FROM metrics WHERE run_uuid = ? ORDER BY timestamp, step"
        for key, step, time_ms, value, is_nan in self._rows.execute(query, (run.id,)):
            found.setdefault(key, []).append(OtherPoint(step, time_ms, None if is_nan else finite(value)))
        return found

    def files(self, run: OtherRun) -> Iterator[OtherFile]:
        """The files of a run, then those of its models."""
        yield from files_in(self._folder(run.place))
        if self._has_models:
            for name, place in self._rows.execute(_MODELS, (run.id,)).fetchall():
                yield from files_in(self._folder(place), under=f"{name}/")

    def models(self) -> Iterator[OtherModel]:
        """All registered models."""
        if not self._has_registry:
            return
        for name, description in self._rows.execute(f"{_MODELS_REGISTERED} ORDER BY name").fetchall():
            aliases = self._rows.execute(_ALIASES, (name,))
            yield OtherModel(
                name=name,
                description=description or "",
                tags={key: value or "" for key, value in self._rows.execute(_MODEL_TAGS, (name,))},
                aliases={alias: int(version) for alias, version in aliases},
                versions=tuple(self._version(name, row) for row in self._rows.execute(_VERSIONS, (name,)).fetchall()),
            )

    def _version(self, name: str, row: sqlite3.Row) -> OtherVersion:
        tags = self._rows.execute(_VERSION_TAGS, (name, row["version"]))
        run_id = row["run_id"] or ""
        return OtherVersion(
            number=row["version"],
            description=row["description"] or "",
            tags={key: value or "" for key, value in tags},
            run_id=run_id,
            path=path_of_source(row["source"] or "", run_id, self._logged),
        )

    def _logged(self, model_id: str) -> str | None:
        query = "SELECT name FROM logged_models WHERE model_id = ?"
        found = self._rows.execute(query, (model_id,)).fetchone() if self._has_models else None
        return None if found is None else str(found[0])

    def close(self) -> None:
        """Close the file."""
        self._rows.close()

    def _folder(self, place: str) -> Path:
        return self._home / folder_of(place, self._artifacts)  # MLflow may have written where it is from there

    def _texts(self, table: str, run_id: str) -> dict[str, str]:
        query = f"SELECT key, value FROM {table} WHERE run_uuid = ?"  # noqa: S608 - two names of our own
        return {key: value or "" for key, value in self._rows.execute(query, (run_id,))}
