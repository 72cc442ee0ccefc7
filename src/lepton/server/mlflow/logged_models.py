"""``logged-models/…`` of MLflow's protocol: what its client notes of a model before it sends the model's files.

The note is kept with the run that has logged the model, and the files among the files of that run.
"""

from __future__ import annotations

import json
import re
import secrets
from dataclasses import asdict, dataclass, field, replace

from pydantic import Field

from lepton.access.records import Actor
from lepton.core.clock import utc_now
from lepton.core.errors import InvalidInput, NotFound
from lepton.platform import Platform
from lepton.runs.batch import check_fields
from lepton.runs.experiments import DEFAULT_ID, RecordedRun, Word
from lepton.runs.records import RunState
from lepton.server.mlflow.answers import files_of, folder
from lepton.server.mlflow.language import Comparison, holds, parse
from lepton.server.mlflow.words import Asked, In, Json, Pair, by_key, millis, new_router, page, pairs
from lepton.server.protocols import MLFLOW
from lepton.server.wire import On, Who

router = new_router()
FOLDER = "logged_models"
"""Where the files of such models are among those of their run."""
_PREFIX = f"{MLFLOW}/logged-models"
_STATUS = {"LOGGED_MODEL_PENDING", "LOGGED_MODEL_READY", "LOGGED_MODEL_UPLOAD_FAILED"}
_NUMBERED = dict(enumerate(["", "LOGGED_MODEL_PENDING", "LOGGED_MODEL_READY", "LOGGED_MODEL_UPLOAD_FAILED"]))


@dataclass(frozen=True)
class LoggedModel:
    """What is noted of a model.

    Attributes:
        path: Of its folder among the files of its run.
        created_ms: When it was noted, in ms since 1970.
    """

    name: str
    experiment_id: str
    path: str
    created_ms: int
    changed_ms: int
    model_type: str = ""
    status: str = "LOGGED_MODEL_PENDING"
    params: dict[str, str] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)


class _Create(Asked):
    experiment_id: str = DEFAULT_ID
    name: str | None = Field(default=None, max_length=200)
    model_type: str | None = Field(default=None, max_length=200)
    source_run_id: str | None = None
    params: list[Pair] = Field(default_factory=list, max_length=1000)
    tags: list[Pair] = Field(default_factory=list, max_length=1000)


class _Finalize(Asked):
    status: str | int


class _Params(Asked):
    params: list[Pair] = Field(default_factory=list, max_length=1000)


class _Tags(Asked):
    tags: list[Pair] = Field(default_factory=list, max_length=1000)


class _OrderBy(Asked):
    field_name: str
    ascending: bool = True


class _Search(Asked):
    experiment_ids: list[str] = Field(default_factory=list)
    filter: str | None = None
    max_results: int | None = None
    order_by: list[_OrderBy] = Field(default_factory=list)
    page_token: str | None = None


@router.post(_PREFIX)
def create(platform: On, actor: Who, project: In, body: _Create) -> Json:
    """Note a model, whose files come next; one without a run gets a run of its own."""
    run = _run_of(platform, actor, project, body)
    known = [_read(text) for text in run.words.get("model", {}).values()]
    model_id, now = f"m-{secrets.token_hex(16)}", millis(utc_now()) or 0
    name = body.name or f"model-{model_id[-8:]}"
    path = f"{FOLDER}/{re.sub(r'[^0-9A-Za-z._-]', '_', name).strip('.') or 'model'}"
    made = LoggedModel(
        name=name,
        experiment_id=run.experiment_id,
        path=f"{path}-{model_id[-8:]}" if path in {one.path for one in known} else path,
        created_ms=now,
        changed_ms=now,
        model_type=body.model_type or "",
        params=_checked(body.params),
        tags=_checked(body.tags),
    )
    _keep(platform, actor, run.id, model_id, made)
    return {"model": _answer(run.id, model_id, made)}


@router.post(f"{_PREFIX}/search")
def search(platform: On, actor: Who, project: In, body: _Search) -> Json:
    """Look for models, by what was noted of them."""
    wanted = parse(body.filter)
    words = platform.experiments.kept(actor, "model", experiments=body.experiment_ids, project=project)
    read = ((word, _read(word.text)) for word in words)
    found = [(word, model) for word, model in read if all(_fits(word, model, c) for c in wanted)]
    for one in reversed(body.order_by):
        found.sort(key=lambda pair, key=one.field_name: str(_known(*pair).get(key, "")), reverse=not one.ascending)  # type: ignore[misc]
    some, following = page(found, body.max_results, body.page_token)
    return {"models": [_answer(word.run_id, word.key, model) for word, model in some], **following}


@router.get(f"{_PREFIX}/{{model_id}}")
def get(platform: On, actor: Who, project: In, model_id: str) -> Json:
    """Get what is noted of a model."""
    word, model = find(platform, actor, project, model_id)
    return {"model": _answer(word.run_id, model_id, model)}


@router.patch(f"{_PREFIX}/{{model_id}}")
def finalize(platform: On, actor: Who, project: In, model_id: str, body: _Finalize) -> Json:
    """Say whether all files of a model have come."""
    word, model = find(platform, actor, project, model_id)
    status = _NUMBERED.get(body.status, "") if isinstance(body.status, int) else body.status
    if status not in _STATUS:
        raise InvalidInput(f"{str(body.status)[:40]!r} is no status of a model.")
    return _changed(platform, actor, word, replace(model, status=status))


@router.delete(f"{_PREFIX}/{{model_id}}")
def delete(platform: On, actor: Who, project: In, model_id: str) -> Json:
    """Forget a model; its files stay with its run."""
    word, _ = find(platform, actor, project, model_id)
    platform.experiments.forget(actor, word.run_id, "model", model_id)
    return {}


@router.post(f"{_PREFIX}/{{model_id}}/params")
def log_params(platform: On, actor: Who, project: In, model_id: str, body: _Params) -> Json:
    """Note more params of a model."""
    word, model = find(platform, actor, project, model_id)
    _changed(platform, actor, word, replace(model, params={**model.params, **_checked(body.params)}))
    return {}


@router.patch(f"{_PREFIX}/{{model_id}}/tags")
def set_tags(platform: On, actor: Who, project: In, model_id: str, body: _Tags) -> Json:
    """Set tags of a model."""
    word, model = find(platform, actor, project, model_id)
    return _changed(platform, actor, word, replace(model, tags={**model.tags, **_checked(body.tags)}))


@router.delete(f"{_PREFIX}/{{model_id}}/tags/{{key}}")
def delete_tag(platform: On, actor: Who, project: In, model_id: str, key: str) -> Json:
    """Remove a tag of a model."""
    word, model = find(platform, actor, project, model_id)
    return _changed(platform, actor, word, replace(model, tags={k: v for k, v in model.tags.items() if k != key}))


@router.get(f"{_PREFIX}/{{model_id}}/artifacts/directories")
def list_files(platform: On, actor: Who, project: In, model_id: str, artifact_directory_path: str = "") -> Json:
    """List a folder of the files of a model."""
    word, model = find(platform, actor, project, model_id)
    inside = artifact_directory_path.strip("/")
    files = folder(
        platform.runs.artifacts(actor, word.run_id),
        f"{model.path}/{inside}" if inside else model.path,
        prefix=f"{inside}/" if inside else "",
    )
    return {"root_uri": files_of(word.run_id, model.path), "files": files}


def find(platform: Platform, actor: Actor, project: str, model_id: str) -> tuple[Word, LoggedModel]:
    """Return what is noted of a model, and with which run.

    Raises:
        NotFound: if there is no such model.
    """
    found = platform.experiments.kept(actor, "model", key=model_id, project=project)
    if not found:
        raise NotFound(f"There is no logged model {model_id[:60]!r} in project {project!r}.")
    return found[0], _read(found[0].text)


def _run_of(platform: Platform, actor: Actor, project: str, body: _Create) -> RecordedRun:
    if body.source_run_id:
        return platform.experiments.run(actor, body.source_run_id)
    tags = {"name": body.name or "model"}
    run = platform.experiments.start(actor, body.experiment_id, tags=tags, project=project)
    platform.experiments.move(actor, run.id, RunState.SUCCEEDED)
    return run


def _changed(platform: Platform, actor: Actor, word: Word, model: LoggedModel) -> Json:
    model = replace(model, changed_ms=millis(utc_now()) or 0)
    _keep(platform, actor, word.run_id, word.key, model)
    return {"model": _answer(word.run_id, word.key, model)}


def _keep(platform: Platform, actor: Actor, run_id: str, model_id: str, model: LoggedModel) -> None:
    platform.experiments.keep(actor, run_id, "model", {model_id: json.dumps(asdict(model))})


def _read(text: str) -> LoggedModel:
    return LoggedModel(**json.loads(text))


def _checked(words: list[Pair]) -> dict[str, str]:
    found = by_key(words)
    check_fields(found)
    return found


def _fits(word: Word, model: LoggedModel, wanted: Comparison) -> bool:
    if wanted.entity in ("param", "tag"):
        return holds(wanted, (model.params if wanted.entity == "param" else model.tags).get(wanted.key))
    return holds(wanted, _known(word, model).get(wanted.key) if wanted.entity == "attribute" else None)


def _known(word: Word, model: LoggedModel) -> dict[str, str | int]:
    return {
        "name": model.name,
        "model_id": word.key,
        "model_type": model.model_type,
        "status": model.status.removeprefix("LOGGED_MODEL_"),
        "source_run_id": word.run_id,
        "creation_timestamp": model.created_ms,
        "creation_time": model.created_ms,
        "last_updated_timestamp": model.changed_ms,
    }


def _answer(run_id: str, model_id: str, model: LoggedModel) -> Json:
    return {
        "info": {
            "model_id": model_id,
            "experiment_id": model.experiment_id,
            "name": model.name,
            "creation_timestamp_ms": model.created_ms,
            "last_updated_timestamp_ms": model.changed_ms,
            "artifact_uri": files_of(run_id, model.path),
            "status": model.status,
            "model_type": model.model_type,
            "source_run_id": run_id,
            "tags": pairs(model.tags),
        },
        "data": {"params": pairs(model.params)},
    }
