"""NVIDIA's clients of the Open Inference Protocol, unmodified, over HTTP and over gRPC."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc
import tritonclient.http
from endpoints.models import MIXED, NUMERIC, TEXTS
from endpoints.serving_here import PATIENCE_S, Here, predicted, serving
from tritonclient.utils import InferenceServerException

from lepton.core.columns import ColumnType
from lepton.models.signature import Input, Signature, Task

NUMBERS = ("INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64", "FP16", "FP32", "FP64")
DTYPES = {f"INT{b}": f"int{b}" for b in (8, 16, 32, 64)} | {f"UINT{b}": f"uint{b}" for b in (8, 16, 32, 64)} | {
    "FP16": "float16", "FP32": "float32", "FP64": "float64",
}  # fmt: skip
FLAGS = Signature(Task.CLASSIFICATION, "ok", ColumnType.NUMBER, (Input("flag", ColumnType.BOOLEAN),), classes=(0, 1))
ROWS = [
    {"income": 1200.5, "age": 30, "member": True, "city": "Paris", "note": "a b"},
    {"income": None, "age": 31, "member": False, "city": "", "note": "é中"},
]


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Here]:
    with serving(tmp_path_factory.mktemp("blobs"), shop=MIXED, price=NUMERIC, spam=TEXTS, flags=FLAGS) as here:
        yield here


@pytest.fixture(params=["http", "grpc"])
def client(here: Here, request: pytest.FixtureRequest) -> Iterator[Any]:
    if request.param == "http":
        client: Any = tritonclient.http.InferenceServerClient(here.address)
    else:
        client = tritonclient.grpc.InferenceServerClient(here.grpc_address)
    client.of = tritonclient.http if request.param == "http" else tritonclient.grpc
    yield client
    client.close()


def token() -> dict[str, str]:
    return {"authorization": "Bearer good"}  # a new one for each call: the HTTP client adds to it


def given(client: Any, name: str, values: np.ndarray[Any, Any], datatype: str) -> Any:
    made = client.of.InferInput(name, list(values.shape), datatype)
    made.set_data_from_numpy(values)
    return made


def mixed(client: Any) -> list[Any]:
    """The tensors of `ROWS`."""
    return [
        given(client, "income", np.array([1200.5, np.nan]), "FP64"),
        given(client, "age", np.array([[30], [31]], np.int32), "INT32"),
        given(client, "member", np.array([True, False]), "BOOL"),
        given(client, "city", np.array(["Paris", ""], dtype=object), "BYTES"),
        given(client, "note", np.array([b"a b", "é中".encode()], dtype=object), "BYTES"),
    ]


def classified(client: Any) -> Any:
    return client.of.InferRequestedOutput("label", class_count=2)


def test_the_server_says_that_it_lives_to_anybody(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()


def test_the_model_is_ready_and_described_to_who_may_predict(client: Any) -> None:
    json = {} if client.of is tritonclient.http else {"as_json": True}
    assert client.is_model_ready("shop", headers=token())
    assert client.is_model_ready("shop", "3", headers=token())
    found = client.get_model_metadata("shop", headers=token(), **json)
    assert (found["name"], found["versions"]) == ("shop", ["3"])
    assert {one["name"]: one["datatype"] for one in found["inputs"]} == {
        "city": "BYTES", "income": "FP64", "age": "INT64", "note": "BYTES", "member": "BOOL"
    }  # fmt: skip
    assert [one["name"] for one in found["outputs"]] == ["label", "probabilities"]
    assert client.get_server_metadata(headers=token(), **json)["name"] == "lepton"


def test_columns_of_every_kind_are_predicted(client: Any) -> None:
    expected = predicted(MIXED, ROWS)
    found = client.infer("shop", mixed(client), headers=token(), request_id="abc", model_version="3")
    np.testing.assert_array_equal(found.as_numpy("probabilities"), expected["probabilities"])
    assert [text.decode() for text in found.as_numpy("label")] == expected["label"].tolist()
    answer = found.get_response() if client.of is tritonclient.http else found.get_response(as_json=True)
    assert (answer["id"], answer["model_name"], answer["model_version"]) == ("abc", "shop", "3")


@pytest.mark.parametrize("datatype", NUMBERS)
def test_every_datatype_of_numbers_is_predicted(client: Any, datatype: str) -> None:
    values = np.array([[1, 2], [3, 100]], DTYPES[datatype])
    expected = predicted(NUMERIC, [{"area": float(a), "rooms": float(b)} for a, b in values])["prediction"]
    columns = [
        given(client, "area", values[:, 0].copy(), datatype),
        given(client, "rooms", values[:, 1:].copy(), datatype),
    ]
    matrix = [given(client, "numbers", values, datatype)]
    for inputs in (columns, matrix):
        np.testing.assert_array_equal(client.infer("price", inputs, headers=token()).as_numpy("prediction"), expected)


@pytest.mark.parametrize("datatype", [d for d in NUMBERS if d != "FP16"])
def test_json_says_the_same_as_bytes(here: Here, datatype: str) -> None:
    with tritonclient.http.InferenceServerClient(here.address) as client:
        values = np.array([[1, 2], [3, 100]], DTYPES[datatype])
        one = tritonclient.http.InferInput("numbers", [2, 2], datatype)
        one.set_data_from_numpy(values, binary_data=False)
        output = tritonclient.http.InferRequestedOutput("prediction", binary_data=False)
        found = client.infer("price", [one], outputs=[output], headers=token())
        expected = predicted(NUMERIC, [{"area": float(a), "rooms": float(b)} for a, b in values])["prediction"]
        np.testing.assert_array_equal(found.as_numpy("prediction"), expected)
        assert "data" in found.get_output("prediction")


def test_texts_of_any_length_and_script_are_predicted(client: Any) -> None:
    texts = ["", "a", "b " * 500, "é中\U0001f600"]
    expected = predicted(TEXTS, [{"text": text} for text in texts])
    found = client.infer("spam", [given(client, "text", np.array(texts, dtype=object), "BYTES")], headers=token())
    np.testing.assert_array_equal(found.as_numpy("probabilities"), expected["probabilities"])
    assert found.as_numpy("label").dtype == np.bool_
    assert found.as_numpy("label").tolist() == expected["label"].astype(bool).tolist()


def test_booleans_go_in_and_whole_numbers_come_out(client: Any) -> None:
    expected = predicted(FLAGS, [{"flag": True}, {"flag": False}])
    found = client.infer("flags", [given(client, "flag", np.array([True, False]), "BOOL")], headers=token())
    assert found.as_numpy("label").dtype == np.int64
    assert found.as_numpy("label").tolist() == expected["label"].tolist()


def test_only_the_outputs_that_are_asked_for_come(client: Any) -> None:
    asked = [client.of.InferRequestedOutput("probabilities")]
    found = client.infer("shop", mixed(client), outputs=asked, headers=token())
    assert found.as_numpy("probabilities").shape == (2, 2)
    assert found.as_numpy("label") is None


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_compressed_requests_are_predicted(client: Any, algorithm: str) -> None:
    name = "request_compression_algorithm" if client.of is tritonclient.http else "compression_algorithm"
    found = client.infer("shop", mixed(client), headers=token(), **{name: algorithm})
    np.testing.assert_array_equal(found.as_numpy("probabilities"), predicted(MIXED, ROWS)["probabilities"])


def test_many_at_once_each_get_their_own_answer(here: Here, client: Any) -> None:
    area = [float(n) for n in range(40)]
    expected = predicted(NUMERIC, [{"area": a, "rooms": 1.0} for a in area])["prediction"]
    asked = [[given(client, "numbers", np.array([[a, 1.0]]), "FP64")] for a in area]
    if client.of is tritonclient.http:
        with tritonclient.http.InferenceServerClient(here.address, concurrency=8) as many:
            waiting = [many.async_infer("price", inputs, headers=token()) for inputs in asked]
            found = [one.get_result().as_numpy("prediction")[0] for one in waiting]
    else:
        came: queue.Queue[tuple[int, Any]] = queue.Queue()
        for number, inputs in enumerate(asked):
            client.async_infer("price", inputs, partial(_note, came, number), headers=token())
        answers = dict(came.get(timeout=PATIENCE_S) for _ in asked)
        found = [answers[number].as_numpy("prediction")[0] for number in range(len(asked))]
    np.testing.assert_array_equal(found, expected)


def _note(came: queue.Queue[tuple[int, Any]], number: int, result: Any, error: Any) -> None:
    came.put((number, error or result))


@pytest.mark.parametrize(
    ("ask", "status", "said"),
    [
        (lambda c: c.infer("shop", mixed(c)), ("401", "UNAUTHENTICATED"), "This endpoint needs a token."),
        (
            lambda c: c.infer("shop", mixed(c), headers={"authorization": "Bearer viewer"}),
            ("403", "PERMISSION_DENIED"),
            "not good for predicting",
        ),
        (lambda c: c.get_model_metadata("nothing", headers=token()), ("404", "NOT_FOUND"), "'shop'"),
        (lambda c: c.infer("shop", mixed(c), model_version="9", headers=token()), ("404", "NOT_FOUND"), "'shop'"),
        (lambda c: c.infer("shop", mixed(c)[:2], headers=token()), ("400", "INVALID_ARGUMENT"), "Missing inputs"),
        (
            lambda c: c.infer("price", [given(c, "numbers", np.array([[1.0, np.inf]]), "FP64")], headers=token()),
            ("400", "INVALID_ARGUMENT"),
            "Row 1: column 'rooms' holds NaN or infinity.",
        ),
        (
            lambda c: c.infer("price", [given(c, "numbers", np.ones((1, 3)), "FP64")], headers=token()),
            ("400", "INVALID_ARGUMENT"),
            "Input 'numbers' must have the shape [N, 2]",
        ),
        (
            lambda c: c.infer("shop", mixed(c), outputs=[classified(c)], headers=token()),
            ("400", "INVALID_ARGUMENT"),
            "not written as classification strings",
        ),
        (
            lambda c: c.infer("price", [given(c, "numbers", np.ones((600_000, 2)), "FP64")], headers=token()),
            ("413", "RESOURCE_EXHAUSTED"),
            "",
        ),
    ],
)  # fmt: skip
def test_errors_come_as_the_clients_own_with_our_sentence(
    client: Any, ask: Callable[[Any], Any], status: tuple[str, str], said: str
) -> None:
    with pytest.raises(InferenceServerException) as caught:
        ask(client)
    assert caught.value.status() in (status[0], f"StatusCode.{status[1]}")
    assert said in str(caught.value.message())


def test_the_model_is_not_ready_for_who_may_not_predict(client: Any) -> None:
    if client.of is tritonclient.http:
        assert not client.is_model_ready("shop")
    else:
        with pytest.raises(InferenceServerException, match="needs a token"):
            client.is_model_ready("shop")
