"""``/v1/labels``."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import JsonValue

from lepton.server.wire import IN, Items, On, Project, Who, items

router = APIRouter(prefix="/v1/labels", tags=["labels"])


@router.get("", operation_id="labels.list", response_model=Items[JsonValue])
def list_labels(platform: On, actor: Who, project: Project = IN) -> object:
    """List the label sets of a project."""
    return items(platform.labels.list(actor, project=project))
