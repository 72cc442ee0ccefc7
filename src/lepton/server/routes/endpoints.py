"""``/v1/endpoints``."""

from __future__ import annotations

from functools import partial

from fastapi import APIRouter, Request
from starlette.responses import Response

from lepton.core.refs import parse_ref
from lepton.endpoints.plans import Asked
from lepton.endpoints.records import Beside
from lepton.endpoints.replica.config import Limits, Workers
from lepton.server.bodies.endpoints import (
    DeployBody,
    DetailAnswer,
    EndpointAnswer,
    EndpointMetricsAnswer,
    LoggedRequestAnswer,
)
from lepton.server.events import LIVE, repeat, wants_events
from lepton.server.wire import IN, Items, Limit, Merged, On, Project, RawBody, Who, items

router = APIRouter(prefix="/v1/endpoints", tags=["endpoints"])

_ROWS = {"application/json": {"schema": {"type": "array", "items": {"type": "object"}}}}


@router.get("", operation_id="endpoints.list", response_model=Items[EndpointAnswer])
def list_endpoints(platform: On, actor: Who, project: Project = IN) -> object:
    """List the endpoints of a project by name."""
    return items(platform.endpoints.list(actor, project=project))


@router.post("/deploy", operation_id="endpoints.deploy", response_model=EndpointAnswer, status_code=202)
def deploy_endpoint(platform: On, actor: Who, body: DeployBody, project: Project = IN) -> object:
    """Let a model version answer under a name; an endpoint that exists moves over to it."""
    workers = Workers(body.workers.min, body.workers.max) if body.workers else None
    limits = Limits(**body.limits.model_dump()) if body.limits else None
    beside = Beside.of(body.canary, shadow=body.shadow)
    model = parse_ref(body.model, "model")
    asked = Asked(workers=workers, replicas=body.replicas, limits=limits, shares=body.shares)
    return platform.endpoints.deploy(actor, body.name, model, beside=beside, asked=asked, project=project)


@router.post("/{name}/rollback", operation_id="endpoints.rollback", response_model=EndpointAnswer, status_code=202)
def rollback_endpoint(platform: On, actor: Who, name: str, project: Project = IN) -> object:
    """Drop an endpoint's canary, or, without one, let the version before answer again."""
    return platform.endpoints.rollback(actor, name, project=project)


@router.get("/{name}", operation_id="endpoints.get", response_model=DetailAnswer)
def get_endpoint(platform: On, actor: Who, name: str, project: Project = IN) -> object:
    """Get an endpoint with what it takes."""
    detail = platform.endpoints.get(actor, name, project=project)
    return Merged(detail, detail.endpoint)


@router.get("/{name}/metrics", operation_id="endpoints.metrics", response_model=EndpointMetricsAnswer, responses=LIVE)
def get_metrics(platform: On, actor: Who, request: Request, name: str, project: Project = IN) -> object | Response:
    """Get how an endpoint's deployments do; with ``Accept: text/event-stream``, again every two seconds."""
    if wants_events(request):
        begin = partial(platform.endpoints.watch_metrics, name=name, project=project)
        return repeat(platform, request, begin(actor), begin, name="metrics", answer=EndpointMetricsAnswer)
    return platform.endpoints.metrics(actor, name, project=project)


@router.get("/{name}/logs", operation_id="endpoints.logs", response_model=Items[LoggedRequestAnswer])
def get_logs(platform: On, actor: Who, name: str, limit: Limit = 100, project: Project = IN) -> object:
    """Get a few of the requests that an endpoint has answered, the newest first."""
    return items(platform.endpoints.logs(actor, name, limit=limit, project=project))


@router.post(
    "/{name}/predict",
    operation_id="endpoints.predict",
    response_class=Response,
    openapi_extra={"requestBody": {"content": _ROWS, "required": True}},
)
def predict(platform: On, body: RawBody, actor: Who, name: str, project: Project = IN) -> Response:
    """Predict for rows, each an object of the columns of the signature."""
    # The body stands before the actor: who asks is looked up once more when it came slowly.
    answer = platform.endpoints.predict(actor, name, body, project=project)
    return Response(answer, media_type="application/json")


@router.delete("/{name}", operation_id="endpoints.delete", status_code=204)
def delete_endpoint(platform: On, actor: Who, name: str, project: Project = IN) -> None:
    """Stop an endpoint and forget it; the model stays."""
    platform.endpoints.delete(actor, name, project=project)
