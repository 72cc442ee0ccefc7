"""Traces for OpenTelemetry: a span for a request, and what of its time went to reading, waiting, predicting, writing.

An extra, and off unless ``OTEL_EXPORTER_OTLP_ENDPOINT`` says where traces go. A request that is not traced costs a look
at its headers: the SDK hears only of those that are, and only when they have been answered.
"""

from __future__ import annotations

import os
import random
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lepton.core.errors import InvalidInput, LeptonError, Unavailable
from lepton.endpoints.replica.batcher import Job
from lepton.endpoints.replica.outputs import Outputs

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider

_WHERE = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
_SHARE = "OTEL_TRACES_SAMPLER_ARG"
USUAL_SHARE = 0.01
FLUSH_S = 2.0
"""How long the end of a worker may wait for the last traces to be taken."""
_TRACEPARENT = re.compile(rb"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_MISSING = (
    "OTEL_EXPORTER_OTLP_ENDPOINT asks for traces, and OpenTelemetry is not installed. "
    "Install it with: pip install 'lepton-platform[otel]'; or unset the variable."
)


@dataclass(frozen=True)
class Parent:
    """Whom a request belongs to, as its ``traceparent`` says.

    Attributes:
        is_sampled: Whether the caller traces it.
    """

    trace_id: int
    span_id: int
    is_sampled: bool


def parent_of(header: bytes | None) -> Parent | None:
    """Read a ``traceparent``; None if there is none, or it is not one.

    Source: W3C Trace Context, section 3.2.2. A later version may have more behind the flags; version ff is invalid, as
    are ids of zeros.
    """
    found = None if header is None else _TRACEPARENT.fullmatch(header)
    if found is None:
        return None
    version, trace, span, flags, more = found.groups()
    trace_id, span_id = int(trace, 16), int(span, 16)
    if version == b"ff" or (version == b"00" and more) or not trace_id or not span_id:
        return None
    return Parent(trace_id, span_id, bool(int(flags, 16) & 1))


class Tracing:
    """Decides which requests are traced, and sends what is known of them.

    Args:
        provider: Where spans go.
        share: Of the requests whose caller does not say, those that are traced; 0 to 1.
        draw: Returns a number from 0 to 1 for each of them.
    """

    def __init__(self, provider: TracerProvider, share: float, *, draw: Callable[[], float] = random.random) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("lepton")
        self._share = share
        self._draw = draw

    def begin(self, headers: Mapping[bytes, bytes], method: bytes, path: bytes) -> Trace | None:
        """Begin to trace a request, if it is to be."""
        parent = parent_of(headers.get(b"traceparent"))
        if not self._is_wanted(parent):
            return None
        said = {"http.request.method": method.decode("latin-1"), "url.path": path.decode("latin-1")}
        return Trace(self, parent, " ".join(said.values()), said)

    def begin_call(self, traceparent: bytes | None, service: str, method: str) -> Trace | None:
        """Begin to trace a call of gRPC, if it is to be."""
        parent = parent_of(traceparent)
        if not self._is_wanted(parent):
            return None
        return Trace(
            self, parent, f"{service}/{method}", {"rpc.system.name": "grpc", "rpc.method": f"{service}/{method}"}
        )

    def send(
        self, trace: Trace, served: tuple[str, str], status: int | str, error: str, ended_ns: int, *, failed: bool
    ) -> None:  # fmt: skip
        """Make spans of what a trace has seen; they leave the process in a thread of the SDK's."""
        from opentelemetry import trace as otel

        attributes: dict[str, Any] = trace.said | dict(zip(("lepton.endpoint", "lepton.model"), served, strict=True))
        attributes["http.response.status_code" if isinstance(status, int) else "rpc.response.status_code"] = status
        if trace.rows:
            attributes["lepton.rows"] = trace.rows
        if error:
            attributes["error.type"] = error
        context = _context(trace.parent)
        span = self._tracer.start_span(trace.name, context, otel.SpanKind.SERVER, attributes, start_time=trace.began_ns)
        if failed:
            span.set_status(otel.StatusCode.ERROR)
        inside = otel.set_span_in_context(span)
        for name, began_ns, part_ended_ns in trace.parts(ended_ns):
            self._tracer.start_span(name, inside, start_time=began_ns).end(part_ended_ns)
        span.end(ended_ns)

    def _is_wanted(self, parent: Parent | None) -> bool:
        return self._draw() < self._share if parent is None else parent.is_sampled

    def close(self) -> None:
        """Send what is left; a collector that does not take it is waited for no longer than `FLUSH_S`."""
        ending = threading.Thread(target=self._provider.shutdown, name="traces", daemon=True)
        flushing = threading.Thread(
            target=self._provider.force_flush, args=(int(1000 * FLUSH_S),), name="last traces", daemon=True
        )
        flushing.start()
        flushing.join(FLUSH_S)
        ending.start()


class Trace:
    """One request that is traced: when what happened to it. Times are nanoseconds since 1970.

    Attributes:
        parent: Whom it belongs to; None begins a trace of its own.
        name: Of its span.
        said: What was asked, as OpenTelemetry's conventions for HTTP and RPC name it.
        rows: Of its body; 0 before they are read.
    """

    __slots__ = (
        "_done_ns",
        "_is_over",
        "_read_ns",
        "_tracing",
        "_waited_ns",
        "began_ns",
        "name",
        "parent",
        "rows",
        "said",
    )

    def __init__(self, tracing: Tracing, parent: Parent | None, name: str, said: dict[str, str]) -> None:
        self._tracing = tracing
        self._is_over = False
        self.parent = parent
        self.name = name
        self.said = said
        self.rows = 0
        self.began_ns = time.time_ns()
        self._read_ns = self._waited_ns = self._done_ns = 0

    def follow(self, job: Job, served: tuple[str, str] | None = None) -> Job:
        """Return a job that is the same and tells when it is over.

        Args:
            job: The prediction, whose rows have been read.
            served: The endpoint and the model version; None if the job does not answer, and who does calls `answered`.
        """
        self._read_ns = time.time_ns()
        self.rows = job.inputs.rows
        return _Noted(self, job) if served is None else _Followed(self, job, served)

    def predicted(self, seconds: float) -> None:
        """Note that the model has just ended a run of so many seconds, in which it predicted these rows too."""
        self._done_ns = time.time_ns()
        self._waited_ns = max(self._read_ns, self._done_ns - int(1e9 * seconds))

    def answered(self, served: tuple[str, str], status: int, error: str = "", *, rpc: str = "") -> None:
        """Note that an answer was given, and send what is known; only the first time counts.

        Args:
            served: The endpoint and the model version.
            status: Of HTTP, or of the error that is its like.
            error: Kind of the error; never its sentence, which may quote.
            rpc: Status of gRPC, if that is what was said.
        """
        if not self._is_over:
            self._is_over = True
            self._tracing.send(self, served, rpc or status, error, time.time_ns(), failed=status >= 500)

    def parts(self, ended_ns: int) -> list[tuple[str, int, int]]:
        """Return what its time went to: name, beginning and end."""
        if not self._read_ns:
            return []
        found = [("read", self.began_ns, self._read_ns)]
        if self._done_ns:
            found += [
                ("wait", self._read_ns, self._waited_ns),
                ("predict", self._waited_ns, self._done_ns),
                ("write", self._done_ns, ended_ns),
            ]
        return found


class _Noted:
    """A job that tells its trace when its rows have been predicted."""

    __slots__ = ("_job", "_trace", "deadline", "inputs")

    def __init__(self, trace: Trace, job: Job) -> None:
        self._trace = trace
        self._job = job
        self.inputs = job.inputs
        self.deadline = job.deadline

    def done(self, outputs: Outputs, start: int, stop: int) -> None:
        self._trace.predicted(outputs.seconds)
        self._job.done(outputs, start, stop)

    def fail(self, error: LeptonError) -> None:
        self._job.fail(error)


class _Followed(_Noted):
    """A job that answers by itself, and tells its trace of that too."""

    __slots__ = ("_served",)

    def __init__(self, trace: Trace, job: Job, served: tuple[str, str]) -> None:
        super().__init__(trace, job)
        self._served = served

    def done(self, outputs: Outputs, start: int, stop: int) -> None:
        super().done(outputs, start, stop)
        self._trace.answered(self._served, 200)

    def fail(self, error: LeptonError) -> None:
        super().fail(error)
        self._trace.answered(self._served, error.status, error.code)


def tracing_of(environment: Mapping[str, str] = os.environ) -> Tracing | None:
    """Return what traces requests as OpenTelemetry's own variables say; None if they name no collector.

    Raises:
        Unavailable: if the extra is not installed.
        InvalidInput: if the share of requests is not one.
    """
    is_off = environment.get("OTEL_SDK_DISABLED", "").lower() == "true"
    if is_off or not any(environment.get(name) for name in _WHERE):
        return None
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import ALWAYS_ON
    except ImportError:
        raise Unavailable(_MISSING) from None
    name = environment.get("OTEL_SERVICE_NAME") or "lepton"
    # It was decided before the SDK hears of it, so it is to take everything.
    provider = TracerProvider(ALWAYS_ON, Resource.create({"service.name": name}), shutdown_on_exit=False)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Tracing(provider, _share(environment.get(_SHARE, "")))


def _share(text: str) -> float:
    try:
        share = float(text) if text else USUAL_SHARE
    except ValueError:
        share = -1.0
    if not 0.0 <= share <= 1.0:
        raise InvalidInput(f"{_SHARE} must be a share of the requests, from 0 to 1. Unset it for {USUAL_SHARE}.")
    return share


def _context(parent: Parent | None) -> Context | None:
    from opentelemetry import trace as otel

    if parent is None:
        return otel.set_span_in_context(otel.INVALID_SPAN)
    known = otel.SpanContext(parent.trace_id, parent.span_id, True, otel.TraceFlags(otel.TraceFlags.SAMPLED))
    return otel.set_span_in_context(otel.NonRecordingSpan(known))
