"""gRPC: the messages are the protocol's, and whatever goes wrong has the status that says so."""

from __future__ import annotations

import asyncio
import queue
import sys
import time
from collections.abc import Iterator
from typing import Any

import grpc
import numpy as np
import pytest
from endpoints.models import MIXED, NUMERIC, TEXTS, outputs_of
from endpoints.serving_here import Here, predicted, serving
from endpoints.tensors import raw
from hypothesis import given
from hypothesis import strategies as st
from tritonclient.grpc import service_pb2 as peer

from lepton.core.errors import InvalidInput, Unavailable
from lepton.endpoints.replica.config import Limits
from lepton.endpoints.replica.grpc import serve_grpc
from lepton.endpoints.replica.inputs import Shape
from lepton.endpoints.replica.messages import _MESSAGES, SERVICE, classes, read_tensors, write_outputs
from lepton.endpoints.replica.oip import Oip
from lepton.endpoints.replica.rates import Gate
from lepton.endpoints.replica.tensors import DATATYPES
from lepton.models.prediction import decode_rows

GOOD = (("authorization", "Bearer good"),)
CONTENTS = {
    "BOOL": "bool_contents", "INT8": "int_contents", "INT16": "int_contents", "INT32": "int_contents",
    "INT64": "int64_contents", "UINT8": "uint_contents", "UINT16": "uint_contents", "UINT32": "uint_contents",
    "UINT64": "uint64_contents", "FP32": "fp32_contents", "FP64": "fp64_contents", "BYTES": "bytes_contents",
}  # fmt: skip


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Here]:
    with serving(tmp_path_factory.mktemp("blobs"), price=NUMERIC, shop=MIXED) as here:
        yield here


@pytest.fixture
def channel(here: Here) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(here.grpc_address) as channel:
        yield channel


def price(*values: float, **more: Any) -> Any:
    """A request for one row of `NUMERIC`, as the other package's message."""
    request = peer.ModelInferRequest(model_name="price", **more)
    request.inputs.add(name="numbers", datatype="FP64", shape=[1, 2])
    request.raw_input_contents.append(raw("FP64", values or (1.0, 2.0)))
    return request


def call(channel: grpc.Channel, body: bytes, method: str = "ModelInfer", **options: Any) -> bytes:
    options = {"metadata": GOOD, "timeout": 20} | options
    answer: bytes = channel.unary_unary(f"/{SERVICE}/{method}")(body, **options)
    return answer


def refused(channel: grpc.Channel, body: bytes, **options: Any) -> tuple[str, str]:
    with pytest.raises(grpc.RpcError) as caught:
        call(channel, body, **options)
    return caught.value.code().name, caught.value.details()


# Messages


def described(descriptor: Any) -> Any:
    """What of a message shows on the wire, and in its names."""
    return sorted(
        (f.number, f.name, f.type, f.is_repeated, f.message_type.full_name if f.message_type else None, f.has_presence)
        for f in descriptor.fields
    ), descriptor.GetOptions().map_entry


@pytest.mark.parametrize("path", _MESSAGES)
def test_the_messages_are_those_of_the_protocol(path: str) -> None:
    theirs = peer
    for part in path.split("."):
        theirs = getattr(theirs, part)
    ours = classes()[path].DESCRIPTOR
    assert described(ours) == described(theirs.DESCRIPTOR)
    ours_inside, theirs_inside = (
        {n.name: described(n) for n in each.nested_types} for each in (ours, theirs.DESCRIPTOR)
    )
    assert ours_inside == theirs_inside


def test_a_full_request_and_a_full_answer_have_the_same_bytes() -> None:
    for name in ("ModelInferRequest", "ModelInferResponse"):
        written = []
        for made in (classes()[name](), getattr(peer, name)()):
            made.model_name, made.model_version, made.id = "shop", "3", "é"
            made.parameters["timeout"].int64_param = -5
            part = made.inputs if name.endswith("Request") else made.outputs
            one = part.add(name="x", datatype="FP64", shape=[2, 1])
            one.parameters["binary"].bool_param = True
            one.contents.fp64_contents.extend([1.5, -2.0])
            one.contents.bytes_contents.append(b"\0\xff")
            if name.endswith("Request"):
                made.outputs.add(name="label").parameters["n"].double_param = 0.5
                made.raw_input_contents.append(b"\1\2")
            else:
                made.raw_output_contents.append(b"\1\2")
            written.append(made.SerializeToString(deterministic=True))
        assert written[0] == written[1]


def values_of(datatype: str) -> st.SearchStrategy[Any]:
    if datatype == "BYTES":
        return st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
    if datatype == "BOOL":
        return st.booleans()
    if datatype.startswith("FP"):
        return st.floats(width=int(datatype[2:]), allow_nan=False, allow_infinity=False)  # type: ignore[arg-type]
    bounds = np.iinfo(DATATYPES[datatype])
    return st.integers(int(bounds.min), int(bounds.max)) | st.sampled_from([int(bounds.min), int(bounds.max)])


@given(st.data(), st.sampled_from(sorted(CONTENTS)))
def test_contents_are_read_like_raw_bytes(data: st.DataObject, datatype: str) -> None:
    values = data.draw(st.lists(values_of(datatype), min_size=1, max_size=4))
    typed, untyped = classes()["ModelInferRequest"](), classes()["ModelInferRequest"]()
    for request in (typed, untyped):
        request.inputs.add(name="x", datatype=datatype, shape=[len(values)])
    sent = [value.encode() for value in values] if datatype == "BYTES" else values
    getattr(typed.inputs[0].contents, CONTENTS[datatype]).extend(sent)
    untyped.raw_input_contents.append(raw(datatype, values))
    a, b = read_tensors(typed)["x"], read_tensors(untyped)["x"]
    if datatype in DATATYPES:
        found = [np.frombuffer(bytes(one.raw or b""), DATATYPES[one.datatype]).tolist() for one in (a, b)]
        assert found[0] == found[1]
    else:
        assert a.raw == b.raw


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"datatype": "FP32"}, "'x' has 0 values in fp32_contents"),
        ({"datatype": "FP16"}, "'x' must have a datatype that has contents"),
        ({"datatype": ""}, "'x' must have a datatype that has contents"),
        ({"shape": [3]}, "'x' has 2 values in fp64_contents"),
        ({"shape": [-2]}, "'x' must have the shape"),
        ({"shape": []}, "'x' must have the shape"),
        ({"shape": [2**62, 2**62]}, "'x' has 2 values in fp64_contents"),
    ],
)
def test_contents_that_do_not_fit_are_refused(change: dict[str, Any], sentence: str) -> None:
    request = classes()["ModelInferRequest"]()
    one = request.inputs.add(**({"name": "x", "datatype": "FP64", "shape": [2]} | change))
    one.contents.fp64_contents.extend([1.0, 2.0])
    with pytest.raises(InvalidInput, match=sentence):
        read_tensors(request)


def test_raw_contents_must_be_as_many_as_inputs() -> None:
    request = classes()["ModelInferRequest"](raw_input_contents=[b"", b""])
    request.inputs.add(name="x", datatype="FP64", shape=[1])
    with pytest.raises(InvalidInput, match="There are 1 inputs and 2 raw_input_contents"):
        read_tensors(request)
    request.inputs.add(name="x", datatype="FP64", shape=[1])
    with pytest.raises(InvalidInput, match="'x' is given twice"):
        read_tensors(request)


def test_outputs_are_written_the_way_the_inputs_came() -> None:
    rows = [{"city": "Paris", "income": 1.25, "age": 3, "note": "a", "member": True}] * 2
    outputs = outputs_of(MIXED, decode_rows(MIXED, rows))
    for is_raw in (False, True):
        response = classes()["ModelInferResponse"]()
        write_outputs(response, ("label", "probabilities"), (outputs, 1, 2), raw=is_raw)
        label, shares = response.outputs
        assert (label.datatype, list(label.shape), shares.datatype, list(shares.shape)) == (
            "BYTES",
            [1],
            "FP64",
            [1, 2],
        )
        expected = outputs.arrays["probabilities"][1].tolist()
        text = outputs.arrays["label"][1].encode()
        if is_raw:
            assert list(response.raw_output_contents) == [raw("BYTES", [text.decode()]), raw("FP64", expected)]
        else:
            assert list(label.contents.bytes_contents) == [text]
            assert list(shares.contents.fp64_contents) == expected


@given(st.binary(max_size=200), st.sampled_from([MIXED, NUMERIC, TEXTS]))
def test_any_bytes_are_decoded_or_refused(body: bytes, signature: Any) -> None:
    from google.protobuf.message import DecodeError

    try:
        request = classes()["ModelInferRequest"].FromString(body)
    except DecodeError:
        return
    with pytest.raises(InvalidInput):
        Oip(Shape(signature), endpoint="x", version="1").inputs(read_tensors(request))


# The port


def test_contents_are_predicted_and_answered_as_contents(channel: grpc.Channel) -> None:
    request = peer.ModelInferRequest(model_name="price", id="7")
    for name, value in (("area", 3.0), ("rooms", 4.0)):
        request.inputs.add(name=name, datatype="FP64", shape=[1]).contents.fp64_contents.append(value)
    answer = peer.ModelInferResponse.FromString(call(channel, request.SerializeToString()))
    expected = predicted(NUMERIC, [{"area": 3.0, "rooms": 4.0}])["prediction"].tolist()
    assert list(answer.outputs[0].contents.fp64_contents) == expected
    assert (answer.id, answer.model_name, answer.model_version) == ("7", "price", "3")


@pytest.mark.parametrize(
    ("body", "options", "status", "said"),
    [
        (price().SerializeToString(), {"metadata": ()}, "UNAUTHENTICATED", "needs a token"),
        (price().SerializeToString(), {"metadata": (("authorization", "Bearer bad"),)}, "UNAUTHENTICATED", "unknown"),
        (price().SerializeToString(), {"metadata": (("authorization", "Bearer viewer"),)}, "PERMISSION_DENIED", "role"),
        (b"\xff\xff", {}, "INVALID_ARGUMENT", "no ModelInferRequest of the Open Inference Protocol"),
        (b"", {"metadata": ()}, "UNAUTHENTICATED", "needs a token"),
        (b"", {}, "NOT_FOUND", "'price', 'shop' can be asked"),
        (price(model_version="2").SerializeToString(), {}, "NOT_FOUND", "no such version; it has 3"),
        (price(float("inf"), 1.0).SerializeToString(), {}, "INVALID_ARGUMENT", "column 'area' holds NaN or infinity"),
        (b"\0" * (9 << 20), {}, "RESOURCE_EXHAUSTED", "larger than max"),
        (b"\0" * (64 << 20), {"compression": grpc.Compression.Gzip}, "RESOURCE_EXHAUSTED", "larger than max"),
        (b"", {"method": "ModelStreamInfer"}, "UNIMPLEMENTED", ""),
    ],
)  # fmt: skip
def test_what_goes_wrong_has_its_status(
    channel: grpc.Channel, body: bytes, options: dict[str, Any], status: str, said: str
) -> None:
    code, details = refused(channel, body, **options)
    assert (code, said in details) == (status, True), details


def test_the_deadline_of_a_call_is_that_of_its_prediction(
    here: Here, channel: grpc.Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: queue.Queue[Any] = queue.Queue()
    monkeypatch.setattr(here.traffic[0].main.batcher, "submit", taken.put)
    earliest = time.monotonic()
    assert refused(channel, price().SerializeToString(), timeout=0.3)[0] == "DEADLINE_EXCEEDED"
    assert earliest < taken.get(timeout=20).deadline <= time.monotonic()


def test_answers_are_counted_by_status(here: Here, channel: grpc.Channel) -> None:
    counts = here.traffic[0].main.counts.requests
    before = dict(counts)
    call(channel, price().SerializeToString())
    refused(channel, price(float("inf"), 1.0).SerializeToString())
    assert counts[200] == before.get(200, 0) + 1
    assert counts[400] == before.get(400, 0) + 1


def no_answer(channel: grpc.Channel) -> str:
    """The status of a call that fails, or nothing."""
    try:
        channel.unary_unary(f"/{SERVICE}/ServerLive")(b"", timeout=20)
    except grpc.RpcError as error:
        return str(error.code().name)
    return ""


def test_a_drained_port_answers_what_is_in_flight_and_nothing_more(here: Here, monkeypatch: pytest.MonkeyPatch) -> None:
    other = here.run(lambda: serve_grpc(here.traffic, host="127.0.0.1"))
    taken: queue.Queue[Any] = queue.Queue()
    batcher = here.traffic[0].main.batcher
    submit = batcher.submit
    monkeypatch.setattr(batcher, "submit", taken.put)
    with grpc.insecure_channel(f"127.0.0.1:{other.port}") as channel:
        infer = channel.unary_unary(f"/{SERVICE}/ModelInfer")
        in_flight = infer.future(price().SerializeToString(), metadata=GOOD, timeout=20)
        held = taken.get(timeout=20)
        draining = asyncio.run_coroutine_threadsafe(other.drain(20.0), here.loop)
        while not (ended_with := no_answer(channel)):
            pass  # until the port is closed
        assert ended_with in ("UNAVAILABLE", "CANCELLED")  # of those that come while it closes
        assert not draining.done()
        here.loop.call_soon_threadsafe(submit, held)
        answer = peer.ModelInferResponse.FromString(in_flight.result(timeout=20))
        assert answer.outputs[0].name == "prediction"
        draining.result(20)


def test_without_grpcio_a_sentence_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "grpc", None)
    with pytest.raises(Unavailable, match="pip install grpcio"):
        asyncio.run(serve_grpc([], host="127.0.0.1"))


def test_limits_hold_for_calls_as_for_requests(here: Here, channel: grpc.Channel) -> None:
    traffic = next(each for each in here.traffic if each.endpoint == "price")
    body = price().SerializeToString()
    traffic.gate = Gate(Limits(max_token_rate=1), lambda: 0.0)
    try:
        call(channel, body)
        status, sentence = refused(channel, body)
        assert (status, "max_token_rate" in sentence) == ("RESOURCE_EXHAUSTED", True)
        traffic.gate = Gate(Limits(max_concurrency=1))
        call(channel, body)
        call(channel, body)  # the first made room
        assert refused(channel, body, metadata=())[0] == "UNAUTHENTICATED"  # who may not ask uses nothing up
        call(channel, body)
    finally:
        traffic.gate = None
