"""Every address of MLflow's protocol: closed to strangers, open by the actions of Lepton, errors as MLflow has them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from architecture.hops import Hops
from fastapi.routing import APIRoute
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from lepton.access.records import Actor, Role
from lepton.platform import Platform
from lepton.server.mlflow import MLFLOW_ROUTERS

API = "/api/2.0/mlflow"
FILES = "/api/2.0/mlflow-artifacts/artifacts"
MODELS, VERSIONS = f"{API}/registered-models", f"{API}/model-versions"
LOOK, CHANGE, STEWARD = "look", "change", "steward"
RUN = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
CALLS: dict[tuple[str, str], tuple[str, dict[str, Any]]] = {
    ("GET", "/api/3.0/mlflow/server-info"): ("", {}),
    ("POST", f"{API}/experiments/create"): (CHANGE, {"json": {"name": "x"}}),
    ("GET", f"{API}/experiments/get"): (LOOK, {"params": {"experiment_id": "0"}}),
    ("GET", f"{API}/experiments/get-by-name"): (LOOK, {"params": {"experiment_name": "Default"}}),
    ("GET", f"{API}/experiments/search"): (LOOK, {}),
    ("POST", f"{API}/experiments/search"): (LOOK, {"json": {}}),
    ("POST", f"{API}/experiments/update"): (CHANGE, {"json": {"experiment_id": "1", "new_name": "y"}}),
    ("POST", f"{API}/experiments/delete"): (CHANGE, {"json": {"experiment_id": "1"}}),
    ("POST", f"{API}/experiments/restore"): (CHANGE, {"json": {"experiment_id": "1"}}),
    ("POST", f"{API}/experiments/set-experiment-tag"): (CHANGE, {"json": {"experiment_id": "1", "key": "k"}}),
    ("POST", f"{API}/experiments/delete-experiment-tag"): (CHANGE, {"json": {"experiment_id": "1", "key": "k"}}),
    ("POST", f"{API}/runs/create"): (CHANGE, {"json": {}}),
    ("GET", f"{API}/runs/get"): (LOOK, {"params": {"run_id": RUN}}),
    ("POST", f"{API}/runs/update"): (CHANGE, {"json": {"run_id": RUN, "status": "FINISHED"}}),
    ("POST", f"{API}/runs/delete"): (CHANGE, {"json": {"run_id": RUN}}),
    ("POST", f"{API}/runs/restore"): (CHANGE, {"json": {"run_id": RUN}}),
    ("POST", f"{API}/runs/search"): (LOOK, {"json": {"experiment_ids": ["0"]}}),
    ("POST", f"{API}/runs/log-metric"): (
        CHANGE,
        {"json": {"run_id": RUN, "key": "k", "value": 1, "timestamp": 0}},
    ),
    ("POST", f"{API}/runs/log-parameter"): (CHANGE, {"json": {"run_id": RUN, "key": "k", "value": "v"}}),
    ("POST", f"{API}/runs/set-tag"): (CHANGE, {"json": {"run_id": RUN, "key": "k", "value": "v"}}),
    ("POST", f"{API}/runs/delete-tag"): (CHANGE, {"json": {"run_id": RUN, "key": "k"}}),
    ("POST", f"{API}/runs/log-batch"): (CHANGE, {"json": {"run_id": RUN}}),
    ("POST", f"{API}/runs/log-inputs"): (CHANGE, {"json": {"run_id": RUN}}),
    ("POST", f"{API}/runs/outputs"): (CHANGE, {"json": {"run_id": RUN}}),
    ("POST", f"{API}/runs/log-model"): (LOOK, {"json": {"run_id": RUN, "model_json": "{}"}}),
    ("GET", f"{API}/metrics/get-history"): (LOOK, {"params": {"run_id": RUN, "metric_key": "k"}}),
    ("GET", f"{API}/metrics/get-history-bulk-interval"): (LOOK, {"params": {"run_ids": RUN, "metric_key": "k"}}),
    ("GET", f"{API}/artifacts/list"): (LOOK, {"params": {"run_id": RUN}}),
    ("GET", FILES): (LOOK, {"params": {"path": RUN}}),
    ("PUT", f"{FILES}/{RUN}/a.txt"): (CHANGE, {"content": b"text"}),
    ("GET", f"{FILES}/{RUN}/a.txt"): (LOOK, {}),
    ("DELETE", f"{FILES}/{RUN}/a.txt"): (CHANGE, {}),
    ("POST", f"{API}/logged-models"): (CHANGE, {"json": {}}),
    ("POST", f"{API}/logged-models/search"): (LOOK, {"json": {"experiment_ids": ["0"]}}),
    ("GET", f"{API}/logged-models/m-1"): (LOOK, {}),
    ("PATCH", f"{API}/logged-models/m-1"): (LOOK, {"json": {"status": "LOGGED_MODEL_READY"}}),
    ("DELETE", f"{API}/logged-models/m-1"): (LOOK, {}),
    ("POST", f"{API}/logged-models/m-1/params"): (LOOK, {"json": {}}),
    ("PATCH", f"{API}/logged-models/m-1/tags"): (LOOK, {"json": {}}),
    ("DELETE", f"{API}/logged-models/m-1/tags/k"): (LOOK, {}),
    ("GET", f"{API}/logged-models/m-1/artifacts/directories"): (LOOK, {}),
    ("POST", f"{MODELS}/create"): (STEWARD, {"json": {"name": "x"}}),
    ("GET", f"{MODELS}/get"): (LOOK, {"params": {"name": "y"}}),
    ("GET", f"{MODELS}/search"): (LOOK, {}),
    ("POST", f"{MODELS}/rename"): (LOOK, {"json": {"name": "y", "new_name": "z"}}),
    ("PATCH", f"{MODELS}/update"): (LOOK, {"json": {"name": "y", "description": "d"}}),
    ("DELETE", f"{MODELS}/delete"): (LOOK, {"json": {"name": "y"}}),
    ("POST", f"{MODELS}/set-tag"): (LOOK, {"json": {"name": "y", "key": "k", "value": "v"}}),
    ("DELETE", f"{MODELS}/delete-tag"): (LOOK, {"json": {"name": "y", "key": "k"}}),
    ("POST", f"{MODELS}/alias"): (LOOK, {"json": {"name": "y", "alias": "a", "version": "1"}}),
    ("DELETE", f"{MODELS}/alias"): (LOOK, {"json": {"name": "y", "alias": "a"}}),
    ("GET", f"{MODELS}/alias"): (LOOK, {"params": {"name": "y", "alias": "a"}}),
    ("GET", f"{MODELS}/get-latest-versions"): (LOOK, {"params": {"name": "y"}}),
    ("POST", f"{MODELS}/get-latest-versions"): (LOOK, {"json": {"name": "y"}}),
    ("POST", f"{VERSIONS}/create"): (LOOK, {"json": {"name": "y", "source": f"runs:/{RUN}/m"}}),
    ("GET", f"{VERSIONS}/get"): (LOOK, {"params": {"name": "y", "version": "1"}}),
    ("GET", f"{VERSIONS}/search"): (LOOK, {}),
    ("PATCH", f"{VERSIONS}/update"): (LOOK, {"json": {"name": "y", "version": "1", "description": "d"}}),
    ("DELETE", f"{VERSIONS}/delete"): (LOOK, {"json": {"name": "y", "version": "1"}}),
    ("POST", f"{VERSIONS}/set-tag"): (LOOK, {"json": {"name": "y", "version": "1", "key": "k", "value": "v"}}),
    ("DELETE", f"{VERSIONS}/delete-tag"): (LOOK, {"json": {"name": "y", "version": "1", "key": "k"}}),
    ("GET", f"{VERSIONS}/get-download-uri"): (LOOK, {"params": {"name": "y", "version": "1"}}),
    ("POST", f"{VERSIONS}/transition-stage"): ("", {"json": {}}),
}
"""A well-formed request for each address, about things that do not exist, and what it takes to be told so."""
REFUSED = "transition-stage"
"""What nobody can have."""
HOLDERS = {
    "": set(Role),
    LOOK: set(Role) - {Role.CALLER},
    CHANGE: {Role.OWNER, Role.STEWARD, Role.EDITOR},
    STEWARD: {Role.OWNER, Role.STEWARD},
}


@pytest.fixture
def catalog_url() -> str:
    """SQLite alone: what differs between the databases is tested where their SQL is."""
    return "sqlite"


def addresses() -> set[tuple[str, str]]:
    """Every method and address there is, with things of these tests in the place of names."""
    found = set()
    for router in MLFLOW_ROUTERS:
        for route in router.routes:
            assert isinstance(route, APIRoute)
            path = route.path.replace("{path:path}", f"{RUN}/a.txt").replace("{model_id}", "m-1").replace("{key}", "k")
            found |= {(method, path) for method in route.methods}
    return found


def mlflow_error(response: Any) -> tuple[int, str]:
    body = response.json()
    assert set(body) == {"error_code", "message"}
    assert body["message"].strip()
    return response.status_code, body["error_code"]


def test_the_calls_above_are_all_the_addresses_there_are() -> None:
    assert addresses() == set(CALLS)


def test_a_stranger_gets_401_at_every_address_of_every_project(anonymous: TestClient) -> None:
    for (method, path), (_, options) in CALLS.items():
        for prefix in ("", "/projects/lab"):
            response = anonymous.request(method, prefix + path, **options)
            assert mlflow_error(response) == (401, "UNAUTHENTICATED"), (method, path)
    assert mlflow_error(anonymous.get("/api/2.0/mlflow/nothing")) == (401, "UNAUTHENTICATED")


def test_every_address_is_open_to_exactly_the_roles_that_hold_its_action(client_of: Callable[..., TestClient]) -> None:
    for role in Role:
        client = client_of(role)
        for (method, path), (needs, options) in CALLS.items():
            response = client.request(method, path, **options)
            if role in HOLDERS[needs]:
                assert response.status_code in (200, 404, 409) or REFUSED in path, (role, method, path, response.text)
            else:
                assert mlflow_error(response) == (403, "PERMISSION_DENIED"), (role, method, path)


def test_who_has_no_role_in_a_project_finds_no_such_project(client_of: Callable[..., TestClient]) -> None:
    client = client_of(Role.EDITOR)
    for (method, path), (_, options) in CALLS.items():
        response = client.request(method, f"/projects/elsewhere{path}", **options)
        known = response.status_code == 200 or REFUSED in path
        assert known or mlflow_error(response) == (404, "RESOURCE_DOES_NOT_EXIST")


def test_every_answer_has_the_headers_of_all_others_and_is_kept_by_nobody(owner: TestClient) -> None:
    response = owner.post(f"{API}/experiments/search", json={})
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["x-request-id"]


WRONG: list[tuple[str, str, dict[str, Any], tuple[int, str]]] = [
    ("POST", f"{API}/experiments/create", {"json": {}}, (400, "INVALID_PARAMETER_VALUE")),
    ("POST", f"{API}/experiments/create", {"json": {"name": "\0"}}, (400, "INVALID_PARAMETER_VALUE")),
    ("POST", f"{API}/experiments/create", {"json": {"name": " "}}, (400, "INVALID_PARAMETER_VALUE")),
    ("POST", f"{API}/experiments/create", {"json": {"name": "x" * 251}}, (400, "INVALID_PARAMETER_VALUE")),
    ("POST", f"{API}/experiments/create", {"json": {"name": "Default"}}, (409, "RESOURCE_ALREADY_EXISTS")),
    ("POST", f"{API}/experiments/search", {"json": {"page_token": "x"}}, (400, "INVALID_PARAMETER_VALUE")),
    ("POST", f"{API}/experiments/create", {"content": b"{"}, (400, "INVALID_PARAMETER_VALUE")),
    ("POST", f"{API}/traces", {"json": {}}, (404, "ENDPOINT_NOT_FOUND")),
    ("POST", "/api/4.0/mlflow/traces/search", {"json": {}}, (404, "ENDPOINT_NOT_FOUND")),
    ("PUT", f"{API}/runs/create", {"json": {}}, (405, "ENDPOINT_NOT_FOUND")),
    ("PUT", f"{FILES}/{RUN}/../a", {"content": b""}, (400, "INVALID_PARAMETER_VALUE")),
    ("PUT", f"{FILES}/{RUN}/a%2F..%2Fb", {"content": b""}, (400, "INVALID_PARAMETER_VALUE")),
    ("POST", f"{API}/runs/update", {"json": {"run_id": RUN, "status": "x"}}, (400, "INVALID_PARAMETER_VALUE")),
    (
        "POST", f"{API}/runs/log-metric",
        {"json": {"run_id": RUN, "key": "k", "value": 1, "timestamp": 1 << 62}},
        (400, "INVALID_PARAMETER_VALUE"),
    ),
    (
        "POST", f"{API}/runs/log-batch",
        {"json": {"run_id": RUN, "metrics": [{"key": "k", "value": 1, "timestamp": 0}] * 1001}},
        (400, "INVALID_PARAMETER_VALUE"),
    ),
]  # fmt: skip


def test_an_error_has_the_shape_that_mlflow_reads(owner: TestClient) -> None:
    for method, path, options, expected in WRONG:
        assert mlflow_error(owner.request(method, path, **options)) == expected, (method, path)


def test_a_browser_that_another_site_made_ask_is_refused_with_basic_too(
    anonymous: TestClient, token_of: Callable[..., str]
) -> None:
    anonymous.auth = ("anybody", token_of(Role.OWNER))
    assert anonymous.post(f"{API}/experiments/search", json={}).status_code == 200
    headers = {"Origin": "https://evil.example"}
    response = anonymous.post(f"{API}/experiments/search", json={}, headers=headers)
    assert mlflow_error(response) == (403, "PERMISSION_DENIED")


def test_what_an_unknown_run_is_told_is_refused_before_anything_is_kept(owner: TestClient) -> None:
    response = owner.post(f"{API}/runs/log-batch", json={"run_id": RUN, "params": [{"key": "a", "value": "b"}]})
    assert mlflow_error(response) == (404, "RESOURCE_DOES_NOT_EXIST")


FIELDS = [
    "name", "new_name", "experiment_id", "run_id", "key", "value", "timestamp", "step", "metrics", "params", "tags",
    "filter", "order_by", "max_results", "page_token", "experiment_ids", "status", "datasets", "models", "source",
    "version", "alias", "description", "model_id", "run_uuid", "view_type",
]  # fmt: skip
LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10) | st.sampled_from(["0", RUN, "y"])
)
THINGS = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(sorted(CALLS)), st.dictionaries(st.sampled_from(FIELDS), THINGS, max_size=8))
def test_whatever_is_sent_is_answered_and_never_an_internal_error(
    owner: TestClient, call: tuple[str, str], body: dict[str, Any]
) -> None:
    method, path = call
    if method == "GET":
        response = owner.get(path, params={key: str(value) for key, value in body.items()})
    else:
        content = json.dumps(body).encode()  # NaN and Infinity too, as they come
        response = owner.request(method, path, content=content, headers={"Content-Type": "application/json"})
    assert response.status_code < 500, response.text


def test_what_a_run_was_told_never_keeps_it_from_being_read(owner: TestClient) -> None:
    run_id = owner.post(f"{API}/runs/create", json={}).json()["run"]["info"]["run_id"]
    hostile = [
        b'{"dataset": {"name": "a", "digest": NaN}}',
        b'{"dataset": {"name": "a", "digest": "b", "profile": 1e999}}',
    ]
    for one in (*hostile, b'{"dataset": []}', b'{"dataset": {"name": "a", "digest": "b", "more": NaN}}'):
        content = b'{"run_id": "%s", "datasets": [%s]}' % (run_id.encode(), one)
        owner.post(f"{API}/runs/log-inputs", content=content, headers={"Content-Type": "application/json"})
    run = owner.get(f"{API}/runs/get", params={"run_id": run_id}).json()["run"]
    assert run["inputs"]["dataset_inputs"] == [{"dataset": {"name": "a", "digest": "b"}}]


def test_from_an_address_to_sql_there_are_at_most_seven_of_our_modules(
    platform: Platform, owner_actor: Actor, owner: TestClient
) -> None:
    run_id = owner.post(f"{API}/runs/create", json={}).json()["run"]["info"]["run_id"]
    owner.put(f"{FILES}/{run_id}/m/a.pkl", content=b"x").raise_for_status()
    owner.post(f"{MODELS}/create", json={"name": "y"}).raise_for_status()
    chains = Hops()
    chains.start()
    try:
        source = {"name": "y", "source": f"runs:/{run_id}/m", "run_id": run_id}
        owner.post(f"{VERSIONS}/create", json=source).raise_for_status()
        for (method, path), (_, options) in CALLS.items():
            owner.request(method, path.replace(RUN, run_id), **options)
    finally:
        chains.stop()
    through = {chain for chain in chains.sql if any(name.startswith("lepton.server.mlflow") for name in chain)}
    assert {name for chain in through for name in chain} >= {"lepton.models.registry", "lepton.runs.experiments"}
    assert [" > ".join(chain) for chain in through if len(chain) > 7] == []
