"""``runs/…`` and ``metrics/…`` of MLflow's protocol."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Annotated

from fastapi import Query
from pydantic import Field, model_validator

from lepton.access.records import Actor
from lepton.core.errors import InvalidInput
from lepton.core.ids import new_id
from lepton.platform import Platform
from lepton.runs.batch import Batch, Columns, check_fields
from lepton.runs.experiments import DEFAULT_ID, Wanted
from lepton.runs.records import RunState
from lepton.server.mlflow.answers import info_answer, point_answer, run_answer
from lepton.server.mlflow.language import STATUS, conditions, orders, stored_tag
from lepton.server.mlflow.words import (
    MAX_PAGE,
    Asked,
    In,
    Json,
    Millis,
    Pair,
    by_key,
    new_router,
    offset_of,
    page,
    token_of,
    when,
)
from lepton.server.protocols import MLFLOW
from lepton.server.wire import On, Who

router = new_router()
_RUNS = f"{MLFLOW}/runs"
_STATES = {status: state for state, status in STATUS.items()} | {"SCHEDULED": RunState.RUNNING}


Step = Annotated[int, Field(ge=-(2**63), lt=2**63)]


class _One(Asked):
    run_id: str

    @model_validator(mode="before")
    @classmethod
    def _by_its_old_name(cls, body: object) -> object:
        return {"run_id": body.get("run_uuid"), **body} if isinstance(body, dict) and "run_uuid" in body else body


class _Create(Asked):
    experiment_id: str = DEFAULT_ID
    run_name: str | None = None
    start_time: Millis | None = None
    tags: list[Pair] = Field(default_factory=list)


class _Update(_One):
    status: str | None = None
    end_time: Millis | None = None
    run_name: str | None = None


class _Metric(Asked):
    key: str = Field(min_length=1, max_length=250)
    value: float
    timestamp: Millis
    step: Step = 0


class _LogMetric(_One, _Metric):
    pass


class _LogPair(_One, Pair):
    pass


class _Key(_One):
    key: str


class _LogBatch(_One):
    metrics: list[_Metric] = Field(default_factory=list, max_length=1000)
    params: list[Pair] = Field(default_factory=list, max_length=100)
    tags: list[Pair] = Field(default_factory=list, max_length=100)


class _Search(Asked):
    experiment_ids: list[str] = Field(default_factory=list)
    filter: str | None = None
    run_view_type: str = "ACTIVE_ONLY"
    max_results: int = Field(default=1000, ge=1, le=50_000)
    order_by: list[str] = Field(default_factory=list)
    page_token: str | None = None


class _History(Asked):
    run_id: str | None = None
    run_uuid: str | None = None
    metric_key: str
    page_token: str | None = None
    max_results: int | None = None


class _Interval(Asked):
    run_ids: list[str] = Field(max_length=100)
    metric_key: str
    start_step: int | None = None
    end_step: int | None = None
    max_results: int = Field(default=2500, ge=1, le=2500)


class _Dataset(Asked):
    name: str
    digest: str
    source_type: str = ""
    source: str = ""
    schema_text: str = Field(default="", alias="schema")
    profile: str = ""


class _DatasetInput(Asked):
    tags: list[Pair] = Field(default_factory=list, max_length=100)
    dataset: _Dataset


class _ModelInput(Asked):
    model_id: str


class _Inputs(_One):
    datasets: list[_DatasetInput] = Field(default_factory=list, max_length=1000)
    models: list[_ModelInput] = Field(default_factory=list, max_length=1000)


class _Model(Asked):
    model_id: str
    step: Step = 0


class _Outputs(_One):
    models: list[_Model] = Field(default_factory=list, max_length=1000)


class _LogModel(_One):
    model_json: str


@router.post(f"{_RUNS}/create")
def create(platform: On, actor: Who, project: In, body: _Create) -> Json:
    """Note a run."""
    tags = _stored(body.tags)
    name = body.run_name or tags.get("name") or f"run-{new_id()[-8:].lower()}"
    made = platform.experiments.start(
        actor, body.experiment_id, tags={**tags, "name": name}, started_at=when(body.start_time), project=project
    )
    return {"run": run_answer(made)}


@router.get(f"{_RUNS}/get")
def get(platform: On, actor: Who, run_id: str = "", run_uuid: str = "") -> Json:
    """Get a run with its newest metrics, params and tags."""
    return {"run": run_answer(platform.experiments.run(actor, run_id or run_uuid))}


@router.post(f"{_RUNS}/update")
def update(platform: On, actor: Who, body: _Update) -> Json:
    """Change the state or the name of a run."""
    if body.run_name:
        _track(platform, actor, body.run_id, tags={"name": body.run_name})
    if body.status is not None:
        if body.status not in _STATES:
            raise InvalidInput(f"{body.status[:40]!r} is no status of a run. There are: {', '.join(_STATES)}.")
        platform.experiments.move(actor, body.run_id, _STATES[body.status], ended_at=when(body.end_time))
    return {"run_info": info_answer(platform.experiments.run(actor, body.run_id))}


@router.post(f"{_RUNS}/delete")
def delete(platform: On, actor: Who, body: _One) -> Json:
    """Take a run out of all lists."""
    platform.experiments.mark(actor, body.run_id, deleted=True)
    return {}


@router.post(f"{_RUNS}/restore")
def restore(platform: On, actor: Who, body: _One) -> Json:
    """Put a run back into the lists."""
    platform.experiments.mark(actor, body.run_id, deleted=False)
    return {}


@router.post(f"{_RUNS}/search")
def search(platform: On, actor: Who, project: In, body: _Search) -> Json:
    """Look for runs."""
    limit, offset = min(body.max_results, MAX_PAGE), offset_of(body.page_token)
    wanted = Wanted(
        tuple(body.experiment_ids),
        conditions=conditions(body.filter),
        orders=orders(body.order_by),
        deleted={"ACTIVE_ONLY": False, "DELETED_ONLY": True}.get(body.run_view_type),
        limit=limit + 1,
        offset=offset,
    )
    found = platform.experiments.search(actor, wanted, project=project)
    following = {"next_page_token": token_of(offset + limit)} if len(found) > limit else {}
    return {"runs": [run_answer(run) for run in found[:limit]], **following}


@router.post(f"{_RUNS}/log-metric")
def log_metric(platform: On, actor: Who, body: _LogMetric) -> Json:
    """Keep a point of a curve."""
    _track(platform, actor, body.run_id, metrics=[body])
    return {}


@router.post(f"{_RUNS}/log-parameter")
def log_param(platform: On, actor: Who, body: _LogPair) -> Json:
    """Keep a param, which cannot be changed later."""
    _track(platform, actor, body.run_id, params={body.key: body.value})
    return {}


@router.post(f"{_RUNS}/set-tag")
def set_tag(platform: On, actor: Who, body: _LogPair) -> Json:
    """Set a tag."""
    _track(platform, actor, body.run_id, tags=_stored([body]))
    return {}


@router.post(f"{_RUNS}/delete-tag")
def delete_tag(platform: On, actor: Who, body: _Key) -> Json:
    """Remove a tag."""
    platform.experiments.forget(actor, body.run_id, "tag", stored_tag(body.key))
    return {}


@router.post(f"{_RUNS}/log-batch")
def log_batch(platform: On, actor: Who, body: _LogBatch) -> Json:
    """Keep points, params and tags, all of them or nothing."""
    params = by_key(body.params)
    if len(params) < len({(pair.key, pair.value) for pair in body.params}):
        raise InvalidInput("A param comes twice in this batch, with two values. Params stay as they are.")
    _track(platform, actor, body.run_id, metrics=body.metrics, params=params, tags=_stored(body.tags))
    return {}


@router.post(f"{_RUNS}/log-inputs")
def log_inputs(platform: On, actor: Who, body: _Inputs) -> Json:
    """Keep which datasets and models a run has used: what its client says of them, not their content."""
    texts = [one.model_dump_json(by_alias=True, exclude_unset=True) for one in (*body.datasets, *body.models)]
    words = {hashlib.sha256(text.encode()).hexdigest(): text for text in texts}
    platform.experiments.keep(actor, body.run_id, "input", words)
    return {}


@router.post(f"{_RUNS}/outputs")
def log_outputs(platform: On, actor: Who, body: _Outputs) -> Json:
    """Keep which models a run has logged."""
    platform.experiments.keep(actor, body.run_id, "output", {one.model_id: str(one.step) for one in body.models})
    return {}


@router.post(f"{_RUNS}/log-model")
def log_model(platform: On, actor: Who, body: _LogModel) -> Json:
    """Accept the note of an MLmodel file, which is among the files of the run and says the same."""
    platform.experiments.run(actor, body.run_id)
    return {}


@router.get(f"{MLFLOW}/metrics/get-history")
def get_history(platform: On, actor: Who, query: Annotated[_History, Query()]) -> Json:
    """Get the points of a curve."""
    points = platform.runs.metrics(actor, query.run_id or query.run_uuid or "", [query.metric_key])
    if query.max_results is None:
        return {"metrics": [point_answer(point) for point in points]}
    some, following = page(points, query.max_results, query.page_token)
    return {"metrics": [point_answer(point) for point in some], **following}


@router.get(f"{MLFLOW}/metrics/get-history-bulk-interval")
def get_histories(platform: On, actor: Who, query: Annotated[_Interval, Query()]) -> Json:
    """Get the points of one curve of several runs between two steps, evenly thinned out to as many as are wanted."""
    found = []
    for run_id in query.run_ids:
        points = platform.runs.metrics(actor, run_id, [query.metric_key])
        low, high = query.start_step, query.end_step
        points = [p for p in points if (low is None or p.step >= low) and (high is None or p.step <= high)]
        every = -(-len(points) // query.max_results) or 1
        some = [p for i, p in enumerate(points) if i % every == 0 or i == len(points) - 1]
        found += [{**point_answer(point), "run_id": run_id} for point in some]
    return {"metrics": found}


def _track(
    platform: Platform,
    actor: Actor,
    run_id: str,
    *,
    metrics: list[_Metric] | list[_LogMetric] | None = None,
    params: Mapping[str, str] | None = None,
    tags: Mapping[str, str] | None = None,
) -> None:
    curves: dict[str, tuple[list[int], list[int], list[float | None]]] = {}
    for point in metrics or []:
        steps, times, values = curves.setdefault(point.key, ([], [], []))
        steps.append(point.step)
        times.append(point.timestamp * 1000)
        values.append(point.value)
    for words in (params or {}, tags or {}, dict.fromkeys(curves, "")):
        check_fields(words)
    batch = Batch(
        client="mlflow",
        batch=0,
        curves=[Columns(key, *columns) for key, columns in curves.items()],
        params=dict(params or {}),
        tags=dict(tags or {}),
    )
    platform.runs.track(actor, run_id, batch, fixed=True)


def _stored(tags: list[Pair] | list[_LogPair]) -> dict[str, str]:
    return {stored_tag(key): value for key, value in by_key(tags).items()}
