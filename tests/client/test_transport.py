"""HTTP out, bodies back, every failure a class of ours with a sentence that says what to do."""

from __future__ import annotations

import io
import socket

import pandas as pd
import pytest
from client.fakes import RUN, FakePlatform, Prepared, error, stream

from lepton.client import Client
from lepton.client.transport import encode
from lepton.core import errors


@pytest.mark.parametrize(
    "kind",
    [
        errors.InvalidInput, errors.Unauthenticated, errors.Forbidden, errors.NotFound, errors.Conflict,
        errors.TooLarge, errors.RunFailed, errors.Internal, errors.Unavailable, errors.StorageFull,
    ],
)  # fmt: skip
def test_the_client_raises_the_class_that_the_platform_raised(
    fake: FakePlatform, client: Client, kind: type[errors.LeptonError]
) -> None:
    fake.on("GET", "/v1/models/m", Prepared(error(kind.code, "A sentence."), kind.status))
    with pytest.raises(kind, match=r"^A sentence\.$"):
        client.models.get("m")


def test_a_code_of_a_newer_platform_is_still_an_error_with_its_sentence(fake: FakePlatform, client: Client) -> None:
    fake.on("GET", "/v1/models/m", Prepared(error("quota", "No quota is left."), 429))
    with pytest.raises(errors.LeptonError, match="No quota is left"):
        client.models.get("m")


def test_nobody_listening_says_how_to_start_the_platform() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    with (
        Client(url, "t") as client,
        pytest.raises(errors.Unavailable, match=f"No platform answers at {url}. Start it with: lepton up"),
    ):
        client.health()


@pytest.mark.parametrize(("status", "kind"), [(502, errors.Unavailable), (404, errors.InvalidInput)])
def test_an_answer_that_is_not_a_platforms_gets_a_sentence(
    fake: FakePlatform, client: Client, status: int, kind: type[errors.LeptonError]
) -> None:
    fake.on("GET", "/v1/health", Prepared(b"<html>proxy</html>", status))
    with pytest.raises(kind, match=f"HTTP status {status}"):
        client.health()


def test_a_broken_connection_gets_a_sentence(fake: FakePlatform, client: Client) -> None:
    fake.on("GET", "/v1/health", Prepared({"status": "ok", "version": "1"}, cut=True))
    with pytest.raises(errors.Unavailable, match="broke before the answer was complete"):
        client.health()


def test_a_platform_that_is_too_slow_gets_a_sentence() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        Client(f"http://127.0.0.1:{silent.getsockname()[1]}", None, timeout_s=0.05) as client,
        pytest.raises(errors.Unavailable, match=r"did not answer within 0.05 seconds"),
    ):
        client.health()


@pytest.mark.parametrize("url", ["", "localhost:7070", "ftp://x", "http://", "http://[::1"])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(errors.InvalidInput, match="http://127.0.0.1:7070"):
        Client(url, None)


def test_every_call_carries_the_token_and_the_project(fake: FakePlatform) -> None:
    fake.on("GET", "/v1/datasets", {"items": []})
    with Client(fake.url, "lpt_secret", project="research") as client:
        client.datasets.list()
        assert "lpt_secret" not in repr(client)
    (seen,) = fake.seen
    assert seen.headers["Authorization"] == "Bearer lpt_secret"
    assert seen.query["project"] == ["research"]


def test_the_token_of_a_local_platform_does_not_pass_through_a_proxy(
    fake: FakePlatform, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    fake.on("GET", "/v1/health", {"status": "ok", "version": "1"})
    with Client(fake.url, "lpt_secret") as local:
        assert local.health().status == "ok"


def test_names_are_quoted_into_the_path(fake: FakePlatform, client: Client) -> None:
    fake.on("DELETE", "/v1/users/a%20b%3Fx", Prepared(status=204))
    client.users.delete("a b?x")


def test_an_upload_is_sent_in_pieces_and_refused_early(fake: FakePlatform, client: Client) -> None:
    fake.on("POST", "/v1/datasets/import", Prepared(error("too_large", "Too large."), 413, read_body=False))
    with pytest.raises(errors.TooLarge):
        client.datasets.import_(io.BytesIO(b"x" * (64 << 20)), name="big")


def test_waiting_outlasts_a_platform_that_restarts(fake: FakePlatform, client: Client) -> None:
    away = Prepared(error("unavailable", "Restarting."), 503)
    told: list[str] = []
    broken, closed, done = stream(RUN, cut=True), stream(RUN), stream(RUN | {"state": "succeeded"})
    fake.on("GET", "/v1/runs/01RUN", broken, away, away, closed, done)
    assert client.runs.wait("01RUN", on_progress=lambda run: told.append(run.state)).state == "succeeded"
    assert told == ["running", "running", "succeeded"]
    assert {request.headers["Accept"] for request in fake.seen} == {"text/event-stream"}


def test_a_log_that_is_followed_goes_on_where_it_was_when_the_platform_is_back(
    fake: FakePlatform, client: Client
) -> None:
    line = {"seq": 7, "rank": 0, "time": "2026-01-01T12:00:00Z", "text": "read 5 rows"}
    away = Prepared(error("unavailable", "Restarting."), 503)
    rest = stream(RUN | {"state": "succeeded"}, line=line | {"seq": 8, "text": "done"})
    fake.on("GET", "/v1/runs/01RUN/logs", stream(RUN, line=line, cut=True), away, rest)
    assert [told.text for told in client.runs.logs("01RUN", follow=True)] == ["read 5 rows", "done"]
    assert [request.headers.get("Last-Event-ID") for request in fake.seen] == [None, "7", "7"]


def test_waiting_ends_when_what_answers_never_tells_the_end(fake: FakePlatform, client: Client) -> None:
    fake.on("GET", "/v1/runs/01RUN", stream())
    pauses: list[float] = []
    client.transport.pause = pauses.append
    with pytest.raises(errors.Unavailable, match="was telling broke off"):
        client.runs.wait("01RUN")
    assert sum(pauses) == 30.0


def test_waiting_ends_when_the_platform_does_not_come_back(fake: FakePlatform, client: Client) -> None:
    fake.on("GET", "/v1/runs/01RUN", Prepared(error("unavailable", "Gone."), 503))
    pauses: list[float] = []
    client.transport.pause = pauses.append
    with pytest.raises(errors.Unavailable, match="Gone"):
        client.runs.wait("01RUN")
    assert sum(pauses) == 30.0  # half a minute of patience, counted, not waited


def test_missing_values_of_numpy_and_pandas_are_sent_as_null() -> None:
    frame = pd.DataFrame({"n": [1.5, float("nan")], "t": pd.to_datetime(["2026-01-02", None]), "s": ["a", pd.NA]})
    assert encode(frame.to_dict(orient="records")) == (
        b'[{"n":1.5,"t":"2026-01-02T00:00:00","s":"a"},{"n":null,"t":null,"s":null}]'
    )


def test_what_json_cannot_say_is_refused() -> None:
    with pytest.raises(errors.InvalidInput, match="cannot be sent as JSON"):
        encode({"x": object()})


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "../runs"])
def test_a_name_that_would_lead_elsewhere_is_refused_here(fake: FakePlatform, client: Client, name: str) -> None:
    with pytest.raises(errors.InvalidInput, match="is no name or id"):
        client.datasets.delete(name)
    assert fake.seen == []


@pytest.mark.parametrize("token", ["lpt_\u00e9", "lpt_a\nb", "lpt a", " "])
def test_a_token_that_no_header_can_carry_is_refused_without_showing_it(token: str) -> None:
    with pytest.raises(errors.InvalidInput, match="The token holds") as caught:
        Client("http://127.0.0.1:7070", token)
    assert token.strip() == "" or token not in caught.value.message


def test_a_number_too_big_for_json_says_how_big_one_may_be() -> None:
    with pytest.raises(errors.InvalidInput, match=r"below 2\*\*64"):
        encode({"seed": 2**64})
