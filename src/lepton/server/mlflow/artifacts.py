"""Files of runs in MLflow's protocol: ``mlflow-artifacts:/RUN/path`` and ``artifacts/list``.

They are kept as they come, encrypted, and given back as they came. Nothing here, or behind it, ever loads one.
"""

from __future__ import annotations

from functools import partial

from fastapi import Request
from starlette.responses import Response

from lepton.core.errors import InvalidInput
from lepton.server.download import FileAnswer
from lepton.server.mlflow.answers import files_of, folder
from lepton.server.mlflow.words import Json, new_router
from lepton.server.protocols import MLFLOW, MLFLOW_FILES
from lepton.server.upload import with_chunks
from lepton.server.wire import On, Who

router = new_router()


@router.get(f"{MLFLOW}/artifacts/list")
def list_artifacts(platform: On, actor: Who, run_id: str = "", run_uuid: str = "", path: str = "") -> Json:
    """List a folder of the files of a run, with paths from the top of the run."""
    run_id = run_id or run_uuid
    prefix = f"{path.strip('/')}/" if path.strip("/") else ""
    return {
        "root_uri": files_of(run_id),
        "files": folder(platform.runs.artifacts(actor, run_id), path, prefix=prefix),
    }


@router.get(MLFLOW_FILES)
def list_folder(platform: On, actor: Who, path: str = "") -> Json:
    """List a folder of the files of a run, with paths from that folder."""
    run_id, inside = _split(path)
    return {"files": folder(platform.runs.artifacts(actor, run_id), inside)}


@router.put(f"{MLFLOW_FILES}/{{path:path}}")
async def put(platform: On, actor: Who, request: Request, path: str) -> Json:
    """Keep a file, sent as the raw body; one of the same path is replaced."""
    run_id, inside = _split(path)
    again = partial(platform.access.renew, actor)
    await with_chunks(request, lambda chunks: platform.runs.put_artifact(actor, run_id, inside, chunks, again=again))
    return {}


@router.get(f"{MLFLOW_FILES}/{{path:path}}")
def download(platform: On, actor: Who, path: str) -> Response:
    """Download a file."""
    run_id, inside = _split(path)
    artifact, file = platform.runs.download(actor, run_id, inside)
    return FileAnswer(file, name=artifact.path.rpartition("/")[2], size_bytes=artifact.size_bytes)


@router.delete(f"{MLFLOW_FILES}/{{path:path}}")
def delete(platform: On, actor: Who, path: str) -> Json:
    """Remove a file, or a folder with all that is in it."""
    run_id, inside = _split(path)
    platform.runs.remove_artifacts(actor, run_id, inside)
    return {}


def _split(path: str) -> tuple[str, str]:
    """Return the run and the path inside of it."""
    run_id, _, inside = path.strip("/").partition("/")
    if not run_id:
        raise InvalidInput("The address names no run. Files are at mlflow-artifacts:/RUN/path.")
    return run_id, inside
