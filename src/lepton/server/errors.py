"""The one shape in which every failure leaves the server, and what of it may be written to the log."""

from __future__ import annotations

import logging
import os
import traceback
from collections.abc import Mapping, Sequence

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import Scope

from lepton.core.errors import Internal, InvalidInput, LeptonError, NotFound, TooLarge
from lepton.server.protocols import mlflow_error, speaks_mlflow

log = logging.getLogger("lepton.server")

_NAMED = {"body", "query", "path", "header"}


def error_response(
    error: LeptonError, scope: Scope, *, status: int | None = None, is_address: bool = False
) -> JSONResponse:
    """Render an error: ``{"error": {"code", "message", "request_id"}}``, or as MLflow's client reads it.

    Args:
        error: What went wrong.
        scope: Of the request.
        status: Of the answer; None is that of the error.
        is_address: Whether it is the address that there is not.
    """
    if speaks_mlflow(scope):
        return mlflow_error(error, scope, status=status or error.status, is_address=is_address)
    body = {"error": {"code": error.code, "message": error.message, "request_id": scope["lepton.request_id"]}}
    return JSONResponse(body, status_code=status or error.status)


def unexpected(error: BaseException, request_id: str, method: str, route: str) -> Internal:
    """Log an error that nobody foresaw, by class and place only: its text may quote somebody's data."""
    log.error("%s %s %s failed unexpectedly: %s", request_id, method, route, places(error))
    return Internal(
        "Something unexpected happened, and nothing was changed. "
        f"The server's log says more under {request_id}; please report it."
    )


def places(error: BaseException) -> str:
    """Write an exception and its causes by class, file, line and function, without any of their texts."""
    parts: list[str] = []
    seen: BaseException | None = error
    while seen is not None and len(parts) < 5:
        frames = traceback.extract_tb(seen.__traceback__)
        ours = [frame for frame in frames[:-1] if f"{os.sep}lepton{os.sep}" in frame.filename]
        trail = " > ".join(f"{_short(f.filename)}:{f.lineno} {f.name}" for f in ours[-8:] + list(frames[-1:]))
        parts.append(f"{type(seen).__module__}.{type(seen).__qualname__} at {trail}")
        seen = seen.__cause__ or seen.__context__
    return " caused by ".join(parts)


def _short(path: str) -> str:
    return os.sep.join(path.split(os.sep)[-3:])


def answer_framework_errors(app: FastAPI) -> None:
    """Let what the framework itself refuses leave in the same shape."""

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        return error_response(InvalidInput(_what_is_wrong(error.errors())), request.scope)

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> JSONResponse:
        response = error_response(
            _refusal(request, error),
            request.scope,
            status=error.status_code,
            is_address=error.status_code in (404, 405),
        )
        if error.headers:
            response.headers.update(error.headers)
        return response


def too_large(limit: int) -> TooLarge:
    """The error for a body over a limit in bytes."""
    return TooLarge(
        f"What was sent is larger than the {limit / (1 << 20):g} MiB allowed here. Send less at once, or ask whoever "
        "runs the platform to raise LEPTON_MAX_UPLOAD_MB for files."
    )


def _refusal(request: Request, error: HTTPException) -> LeptonError:
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "other methods")
        return InvalidInput(
            f"This address does not take {request.method[:10]}; it takes {allowed}. See /v1/openapi.json."
        )
    if error.status_code == 404 and speaks_mlflow(request.scope):
        return NotFound(
            "Lepton has no such part of MLflow's interface: it keeps experiments, runs, their files, and models. Use "
            "MLflow's own server for the rest."
        )
    if error.status_code == 404:
        return NotFound("There is nothing at this address. All addresses are in /v1/openapi.json.")
    if error.status_code == 413:
        return TooLarge(str(error.detail))
    if error.status_code < 500:
        return InvalidInput("The body could not be read. Send well-formed JSON with Content-Type: application/json.")
    return Internal("Something unexpected happened.")


def _what_is_wrong(errors: Sequence[Mapping[str, object]]) -> str:
    """Say where the first mistake is and what was expected, without repeating what was sent."""
    first = errors[0]
    kind = str(first["type"])
    if kind == "json_invalid":
        return "The body is not JSON. Send one JSON object with Content-Type: application/json."
    if kind == "broken_text":
        return (
            "The body holds half of a surrogate pair, such as a lone \\ud800, which is no text. Send whole characters."
        )
    path = first["loc"] if isinstance(first["loc"], tuple) else ()
    place = [str(part) for part in path[:2]]
    where = place[0] if place and place[0] in _NAMED else "request"
    if len(place) < 2:
        return f"The {where} is missing or is no JSON object. Send JSON with Content-Type: application/json."
    what = f"{place[1][:60]!r} in the {where}"
    if kind == "missing":
        return f"{what} is missing. See /v1/openapi.json for what is needed."
    if kind == "extra_forbidden":
        return f"{what} is not known here. See /v1/openapi.json for what is."
    expected = str(first["msg"]).removeprefix("Value error, ")
    # The terminal passes options on as they were typed, so its users see this sentence too: no words of REST.
    return f"{place[1][:60]!r} is wrong: {expected[:1].lower()}{expected[1:200]}."
