"""What a worker answers over HTTP: which address is which, who may, which protocol; every error in one shape.

Runs on ``wire.py`` and gives everything slow or difficult away: rows to ``records.py`` and its sisters, predictions to
``batcher.py``.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from importlib.metadata import version
from itertools import count
from math import inf
from time import monotonic, perf_counter
from typing import TYPE_CHECKING, cast
from urllib.parse import unquote_to_bytes

import orjson

from lepton.core.errors import Internal, InvalidInput, LeptonError, NotFound, TooManyRequests, Unavailable
from lepton.endpoints.replica import arrow, openapi
from lepton.endpoints.replica.batcher import Job
from lepton.endpoints.replica.exchange import Request
from lepton.endpoints.replica.inputs import Inputs
from lepton.endpoints.replica.outputs import Outputs
from lepton.endpoints.replica.served import Served
from lepton.endpoints.replica.traffic import Traffic

if TYPE_CHECKING:
    from lepton.endpoints.replica.tracing import Trace, Tracing
    from lepton.endpoints.replica.upstream import Upstream

log = logging.getLogger("lepton.replica.app")

JSON = b"application/json"
BINARY = b"application/octet-stream"
_JOINED = 16 << 10
"""Answers of bytes up to this size are joined: in one piece they go the shorter way."""
_CODES = {400: "invalid_input", 408: "invalid_input", 413: "too_large", 429: "too_many_requests", 503: "unavailable"}

Handler = Callable[[Traffic, Served, Request], Job | None]
"""Answers at once, or returns what is to be predicted."""


Encode = Callable[[Outputs, int, int], bytes | tuple[list[bytes], int | None]]
"""Writes an answer; of the Open Inference Protocol its parts, and the length of the JSON if bytes follow it."""


class _Asked:
    """One request that waits for its prediction; one object, as this is on the road of every request.

    Attributes:
        inputs: Its rows.
        deadline: When nobody waits for it any more, by `time.monotonic`.
    """

    __slots__ = ("_app", "_encode", "_kind", "_request", "_served", "_started", "_traffic", "deadline", "inputs")

    def __init__(
        self, app: App, of: tuple[Traffic, Served], request: Request, inputs: Inputs, encode: Encode, kind: bytes,
        started: float,
    ) -> None:  # fmt: skip
        self._app = app
        self._traffic, self._served = of
        self._request = request
        self._encode = encode
        self._kind = kind
        self._started = started
        self.inputs = inputs
        self.deadline = _deadline(request) if b"x-request-timeout-ms" in request.headers else inf

    def done(self, outputs: Outputs, start: int, stop: int) -> None:
        """Answer with a batch's outputs, of which some rows are this request's."""
        body = self._encode(outputs, start, stop)
        if isinstance(body, bytes):
            self._request.respond(200, body, self._kind)
        else:
            parts, json_bytes = body
            if json_bytes is None:
                self._request.respond(200, parts[0], JSON)
            else:
                whole = b"".join(parts) if sum(map(len, parts)) <= _JOINED else parts
                self._request.respond(200, whole, BINARY, b"Inference-Header-Content-Length: %d\r\n" % json_bytes)
        served, seconds = self._served, perf_counter() - self._started
        served.counts.answered(200, seconds)
        if served.is_observed:
            served.observed(self.inputs, outputs, start, seconds)
        if self._traffic.has_shadows:
            self._traffic.mirror(self.inputs, outputs, start, stop)

    def fail(self, error: LeptonError) -> None:
        """Answer with the reason why there is no prediction."""
        self._app.refused(self._request, self._served, error)


class App:
    """Answers for the endpoints of one worker.

    Args:
        endpoints: What is served here.
        tracing: Traces some of the requests; None: none.
    """

    def __init__(self, endpoints: Sequence[Traffic], tracing: Tracing | None = None) -> None:
        self._endpoints = endpoints
        self._tracing = tracing
        self._ids = count(1)
        self._id_prefix = secrets.token_hex(6).upper()
        self._open: Mapping[bytes, bytes] = {
            b"/v2/health/live": b'{"live":true}',
            b"/v2/health/ready": b'{"ready":true}',
            b"/ping": b"{}",
            b"/health": b"{}",
        }
        """What anybody may ask: whether this worker is well."""
        self._routes: dict[bytes, tuple[Traffic, Served | None, dict[bytes, Handler]]] = {}
        """By path: the endpoint, the deployment if the path names one, and what each method does."""
        for traffic in endpoints:
            self._add(traffic)

    def _add(self, traffic: Traffic) -> None:
        name = traffic.endpoint
        if not traffic.main.signature.inputs:
            self._add_upstream(traffic)
            return
        routes: dict[str, dict[bytes, Handler]] = {
            f"/predict/{name}": {b"POST": self._predict},
            f"/predict/{name}/invocations": {b"POST": self._invoke},
            f"/predict/{name}/openapi.json": {b"GET": self._openapi},
            "/v2": {b"GET": self._server_metadata},
        }
        if traffic is self._endpoints[0]:  # MLflow's clients know one model for each address
            routes |= {"/invocations": {b"POST": self._invoke}, "/version": {b"GET": self._version}}
        for path, handlers in routes.items():
            self._routes.setdefault(path.encode(), (traffic, None, handlers))
        bases = {f"/versions/{served.version}": served for served in traffic.deployments}
        for suffix, chosen in ({"": None} | bases).items():
            base = f"/v2/models/{name}{suffix}"
            self._routes[base.encode()] = (traffic, chosen, {b"GET": self._model_metadata})
            self._routes[f"{base}/ready".encode()] = (traffic, chosen, {b"GET": self._model_ready})
            self._routes[f"{base}/infer".encode()] = (traffic, chosen, {b"POST": self._infer})

    def _add_upstream(self, traffic: Traffic) -> None:
        from lepton.endpoints.replica.upstream import PATHS

        for path, method in PATHS.items():
            self._routes[path.encode()] = (traffic, None, {method: self._pass_on})

    # What wire.py calls

    def admit(self, request: Request) -> None:
        """Refuse who may not ask, before the body is read."""
        path = request.path
        if path in self._open:
            return
        found = self._routes.get(path) or self._routes.get(unquote_to_bytes(path))
        traffic = self._endpoints[0] if found is None else found[0]
        refusal = traffic.tokens.refusal(request.headers.get(b"authorization"))
        if refusal is not None:
            self.refused(request, traffic.main, refusal)
        elif found is None:
            self.refused(request, traffic.main, self._nothing_here())
        elif request.method not in found[2]:
            allowed = b", ".join(found[2])
            refusal = InvalidInput(f"This address takes {allowed.decode()} only.")
            self.refused(request, traffic.main, refusal, status=405, extra=b"Allow: " + allowed + b"\r\n")
        elif traffic.gate is not None and request.method == b"POST":
            refusal = traffic.limited(request.headers.get(b"authorization"))
            if refusal is not None:
                self.refused(request, traffic.main, refusal)

    def answer(self, request: Request) -> None:
        """Answer a complete request that was admitted."""
        path = request.path
        route = self._routes.get(path)
        if route is None:
            if path in self._open:
                request.respond(200, self._open[path], JSON)
                return
            route = self._routes[unquote_to_bytes(path)]
        traffic, served, handlers = route
        if served is None:
            served = traffic.choose()
        tracing = self._tracing
        trace = None if tracing is None else tracing.begin(request.headers, request.method, path)
        try:
            if trace is not None and not served.signature.inputs:
                self._pass_on(traffic, served, request, trace)
                return
            job = handlers[request.method](traffic, served, request)
            if job is not None:
                traffic.submit(served, job if trace is None else trace.follow(job, (served.endpoint, served.model)))
            return
        except LeptonError as error:
            refusal = error
        except Exception as error:  # noqa: BLE001 - an edge: the text of a foreign error may quote the request
            log.error("a request failed unexpectedly with %s", type(error).__name__)
            refusal = Internal("Something unexpected happened while answering.")
        self.refused(request, served, refusal)
        if trace is not None:
            trace.answered((served.endpoint, served.model), refusal.status, refusal.code)

    def refuse(self, path: bytes, status: int, sentence: str) -> tuple[bytes, bytes]:
        """Say in the shape of errors what the protocol itself refuses."""
        code = _CODES.get(status, "invalid_input" if status < 500 else "internal")
        identity = self._identity()
        return _failure(path, code, sentence, identity), _extra(identity)

    # The addresses

    def _predict(self, traffic: Traffic, served: Served, request: Request) -> Job:
        started = perf_counter()
        kind = request.headers.get(b"content-type", JSON)
        if kind != JSON and kind.lower().startswith(arrow.MEDIA_TYPE):
            inputs = served.arrow.decode(request.body)
            return _Asked(self, (traffic, served), request, inputs, served.arrow.encode, arrow.MEDIA_TYPE, started)
        inputs = served.records.decode(request.body)
        return _Asked(self, (traffic, served), request, inputs, served.records.encode, JSON, started)

    def _invoke(self, traffic: Traffic, served: Served, request: Request) -> Job:
        started = perf_counter()
        inputs = served.invocations.decode(request.body, request.headers.get(b"content-type", b""))
        encode = served.invocations.encode
        return _Asked(self, (traffic, served), request, inputs, encode, JSON, started)

    def _infer(self, traffic: Traffic, served: Served, request: Request) -> Job:
        started = perf_counter()
        question = served.oip.decode(request.body, _json_bytes(request))
        encode = partial(served.oip.encode, question)
        return _Asked(self, (traffic, served), request, question.inputs, encode, JSON, started)

    def _pass_on(self, _traffic: Traffic, served: Served, request: Request, trace: Trace | None = None) -> None:
        started = perf_counter()
        of = (served.endpoint, served.model)

        def answered(status: int) -> None:
            served.counts.answered(status, perf_counter() - started)
            if trace is not None:
                trace.answered(of, status)

        def refuse(error: LeptonError) -> None:
            self.refused(request, served, error)
            if trace is not None:
                trace.answered(of, error.status, error.code)

        upstream = cast("Upstream", served.runtime)
        upstream.pass_on(request, timeout_s=_timeout_s(request), answered=answered, refuse=refuse)

    def _model_metadata(self, _traffic: Traffic, served: Served, request: Request) -> None:
        request.respond(200, orjson.dumps(served.oip.metadata()), JSON)

    def _model_ready(self, _traffic: Traffic, served: Served, request: Request) -> None:
        request.respond(200, orjson.dumps({"name": served.endpoint, "ready": True}), JSON)

    def _server_metadata(self, _traffic: Traffic, _served: Served, request: Request) -> None:
        found = {"name": "lepton", "version": version("lepton-platform"), "extensions": ["binary_tensor_data"]}
        request.respond(200, orjson.dumps(found), JSON)

    def _openapi(self, _traffic: Traffic, served: Served, request: Request) -> None:
        found = openapi.document(served.signature, endpoint=served.endpoint, model=served.model)
        request.respond(200, orjson.dumps(found), JSON)

    def _version(self, _traffic: Traffic, _served: Served, request: Request) -> None:
        request.respond(200, version("lepton-platform").encode(), b"text/plain")

    # Errors

    def refused(
        self, request: Request, served: Served, error: LeptonError, *, status: int | None = None, extra: bytes = b""
    ) -> None:
        """Answer a request with an error, in the shape of the protocol it came by."""
        identity = self._identity()
        status = status or error.status
        extra += _extra(identity)
        if status == 401:
            extra += b"WWW-Authenticate: Bearer\r\n"
        elif isinstance(error, TooManyRequests | Unavailable):
            extra += b"Retry-After: %d\r\n" % getattr(error, "retry_after_s", 1)
        body = _failure(request.path, error.code, error.message, identity)
        request.respond(status, body, JSON, extra)
        served.counts.answered(status, 0.0)

    def _nothing_here(self) -> NotFound:
        names = [traffic.endpoint for traffic in self._endpoints]
        if not self._endpoints[0].main.signature.inputs:
            return NotFound(
                f"There is nothing at this address; endpoint {names[0]!r} speaks the OpenAI API, under /v1."
            )
        return NotFound(
            f"There is nothing at this address; endpoint{'' if len(names) == 1 else 's'} {', '.join(map(repr, names))} "
            f"can be asked here: POST /predict/{names[0]} or POST /v2/models/{names[0]}/infer."
        )

    def _identity(self) -> str:
        return f"{self._id_prefix}{next(self._ids):012X}"


def _extra(identity: str) -> bytes:
    return b"X-Request-Id: " + identity.encode() + b"\r\n"


def _failure(path: bytes, code: str, message: str, identity: str) -> bytes:
    if path.startswith(b"/v2"):  # the Open Inference Protocol says that "error" is the sentence
        return orjson.dumps({"error": message, "code": code, "request_id": identity})
    return orjson.dumps({"error": {"code": code, "message": message, "request_id": identity}})


def _json_bytes(request: Request) -> int | None:
    text = request.headers.get(b"inference-header-content-length")
    if text is None:
        return None
    if not text.isdigit() or len(text) > 12:
        raise InvalidInput("The header Inference-Header-Content-Length must be a number of bytes.")
    return int(text)


def _deadline(request: Request) -> float:
    timeout_s = _timeout_s(request)
    return inf if timeout_s is None else monotonic() + timeout_s


def _timeout_s(request: Request) -> float | None:
    text = request.headers.get(b"x-request-timeout-ms")
    if text is None:
        return None
    if not text.isdigit() or len(text) > 7 or not 0 < int(text) <= 3_600_000:
        raise InvalidInput("The header X-Request-Timeout-Ms must be a number from 1 to 3600000.")
    return int(text) / 1000
