"""``/v1/datasets``."""

from __future__ import annotations

import sys
from functools import partial
from typing import Annotated, Literal
from urllib.parse import quote

from fastapi import APIRouter, Query, Request
from starlette.responses import Response, StreamingResponse

from lepton.datasets.recipe import parse_recipe
from lepton.server.bodies.datasets import (
    CleanBody,
    DatasetAnswer,
    DetailAnswer,
    ImportQuery,
    ProfileAnswer,
    ReportAnswer,
    RowsAnswer,
    SplitBody,
)
from lepton.server.bodies.runs import RunAnswer
from lepton.server.upload import with_chunks
from lepton.server.wire import IN, DatasetRef, Items, Merged, On, Project, Who, items

router = APIRouter(prefix="/v1/datasets", tags=["datasets"])

_FILE = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}


@router.get("", operation_id="datasets.list", response_model=Items[DatasetAnswer])
def list_datasets(platform: On, actor: Who, project: Project = IN) -> object:
    """List the datasets of a project by name."""
    return items(platform.datasets.list(actor, project=project))


@router.post(
    "/import",
    operation_id="datasets.import",
    response_model=RunAnswer,
    status_code=202,
    openapi_extra={"requestBody": {"content": _FILE, "required": True}},
)
async def import_dataset(platform: On, actor: Who, request: Request, query: Annotated[ImportQuery, Query()]) -> object:
    """Import a file, sent as the raw body: CSV, TSV, Parquet or JSON lines. What is not said is detected."""
    again = partial(platform.access.renew, actor)
    return await with_chunks(
        request, lambda chunks: platform.datasets.import_(actor, chunks, options=query.options(), again=again)
    )


@router.get("/{ref}", operation_id="datasets.get", response_model=DetailAnswer)
def get_dataset(platform: On, actor: Who, ref: DatasetRef, project: Project = IN) -> object:
    """Get a version, or the latest, with its columns."""
    detail = platform.datasets.get(actor, ref, project=project)
    return Merged(detail.version, detail)


@router.get("/{ref}/profile", operation_id="datasets.profile", response_model=ProfileAnswer)
def profile_dataset(
    platform: On, actor: Who, ref: DatasetRef, project: Project = IN, target: str | None = None
) -> object:
    """Get statistics of every column, and a suggested recipe; rows that lack the target are dropped by it."""
    profile = platform.datasets.profile(actor, ref, target=target, project=project)
    return Merged(profile, profile.version)


@router.get("/{ref}/rows", operation_id="datasets.rows", response_model=RowsAnswer)
def read_rows(
    platform: On,
    actor: Who,
    ref: DatasetRef,
    project: Project = IN,
    offset: Annotated[int, Query(ge=0)] = 0,
    limit: Annotated[int, Query(ge=0, le=1000)] = 50,
) -> object:
    """Read some rows."""
    return platform.datasets.rows(actor, ref, offset=offset, limit=limit, project=project)


@router.get("/{ref}/report", operation_id="datasets.report", response_model=ReportAnswer)
def report_dataset(platform: On, actor: Who, ref: DatasetRef, project: Project = IN) -> object:
    """Get how a version was made: what each step changed, which rows were rejected and why."""
    report = platform.datasets.report(actor, ref, project=project)
    return Merged(report, report.version)


@router.post("/{ref}/clean", operation_id="datasets.clean", response_model=RunAnswer, status_code=202)
def clean_dataset(platform: On, actor: Who, ref: DatasetRef, body: CleanBody, project: Project = IN) -> object:
    """Make a new version by a recipe, or by the suggested one."""
    recipe = None if body.recipe is None else parse_recipe(body.recipe)
    return platform.datasets.clean(actor, ref, recipe=recipe, target=body.target, project=project)


@router.post("/{ref}/split", operation_id="datasets.split", response_model=RunAnswer, status_code=202)
def split_dataset(platform: On, actor: Who, ref: DatasetRef, body: SplitBody, project: Project = IN) -> object:
    """Make a dataset of each share of the rows."""
    return platform.datasets.split(
        actor, ref, fractions=body.fractions, seed=body.seed, stratify=body.stratify, project=project
    )


@router.get(
    "/{ref}/export",
    operation_id="datasets.export",
    response_class=StreamingResponse,
    responses={200: {"content": _FILE}},
)
def export_dataset(  # noqa: PLR0913 - a route's parameters are those of its address
    platform: On,
    actor: Who,
    ref: DatasetRef,
    *,
    project: Project = IN,
    format: Literal["csv", "parquet", "jsonl", "arrow"] = "csv",  # noqa: A002 - the word of the interface
    column: Annotated[list[str] | None, Query()] = None,
    first: int = 0,
    end: int | None = None,
) -> Response:
    """Download a version; columns that one may not read are left out and named in ``X-Lepton-Masked``."""
    rows = None if end is None and not first else (first, sys.maxsize if end is None else end)
    export = platform.datasets.export(actor, ref, format=format, columns=column, rows=rows, project=project)
    headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(export.file_name)}"}
    if export.left_out:
        headers["X-Lepton-Masked"] = ",".join(quote(name, safe="") for name in export.left_out)
    return StreamingResponse(export.chunks, media_type=export.media_type, headers=headers)


@router.delete("/{ref}", operation_id="datasets.delete", status_code=204)
def delete_dataset(platform: On, actor: Who, ref: DatasetRef, project: Project = IN) -> None:
    """Delete a version (``name@version``) or all of them (``name``) by destroying their keys."""
    platform.datasets.delete(actor, ref, project=project)
