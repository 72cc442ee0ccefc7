"""Which protocol a request speaks, by its address: Lepton's own, or MLflow's.

MLflow's has addresses and a shape of errors of its own; all else (identity, limits, guard, audit) is as everywhere.
"""

from __future__ import annotations

import re
from urllib.parse import quote

from starlette.responses import JSONResponse
from starlette.types import Scope

from lepton.core.errors import LeptonError

MLFLOW, MLFLOW_FILES = "/api/2.0/mlflow", "/api/2.0/mlflow-artifacts/artifacts"
_ADDRESS = re.compile(r"(?:/projects/(?P<project>[^/]+))?(?P<path>/api/[0-9]\.[0-9]/mlflow(?:-artifacts)?(?:/.*)?)")
_CODES = {
    "invalid_input": "INVALID_PARAMETER_VALUE",
    "unauthenticated": "UNAUTHENTICATED",
    "forbidden": "PERMISSION_DENIED",
    "not_found": "RESOURCE_DOES_NOT_EXIST",
    "conflict": "RESOURCE_CONFLICT",
    "too_large": "INVALID_PARAMETER_VALUE",
    "too_many_requests": "REQUEST_LIMIT_EXCEEDED",
    "unavailable": "TEMPORARILY_UNAVAILABLE",
}
_TAKEN = {f"{MLFLOW}/{what}" for what in ("experiments/create", "experiments/update")} | {
    f"{MLFLOW}/registered-models/{what}" for what in ("create", "rename")
}
"""Where a conflict is a name that is taken, which clients ask for by a code of its own."""


def enter(scope: Scope) -> None:
    """Note that a request speaks MLflow's protocol; ``/projects/NAME`` in front of its address names the project."""
    match = _ADDRESS.fullmatch(scope["path"])
    if match is None:
        return
    scope["lepton.mlflow"] = True
    scope["lepton.project"] = match["project"]
    scope["path"] = match["path"]
    scope["raw_path"] = quote(match["path"]).encode()


def speaks_mlflow(scope: Scope) -> bool:
    """Whether a request speaks MLflow's protocol."""
    return bool(scope.get("lepton.mlflow"))


def mlflow_error(error: LeptonError, scope: Scope, *, status: int, is_address: bool) -> JSONResponse:
    """Render an error as MLflow's client reads it: ``{"error_code", "message"}``.

    Args:
        error: What went wrong.
        scope: Of the request.
        status: Of the answer.
        is_address: Whether it is the address that there is not, rather than what was asked for.
    """
    code = _CODES.get(error.code, "INTERNAL_ERROR")
    if is_address:
        code = "ENDPOINT_NOT_FOUND"
    elif error.code == "conflict" and scope["path"] in _TAKEN:
        code = "RESOURCE_ALREADY_EXISTS"
    return JSONResponse({"error_code": code, "message": error.message}, status_code=status)
