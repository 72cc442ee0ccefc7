"""The outermost layer of the server: what holds for every request, whatever it is for.

Request id, Host, identity, limits on bodies, security headers, and one shape for every failure. Plain ASGI, so that
bodies stream through it in both directions.
"""

from __future__ import annotations

import re
import time
from collections.abc import MutableMapping
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lepton.core.errors import LeptonError
from lepton.core.ids import new_id
from lepton.platform import Platform
from lepton.server.bodies.submissions import MAX_SUBMISSION_BYTES
from lepton.server.errors import error_response, log, places, too_large, unexpected
from lepton.server.identity import Hosts, identify, needs_identity
from lepton.server.protocols import MLFLOW_FILES, enter, speaks_mlflow

UPLOAD = re.compile(rf"/v1/datasets/import|/v1/runs/[^/]+/artifacts/.+|{re.escape(MLFLOW_FILES)}/.+")
"""Where whole files are sent."""
SUBMIT_PATH = "/v1/runs/submit"
_POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,  # Mantine writes inline styles; nothing else is let in
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",  # a sign-in link carries its code in the address
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Edge:
    """Wraps the app."""

    def __init__(self, app: ASGIApp, platform: Platform) -> None:
        self._app = app
        self._platform = platform
        self._hosts = Hosts(platform.settings.host)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = scope["lepton.request_id"] = new_id()
        enter(scope)
        answer = _Answer(send, request_id, private=scope["path"].startswith("/v1") or speaks_mlflow(scope))
        try:
            receive = await self._admit(scope, receive)
            await self._app(scope, receive, answer.send)
        except LeptonError as error:
            await answer.fail(error, scope, receive)
        except Exception as error:  # noqa: BLE001 - the edge: nothing unforeseen leaves as it is
            if answer.started:
                log.error("%s broke off after its answer had begun: %s", request_id, places(error))
                return
            route = getattr(scope.get("route"), "path", "an unknown address")
            await answer.fail(unexpected(error, request_id, scope["method"], route), scope, receive)

    async def _admit(self, scope: Scope, receive: Receive) -> Receive:
        headers, method, path = Headers(scope=scope), scope["method"], scope["path"]
        self._hosts.check(headers.get("host", ""))
        if needs_identity(method, path) or speaks_mlflow(scope):
            scope["lepton.actor"] = await run_in_threadpool(identify, self._platform.access, method, headers)
            scope["lepton.identified_at"] = time.monotonic()
        settings = self._platform.settings
        limit = settings.max_body_bytes
        if UPLOAD.fullmatch(path):
            limit = settings.max_upload_bytes
        elif path == SUBMIT_PATH:
            limit = settings.max_bundle_bytes + MAX_SUBMISSION_BYTES
        announced = headers.get("content-length", "0")
        if announced.isdecimal() and int(announced) > limit:
            raise too_large(limit)
        return _limited(receive, limit)


class _Answer:
    """Sends a response with the headers that every one has."""

    def __init__(self, send: Send, request_id: str, *, private: bool) -> None:
        self._send = send
        self._headers = {**_HEADERS, "X-Request-Id": request_id}
        if private:
            self._headers["Cache-Control"] = "no-store"
        self.started = False
        self._request_id = request_id

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            headers = MutableHeaders(scope=message)
            for name, value in self._headers.items():
                headers.setdefault(name, value)
        await self._send(message)

    async def fail(self, error: LeptonError, scope: Scope, receive: Receive) -> None:
        if self.started:
            log.error("%s broke off after its answer had begun: %s", self._request_id, error.code)
            return
        await error_response(error, scope)(scope, receive, self.send)


def _limited(receive: Receive, limit: int) -> Receive:
    """Count the bytes of a body as they come, whatever its headers announced."""
    received = 0

    async def counting() -> MutableMapping[str, Any]:
        nonlocal received
        message = await receive()
        if message["type"] == "http.request":
            received += len(message.get("body", b""))
            if received > limit:
                # The framework lets its own exceptions pass while it reads a body, and wraps all others.
                raise HTTPException(413, too_large(limit).message)
        return message

    return counting
