"""Every route there is: closed to strangers, open to exactly the roles of its action, one shape of error."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.testclient import TestClient

from lepton.access.actions import ACTIONS
from lepton.access.records import Role
from lepton.core import errors

NOBODY = "01ARZ3NDEKTSV4RRFFQ69G5FAV"
OPEN = {("GET", "/v1/health"), ("POST", "/v1/sign-in")}


@dataclass(frozen=True)
class Call:
    """A well-formed request for one operation, about things that do not exist."""

    method: str
    path: str
    action: str | None
    options: dict[str, Any] = field(default_factory=dict)


def a_call(method: str, path: str, action: str | None, **options: Any) -> Call:
    return Call(method, path, action, options)


CALLS = {
    "datasets.list": a_call("GET", "/v1/datasets", "datasets.list"),
    "datasets.import": a_call("POST", "/v1/datasets/import?name=x", "datasets.import", content=b"a,b\n1,2\n"),
    "datasets.get": a_call("GET", "/v1/datasets/x", "datasets.get"),
    "datasets.profile": a_call("GET", "/v1/datasets/x/profile", "datasets.profile"),
    "datasets.rows": a_call("GET", "/v1/datasets/x/rows", "datasets.rows"),
    "datasets.report": a_call("GET", "/v1/datasets/x/report", "datasets.get"),
    "datasets.clean": a_call("POST", "/v1/datasets/x/clean", "datasets.clean", json={}),
    "datasets.split": a_call("POST", "/v1/datasets/x/split", "datasets.split", json={}),
    "datasets.export": a_call("GET", "/v1/datasets/x/export", "datasets.export"),
    "datasets.delete": a_call("DELETE", "/v1/datasets/x", "datasets.delete"),
    "labels.list": a_call("GET", "/v1/labels", "labels.list"),
    "runs.list": a_call("GET", "/v1/runs", "runs.list"),
    "runs.get": a_call("GET", "/v1/runs/{run}", "runs.get"),
    "runs.logs": a_call("GET", "/v1/runs/{run}/logs", "runs.logs"),
    "runs.metrics": a_call("GET", "/v1/runs/{run}/metrics", "runs.get"),
    "runs.cancel": a_call("POST", "/v1/runs/{run}/cancel", "runs.cancel"),
    "runs.retry": a_call("POST", "/v1/runs/{run}/retry", "runs.retry"),
    "runs.submit": a_call(
        "POST", "/v1/runs/submit", "runs.submit", content=b'{"command": ["true"], "key": "k"}\nno folder'
    ),
    "runs.queue": a_call("GET", "/v1/runs/queue", "runs.queue"),
    "runs.quota": a_call("GET", "/v1/runs/quota", "runs.quota"),
    "runs.limit": a_call("PUT", "/v1/runs/quota", "runs.limit", json={"cpus": 4}),
    "runs.schedules": a_call("GET", "/v1/runs/schedules", "runs.schedules"),
    "runs.schedule": a_call("POST", "/v1/runs/{run}/schedule", "runs.schedule", json={"cron": "@daily"}),
    "runs.unschedule": a_call("DELETE", f"/v1/runs/schedules/{NOBODY}", "runs.unschedule"),
    "runs.create": a_call("POST", "/v1/runs", "runs.create", json={}),
    "runs.track": a_call("POST", "/v1/runs/{run}/track", "runs.track", json={"client": "c", "batch": 1}),
    "runs.end": a_call("POST", "/v1/runs/{run}/end", "runs.track", json={}),
    "runs.tracked": a_call("GET", "/v1/runs/{run}/tracked", "runs.get"),
    "runs.artifacts": a_call("GET", "/v1/runs/{run}/artifacts", "runs.artifacts"),
    "runs.put_artifact": a_call("PUT", "/v1/runs/{run}/artifacts/x.txt", "runs.track", content=b"text"),
    "runs.download": a_call("GET", "/v1/runs/{run}/artifacts/x.txt", "runs.artifacts"),
    "models.list": a_call("GET", "/v1/models", "models.list"),
    "models.train": a_call(
        "POST", "/v1/models/train", "models.train", json={"name": "m", "dataset": "x", "target": "y"}
    ),
    "models.propose": a_call("GET", "/v1/models/propose?dataset=x&target=y", "models.get"),
    "models.tune": a_call(
        "POST",
        "/v1/models/tune",
        "models.tune",
        json={"name": "m", "dataset": "x", "target": "y", "search": ["l2=1..2"]},
    ),
    "models.studies": a_call("GET", "/v1/models/studies", "models.list"),
    "models.study": a_call("GET", "/v1/models/studies/s", "models.get"),
    "models.forget": a_call("DELETE", "/v1/models/studies/s", "models.delete"),
    "models.read_journal": a_call("GET", "/v1/models/journals/j", "models.get"),
    "models.append_journal": a_call(
        "POST", "/v1/models/journals/j", "models.tune", json={"batch": "b", "entries": ["{}"]}
    ),
    "models.register": a_call("POST", "/v1/models/register?name=m", "models.register", content=b"no zip"),
    "models.get": a_call("GET", "/v1/models/m", "models.get"),
    "models.evaluate": a_call("POST", "/v1/models/m/evaluate", "models.evaluate", json={"dataset": "x"}),
    "models.predict": a_call("POST", "/v1/models/m/predict", "models.predict", json={"dataset": "x"}),
    "models.lineage": a_call("GET", "/v1/models/m/lineage", "models.get"),
    "models.scorecard": a_call("GET", "/v1/models/m/scorecard", "models.get"),
    "models.export": a_call("GET", "/v1/models/m/export", "models.export"),
    "models.delete": a_call("DELETE", "/v1/models/m", "models.delete"),
    "endpoints.list": a_call("GET", "/v1/endpoints", "endpoints.list"),
    "endpoints.deploy": a_call("POST", "/v1/endpoints/deploy", "endpoints.deploy", json={"name": "e", "model": "m"}),
    "endpoints.rollback": a_call("POST", "/v1/endpoints/e/rollback", "endpoints.rollback"),
    "endpoints.get": a_call("GET", "/v1/endpoints/e", "endpoints.get"),
    "endpoints.metrics": a_call("GET", "/v1/endpoints/e/metrics", "endpoints.get"),
    "endpoints.logs": a_call("GET", "/v1/endpoints/e/logs", "endpoints.logs"),
    "metrics.get": a_call("GET", "/v1/metrics", "endpoints.list"),
    "endpoints.predict": a_call("POST", "/v1/endpoints/e/predict", "endpoints.predict", json=[{"a": 1}]),
    "endpoints.delete": a_call("DELETE", "/v1/endpoints/e", "endpoints.delete"),
    "projects.list": a_call("GET", "/v1/projects", "projects.list"),
    "projects.create": a_call("POST", "/v1/projects", "projects.create", json={"name": "lab"}),
    "users.list": a_call("GET", "/v1/users", "users.list"),
    "users.create": a_call("POST", "/v1/users", "users.create", json={"name": "bo", "role": "viewer"}),
    "users.update": a_call("PATCH", "/v1/users/nobody", "users.update", json={"role": "viewer"}),
    "users.delete": a_call("DELETE", "/v1/users/nobody", "users.delete"),
    "tokens.list": a_call("GET", "/v1/tokens", "tokens.list"),
    "tokens.create": a_call("POST", "/v1/tokens", "tokens.create", json={"name": "t"}),
    "tokens.delete": a_call("DELETE", f"/v1/tokens/{NOBODY}", "tokens.delete"),
    "audit.list": a_call("GET", "/v1/audit", "audit.list"),
    "session.link": a_call("POST", "/v1/sign-in-links", "tokens.create"),
    "session.me": a_call("GET", "/v1/me", None),
    "session.sign_out": a_call("POST", "/v1/sign-out", None),
    "session.sign_in": a_call("POST", "/v1/sign-in", None, json={"code": "lpc_x"}),
    "health.get": a_call("GET", "/v1/health", None),
}
NO_ROUTE = {"datasets.read_personal", "datasets.read_secret"}
"""Actions that mask columns instead of opening a route."""


def operations(app: FastAPI) -> dict[str, tuple[str, str]]:
    """Method and path of every operation, by its id."""
    return {
        about["operationId"]: (method.upper(), path)
        for path, methods in app.openapi()["paths"].items()
        for method, about in methods.items()
    }


def test_the_calls_below_are_all_the_operations_there_are(app: FastAPI) -> None:
    def like(path: str, template: str) -> bool:
        there, here = path.partition("?")[0].split("/"), template.split("/")
        return len(there) == len(here) and all(h.startswith("{") or h == t for t, h in zip(there, here, strict=True))

    found = operations(app)
    assert set(found) == set(CALLS)
    for name, (method, template) in found.items():
        assert CALLS[name].method == method, name
        assert like(CALLS[name].path, template), name


def test_every_action_of_the_table_has_a_route_and_every_route_an_action() -> None:
    assert {call.action for call in CALLS.values()} - {None} == set(ACTIONS) - NO_ROUTE


def test_a_stranger_gets_401_everywhere_but_at_health_and_sign_in(app: FastAPI, anonymous: TestClient) -> None:
    for name, call in CALLS.items():
        if (call.method, call.path) in OPEN:
            continue
        for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", call.method}:
            for options in (call.options, {"content": b"{", "headers": {"Content-Type": "application/json"}}):
                if (method, call.path) in OPEN:
                    continue
                response = anonymous.request(method, call.path, **options)
                assert response.status_code == 401, (name, method)
                assert response.json()["error"]["code"] == "unauthenticated"
    for path in ("/v1", "/v1/", "/v1/openapi.json", "/v1/nothing", "/v1/datasets/", "/v1//datasets", "/v1/../v1/runs"):
        assert anonymous.get(path).status_code == 401, path
    for path in ("/docs", "/redoc", "/openapi.json"):
        assert "swagger" not in anonymous.get(path).text.lower()
    assert anonymous.get("/v1/health").json() == {"status": "ok", "version": "0.1.0"}


@pytest.mark.parametrize("role", Role)
def test_each_role_gets_exactly_its_row_of_the_table(
    app: FastAPI, client_of: Callable[..., TestClient], a_run: str, role: Role
) -> None:
    client = client_of(role)
    got = set()
    for name, call in CALLS.items():
        if call.action is None:
            continue
        response = client.request(call.method, call.path.format(run=a_run), **call.options)
        assert response.status_code not in (401, 500), (name, response.text)
        if response.status_code != 403:
            got.add(call.action)
        else:
            assert call.action not in got, f"{name} is refused, another operation of the same action is not"
    assert got == {action for action, roles in ACTIONS.items() if role in roles} - NO_ROUTE


@pytest.fixture
def a_run(platform: Any, owner_actor: Any) -> str:
    """The id of a run that waits."""
    with platform.guard.allow(owner_actor, "datasets.import") as tx:
        run = platform.runs.submit(owner_actor, tx, project="default", task="datasets.clean", arguments={})
    return str(run.id)


def test_every_failure_has_the_one_shape(owner: TestClient, anonymous: TestClient) -> None:
    """Nothing exists, bodies are broken, methods are wrong: whatever the route, the answer is read in the same way."""
    codes = {cls.code: cls.status for cls in vars(errors).values() if isinstance(cls, type) and hasattr(cls, "code")}
    broken = {"content": b"{", "headers": {"Content-Type": "application/json"}}
    failures = 0
    for call in CALLS.values():
        path = call.path.format(run=NOBODY)
        for client in (owner, anonymous):
            for method, options in (
                (call.method, call.options),
                (call.method, broken),
                ("PUT", {}),
                (call.method, {"json": []}),
            ):
                response = client.request(method, path.replace("/x", "/-X-"), **options)
                if response.status_code < 400:
                    continue
                failures += 1
                assert response.status_code != 500, (method, path, response.text)
                assert response.headers["content-type"] == "application/json"
                body = response.json()
                assert set(body) == {"error"}
                assert set(body["error"]) == {"code", "message", "request_id"}
                assert response.headers["x-request-id"] == body["error"]["request_id"]
                if response.status_code != 405:
                    assert codes[body["error"]["code"]] == response.status_code
                assert body["error"]["message"].endswith(
                    (".", "list", "create", "get x", "up", "schedules", "studies")
                ), body
    assert failures > 150


def test_a_method_that_an_address_does_not_take_is_named_with_those_it_takes(owner: TestClient) -> None:
    response = owner.put("/v1/runs")
    assert response.status_code == 405
    assert response.json()["error"]["message"] == (
        "This address does not take PUT; it takes GET. See /v1/openapi.json."
    )


def test_the_description_of_the_interface_needs_a_token_and_names_operations_as_the_nouns_do(
    owner: TestClient,
) -> None:
    description = owner.get("/v1/openapi.json").json()
    assert description["paths"]["/v1/datasets/import"]["post"]["operationId"] == "datasets.import"
    assert description["paths"]["/v1/models/{ref}/evaluate"]["post"]["operationId"] == "models.evaluate"
    assert "413" not in str(description["paths"]["/v1/me"])
    assert {"class", "masked"} <= set(description["components"]["schemas"]["ColumnAnswer"]["properties"])


def test_answers_about_people_and_data_are_kept_by_no_cache(owner: TestClient) -> None:
    assert owner.get("/v1/me").headers["cache-control"] == "no-store"
