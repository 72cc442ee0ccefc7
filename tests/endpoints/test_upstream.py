"""A server with the OpenAI API behind an endpoint: what passes, what streams, what is kept apart."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
import uvloop
from endpoints.fake_openai import KEY, FakeOpenAI, fake_openai
from endpoints.serving_here import SEED, tokens

from lepton.core.errors import InvalidInput
from lepton.endpoints.replica.app import App
from lepton.endpoints.replica.config import Deployment
from lepton.endpoints.replica.served import Served
from lepton.endpoints.replica.server import Server
from lepton.endpoints.replica.tokens import public_key
from lepton.endpoints.replica.traffic import Traffic
from lepton.endpoints.replica.upstream import read_upstream
from lepton.models.bundle import pack
from lepton.models.signature import GENERATION
from lepton.store.segments import SegmentWriter
from lepton.testing.engines import eventually

PATIENCE_S = 20.0


@dataclass
class Here:
    """An endpoint ``llm`` in a thread, and what stands behind it."""

    address: str
    traffic: Traffic
    server: Server
    loop: asyncio.AbstractEventLoop


def passing(folder: Path, base_url: str) -> Deployment:
    """Return an endpoint ``llm`` that passes its requests on."""
    path = folder / "llm.blob"
    with path.open("wb") as file:
        writer = SegmentWriter(file, b"k" * 32, "llm")
        writer.write(pack({"openai.json": json.dumps({"base_url": base_url, "api_key": KEY}).encode()}))
        writer.finish()
    return Deployment(
        endpoint="llm", project="default", model="llm@1", generation=1, blob_path=str(path), blob_id="llm",
        key=(b"k" * 32).hex(), signature=GENERATION.to_json().decode(), secret="of-the-platform",
        token_key=public_key(SEED).hex(),
    )  # fmt: skip


@contextmanager
def endpoint(folder: Path, base_url: str) -> Iterator[Here]:
    deployment = passing(folder, base_url)
    loop = uvloop.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    listener = socket.create_server(("127.0.0.1", 0))
    errors: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _, context: errors.append(context))

    async def start() -> Here:
        traffic = Traffic([Served(deployment)], tokens())
        server = Server(App([traffic]))
        server.start()
        await server.listen({0: listener})
        return Here(f"127.0.0.1:{listener.getsockname()[1]}", traffic, server, loop)

    async def stop(here: Here) -> None:
        here.traffic.close()
        await here.server.close()
        await asyncio.sleep(0.05)

    here = asyncio.run_coroutine_threadsafe(start(), loop).result(PATIENCE_S)
    try:
        yield here
        assert not errors, errors
    finally:
        asyncio.run_coroutine_threadsafe(stop(here), loop).result(PATIENCE_S)
        listener.close()
        loop.call_soon_threadsafe(loop.stop)
        thread.join(PATIENCE_S)
        loop.close()


@pytest.fixture
def fake() -> Iterator[FakeOpenAI]:
    with fake_openai() as made:
        yield made


@pytest.fixture
def here(fake: FakeOpenAI, tmp_path: Path) -> Iterator[Here]:
    with endpoint(tmp_path, fake.base_url) as made:
        yield made


@pytest.fixture
def http(here: Here) -> Iterator[httpx2.Client]:
    headers = {"Authorization": "Bearer good"}
    with httpx2.Client(base_url=f"http://{here.address}", headers=headers, timeout=10) as client:
        yield client


def chat(text: str, **options: Any) -> dict[str, Any]:
    return {"model": "small", "messages": [{"role": "user", "content": text}]} | options


def test_the_four_paths_pass_through(http: httpx2.Client, fake: FakeOpenAI) -> None:
    answer = http.post("/v1/chat/completions", json=chat("abc", temperature=0))
    assert answer.json()["choices"][0]["message"]["content"] == "cba"
    assert fake.bodies == [chat("abc", temperature=0)]
    assert http.post("/v1/completions", json={"prompt": "xy"}).status_code == 200
    assert http.post("/v1/embeddings", json={"input": "xy"}).status_code == 200
    assert http.get("/v1/models").json()["data"][0]["id"] == "small"


def test_nothing_else_passes(http: httpx2.Client, fake: FakeOpenAI) -> None:
    for path in ("/v1/files", "/v1/models/../admin", "/v1/chat", "/predict/llm", "/v2/models/llm", "/metrics"):
        assert http.get(path).status_code == 404, path
    assert http.get("/v1/chat/completions").status_code == 405
    assert fake.heads == []


def test_the_clients_token_and_the_upstreams_key_never_meet(http: httpx2.Client, fake: FakeOpenAI) -> None:
    answer = http.post("/v1/chat/completions", json=chat("abc"), headers={"Cookie": "a=b", "X-Mine": "1"})
    (head,) = fake.heads
    assert head["Authorization"] == f"Bearer {KEY}"
    assert not {"cookie", "x-mine"} & {name.lower() for name in head}
    assert "good" not in str(head)
    assert KEY not in str(answer.headers) + answer.text


def test_who_may_not_predict_reaches_no_upstream(here: Here, fake: FakeOpenAI) -> None:
    for token, status in (("nobody", 401), ("viewer", 403)):
        headers = {"Authorization": f"Bearer {token}"}
        answer = httpx2.post(f"http://{here.address}/v1/chat/completions", json=chat("abc"), headers=headers)
        assert answer.status_code == status
        assert answer.json()["error"]["message"]
    assert fake.heads == []


def test_pieces_arrive_while_the_rest_is_still_being_made(http: httpx2.Client, fake: FakeOpenAI) -> None:
    with http.stream("POST", "/v1/chat/completions", json=chat("one two three", stream=True)) as answer:
        assert answer.headers["content-type"] == "text/event-stream"
        assert answer.headers["transfer-encoding"] == "chunked"
        lines = answer.iter_lines()
        first = next(lines)
        assert json.loads(first.removeprefix("data: "))["choices"][0]["delta"]["content"] == "one"
        assert not fake.go.is_set()  # the upstream still waits
        fake.go.set()
        rest = [line for line in lines if line]
    assert len(rest) == 3
    assert rest[-1] == "data: [DONE]"
    assert http.get("/v1/models").status_code == 200  # on the same connection


def test_a_stream_for_a_client_that_closes_ends_with_the_connection(here: Here, fake: FakeOpenAI) -> None:
    fake.go.set()
    body = json.dumps(chat("one two", stream=True)).encode()
    with socket.create_connection(here.address.split(":"), timeout=10) as client:
        client.sendall(
            b"POST /v1/chat/completions HTTP/1.0\r\nAuthorization: Bearer good\r\nContent-Length: %d\r\n\r\n%b"
            % (len(body), body)
        )
        answer = b"".join(iter(lambda: client.recv(65536), b""))
    head, _, events = answer.partition(b"\r\n\r\n")
    assert b"Transfer-Encoding" not in head
    assert b"Connection: close" in head
    assert events.endswith(b"data: [DONE]\n\n")


def test_answers_behind_a_stream_wait_for_their_turn(here: Here, fake: FakeOpenAI) -> None:
    body = json.dumps(chat("one two", stream=True)).encode()
    auth = b"Host: x\r\nAuthorization: Bearer good\r\n"
    with socket.create_connection(here.address.split(":"), timeout=10) as client:
        client.sendall(
            b"POST /v1/chat/completions HTTP/1.1\r\n%bContent-Length: %d\r\n\r\n%b" % (auth, len(body), body)
        )
        client.sendall(b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\n\r\n")
        seen = client.recv(65536)
        while b"one" not in seen:
            seen += client.recv(65536)
        assert b'{"live":true}' not in seen
        fake.go.set()
        while b'{"live":true}' not in seen:
            piece = client.recv(65536)
            assert piece
            seen += piece
    assert seen.index(b"[DONE]") < seen.index(b"0\r\n\r\nHTTP/1.1 200 OK") < seen.index(b'{"live":true}')


def test_a_client_that_reads_slowly_slows_the_upstream_and_fills_no_memory(here: Here, fake: FakeOpenAI) -> None:
    body = json.dumps(chat("flood", stream=True)).encode()
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.settimeout(10)
        client.connect(("127.0.0.1", int(here.address.split(":")[1])))
        client.sendall(
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer good\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
        )
        assert client.recv(1000)

        def unsent() -> int:
            return max(c._transport.get_write_buffer_size() for c in here.server._shared.connections)

        eventually(lambda: unsent() > 0, "the transport holds what the client does not take")
        assert unsent() < 1 << 20  # of 100 MB
        client.close()
    eventually(fake.broken.is_set, "the upstream is told that nobody reads")


def test_an_upstream_that_breaks_off_breaks_the_answer_and_does_not_end_it(
    http: httpx2.Client, fake: FakeOpenAI
) -> None:
    fake.go.set()
    with (
        pytest.raises(httpx2.TransportError),
        http.stream("POST", "/v1/chat/completions", json=chat("one break", stream=True)) as answer,
    ):
        answer.read()


def test_a_replica_that_ends_finishes_its_streams(here: Here, fake: FakeOpenAI) -> None:
    body = json.dumps(chat("one two three", stream=True)).encode()
    with socket.create_connection(here.address.split(":"), timeout=10) as client:
        client.sendall(
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer good\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
        )
        seen = client.recv(65536)
        drained = asyncio.run_coroutine_threadsafe(here.server.begin_drain(grace_s=15.0), here.loop)
        eventually(lambda: here.server._shared.draining, "it drains")
        fake.go.set()
        seen += b"".join(iter(lambda: client.recv(65536), b""))  # until the replica closes
    drained.result(5.0)
    assert seen.endswith(b"0\r\n\r\n")
    assert b"[DONE]" in seen


@pytest.mark.parametrize(("says", "status"), [("400", 400), ("401", 503), ("500", 503), ("redirect", 503)])
def test_what_the_upstream_refuses(http: httpx2.Client, fake: FakeOpenAI, says: str, status: int) -> None:
    answer = http.post("/v1/chat/completions", json=chat(says))
    assert answer.status_code == status
    assert answer.json()["error"]["message"]
    assert ("upstream says" in answer.text) is (status == 400)
    assert len(fake.heads) == 1  # nobody was followed


def test_a_deadline_ends_the_wait(http: httpx2.Client, fake: FakeOpenAI) -> None:
    answer = http.post("/v1/chat/completions", json=chat("hang"), headers={"X-Request-Timeout-Ms": "200"})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    assert "in time" in answer.json()["error"]["message"]


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_goes_away_is_answered_no_further(here: Here, fake: FakeOpenAI, stream: bool) -> None:
    body = json.dumps(chat("one two" if stream else "hang", stream=stream)).encode()
    with socket.create_connection(here.address.split(":"), timeout=10) as client:
        client.sendall(
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer good\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
        )
        eventually(lambda: len(fake.bodies) == 1, "the upstream was asked")
        if stream:
            assert client.recv(65536)
    eventually(lambda: here.traffic.main.counts.requests == {499: 1}, "the client is seen to be gone")
    assert not fake.go.is_set()  # while the upstream has still to say the rest


def test_an_upstream_that_is_away_is_one_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    with endpoint(tmp_path, f"http://127.0.0.1:{port}/v1") as here:
        headers = {"Authorization": "Bearer good"}
        answer = httpx2.get(f"http://{here.address}/v1/models", headers=headers)
        assert answer.status_code == 503
        assert str(port) not in answer.text


def test_what_is_answered_is_counted(http: httpx2.Client, here: Here, fake: FakeOpenAI) -> None:
    http.get("/v1/models")
    http.post("/v1/chat/completions", json=chat("500"))
    with http.stream("POST", "/v1/chat/completions", json=chat("one", stream=True)) as answer:
        answer.read()
    counts = here.traffic.main.counts
    eventually(lambda: counts.requests == {200: 2, 503: 1}, "all three are counted")


@pytest.mark.parametrize("text", [
    "", "[]", "{}", '{"base_url": 1}', '{"base_url": "ftp://127.0.0.1/v1"}', '{"base_url": "http://u:p@127.0.0.1/v1"}',
    '{"base_url": "http://127.0.0.1:x/v1"}', '{"base_url": "http://127.0.0.1/v1?a=b"}',
    '{"base_url": "http://127.0.0.1/v1", "api_key": "a\\nb"}', '{"base_url": "http://127.0.0.1@evil.example/v1"}',
    '{"base_url": "http://10.0.0.1/v1"}', '{"base_url": "http://169.254.169.254/latest"}',
    '{"base_url": "http://127.0.0.1.evil.example/v1"}', '{"base_url": "http://2130706433/v1"}',
])  # fmt: skip
def test_addresses_that_are_none_or_not_allowed_are_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        read_upstream(text.encode(), frozenset({"gpu.example"}))


def test_this_machine_and_allowed_hosts_are_fine() -> None:
    for url in ("http://127.0.0.1:8000/v1", "http://[::1]:8000/v1/", "https://gpu.example/v1"):
        found = read_upstream(json.dumps({"base_url": url}).encode(), frozenset({"gpu.example"}))
        assert found == (url.rstrip("/"), None)
