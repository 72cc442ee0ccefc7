"""``/v1/metrics``, for Prometheus."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from lepton.server.wire import IN, On, Project, Who

router = APIRouter(prefix="/v1/metrics")

TEXT_FORMAT = "text/plain; version=0.0.4; charset=utf-8"


@router.get("", operation_id="metrics.get", response_class=Response, responses={200: {"content": {"text/plain": {}}}})
def get_metrics(platform: On, actor: Who, project: Project = IN) -> Response:
    """Get the counts of all endpoints of a project in the text format of Prometheus."""
    return Response(platform.endpoints.exposition(actor, project=project), media_type=TEXT_FORMAT)
