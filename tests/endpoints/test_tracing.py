"""Traces of predictions, as a real OpenTelemetry collector would get them."""

from __future__ import annotations

import gzip
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from endpoints.fake_openai import fake_openai
from endpoints.replicas import SECRET, Models, Running, running, trained
from endpoints.test_upstream import passing
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from lepton.core.errors import InvalidInput
from lepton.endpoints.replica.tracing import Parent, parent_of, tracing_of
from lepton.testing.engines import eventually

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED, UNSAMPLED = f"00-{TRACE}-{CALLER}-01", f"00-{TRACE}-{CALLER}-00"
CANARY = 4711.25
HEX = "0123456789abcdef"


class Collector:
    """Takes traces over HTTP, as the OTLP says."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        bodies = self.bodies

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                bodies.append(gzip.decompress(body) if self.headers["Content-Encoding"] == "gzip" else body)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None: ...

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    @property
    def spans(self) -> list[object]:
        requests = [ExportTraceServiceRequest.FromString(body) for body in self.bodies]
        return [
            span for request in requests for resource in request.resource_spans
            for scope in resource.scope_spans for span in scope.spans
        ]  # fmt: skip

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Models:
    return trained(tmp_path_factory.mktemp("models"))


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[Collector]:
    made = Collector()
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", made.url)
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    yield made
    made.close()


def ask(replica: Running, traceparent: str = "", body: bytes = b"") -> int:
    with closing(replica.connect()) as connection:
        headers = {"Authorization": f"Bearer {SECRET}"} | ({"traceparent": traceparent} if traceparent else {})
        connection.request("POST", "/predict/size", body or json.dumps([{"area": CANARY}] * 3).encode(), headers)
        response = connection.getresponse()
        response.read()
        return response.status


def test_a_traced_request_is_a_span_under_its_callers_with_what_its_time_went_to(
    models: Models, collector: Collector
) -> None:
    before_ns = time.time_ns()
    with running(models.config()) as replica:
        replica.serves(1)
        assert ask(replica, SAMPLED) == 200
        eventually(lambda: len(collector.spans) == 5, "five spans have come")
    spans = {span.name: span for span in collector.spans}
    assert set(spans) == {"POST /predict/size", "read", "wait", "predict", "write"}
    server = spans.pop("POST /predict/size")
    assert (server.trace_id.hex(), server.parent_span_id.hex(), server.kind) == (TRACE, CALLER, 2)
    values = {one.key: one.value for one in server.attributes}
    assert values["http.response.status_code"].int_value == 200
    assert (values["lepton.endpoint"].string_value, values["lepton.model"].string_value) == ("size", "model@1")
    assert values["lepton.rows"].int_value == 3
    assert {span.parent_span_id for span in spans.values()} == {server.span_id}
    ends = [server.start_time_unix_nano]
    for name in ("read", "wait", "predict", "write"):
        assert spans[name].start_time_unix_nano == ends[-1], "one part begins where the one before it ends"
        ends.append(spans[name].end_time_unix_nano)
    assert ends == sorted(ends)
    assert before_ns < ends[0]
    assert ends[-1] == server.end_time_unix_nano


def test_nothing_of_the_rows_the_columns_or_the_token_is_in_a_trace(models: Models, collector: Collector) -> None:
    with running(models.config()) as replica:
        replica.serves(1)
        assert ask(replica, SAMPLED) == 200
        assert ask(replica, SAMPLED, b'[{"area": "planted-canary"}]') == 400
        eventually(lambda: len([s for s in collector.spans if s.name.startswith("POST")]) == 2, "both have come")
    sent = b"".join(collector.bodies)
    assert b"/predict/size" in sent
    for canary in (str(CANARY).encode(), b"area", b"planted-canary", SECRET.encode()):
        assert canary not in sent
    refused = next(s for s in collector.spans if {a.key: a.value for a in s.attributes}.get("error.type"))
    assert {one.key: one.value.string_value for one in refused.attributes}["error.type"] == "invalid_input"


def test_who_does_not_want_to_be_traced_is_not(
    models: Models, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "0")
    with running(models.config()) as replica:
        replica.serves(1)
        for _ in range(50):
            assert ask(replica) == 200
            assert ask(replica, UNSAMPLED) == 200
        assert ask(replica, SAMPLED) == 200
        eventually(lambda: len(collector.spans) == 5, "the last one has come")
    assert len(collector.spans) == 5


def call(port: int, traceparent: str, area: float | None) -> None:
    """Ask over gRPC; without an area, for an input that there is not."""
    import tritonclient.grpc as triton

    wanted = triton.InferInput("volume" if area is None else "area", [1], "FP64")
    wanted.set_data_from_numpy(np.array([area or 0.0]))
    with triton.InferenceServerClient(f"127.0.0.1:{port}") as client:
        client.infer("size", [wanted], headers={"authorization": f"Bearer {SECRET}", "traceparent": traceparent})


def test_a_call_of_grpc_is_traced_too(models: Models, collector: Collector) -> None:
    from tritonclient.utils import InferenceServerException

    with running(replace(models.config(), grpc=True)) as replica:
        port = replica.serves(1).grpc_port
        call(port, UNSAMPLED, CANARY)
        call(port, SAMPLED, CANARY)
        with pytest.raises(InferenceServerException, match="INVALID_ARGUMENT"):
            call(port, SAMPLED, None)
        eventually(lambda: len(collector.spans) == 6, "five spans of the first and one of the refused")
    servers = [span for span in collector.spans if span.name == "inference.GRPCInferenceService/ModelInfer"]
    assert {(span.trace_id.hex(), span.parent_span_id.hex()) for span in servers} == {(TRACE, CALLER)}
    said = [{one.key: one.value.string_value or one.value.int_value for one in span.attributes} for span in servers]
    assert sorted(values["rpc.response.status_code"] for values in said) == ["INVALID_ARGUMENT", "OK"]
    right = next(values for values in said if values["rpc.response.status_code"] == "OK")
    assert (right["lepton.endpoint"], right["lepton.model"], right["lepton.rows"]) == ("size", "model@1", 1)
    assert {span.name for span in collector.spans} >= {"read", "wait", "predict", "write"}
    assert str(CANARY).encode() not in b"".join(collector.bodies)


def test_what_is_passed_on_is_traced_and_the_server_behind_hears_of_the_trace(
    models: Models, collector: Collector, tmp_path: Path
) -> None:
    with fake_openai() as fake:
        llm = passing(tmp_path, fake.base_url)
        with running(replace(models.config(), deployments=(llm,))) as replica:
            replica.serves(1)
            for text in ("planted", "500"):
                body = json.dumps({"messages": [{"role": "user", "content": text}]})
                with closing(replica.connect()) as connection:
                    headers = {"Authorization": f"Bearer {llm.secret}", "traceparent": SAMPLED}
                    connection.request("POST", "/v1/chat/completions", body, headers)
                    connection.getresponse().read()
            eventually(lambda: len(collector.spans) == 2, "a span each")
        assert [head["traceparent"] for head in fake.heads] == [SAMPLED, SAMPLED]
    assert {span.name for span in collector.spans} == {"POST /v1/chat/completions"}
    assert {span.parent_span_id.hex() for span in collector.spans} == {CALLER}
    assert b"planted" not in b"".join(collector.bodies)


def test_a_share_of_those_who_do_not_say_is_traced(
    models: Models, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER_ARG", "1")
    with running(models.config()) as replica:
        replica.serves(1)
        for _ in range(3):
            assert ask(replica) == 200
    servers = [span for span in collector.spans if span.name.startswith("POST")]
    assert len({span.trace_id for span in servers}) == 3, "the end of a worker sends what it has"
    assert not any(span.parent_span_id for span in servers)


def test_a_collector_that_is_gone_harms_nobody(models: Models, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:  # takes connections and never answers
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{deaf.getsockname()[1]}")
        with running(models.config()) as replica:
            replica.serves(1)
            for _ in range(20):
                assert ask(replica, SAMPLED) == 200
            began = time.monotonic()
    assert time.monotonic() - began < 10, "a worker waits two seconds for it, and has ten to end"


def test_without_a_collector_nothing_of_opentelemetry_is_loaded() -> None:
    code = "import sys, lepton.endpoints.replica.worker; print([m for m in sys.modules if 'opentelemetry' in m])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
    assert tracing_of({}) is None
    assert tracing_of({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://here", "OTEL_SDK_DISABLED": "true"}) is None


@pytest.mark.parametrize("share", ["2", "-0.1", "some", "nan"])
def test_a_share_that_is_none_is_refused(share: str) -> None:
    with pytest.raises(InvalidInput, match="from 0 to 1"):
        tracing_of({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1", "OTEL_TRACES_SAMPLER_ARG": share})


@given(
    st.integers(1, 2**128 - 1), st.integers(1, 2**64 - 1), st.integers(0, 255),
    st.sampled_from(["00", "01", "fe"]), st.sampled_from(["", "-more"]),
)  # fmt: skip
def test_a_traceparent_is_read_as_it_was_written(trace: int, span: int, flags: int, version: str, more: str) -> None:
    header = f"{version}-{trace:032x}-{span:016x}-{flags:02x}{more}".encode()
    expected = None if version == "00" and more else Parent(trace, span, bool(flags & 1))
    assert parent_of(header) == expected


@given(st.one_of(st.binary(max_size=80), st.text(HEX + "-", min_size=50, max_size=60).map(str.encode)))
def test_what_is_no_traceparent_begins_a_trace_of_its_own(header: bytes) -> None:
    found = parent_of(header)
    assert found is None or (found.trace_id and found.span_id and header.count(b"-") >= 3)


@pytest.mark.parametrize(
    "header",
    [None, b"", b"ff-" + SAMPLED[3:].encode(), SAMPLED.upper().encode(), SAMPLED[:-1].encode(),
     f"00-{'0' * 32}-{CALLER}-01".encode(), f"00-{TRACE}-{'0' * 16}-01".encode()],
)  # fmt: skip
def test_what_the_specification_calls_invalid_is(header: bytes | None) -> None:
    assert parent_of(header) is None
