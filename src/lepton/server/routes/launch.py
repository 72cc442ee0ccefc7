"""``/v1/launch``: what the launcher of a run asks for, with the token of the run. Nobody else has a use for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import BinaryIO

from fastapi import APIRouter
from starlette.responses import Response, StreamingResponse

from lepton.server.bodies.submissions import AssignmentAnswer
from lepton.server.wire import On, Who

router = APIRouter(prefix="/v1/launch", include_in_schema=False)
_PIECE = 1 << 18


@router.get("/{run_id}", operation_id="launch.get", response_model=AssignmentAnswer)
def get_assignment(platform: On, actor: Who, run_id: str) -> object:
    """Get what is to be started."""
    return AssignmentAnswer.of(platform.scripts.assignment(actor, run_id))


@router.get("/{run_id}/bundle", operation_id="launch.bundle")
def get_bundle(platform: On, actor: Who, run_id: str) -> Response:
    """Get the folder in which it is started."""
    return StreamingResponse(_pieces(platform.scripts.bundle(actor, run_id)), media_type="application/gzip")


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    with file:
        while piece := file.read(_PIECE):
            yield piece
