"""A server that speaks the OpenAI API (vLLM, llama.cpp, …) behind an endpoint: requests pass through, answers stream.

Where it is stands in the model version and never in a request; its key stays here, the client's token goes no further.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import httpx2

from lepton.core.errors import Internal, InvalidInput, LeptonError, TooLarge, TooManyRequests, Unavailable
from lepton.endpoints.replica.exchange import Request
from lepton.endpoints.replica.streams import Gone, Stream
from lepton.models.bundle import UPSTREAM, unpack
from lepton.models.prediction import Arrays
from lepton.models.signature import Signature

PATHS: Mapping[str, bytes] = {
    "/v1/chat/completions": b"POST",
    "/v1/completions": b"POST",
    "/v1/embeddings": b"POST",
    "/v1/models": b"GET",
}
"""What passes through, by the method it takes."""
MAX_IN_FLIGHT = 256
SILENCE_S = 120.0
"""How long an upstream may say nothing, if the request sets no deadline."""
MAX_ERROR_BYTES = 64 << 10
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_KINDS = (b"text/event-stream", b"application/json")

_CLIENT_GONE = 499
"""Counted, as other servers do, for a client that did not wait for its answer."""
_GONE = "the client has gone"

Answered = Callable[[int], None]
Refuse = Callable[[LeptonError], None]


class Upstream:
    """The upstream of one deployment; a runtime that predicts no rows.

    Args:
        bundle: The model version: a zip archive with ``openai.json``.
        signature: Of no columns.
        allowed_hosts: Hosts beside this machine's own that may be asked; None takes ``LEPTON_UPSTREAM_HOSTS``.

    Raises:
        InvalidInput: if it names no address, or one that is not allowed.
    """

    max_rows = 1
    off_loop = False

    def __init__(self, bundle: bytes, signature: Signature, *, allowed_hosts: frozenset[str] | None = None) -> None:
        del signature
        hosts = _hosts_of_environment() if allowed_hosts is None else allowed_hosts
        self._base_url, key = read_upstream(unpack(bundle)[UPSTREAM], hosts)
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._http: httpx2.AsyncClient | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def predict(self, inputs: Arrays) -> Arrays:  # noqa: ARG002 - the signature of a runtime
        """Refuse: there are no rows here."""
        raise InvalidInput(f"This endpoint passes on {', '.join(PATHS)} and predicts no rows.")

    def close(self) -> None:
        """Break off what is still being answered."""
        for task in self._tasks:
            task.cancel()
        http, self._http = self._http, None
        if http is not None:
            task = asyncio.get_running_loop().create_task(http.aclose())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def pass_on(self, request: Request, *, timeout_s: float | None, answered: Answered, refuse: Refuse) -> None:
        """Ask the upstream and stream its answer; `answered` or `refuse` is called once, from the loop.

        Raises:
            TooManyRequests: if as many requests as may are being answered.
        """
        if len(self._tasks) >= MAX_IN_FLIGHT:
            raise TooManyRequests(f"{MAX_IN_FLIGHT} requests are being answered here. Try again in a moment.")
        task = asyncio.get_running_loop().create_task(self._answer(request, timeout_s, answered, refuse))
        request.on_lost = partial(task.cancel, _GONE)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _answer(self, request: Request, timeout_s: float | None, answered: Answered, refuse: Refuse) -> None:
        stream: Stream | None = None
        try:
            async with asyncio.timeout(timeout_s), self._asked(request) as response:
                if response.status_code != 200:
                    status, body = await _refusal(response)
                    request.respond(status, body)
                    answered(status)
                    return
                kind = response.headers.get("content-type", "").encode()
                named = next((known for known in _KINDS if kind.startswith(known)), b"application/octet-stream")
                stream = request.stream(200, named)
                if stream is not None:
                    async for piece in response.aiter_raw():
                        await stream.write(piece)
                    await stream.end()
            answered(200)
        except Gone:
            answered(_CLIENT_GONE)
        except asyncio.CancelledError as error:
            if stream is not None:
                stream.abort()
            elif _GONE in error.args:
                request.respond(_CLIENT_GONE, b"")  # for nobody; the connection ends with it
            else:
                refuse(Unavailable("This replica is ending. Try again."))
            if _GONE in error.args:
                answered(_CLIENT_GONE)
            raise
        except Exception as error:  # noqa: BLE001 - an edge: what was begun must not look complete
            if stream is not None:
                stream.abort()
                answered(500)
            else:
                refuse(_sentence(error))

    def _asked(self, request: Request) -> Any:
        if self._http is None:
            self._http = httpx2.AsyncClient(
                timeout=httpx2.Timeout(SILENCE_S, connect=5.0), trust_env=False, follow_redirects=False,
                limits=httpx2.Limits(max_connections=MAX_IN_FLIGHT, max_keepalive_connections=32),
                verify=self._base_url.startswith("https:"),
            )  # fmt: skip
        headers = self._headers | {"Accept-Encoding": "identity"}
        for name in (b"content-type", b"accept", b"traceparent", b"tracestate"):
            if name in request.headers:
                headers[name.decode()] = request.headers[name].decode("latin-1")
        path = request.path.decode().removeprefix("/v1")
        return self._http.stream(
            request.method.decode(), self._base_url + path, headers=headers, content=bytes(request.body)
        )


def read_upstream(text: bytes, allowed_hosts: frozenset[str]) -> tuple[str, str | None]:
    """Return the address and the key of an upstream.

    Args:
        text: A JSON object: ``base_url``, such as ``http://127.0.0.1:8000/v1``, and ``api_key`` if it wants one.
        allowed_hosts: What may be asked beside this machine.

    Raises:
        InvalidInput: if it is not that, or names a host that is not allowed.
    """
    try:
        value = json.loads(text)
        base_url, key = value["base_url"], value.get("api_key")
        parts = urlsplit(base_url)
        host, _ = parts.hostname or "", parts.port
        fits = parts.scheme in ("http", "https") and not (parts.username or parts.password or parts.query)
        fits &= not parts.fragment and base_url.isascii() and base_url.isprintable() and " " not in base_url
        fits &= key is None or (isinstance(key, str) and key.isascii() and key.isprintable() and " " not in key)
    except (ValueError, TypeError, KeyError, AttributeError):
        fits, host, base_url, key = False, "", "", None
    if not fits:
        raise InvalidInput(
            f'{UPSTREAM} must be like {{"base_url": "http://127.0.0.1:8000/v1"}}, with "api_key" if the server has one.'
        )
    if host not in _LOOPBACK | allowed_hosts:
        raise InvalidInput(
            "The upstream is on another machine that is not allowed. Name its host in LEPTON_UPSTREAM_HOSTS."
        )
    return base_url.rstrip("/"), key


async def _refusal(response: httpx2.Response) -> tuple[int, bytes]:
    """Return what the upstream says against a request; what it says against us is not for the client."""
    if response.status_code in (401, 403) or not 400 <= response.status_code < 500:
        raise Unavailable(f"The server behind this endpoint answered with HTTP status {response.status_code}.")
    body = b""
    async for piece in response.aiter_raw():
        body += piece
        if len(body) > MAX_ERROR_BYTES:
            raise TooLarge("The server behind this endpoint refused the request at too great length.")
    return response.status_code, body


def _sentence(error: Exception) -> LeptonError:
    if isinstance(error, LeptonError):
        return error
    if isinstance(error, TimeoutError | httpx2.TimeoutException):
        return Unavailable("The server behind this endpoint did not answer in time. Try again.")
    if isinstance(error, httpx2.HTTPError):
        return Unavailable("The server behind this endpoint cannot be reached. Try again in a moment.")
    return Internal("Something unexpected happened while answering.")


def _hosts_of_environment() -> frozenset[str]:
    return frozenset(host for host in os.environ.get("LEPTON_UPSTREAM_HOSTS", "").split(",") if host)
