"""What a replica says over HTTP, asked by an ordinary HTTP client."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from endpoints.callers import FakeHolders
from models.workshop import EDITOR, Workshop

from lepton.core.refs import Ref
from lepton.core.settings import Settings
from lepton.endpoints.operations import Endpoints


@pytest.fixture
def catalog_url() -> str:
    return "sqlite"  # a replica has no catalog


@pytest.fixture
def http(workshop: Workshop, endpoints: Endpoints, settings: Settings) -> Iterator[httpx2.Client]:
    """A client of a replica, with a token that may."""
    workshop.train(target="big")
    endpoints.deploy(EDITOR, "size", Ref("model", 1))
    endpoints.tick()
    url = endpoints.get(EDITOR, "size").endpoint.url
    assert url is not None
    headers = {"Authorization": "Bearer good"}
    with httpx2.Client(base_url=url.partition("/predict")[0], headers=headers) as client:
        yield client


def row(**values: Any) -> dict[str, Any]:
    return {"area": 55, "city": "Bern"} | values


def tensor(name: str, datatype: str, data: list[Any]) -> dict[str, Any]:
    return {"name": name, "shape": [len(data)], "datatype": datatype, "data": data}


def refused(response: httpx2.Response, status: int) -> str:
    """Check the shape of errors and return the sentence."""
    assert response.status_code == status, response.text
    answer = response.json()
    # In the Open Inference Protocol "error" is the sentence itself.
    error = answer["error"] if isinstance(answer["error"], dict) else {**answer, "message": answer["error"]}
    assert error["code"]
    assert error["request_id"] == response.headers["x-request-id"]
    return str(error["message"])


def test_records_are_answered_in_their_order(http: httpx2.Client) -> None:
    answer = http.post("/predict/size", json=[row(), row(area=21), row(area=None, city=None), row(city="Lyon")]).json()
    assert (answer["endpoint"], answer["model"]) == ("size", "model@1")
    labels = [prediction["label"] for prediction in answer["predictions"]]
    assert labels[:2] == ["yes", "no"]
    assert len(labels) == 4
    assert all(set(prediction["probabilities"]) == {"no", "yes"} for prediction in answer["predictions"])


def test_both_protocols_give_the_same_numbers(http: httpx2.Client) -> None:
    records = http.post("/predict/size", json={"rows": [row(), row(area=21)]}).json()["predictions"]
    body = {"id": "abc", "inputs": [tensor("area", "FP64", [55, 21]), tensor("city", "BYTES", ["Bern", "Bern"])]}
    answer = http.post("/v2/models/size/versions/1/infer", json=body).json()
    assert (answer["model_name"], answer["model_version"], answer["id"]) == ("size", "1", "abc")
    outputs = {output["name"]: output for output in answer["outputs"]}
    assert outputs["label"]["data"] == [prediction["label"] for prediction in records]
    assert outputs["probabilities"]["shape"] == [2, 2]
    assert outputs["probabilities"]["data"] == [p for r in records for p in r["probabilities"].values()]


def test_health_is_open_and_everything_else_needs_a_token(http: httpx2.Client, holders: FakeHolders) -> None:
    for path in ("/v2/health/live", "/v2/health/ready"):
        assert http.get(path, headers={"Authorization": ""}).status_code == 200
    for method, path in (
        ("POST", "/predict/size"),
        ("GET", "/v2"),
        ("GET", "/v2/models/size"),
        ("POST", "/v2/models/size/infer"),
        ("GET", "/nothing"),
    ):
        response = http.request(method, path, headers={"Authorization": "Bearer stranger"})
        assert "This token is unknown or was revoked" in refused(response, 401)
        assert response.headers["www-authenticate"] == "Bearer"


def test_metadata_describes_what_is_asked_for(http: httpx2.Client) -> None:
    metadata = http.get("/v2/models/size").json()
    assert metadata["name"] == "size"
    assert metadata["versions"] == ["1"]
    assert {column["name"]: column["datatype"] for column in metadata["inputs"]} == {"area": "FP64", "city": "BYTES"}
    assert http.get("/v2/models/size/ready").json()["ready"] is True


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "not valid JSON"),
        (b'[{"area": NaN, "city": "Bern"}]', "not valid JSON"),
        (b'[{"area": 1, "city": "\xff"}]', "not valid JSON"),
        (b"{}", "must be a list"),
        (b"[]", "holds no row"),
        (b'[{"area": 1}]', "Row 1 lacks the field 'city'"),
        (b'[{"area": 1, "city": "Bern", "x": 1}]', "Row 1 has the unknown field 'x'"),
        (b'[{"area": "tall-secret", "city": "Bern"}]', "Row 1: column 'area' must be a number"),
        (b'[{"area": 1, "city": 7}]', "Row 1: column 'city' must be text"),
        (b"[" * 2000 + b"]" * 2000, ""),
    ],
)
def test_a_wrong_body_gets_a_sentence_without_its_values(http: httpx2.Client, body: bytes, said: str) -> None:
    message = refused(http.post("/predict/size", content=body), 400)
    assert said in message
    assert "tall-secret" not in message


def test_a_body_over_the_limit_is_refused(http: httpx2.Client) -> None:
    assert "A body may have 8388608 bytes" in refused(http.post("/predict/size", content=b" " * (9 << 20)), 413)
    chunked = http.post("/predict/size", content=(b" " * (1 << 20) for _ in range(9)))
    assert "A body may have 8388608 bytes" in refused(chunked, 413)


def test_another_endpoint_is_not_answered_here(http: httpx2.Client) -> None:
    assert "endpoint 'size' can be asked here" in refused(http.post("/predict/other", json=[row()]), 404)
    assert "takes POST only" in refused(http.get("/predict/size"), 405)


@pytest.mark.parametrize("timeout", ["0", "x", "-1", "3600001", "0" * 5000 + "9", "9" * 5000])
def test_a_time_that_is_none_is_refused(http: httpx2.Client, timeout: str) -> None:
    answer = http.post("/predict/size", json=[row()], headers={"X-Request-Timeout-Ms": timeout})
    assert answer.status_code in (400, 431)
    assert http.post("/predict/size", json=[row()], headers={"X-Request-Timeout-Ms": "60000"}).status_code == 200


def test_what_the_server_itself_refuses_has_the_shape_of_the_protocol(http: httpx2.Client) -> None:
    for path in ("/predict/size", "/v2/models/size/infer"):
        refused(http.post(path, content=b" " * (9 << 20)), 413)
    assert isinstance(http.post("/v2/models/size/infer", content=b" " * (9 << 20)).json()["error"], str)


def test_the_type_of_the_body_is_read_in_any_case(http: httpx2.Client) -> None:
    answer = http.post(
        "/predict/size", content=b"no stream", headers={"Content-Type": "Application/vnd.apache.ARROW.stream"}
    )
    assert "no Arrow IPC stream" in refused(answer, 400)
