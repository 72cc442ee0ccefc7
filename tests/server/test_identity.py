"""Who gets in: tokens, sessions, and requests that another site or another name made a browser send."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from starlette.datastructures import Headers
from starlette.testclient import TestClient

from lepton.access.records import Actor, Role
from lepton.core.errors import Forbidden, InvalidInput, Unauthenticated
from lepton.platform import Platform
from lepton.server import create_app
from lepton.server.identity import Hosts, check_same_origin, needs_identity

HERE = "http://localhost:7070"


def error_of(response: Any) -> tuple[int, str, str]:
    error = response.json()["error"]
    return response.status_code, error["code"], error["message"]


@pytest.fixture
def code(platform: Platform, owner_actor: Actor) -> str:
    return platform.access.create_sign_in_link(owner_actor).code


@pytest.fixture
def browser(anonymous: TestClient, code: str) -> TestClient:
    """A browser that has signed in with a link."""
    anonymous.post("/v1/sign-in", json={"code": code}, headers={"Origin": HERE}).raise_for_status()
    return anonymous


@pytest.mark.parametrize(
    "authorization", ["", "Bearer", "Bearer ", "Basic bHB0", "Bearer lpt_unknown", "lpt_unknown", "Bearer \xe9\xe9"]
)
def test_a_credential_that_is_no_valid_token_is_refused(anonymous: TestClient, authorization: str) -> None:
    headers = [(b"Authorization", authorization.encode("latin-1"))]
    status, code, message = error_of(anonymous.get("/v1/me", headers=headers))
    assert (status, code) == (401, "unauthenticated")
    assert "lepton tokens create" in message
    assert "unknown_" not in message


def test_an_expired_token_says_so_with_the_date_and_the_way_out(
    client_of: Callable[..., TestClient], clock: Any
) -> None:
    client = client_of(Role.EDITOR, expires_in_s=86_400)
    assert client.get("/v1/me").status_code == 200
    clock.advance(days=2)
    assert error_of(client.get("/v1/me")) == (
        401, "unauthenticated", "This token expired on 2026-01-02. Make a new one with: lepton tokens create",
    )  # fmt: skip


def test_a_revoked_token_stops_at_once(owner: TestClient, anonymous: TestClient) -> None:
    made = owner.post("/v1/tokens", json={"name": "laptop"}).json()
    headers = {"Authorization": f"Bearer {made['secret']}"}
    assert anonymous.get("/v1/me", headers=headers).status_code == 200
    assert owner.delete(f"/v1/tokens/{made['id']}").status_code == 204
    assert error_of(anonymous.get("/v1/me", headers=headers))[1] == "unauthenticated"


def test_a_scoped_token_does_what_it_is_for_and_no_more(client_of: Callable[..., TestClient]) -> None:
    client = client_of(Role.OWNER, scopes=["runs.list"])
    assert client.get("/v1/runs").status_code == 200
    status, code, message = error_of(client.get("/v1/datasets"))
    assert (status, code) == (403, "forbidden")
    assert "not good for datasets.list" in message
    assert client.get("/v1/me").json()["projects"][0]["actions"] == ["runs.list"]


def test_a_sign_in_link_opens_a_session_in_a_cookie_that_no_script_reads(anonymous: TestClient, code: str) -> None:
    response = anonymous.post("/v1/sign-in", json={"code": code}, headers={"Origin": HERE})
    assert response.json()["user"]["name"] == "owner"
    cookie = response.headers["set-cookie"]
    assert cookie.startswith("lepton_session=lps_")
    assert {"httponly", "samesite=strict", "path=/"} <= {part.strip().lower() for part in cookie.split(";")}
    assert anonymous.get("/v1/me").json() == response.json()
    assert error_of(anonymous.post("/v1/sign-in", json={"code": code}))[1] == "unauthenticated"


def test_the_link_of_the_command_line_leads_to_the_page_that_uses_it_up(
    owner: TestClient, anonymous: TestClient
) -> None:
    link = owner.post("/v1/sign-in-links")
    assert link.status_code == 201
    address, _, code = link.json()["url"].partition("?code=")
    assert address == f"{HERE}/sign-in"
    assert anonymous.post("/v1/sign-in", json={"code": code}).status_code == 200


def test_a_name_and_a_password_open_a_session(platform: Platform, owner_actor: Actor, anonymous: TestClient) -> None:
    platform.access.create_user(owner_actor, "ana", Role.VIEWER, password="correct horse")
    wrong = anonymous.post("/v1/sign-in", json={"name": "ana", "password": "wrong horse"})
    assert error_of(wrong)[:2] == (401, "unauthenticated")
    assert "horse" not in wrong.text
    right = anonymous.post("/v1/sign-in", json={"name": "ana", "password": "correct horse"})
    assert right.json()["projects"][0]["role"] == "viewer"
    neither = anonymous.post("/v1/sign-in", json={"name": "ana"})
    assert error_of(neither)[:2] == (400, "invalid_input")


def test_signing_out_ends_the_session_on_the_server_too(browser: TestClient) -> None:
    secret = browser.cookies["lepton_session"]
    assert browser.post("/v1/sign-out", headers={"Origin": HERE}).status_code == 204
    assert "lepton_session" not in browser.cookies
    response = browser.get("/v1/me", headers={"Cookie": f"lepton_session={secret}"})
    assert error_of(response) == (401, "unauthenticated", "Your session has ended. Sign in again.")


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://localhost:8080"},
        {"Origin": "http://["},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": "http://evil.example", "Sec-Fetch-Site": "same-origin"},
        {"Origin": HERE, "Sec-Fetch-Site": "cross-site"},
    ],
)
def test_a_change_that_another_site_asks_a_browser_for_is_refused(browser: TestClient, headers: dict[str, str]) -> None:
    response = browser.post("/v1/projects", json={"name": "lab"}, headers=headers)
    assert error_of(response)[:2] == (403, "forbidden")
    assert [p["name"] for p in browser.get("/v1/projects").json()["items"]] == ["default"]


@pytest.mark.parametrize("headers", [{"Origin": HERE}, {"Sec-Fetch-Site": "same-origin"}])
def test_a_change_that_the_page_itself_asks_for_is_made(browser: TestClient, headers: dict[str, str]) -> None:
    assert browser.post("/v1/projects", json={"name": "lab"}, headers=headers).status_code == 201


def test_a_token_needs_no_origin(owner: TestClient) -> None:
    response = owner.post("/v1/projects", json={"name": "lab"}, headers={"Origin": "http://elsewhere.example"})
    assert response.status_code == 201


def test_nobody_is_signed_in_by_a_form_of_another_site(anonymous: TestClient, code: str) -> None:
    response = anonymous.post("/v1/sign-in", json={"code": code}, headers={"Origin": "http://evil.example"})
    assert error_of(response)[:2] == (403, "forbidden")
    assert anonymous.post("/v1/sign-in", json={"code": code}).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "evil.example:7070", "localhost.evil.example", "", "[", "a b"])
def test_a_name_that_is_not_ours_is_refused_everywhere(anonymous: TestClient, host: str) -> None:
    for path in ("/v1/health", "/", "/v1/me"):
        response = anonymous.get(path, headers={"Host": host})
        assert error_of(response)[:2] == (400, "invalid_input")


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:80", "127.0.0.1:7070", "[::1]:7070", "10.1.2.3", "localhost."]
)
def test_our_names_and_plain_addresses_are_answered(host: str) -> None:
    Hosts("127.0.0.1").check(host)


def test_the_name_one_listens_on_is_answered() -> None:
    Hosts("lepton.lab").check("Lepton.Lab:7070")
    with pytest.raises(InvalidInput):
        Hosts("127.0.0.1").check("lepton.lab")


def test_only_health_and_sign_in_are_open() -> None:
    assert not needs_identity("GET", "/v1/health")
    assert not needs_identity("POST", "/v1/sign-in")
    assert not needs_identity("GET", "/datasets")
    for method, path in [("GET", "/v1/sign-in"), ("POST", "/v1/health"), ("GET", "/v1/nothing"), ("GET", "/v1")]:
        assert needs_identity(method, path)


def test_a_program_that_says_nothing_of_an_origin_may_sign_in() -> None:
    check_same_origin(Headers({"host": "localhost"}), required=False)
    with pytest.raises(Forbidden):
        check_same_origin(Headers({"host": "localhost"}), required=True)


def test_a_token_that_is_deleted_while_its_file_is_sent_gets_no_import(platform: Platform, owner_actor: Actor) -> None:
    token, secret = platform.access.create_token(owner_actor, "shop")
    actor = platform.access.authenticate(secret)
    assert platform.access.renew(actor) == actor

    def pieces() -> Iterator[bytes]:
        yield b"a\n1\n"
        platform.access.delete_token(owner_actor, token.id)

    with TestClient(create_app(platform), base_url="http://localhost:7070") as client:
        headers = {"Authorization": f"Bearer {secret}"}
        response = client.post("/v1/datasets/import?name=x", content=pieces(), headers=headers)
    assert response.status_code == 401
    assert platform.runs.list(owner_actor) == []
    with pytest.raises(Unauthenticated):
        platform.access.renew(actor)
    session = platform.access.sign_in(platform.access.create_sign_in_link(owner_actor).code)
    assert platform.access.renew(session.actor) == session.actor
    platform.access.sign_out(session.secret)
    with pytest.raises(Unauthenticated):
        platform.access.renew(session.actor)
