"""``/v1/launch``: what the launcher of a run asks for, with the token of the run. Nobody else has a use for it."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import BinaryIO

from fastapi import APIRouter, Request
from starlette.responses import Response, StreamingResponse

from lepton.server.bodies.models import VersionAnswer
from lepton.server.bodies.submissions import AssignmentAnswer, FailureBody, ProgressBody
from lepton.server.upload import with_chunks
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


@router.post("/{run_id}/progress", operation_id="launch.progress", status_code=204)
def tell_progress(platform: On, actor: Who, run_id: str, body: ProgressBody) -> None:
    """Tell how far the run is."""
    platform.scripts.progress(actor, run_id, body.fraction, body.message)


@router.post("/{run_id}/failure", operation_id="launch.failure", status_code=204)
def give_up(platform: On, actor: Who, run_id: str, body: FailureBody) -> None:
    """Tell why the run cannot succeed, which ends it."""
    platform.scripts.give_up(actor, run_id, body.message)


@router.post("/{run_id}/model", operation_id="launch.model", response_model=VersionAnswer, status_code=201)
async def keep_model(platform: On, actor: Who, request: Request, run_id: str) -> object:
    """Keep what a training run has made: a zip archive of a graph and what is to be said of it."""
    again = partial(platform.access.renew, actor)
    return await with_chunks(request, lambda chunks: platform.deliveries.keep(actor, run_id, chunks, again=again))


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    with file:
        while piece := file.read(_PIECE):
            yield piece
