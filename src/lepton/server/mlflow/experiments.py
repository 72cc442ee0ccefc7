"""``experiments/…`` of MLflow's protocol, and what its client asks about the server."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query
from pydantic import Field

from lepton.runs.records import Experiment
from lepton.server.mlflow.answers import experiment_answer
from lepton.server.mlflow.language import Comparison, holds, order, parse
from lepton.server.mlflow.words import Asked, In, Json, Pair, by_key, millis, new_router, page
from lepton.server.protocols import MLFLOW
from lepton.server.wire import On, Who

router = new_router()
_PREFIX = f"{MLFLOW}/experiments"


class _One(Asked):
    experiment_id: str


class _Create(Asked):
    name: str
    tags: list[Pair] = Field(default_factory=list)


class _Update(_One):
    new_name: str | None = None


class _Tag(_One):
    key: str
    value: str | None = None


class _Search(Asked):
    max_results: int | None = None
    page_token: str | None = None
    filter: str | None = None
    order_by: list[str] = Field(default_factory=list)
    view_type: str = "ACTIVE_ONLY"


@router.get("/api/3.0/mlflow/server-info")
def about_server() -> Json:
    """Say what there is and what not: MLflow's client asks before it uses some things."""
    return {
        "store_type": "Lepton",
        "workspaces_enabled": False,
        "trace_archival_enabled": False,
        "multipart_uploads_enabled": False,
        "multipart_downloads_enabled": False,
    }


@router.post(f"{_PREFIX}/create")
def create(platform: On, actor: Who, project: In, body: _Create) -> Json:
    """Make an experiment."""
    made = platform.experiments.create(actor, body.name, tags=by_key(body.tags), project=project)
    return {"experiment_id": made.id}


@router.get(f"{_PREFIX}/get")
def get(platform: On, actor: Who, project: In, experiment_id: str) -> Json:
    """Get an experiment by its id."""
    return {"experiment": experiment_answer(platform.experiments.get(actor, experiment_id, project=project))}


@router.get(f"{_PREFIX}/get-by-name")
def get_by_name(platform: On, actor: Who, project: In, experiment_name: str) -> Json:
    """Get an experiment by its name."""
    return {"experiment": experiment_answer(platform.experiments.get(actor, name=experiment_name, project=project))}


@router.get(f"{_PREFIX}/search")
def search_by_query(platform: On, actor: Who, project: In, query: Annotated[_Search, Query()]) -> Json:
    """Look for experiments."""
    return search(platform, actor, project, query)


@router.post(f"{_PREFIX}/search")
def search(platform: On, actor: Who, project: In, body: _Search) -> Json:
    """Look for experiments."""
    wanted, shown = parse(body.filter), {"ACTIVE_ONLY": (False,), "DELETED_ONLY": (True,)}.get(body.view_type)
    found = [
        one
        for one in platform.experiments.list(actor, project=project)
        if (shown is None or (one.deleted_at is not None) in shown) and all(_fits(one, c) for c in wanted)
    ]
    for text in reversed(body.order_by):
        _, key, descending = order(text)
        found.sort(key=lambda one, key=key: (_known(one, key) is not None, _known(one, key)), reverse=descending)  # type: ignore[misc]
    some, following = page(found, body.max_results, body.page_token)
    return {"experiments": [experiment_answer(one) for one in some], **following}


@router.post(f"{_PREFIX}/update")
def update(platform: On, actor: Who, project: In, body: _Update) -> Json:
    """Rename an experiment."""
    platform.experiments.update(actor, body.experiment_id, name=body.new_name, project=project)
    return {}


@router.post(f"{_PREFIX}/delete")
def delete(platform: On, actor: Who, project: In, body: _One) -> Json:
    """Mark an experiment as deleted."""
    platform.experiments.update(actor, body.experiment_id, deleted=True, project=project)
    return {}


@router.post(f"{_PREFIX}/restore")
def restore(platform: On, actor: Who, project: In, body: _One) -> Json:
    """Mark an experiment as not deleted."""
    platform.experiments.update(actor, body.experiment_id, deleted=False, project=project)
    return {}


@router.post(f"{_PREFIX}/set-experiment-tag")
def set_tag(platform: On, actor: Who, project: In, body: _Tag) -> Json:
    """Set a tag of an experiment."""
    platform.experiments.update(actor, body.experiment_id, tags={body.key: body.value or ""}, project=project)
    return {}


@router.post(f"{_PREFIX}/delete-experiment-tag")
def delete_tag(platform: On, actor: Who, project: In, body: _Tag) -> Json:
    """Remove a tag of an experiment."""
    platform.experiments.update(actor, body.experiment_id, tags={body.key: None}, project=project)
    return {}


def _fits(experiment: Experiment, wanted: Comparison) -> bool:
    if wanted.entity == "tag":
        return holds(wanted, experiment.tags.get(wanted.key))
    return holds(wanted, _known(experiment, wanted.key))


def _known(experiment: Experiment, key: str) -> str | int | None:
    times = {"creation_time": experiment.created_at, "last_update_time": experiment.changed_at}
    if key in times:
        return millis(times[key])
    return {"name": experiment.name, "experiment_id": experiment.id}.get(key)
