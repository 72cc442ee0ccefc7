"""``/v1/runs``; what is live is in ``server/events.py``."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import groupby
from typing import Annotated

import msgspec
from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from lepton.runs.batch import BATCH_SCHEMA, decode
from lepton.server.bodies.runs import (
    ArtifactAnswer,
    CreateBody,
    EndBody,
    ListQuery,
    LogPageAnswer,
    MetricsAnswer,
    MetricsQuery,
    QueueAnswer,
    QuotaAnswer,
    QuotaBody,
    ReceiptAnswer,
    RunAnswer,
    ScheduleAnswer,
    ScheduleBody,
    TrackedAnswer,
)  # fmt: skip
from lepton.server.bodies.submissions import read_submission
from lepton.server.download import FileAnswer
from lepton.server.events import LIVE, last_line, stream, wants_events
from lepton.server.upload import with_chunks
from lepton.server.wire import IN, Items, On, Project, Who, items

router = APIRouter(prefix="/v1/runs", tags=["runs"])

_FILE = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
_SUBMISSION = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}


@router.get("", operation_id="runs.list", response_model=Items[RunAnswer])
def list_runs(platform: On, actor: Who, query: Annotated[ListQuery, Query()]) -> object:
    """List runs, the newest first, or those that a filter finds, in an order of one's own."""
    return items(
        platform.runs.list(actor, project=query.project, state=query.state, limit=query.limit, search=query.search())
    )


@router.get("/queue", operation_id="runs.queue", response_model=QueueAnswer)
def get_queue(platform: On, actor: Who, project: Project = IN) -> object:
    """Get what there is to compute with, who uses it, and why runs wait."""
    return platform.runs.queue(actor, project=project)


@router.get("/quota", operation_id="runs.quota", response_model=QuotaAnswer)
def get_quota(platform: On, actor: Who, project: Project = IN) -> object:
    """Get what a project may use at most."""
    return platform.runs.quota(actor, project=project)


@router.put("/quota", operation_id="runs.limit", response_model=QuotaAnswer)
def limit(platform: On, actor: Who, body: QuotaBody, project: Project = IN) -> object:
    """Replace what a project may use at most."""
    return platform.runs.limit(actor, body.to_quota(), project=project)


@router.get("/schedules", operation_id="runs.schedules", response_model=Items[ScheduleAnswer])
def list_schedules(platform: On, actor: Who, project: Project = IN) -> object:
    """List the runs that are repeated."""
    return items(platform.runs.schedules(actor, project=project))


@router.delete("/schedules/{schedule_id}", operation_id="runs.unschedule", status_code=204)
def unschedule(platform: On, actor: Who, schedule_id: str, project: Project = IN) -> None:
    """Remove a schedule."""
    platform.runs.unschedule(actor, schedule_id, project=project)


@router.post("/{run_id}/schedule", operation_id="runs.schedule", response_model=ScheduleAnswer, status_code=201)
def schedule_run(platform: On, actor: Who, run_id: str, body: ScheduleBody) -> object:
    """Repeat a run again and again."""
    return platform.runs.schedule(actor, run_id, body.cron, timezone=body.timezone)


@router.post(
    "/submit",
    operation_id="runs.submit",
    response_model=RunAnswer,
    status_code=202,
    openapi_extra={"requestBody": {"content": _SUBMISSION, "required": True}},
)
async def submit_run(platform: On, actor: Who, request: Request, project: Project = IN) -> object:
    """Run a command in a folder: one line of JSON, a line end, and the folder as a tar archive packed with gzip.

    With ``like`` there is no folder: it is that of an earlier run.
    """
    again = partial(platform.access.renew, actor)

    def submit(chunks: Iterator[bytes]) -> object:
        body, folder = read_submission(chunks)
        like = body.like and platform.scripts.like(actor, body.like, project=project)
        submission = body.over(like) if like else body.submission()
        return platform.scripts.submit(actor, submission, folder, project=project, again=again)

    return await with_chunks(request, submit)


@router.get("/{run_id}", operation_id="runs.get", response_model=RunAnswer, responses=LIVE)
def get_run(platform: On, actor: Who, request: Request, run_id: str) -> object | Response:
    """Get a run as it is now; with ``Accept: text/event-stream``, follow it until it has ended."""
    if wants_events(request):
        begin = partial(platform.runs.watch, run_id=run_id)
        return stream(platform, request, begin(actor), begin)
    return platform.runs.get(actor, run_id)


@router.get("/{run_id}/logs", operation_id="runs.logs", response_model=LogPageAnswer, responses=LIVE)
def get_logs(
    platform: On, actor: Who, request: Request, run_id: str, after: int = Query(default=0, ge=0)
) -> object | Response:
    """Read the log from a line on; with ``Accept: text/event-stream``, follow it while the run goes on."""
    if wants_events(request):
        begin = partial(platform.runs.watch_log, run_id=run_id)
        return stream(platform, request, begin(actor), begin, after=last_line(request, after))
    return platform.runs.logs(actor, run_id, after=after)


@router.get("/{run_id}/metrics", operation_id="runs.metrics", response_model=MetricsAnswer)
def get_metrics(platform: On, actor: Who, run_id: str, query: Annotated[MetricsQuery, Query()]) -> object:
    """Get what the run measured: all curves or those that are named, whole or thinned."""
    points = sorted(platform.runs.metrics(actor, run_id, query.key, query.window()), key=lambda point: point.key)
    curves = groupby(points, key=lambda point: point.key)
    return {"metrics": [{"key": key, "points": list(curve)} for key, curve in curves]}


@router.post("/{run_id}/cancel", operation_id="runs.cancel", response_model=RunAnswer)
def cancel_run(platform: On, actor: Who, run_id: str) -> object:
    """Ask a run to stop."""
    return platform.runs.cancel(actor, run_id)


@router.post("/{run_id}/retry", operation_id="runs.retry", response_model=RunAnswer, status_code=202)
def retry_run(platform: On, actor: Who, run_id: str) -> object:
    """Submit an ended run again."""
    return platform.runs.retry(actor, run_id)


@router.post("", operation_id="runs.create", response_model=RunAnswer, status_code=201)
def create_run(platform: On, actor: Who, body: CreateBody, project: Project = IN) -> object:
    """Note a run whose work is done elsewhere."""
    names = {"name": body.name, "experiment": body.experiment}
    tags = {**{key: value for key, value in names.items() if value}, **body.tags}
    return platform.runs.create(
        actor, project=project, run_id=body.run_id, params=body.params, tags=tags, started_at=body.started_at
    )


@router.post(
    "/{run_id}/track",
    operation_id="runs.track",
    response_model=ReceiptAnswer,
    openapi_extra={"requestBody": {"content": {"application/json": {"schema": BATCH_SCHEMA}}, "required": True}},
)
async def track_run(platform: On, actor: Who, request: Request, run_id: str) -> Response:
    """Keep a batch of points, params and tags; one that was kept before changes nothing."""
    body = await request.body()
    receipt = await run_in_threadpool(lambda: platform.runs.track(actor, run_id, decode(body)))
    return Response(msgspec.json.encode(receipt), media_type="application/json")  # the busiest route: no models


@router.post("/{run_id}/end", operation_id="runs.end", status_code=204)
def end_run(platform: On, actor: Who, run_id: str, body: EndBody) -> None:
    """End a run whose work is done elsewhere."""
    platform.runs.end(actor, run_id, body.state, body.message, ended_at=body.ended_at)


@router.get("/{run_id}/tracked", operation_id="runs.tracked", response_model=TrackedAnswer)
def get_tracked(platform: On, actor: Who, run_id: str) -> object:
    """Get params, tags and the curves of a run in short."""
    return platform.runs.tracked(actor, run_id)


@router.get("/{run_id}/artifacts", operation_id="runs.artifacts", response_model=Items[ArtifactAnswer])
def list_artifacts(platform: On, actor: Who, run_id: str) -> object:
    """List the files that a run has left."""
    return items(platform.runs.artifacts(actor, run_id))


@router.put(
    "/{run_id}/artifacts/{path:path}",
    operation_id="runs.put_artifact",
    response_model=ArtifactAnswer,
    status_code=201,
    openapi_extra={"requestBody": {"content": _FILE, "required": True}},
)
async def put_artifact(platform: On, actor: Who, request: Request, run_id: str, path: str) -> object:
    """Keep a file with a run, sent as the raw body; one of the same path is replaced."""
    again = partial(platform.access.renew, actor)
    return await with_chunks(
        request, lambda chunks: platform.runs.put_artifact(actor, run_id, path, chunks, again=again)
    )


@router.get(
    "/{run_id}/artifacts/{path:path}",
    operation_id="runs.download",
    response_class=StreamingResponse,
    responses={200: {"content": _FILE}},
)
def download_artifact(platform: On, actor: Who, run_id: str, path: str) -> Response:
    """Download a file that a run has left."""
    artifact, file = platform.runs.download(actor, run_id, path)
    return FileAnswer(file, name=artifact.path.rpartition("/")[2], size_bytes=artifact.size_bytes)
