"""What a worker answers over HTTP: which address is which, who may, which protocol; every error in one shape.

Runs on ``wire.py`` and gives everything slow or difficult away: rows to ``records.py`` and its sisters, predictions to
``batcher.py``.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from itertools import count
from time import perf_counter
from urllib.parse import unquote_to_bytes

import orjson

from lepton.core.errors import Internal, InvalidInput, LeptonError, NotFound, TooManyRequests, Unavailable
from lepton.endpoints.replica import arrow, openapi
from lepton.endpoints.replica.exchange import Request
from lepton.endpoints.replica.inputs import Inputs
from lepton.endpoints.replica.outputs import Outputs
from lepton.endpoints.replica.served import Call, Served
from lepton.endpoints.replica.traffic import Traffic

log = logging.getLogger("lepton.replica.app")

JSON = b"application/json"
BINARY = b"application/octet-stream"
_CODES = {400: "invalid_input", 408: "invalid_input", 413: "too_large", 429: "too_many_requests", 503: "unavailable"}

Handler = Callable[[Traffic, Served, Request], None]


@dataclass(slots=True)
class _Answer:
    """How one answer is written.

    Attributes:
        started: When its request was complete, by `perf_counter`.
        encode: Makes the body; of the Open Inference Protocol its parts, and the length of the JSON if bytes follow.
        kind: Content type, where the body does not decide it.
    """

    started: float
    encode: Callable[[Outputs, int, int], bytes | tuple[list[bytes], int | None]]
    kind: bytes


class App:
    """Answers for the endpoints of one worker.

    Args:
        endpoints: What is served here.
        metrics: Writes the metrics of this replica for Prometheus.
    """

    def __init__(self, endpoints: Sequence[Traffic], metrics: Callable[[], bytes] = lambda: b"") -> None:
        self._endpoints = endpoints
        self._ids = count(1)
        self._id_prefix = secrets.token_hex(6).upper()
        self._metrics = metrics
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
        routes: dict[str, dict[bytes, Handler]] = {
            f"/predict/{name}": {b"POST": self._predict},
            f"/predict/{name}/invocations": {b"POST": self._invoke},
            f"/predict/{name}/openapi.json": {b"GET": self._openapi},
            "/v2": {b"GET": self._server_metadata},
        }
        if len(self._endpoints) == 1:  # MLflow's clients know one model for each address
            routes |= {"/invocations": {b"POST": self._invoke}, "/version": {b"GET": self._version}}
        for path, handlers in routes.items():
            self._routes.setdefault(path.encode(), (traffic, None, handlers))
        bases = {f"/versions/{served.version}": served for served in traffic.deployments}
        for suffix, chosen in ({"": None} | bases).items():
            base = f"/v2/models/{name}{suffix}"
            self._routes[base.encode()] = (traffic, chosen, {b"GET": self._model_metadata})
            self._routes[f"{base}/ready".encode()] = (traffic, chosen, {b"GET": self._model_ready})
            self._routes[f"{base}/infer".encode()] = (traffic, chosen, {b"POST": self._infer})

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
            self._refuse(request, traffic.main, refusal)
        elif found is None:
            self._refuse(request, traffic.main, self._nothing_here())
        elif request.method not in found[2]:
            allowed = b", ".join(found[2])
            refusal = InvalidInput(f"This address takes {allowed.decode()} only.")
            self._refuse(request, traffic.main, refusal, status=405, extra=b"Allow: " + allowed + b"\r\n")

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
        try:
            handlers[request.method](traffic, served, request)
        except LeptonError as error:
            self._refuse(request, served, error)
        except Exception as error:  # noqa: BLE001 - an edge: the text of a foreign error may quote the request
            log.error("a request failed unexpectedly with %s", type(error).__name__)
            self._refuse(request, served, Internal("Something unexpected happened while answering."))

    def refuse(self, status: int, sentence: str) -> tuple[bytes, bytes]:
        """Say in the one shape of errors what the protocol itself refuses."""
        code = _CODES.get(status, "invalid_input" if status < 500 else "internal")
        identity = self._identity()
        return _failure(code, sentence, identity), _extra(identity)

    # The addresses

    def _predict(self, traffic: Traffic, served: Served, request: Request) -> None:
        started = perf_counter()
        kind = request.headers.get(b"content-type", b"")
        if kind.startswith(arrow.MEDIA_TYPE):
            inputs = served.arrow.decode(request.body)
            encode: Callable[[Outputs, int, int], bytes] = served.arrow.encode
            kind = arrow.MEDIA_TYPE
        else:
            inputs = served.records.decode(request.body)
            encode, kind = served.records.encode, JSON
        self._submit(traffic, served, request, inputs, _Answer(started, encode, kind))

    def _invoke(self, traffic: Traffic, served: Served, request: Request) -> None:
        started = perf_counter()
        inputs = served.invocations.decode(request.body, request.headers.get(b"content-type", b""))
        self._submit(traffic, served, request, inputs, _Answer(started, served.invocations.encode, JSON))

    def _infer(self, traffic: Traffic, served: Served, request: Request) -> None:
        started = perf_counter()
        question = served.oip.decode(request.body, _json_bytes(request))
        self._submit(
            traffic, served, request, question.inputs, _Answer(started, partial(served.oip.encode, question), JSON)
        )

    def _submit(self, traffic: Traffic, served: Served, request: Request, inputs: Inputs, how: _Answer) -> None:
        def answer(outputs: Outputs, start: int, stop: int) -> None:
            body = how.encode(outputs, start, stop)
            if isinstance(body, tuple):
                parts, json_bytes = body
                if json_bytes is None:
                    request.respond(200, parts[0], JSON)
                else:
                    request.respond(200, parts, BINARY, b"Inference-Header-Content-Length: %d\r\n" % json_bytes)
            else:
                request.respond(200, body, how.kind)
            seconds = perf_counter() - how.started
            served.counts.answered(200, seconds)
            served.observed(inputs, outputs, start, seconds)
            traffic.mirror(inputs, outputs, start, stop)

        refuse = partial(self._refuse, request, served)
        served.batcher.submit(Call(inputs, answer, refuse, timeout_s=_timeout_s(request)))

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

    def _refuse(
        self, request: Request, served: Served, error: LeptonError, *, status: int | None = None, extra: bytes = b""
    ) -> None:
        identity = self._identity()
        status = status or error.status
        extra += _extra(identity)
        if status == 401:
            extra += b"WWW-Authenticate: Bearer\r\n"
        elif isinstance(error, TooManyRequests | Unavailable):
            extra += b"Retry-After: %d\r\n" % getattr(error, "retry_after_s", 1)
        if request.path.startswith(b"/v2"):  # the Open Inference Protocol says that "error" is the sentence
            body = orjson.dumps({"error": error.message, "code": error.code, "request_id": identity})
        else:
            body = _failure(error.code, error.message, identity)
        request.respond(status, body, JSON, extra)
        served.counts.answered(status, 0.0)

    def _nothing_here(self) -> NotFound:
        names = [traffic.endpoint for traffic in self._endpoints]
        return NotFound(
            f"There is nothing at this address; endpoint{'' if len(names) == 1 else 's'} {', '.join(map(repr, names))} "
            f"can be asked here: POST /predict/{names[0]} or POST /v2/models/{names[0]}/infer."
        )

    def _identity(self) -> str:
        return f"{self._id_prefix}{next(self._ids):012X}"


def _extra(identity: str) -> bytes:
    return b"X-Request-Id: " + identity.encode() + b"\r\n"


def _failure(code: str, message: str, identity: str) -> bytes:
    return orjson.dumps({"error": {"code": code, "message": message, "request_id": identity}})


def _json_bytes(request: Request) -> int | None:
    text = request.headers.get(b"inference-header-content-length")
    if text is None:
        return None
    if not text.isdigit() or len(text) > 12:
        raise InvalidInput("The header Inference-Header-Content-Length must be a number of bytes.")
    return int(text)


def _timeout_s(request: Request) -> float | None:
    text = request.headers.get(b"x-request-timeout-ms")
    if text is None:
        return None
    if not text.isdigit() or not 0 < int(text[:9]) <= 3_600_000:
        raise InvalidInput("The header X-Request-Timeout-Ms must be a number from 1 to 3600000.")
    return int(text) / 1000
