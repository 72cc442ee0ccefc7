"""Records of Lepton as the JSON that MLflow's client reads."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from lepton.runs.experiments import RecordedRun
from lepton.runs.points import Curve
from lepton.runs.records import Artifact, Experiment, MetricPoint
from lepton.server.mlflow.language import STATUS, shown_tags
from lepton.server.mlflow.words import Json, millis, pairs


def experiment_answer(experiment: Experiment) -> Json:
    """Write an experiment."""
    return {
        "experiment_id": experiment.id,
        "name": experiment.name,
        "artifact_location": "mlflow-artifacts:/",
        "lifecycle_stage": stage(is_deleted=experiment.deleted_at is not None),
        "creation_time": millis(experiment.created_at),
        "last_update_time": millis(experiment.changed_at),
        "tags": pairs(experiment.tags),
    }


def run_answer(run: RecordedRun) -> Json:
    """Write a run."""
    tags = run.words.get("tag", {})
    inputs = [json.loads(text) for _, text in sorted(run.words.get("input", {}).items())]
    outputs = [{"model_id": key, "step": int(step)} for key, step in sorted(run.words.get("output", {}).items())]
    return {
        "info": info_answer(run),
        "data": {
            "metrics": [_newest(key, curve) for key, curve in run.curves.items()],
            "params": pairs(run.words.get("param", {})),
            "tags": pairs(shown_tags(tags)),
        },
        "inputs": {
            "dataset_inputs": [one for one in inputs if "dataset" in one],
            "model_inputs": [one for one in inputs if "model_id" in one],
        },
        "outputs": {"model_outputs": outputs},
    }


def info_answer(run: RecordedRun) -> Json:
    """Write what a run is, without what it has told."""
    ended = {} if run.ended_at is None else {"end_time": millis(run.ended_at)}
    return {
        "run_id": run.id,
        "run_uuid": run.id,
        "run_name": run.words.get("tag", {}).get("name", ""),
        "experiment_id": run.experiment_id,
        "user_id": run.submitted_by,
        "status": STATUS[run.state],
        "start_time": millis(run.started_at or run.created_at),
        **ended,
        "artifact_uri": files_of(run.id),
        "lifecycle_stage": stage(is_deleted=run.is_deleted),
    }


def files_of(run_id: str, path: str = "") -> str:
    """Return where MLflow's client finds the files of a run."""
    return f"mlflow-artifacts:/{run_id}" + (f"/{path}" if path else "")


def stage(*, is_deleted: bool) -> str:
    """Write whether something is deleted."""
    return "deleted" if is_deleted else "active"


def point_answer(point: MetricPoint) -> Json:
    """Write a point of a curve."""
    return {
        "key": point.key,
        "value": number(point.value),
        "timestamp": millis(point.time),
        "step": point.step,
    }


def number(value: float | None) -> float | str:
    """Write a number; one that was not finite is ``NaN``, in the quotes that protobuf's JSON has."""
    return "NaN" if value is None or value - value != 0 else value


def folder(artifacts: Iterable[Artifact], path: str, *, prefix: str = "") -> list[Json]:
    """List what lies directly in a folder: files with their sizes, and folders.

    Args:
        artifacts: All of the run.
        path: Of the folder; empty for all of the run.
        prefix: What the paths that are listed begin with.
    """
    inside = f"{path.strip('/')}/" if path.strip("/") else ""
    files: list[Json] = []
    folders: Mapping[str, None] = {}
    for artifact in artifacts:
        if not artifact.path.startswith(inside):
            continue
        name, slash, _ = artifact.path[len(inside) :].partition("/")
        if slash:
            folders = {**folders, name: None}
        else:
            files.append({"path": f"{prefix}{name}", "is_dir": False, "file_size": artifact.size_bytes})
    return [*({"path": f"{prefix}{name}", "is_dir": True} for name in folders), *files]


def _newest(key: str, curve: Curve) -> Json:
    return {
        "key": key,
        "value": number(curve.last_value),
        "timestamp": curve.last_time_us // 1000,
        "step": curve.last_step,
    }
