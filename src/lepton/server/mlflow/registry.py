"""``registered-models/…`` and ``model-versions/…`` of MLflow's protocol."""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import Query
from pydantic import Field

from lepton.access.records import Actor
from lepton.core.errors import InvalidInput, NotFound
from lepton.models.inert import NOTE
from lepton.models.registry import Registered, RegisteredVersion, Source
from lepton.platform import Platform
from lepton.server.mlflow.answers import files_of
from lepton.server.mlflow.language import Comparison, holds, order, parse
from lepton.server.mlflow.logged_models import find
from lepton.server.mlflow.words import Asked, In, Json, Pair, by_key, millis, new_router, page, pairs
from lepton.server.protocols import MLFLOW
from lepton.server.wire import On, Who

router = new_router()
_MODELS, _VERSIONS = f"{MLFLOW}/registered-models", f"{MLFLOW}/model-versions"
_SOURCE = re.compile(r"(?:runs:|mlflow-artifacts:(?://[^/]*)?)/+(?P<run>[^/]+)/?(?P<path>.*)")
_LOGGED = re.compile(r"models:/(?P<id>m-[0-9a-f]+)")
_COPIED = re.compile(r"models:/(?P<name>[^/]+)/(?P<version>[0-9]{1,9})")
_PROMPT = "mlflow.prompt.is_prompt"
Number = Annotated[int, Field(ge=1, lt=10**9)]


class _Name(Asked):
    name: str


class _Create(_Name):
    description: str | None = None
    tags: list[Pair] = Field(default_factory=list)


class _Rename(_Name):
    new_name: str


class _Describe(_Name):
    description: str | None = None


class _Search(Asked):
    filter: str | None = None
    max_results: int | None = None
    order_by: list[str] = Field(default_factory=list)
    page_token: str | None = None


class _Tag(_Name):
    key: str
    value: str = ""


class _Alias(_Name):
    alias: str


class _SetAlias(_Alias):
    version: Number


class _Version(_Name):
    version: Number


class _CreateVersion(_Create):
    source: str
    run_id: str | None = None
    model_id: str | None = None


class _DescribeVersion(_Version):
    description: str | None = None


class _VersionTag(_Version):
    key: str
    value: str = ""


@router.post(f"{_MODELS}/create")
def create(platform: On, actor: Who, project: In, body: _Create) -> Json:
    """Make room for the versions of a model."""
    made = platform.registry.create(
        actor, body.name, description=body.description or "", tags=by_key(body.tags), project=project
    )
    return {"registered_model": _model(made)}


@router.get(f"{_MODELS}/get")
def get(platform: On, actor: Who, project: In, name: str) -> Json:
    """Get a model."""
    return {"registered_model": _model(platform.registry.get(actor, name, project=project))}


@router.get(f"{_MODELS}/search")
def search(platform: On, actor: Who, project: In, query: Annotated[_Search, Query()]) -> Json:
    """Look for models."""
    wanted = parse(query.filter)
    found = [one for one in platform.registry.list(actor, project=project) if all(_fits(one, c) for c in wanted)]
    for text in reversed(query.order_by):
        _, key, descending = order(text)
        by_time = key in ("timestamp", "last_updated_timestamp")
        found.sort(key=lambda m, t=by_time: str(m.about.changed_at if t else m.about.title), reverse=descending)  # type: ignore[misc]
    some, following = page(found, query.max_results, query.page_token)
    return {"registered_models": [_model(one) for one in some], **following}


@router.post(f"{_MODELS}/rename")
def rename(platform: On, actor: Who, project: In, body: _Rename) -> Json:
    """Give a model another name; what it is called in Lepton stays."""
    changed = platform.registry.update(actor, body.name, new_title=body.new_name, project=project)
    return {"registered_model": _model(changed)}


@router.patch(f"{_MODELS}/update")
def update(platform: On, actor: Who, project: In, body: _Describe) -> Json:
    """Describe a model."""
    changed = platform.registry.update(actor, body.name, description=body.description or "", project=project)
    return {"registered_model": _model(changed)}


@router.delete(f"{_MODELS}/delete")
def delete(platform: On, actor: Who, project: In, body: _Name) -> Json:
    """Delete a model with all of its versions."""
    platform.registry.delete(actor, body.name, project=project)
    return {}


@router.post(f"{_MODELS}/set-tag")
def set_tag(platform: On, actor: Who, project: In, body: _Tag) -> Json:
    """Set a tag of a model."""
    platform.registry.update(actor, body.name, tags={body.key: body.value}, project=project)
    return {}


@router.delete(f"{_MODELS}/delete-tag")
def delete_tag(platform: On, actor: Who, project: In, body: _Tag) -> Json:
    """Remove a tag of a model."""
    platform.registry.update(actor, body.name, tags={body.key: None}, project=project)
    return {}


@router.post(f"{_MODELS}/alias")
def set_alias(platform: On, actor: Who, project: In, body: _SetAlias) -> Json:
    """Let an alias mean a version."""
    platform.registry.update(actor, body.name, aliases={body.alias: body.version}, project=project)
    return {}


@router.delete(f"{_MODELS}/alias")
def delete_alias(platform: On, actor: Who, project: In, body: _Alias) -> Json:
    """Remove an alias."""
    platform.registry.update(actor, body.name, aliases={body.alias: None}, project=project)
    return {}


@router.get(f"{_MODELS}/alias")
def get_by_alias(platform: On, actor: Who, project: In, name: str, alias: str) -> Json:
    """Get the version that an alias means."""
    found = platform.registry.get(actor, name, project=project)
    for one in found.versions:
        if alias in one.aliases:
            return {"model_version": _version(one)}
    raise NotFound(f"Model {name[:80]!r} has no alias {alias[:60]!r}.")


@router.get(f"{_MODELS}/get-latest-versions")
def latest_by_query(platform: On, actor: Who, project: In, name: str) -> Json:
    """Get the newest version of a model."""
    versions = platform.registry.get(actor, name, project=project).versions
    return {"model_versions": [_version(one) for one in versions[:1]]}


@router.post(f"{_MODELS}/get-latest-versions")
def latest(platform: On, actor: Who, project: In, body: _Name) -> Json:
    """Get the newest version of a model."""
    return latest_by_query(platform, actor, project, body.name)


@router.post(f"{_VERSIONS}/create")
def create_version(platform: On, actor: Who, project: In, body: _CreateVersion) -> Json:
    """Make the files of a run the next version of a model."""
    source = _source(platform, actor, project, body)
    made = platform.registry.add(
        actor, body.name, source, description=body.description or "", tags=by_key(body.tags), project=project
    )
    return {"model_version": _version(made)}


@router.get(f"{_VERSIONS}/get")
def get_version(platform: On, actor: Who, project: In, query: Annotated[_Version, Query()]) -> Json:
    """Get a version."""
    return {"model_version": _version(platform.registry.version(actor, query.name, query.version, project=project))}


@router.get(f"{_VERSIONS}/search")
def search_versions(platform: On, actor: Who, project: In, query: Annotated[_Search, Query()]) -> Json:
    """Look for versions, the newest first within each model."""
    wanted = parse(query.filter)
    every = [one for model in platform.registry.list(actor, project=project) for one in model.versions]
    found = [one for one in every if all(_fits_version(one, comparison) for comparison in wanted)]
    for text in reversed(query.order_by):
        _, key, descending = order(text)
        found.sort(key=lambda one, key=key: _sorting(one, key), reverse=descending)  # type: ignore[misc]
    some, following = page(found, query.max_results, query.page_token)
    return {"model_versions": [_version(one) for one in some], **following}


@router.patch(f"{_VERSIONS}/update")
def update_version(platform: On, actor: Who, project: In, body: _DescribeVersion) -> Json:
    """Describe a version."""
    changed = platform.registry.describe(
        actor, body.name, body.version, description=body.description or "", project=project
    )
    return {"model_version": _version(changed)}


@router.delete(f"{_VERSIONS}/delete")
def delete_version(platform: On, actor: Who, project: In, body: _Version) -> Json:
    """Delete a version."""
    platform.registry.remove(actor, body.name, body.version, project=project)
    return {}


@router.post(f"{_VERSIONS}/set-tag")
def set_version_tag(platform: On, actor: Who, project: In, body: _VersionTag) -> Json:
    """Set a tag of a version."""
    platform.registry.describe(actor, body.name, body.version, tags={body.key: body.value}, project=project)
    return {}


@router.delete(f"{_VERSIONS}/delete-tag")
def delete_version_tag(platform: On, actor: Who, project: In, body: _VersionTag) -> Json:
    """Remove a tag of a version."""
    platform.registry.describe(actor, body.name, body.version, tags={body.key: None}, project=project)
    return {}


@router.get(f"{_VERSIONS}/get-download-uri")
def get_download_uri(platform: On, actor: Who, project: In, query: Annotated[_Version, Query()]) -> Json:
    """Say where the files of a version are, as they were when it was registered."""
    found = platform.registry.source(actor, query.name, query.version, project=project)
    return {"artifact_uri": files_of(found.run_id, found.path)}


@router.post(f"{_VERSIONS}/transition-stage")
def transition_stage() -> Json:
    """Refuse: stages are gone from MLflow's own documentation."""
    raise InvalidInput("There are no stages here. Use an alias: MlflowClient.set_registered_model_alias")


def _source(platform: Platform, actor: Actor, project: str, body: _CreateVersion) -> Source:
    """Return where files are that are named in one of MLflow's ways."""
    logged = body.model_id or ((match := _LOGGED.fullmatch(body.source)) and match["id"]) or ""
    if logged:
        word, model = find(platform, actor, project, logged)
        return Source(body.source, word.run_id, model.path, logged)
    if (copied := _COPIED.fullmatch(body.source)) is not None:
        found = platform.registry.source(actor, copied["name"], int(copied["version"]), project=project)
        return Source(body.source, found.run_id, found.path, found.logged_model)
    match = _SOURCE.fullmatch(body.source)
    if match is None:
        raise InvalidInput(
            f"The source {body.source[:80]!r} is not among the files of a run here. Log the model with a run, then "
            "register runs:/RUN/path."
        )
    return Source(body.source, match["run"], match["path"].strip("/"))


def _model(found: Registered) -> Json:
    about = found.about
    return {
        "name": about.title,
        "creation_timestamp": millis(about.created_at),
        "last_updated_timestamp": millis(about.changed_at),
        "description": about.description,
        "latest_versions": [_version(one) for one in found.versions[:1]],
        "tags": pairs(about.tags),
        "aliases": [{"alias": alias, "version": str(number)} for alias, number in sorted(about.aliases.items())],
    }


def _version(found: RegisteredVersion) -> Json:
    version, words = found.version, found.words
    return {
        "name": found.title,
        "version": str(version.version),
        "creation_timestamp": millis(version.created_at),
        "last_updated_timestamp": millis(words.changed_at),
        "user_id": version.created_by,
        "current_stage": "None",
        "description": words.description,
        "source": words.source,
        "run_id": words.run_id,
        "status": "READY",
        "status_message": NOTE if found.is_files else "",
        "tags": pairs(words.tags),
        "aliases": list(found.aliases),
        "model_id": words.logged_model,
    }


def _fits(model: Registered, wanted: Comparison) -> bool:
    if wanted.entity == "tag":
        # Its client asks for what is no prompt, of whatever else somebody looks for.
        return holds(wanted, model.about.tags.get(wanted.key, "false" if wanted.key == _PROMPT else None))
    return holds(wanted, model.about.title if wanted.key == "name" else None)


def _fits_version(one: RegisteredVersion, wanted: Comparison) -> bool:
    if wanted.entity == "tag":
        return holds(wanted, one.words.tags.get(wanted.key))
    known: dict[str, str | float] = {
        "name": one.title,
        "run_id": one.words.run_id,
        "source_path": one.words.source,
        "version_number": float(one.version.version),
        "version": str(one.version.version),
    }
    return holds(wanted, known.get(wanted.key))


def _sorting(one: RegisteredVersion, key: str) -> tuple[str, int]:
    if key in ("creation_timestamp", "last_updated_timestamp"):
        return "", millis(one.version.created_at if key.startswith("c") else one.words.changed_at) or 0
    return (one.title, 0) if key == "name" else ("", one.version.version)
