"""What nobody foresaw leaves without a trace of anybody's data, and what was refused says what to do."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
from starlette.testclient import TestClient

from lepton.core.errors import StorageFull
from lepton.platform import Platform

CANARY = "canary-7f3a91"


@pytest.fixture
def catalog_url() -> str:
    """What is tested here never differs by catalog."""
    return "sqlite"


def fail_with(error: Exception) -> Any:
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


def test_an_unforeseen_error_answers_with_a_number_and_logs_the_place_but_not_the_text(
    owner: TestClient, platform: Platform, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def look_up(*_: object, **__: object) -> None:
        try:
            {}[CANARY]
        except KeyError as error:
            raise ValueError(f"could not convert {CANARY}") from error

    monkeypatch.setattr(platform.labels, "list", look_up)
    with caplog.at_level(logging.INFO, logger="lepton"):
        response = owner.get(f"/v1/labels?project={CANARY}")
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (500, "internal")
    assert error["request_id"] in error["message"]
    assert CANARY not in response.text
    assert CANARY not in caplog.text
    assert f"{error['request_id']} GET /v1/labels failed unexpectedly: builtins.ValueError at " in caplog.text
    assert "look_up caused by builtins.KeyError at" in caplog.text


def test_an_error_of_ours_keeps_its_code_status_and_sentence(
    owner: TestClient, platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform.labels, "list", fail_with(StorageFull("No space is left. Free some.")))
    response = owner.get("/v1/labels")
    assert response.status_code == 507
    assert response.json()["error"]["message"] == "No space is left. Free some."


def test_an_answer_that_breaks_off_in_the_middle_does_not_look_complete(
    owner: TestClient, platform: Platform, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from lepton.datasets.records import Export

    def chunks() -> Iterator[bytes]:
        yield b"a,b\n"
        raise ValueError(CANARY)

    export = Export(chunks(), "x.csv", "text/csv", ("größe, cm",))
    monkeypatch.setattr(platform.datasets, "export", lambda *_, **__: export)
    response = owner.get("/v1/datasets/x/export")
    assert response.headers["x-lepton-masked"] == "gr%C3%B6%C3%9Fe%2C%20cm"
    assert response.text == "a,b\n"
    assert "broke off after its answer had begun: builtins.ValueError" in caplog.text
    assert CANARY not in caplog.text


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"{", "The body is not JSON."),
        (b"[1]", "The body is missing or is no JSON object."),
        (b"", "The body is missing or is no JSON object."),
        (b'"\xff"', "The body could not be read."),
        (b"[" * 100_000, "The body could not be read."),
        (b'{"name": "m", "dataset": "x"}', "'target' in the body is missing."),
        (b'{"name": "m", "dataset": "x", "target": "y", "wrokers": 2}', "'wrokers' in the body is not known here."),
        (b'{"name": {"canary-7f3a91": 1}, "dataset": "x", "target": "y"}', "'name' is wrong: input should"),
        (b'{"name": "m", "dataset": "x", "target": "y", "params": {"canary-7f3a91": []}}', "'params' is wrong"),
        (b'{"name": "m", "dataset": "x", "target": "y", "workers": "canary-7f3a91"}', "'workers' is wrong"),
    ],
)
def test_a_wrong_body_is_told_where_and_what_without_being_repeated(
    owner: TestClient, body: bytes, message: str
) -> None:
    response = owner.post("/v1/models/train", content=body, headers={"Content-Type": "application/json"})
    assert response.status_code == 400
    assert response.json()["error"]["message"].startswith(message)
    assert CANARY not in response.text


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/v1/sign-in", {"name": "\ud800", "password": "correct horse"}),
        ("POST", "/v1/users", {"name": "ana", "role": "viewer", "project": "\ud800"}),
        ("POST", "/v1/users", {"name": "ana", "role": "viewer", "password": "\udfff" * 12}),
        ("PATCH", "/v1/users/owner", {"project": "\ud800"}),
    ],
)
def test_half_a_surrogate_pair_is_no_text(owner: TestClient, method: str, path: str, body: dict[str, str]) -> None:
    text = json.dumps(body)  # as an escape; the client itself would not encode it
    response = owner.request(method, path, content=text, headers={"Content-Type": "application/json"})
    assert (response.status_code, response.json()["error"]["code"]) == (400, "invalid_input")
    assert "surrogate" in response.json()["error"]["message"]


def test_a_body_that_does_not_say_it_is_json_is_told_to(owner: TestClient) -> None:
    response = owner.post("/v1/projects", content=b'{"name": "lab"}', headers={"Content-Type": "text/plain"})
    assert response.status_code == 400
    assert "Content-Type: application/json" in response.json()["error"]["message"]


def test_a_wrong_query_is_told_what_is_allowed(owner: TestClient) -> None:
    response = owner.get("/v1/runs?limit=many")
    assert response.json()["error"]["message"].startswith("'limit' is wrong: input should be a valid integer")
    response = owner.get("/v1/runs?state=sleeping")
    told = response.json()["error"]["message"]
    assert "'queued', 'running', 'succeeded', 'failed' or 'cancelled'" in told
    assert not any(word in told for word in ("query", "body", "/v1/")), "the terminal shows it too"
    response = owner.get("/v1/datasets/Not%20A%20Name")
    assert "cannot name a dataset" in response.json()["error"]["message"]
