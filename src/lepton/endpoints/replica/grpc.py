"""Open Inference Protocol over gRPC: the same endpoints, tokens and batches as over HTTP, on a port of its own.

Runs in the worker's event loop on ``grpc.aio`` with bytes in and out; the messages are in ``messages.py``, what their
tensors mean in ``oip.py``. Needs the package grpcio, which is imported when somebody opens the port.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib.metadata import version
from time import perf_counter
from typing import TYPE_CHECKING, Any

from lepton.core.errors import (
    Forbidden,
    Internal,
    InvalidInput,
    LeptonError,
    NotFound,
    TooLarge,
    TooManyRequests,
    Unauthenticated,
    Unavailable,
)
from lepton.endpoints.replica.messages import SERVICE, classes, read_tensors, write_outputs
from lepton.endpoints.replica.outputs import Outputs
from lepton.endpoints.replica.served import Call, Served
from lepton.endpoints.replica.traffic import Traffic

if TYPE_CHECKING:
    from lepton.endpoints.replica.tracing import Tracing

log = logging.getLogger("lepton.replica.grpc")

_STATUS: Mapping[type[LeptonError], str] = {
    InvalidInput: "INVALID_ARGUMENT",
    Unauthenticated: "UNAUTHENTICATED",
    Forbidden: "PERMISSION_DENIED",
    NotFound: "NOT_FOUND",
    TooLarge: "RESOURCE_EXHAUSTED",
    TooManyRequests: "RESOURCE_EXHAUSTED",
    Unavailable: "UNAVAILABLE",
}
"""Everything else is INTERNAL."""
Handler = Callable[[Any, Any], Awaitable[Any]]


class GrpcServer:
    """An open port for gRPC.

    Attributes:
        port: Where it listens.
    """

    def __init__(self, server: Any, port: int) -> None:
        self._server = server
        self.port = port

    async def drain(self, grace_s: float = 10.0) -> None:
        """Accept nothing more, and end when what is in flight is answered or the time is up."""
        await self._server.stop(grace_s)


async def serve_grpc(
    endpoints: Sequence[Traffic],
    *,
    host: str,
    port: int = 0,
    credentials: tuple[bytes, bytes] | None = None,
    tracing: Tracing | None = None,
    body_bytes: int = 8 << 20,
    calls: int = 4096,
) -> GrpcServer:
    """Answer for endpoints over gRPC, in the running loop. Several processes may share a port.

    Args:
        endpoints: What is served here.
        host: Address to listen on.
        port: 0 for any free one.
        credentials: Private key and certificates of TLS, both PEM; None for plain text.
        tracing: Traces some of the calls that predict; None: none.
        body_bytes: Largest message, compressed or not.
        calls: Most calls at a time; more are refused.

    Raises:
        Unavailable: if grpcio is not installed, or the port cannot be opened.
    """
    try:
        import grpc
    except ImportError:
        raise Unavailable(
            "gRPC is not installed here, so this endpoint answers over HTTP only. Install it with: pip install grpcio"
        ) from None
    options = [
        ("grpc.max_receive_message_length", body_bytes),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_metadata_size", 16 << 10),
        ("grpc.max_connection_idle_ms", 300_000),
    ]
    server = grpc.aio.server(options=options, maximum_concurrent_rpcs=calls)
    handlers = Service(endpoints, tracing).handlers()
    server.add_generic_rpc_handlers(
        (
            grpc.method_handlers_generic_handler(
                SERVICE, {name: grpc.unary_unary_rpc_method_handler(handler) for name, handler in handlers.items()}
            ),
        )
    )
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        if credentials is None:
            bound = server.add_insecure_port(address)
        else:
            bound = server.add_secure_port(address, grpc.ssl_server_credentials([credentials]))
    except RuntimeError:
        raise Unavailable(f"Port {port} cannot be opened for gRPC. Choose another, or 0 for any free one.") from None
    await server.start()
    return GrpcServer(server, bound)


class Service:
    """The methods of ``inference.GRPCInferenceService``; bytes in and out."""

    def __init__(self, endpoints: Sequence[Traffic], tracing: Tracing | None = None) -> None:
        import grpc

        self._endpoints = endpoints
        self._tracing = tracing
        self._by_name = {traffic.endpoint: traffic for traffic in endpoints}
        self._codes = grpc.StatusCode
        self._messages = classes()

    def handlers(self) -> dict[str, Handler]:
        """Return what answers each method."""
        methods: dict[str, Callable[[Any, Any], Any]] = {
            "ServerLive": lambda _request, _context: {"live": True},
            "ServerReady": lambda _request, _context: {"ready": True},
            "ServerMetadata": self._server_metadata,
            "ModelReady": self._model_ready,
            "ModelMetadata": self._model_metadata,
        }
        found: dict[str, Handler] = {name: self._answering(name, method) for name, method in methods.items()}
        return found | {"ModelInfer": self._infer}

    def _answering(self, name: str, method: Callable[[Any, Any], Any]) -> Handler:
        request_class, response_class = self._messages[f"{name}Request"], self._messages[f"{name}Response"]

        async def answer(body: bytes, context: Any) -> bytes:
            try:
                found = response_class(**method(_parsed(request_class, body), context))
            except LeptonError as error:
                return await self._refuse(error, context)
            except Exception as error:  # noqa: BLE001 - an edge: the text of a foreign error may quote the request
                return await self._refuse(_unexpected(error), context)
            serialized: bytes = found.SerializeToString()
            return serialized

        return answer

    def _server_metadata(self, _request: Any, context: Any) -> dict[str, Any]:
        self._check(self._endpoints[0], context)
        return {"name": "lepton", "version": version("lepton-platform")}

    def _model_ready(self, request: Any, context: Any) -> dict[str, Any]:
        self._admitted(request.name, request.version, context)
        return {"ready": True}

    def _model_metadata(self, request: Any, context: Any) -> dict[str, Any]:
        return self._admitted(request.name, request.version, context)[1].oip.metadata()

    async def _infer(self, body: bytes, context: Any) -> bytes:
        started = perf_counter()
        served = self._endpoints[0].main
        tracing = self._tracing
        trace = (
            None if tracing is None else tracing.begin_call(_metadata(context, "traceparent"), SERVICE, "ModelInfer")
        )
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        try:
            request = _parsed(self._messages["ModelInferRequest"], body)
            traffic, served = self._admitted(request.model_name, request.model_version, context)
            if (limited := traffic.limited(_authorization(context))) is not None:
                raise limited
            call = self._call(traffic, served, request, answer, context.time_remaining())
            traffic.submit(served, call if trace is None else trace.follow(call))
            found = await answer
        except Exception as error:  # noqa: BLE001 - as above
            refusal = error if isinstance(error, LeptonError) else _unexpected(error)
            served.counts.answered(refusal.status, 0.0)
            if trace is not None:
                trace.answered(_of(served), refusal.status, refusal.code, rpc=_status(refusal, context))
            return await self._refuse(refusal, context)
        served.counts.answered(200, perf_counter() - started)
        if trace is not None:
            trace.answered(_of(served), 200, rpc="OK")
        return found

    def _call(
        self,
        traffic: Traffic,
        served: Served,
        request: Any,
        answer: asyncio.Future[bytes],
        timeout_s: float | None,
    ) -> Call:
        raw = len(request.raw_input_contents) > 0
        names = []
        for one in request.outputs:
            name = served.oip.wanted(one.name, one.parameters)
            if name in names:
                raise InvalidInput(f"Output {name!r} is asked for twice. Ask for every output once.")
            names.append(name)
        inputs = served.oip.inputs(read_tensors(request))
        identity, started = request.id, perf_counter()

        def done(outputs: Outputs, start: int, stop: int) -> None:
            if answer.done():  # somebody hung up meanwhile
                return
            response = self._messages["ModelInferResponse"](
                model_name=served.endpoint, model_version=served.version, id=identity
            )
            try:
                write_outputs(response, names or served.signature.outputs, (outputs, start, stop), raw=raw)
                answer.set_result(response.SerializeToString())
            except Exception as error:  # noqa: BLE001 - as below, and the others of the batch are not to suffer
                fail(_unexpected(error))
                return
            served.observed(inputs, outputs, start, perf_counter() - started)
            traffic.mirror(inputs, outputs, start, stop)

        def fail(error: LeptonError) -> None:
            if not answer.done():
                answer.set_exception(error)

        return Call(inputs, done, fail, timeout_s=timeout_s)

    def _admitted(self, name: str, version: str, context: Any) -> tuple[Traffic, Served]:
        """Return who is asked and answers, if the caller may."""
        traffic = self._by_name.get(name)
        self._check(traffic or self._endpoints[0], context)
        if traffic is None:
            names = ", ".join(repr(each.endpoint) for each in self._endpoints)
            raise NotFound(f"There is no such model here; {names} can be asked.")
        if not version:
            return traffic, traffic.choose()
        for served in traffic.deployments:
            if served.version == version:
                return traffic, served
        versions = ", ".join(served.version for served in traffic.deployments)
        raise NotFound(f"Endpoint {name!r} has no such version; it has {versions}. Leave it out to get the usual one.")

    def _check(self, traffic: Traffic, context: Any) -> None:
        refusal = traffic.tokens.refusal(_authorization(context))
        if refusal is not None:
            raise refusal

    async def _refuse(self, error: LeptonError, context: Any) -> bytes:
        await context.abort(getattr(self._codes, _status(error, context)), error.message)
        raise AssertionError("unreachable")


def _status(error: LeptonError, context: Any) -> str:
    name = _STATUS.get(type(error), "INTERNAL")
    is_late = name == "RESOURCE_EXHAUSTED" and (context.time_remaining() or 1.0) <= 0
    return "DEADLINE_EXCEEDED" if is_late else name


def _of(served: Served) -> tuple[str, str]:
    return served.endpoint, served.model


def _authorization(context: Any) -> bytes | None:
    return _metadata(context, "authorization")


def _metadata(context: Any, name: str) -> bytes | None:
    header = next((value for key, value in context.invocation_metadata() if key == name), None)
    return header.encode() if isinstance(header, str) else header


def _parsed(message: Any, body: bytes) -> Any:
    from google.protobuf.message import DecodeError

    try:
        return message.FromString(body)
    except DecodeError:
        raise InvalidInput(f"The bytes are no {message.DESCRIPTOR.name} of the Open Inference Protocol.") from None


def _unexpected(error: Exception) -> Internal:
    log.error("a call failed unexpectedly with %s", type(error).__name__)
    return Internal("Something unexpected happened while answering.")
