"""HTTP/1.1 as it should be spoken, over real sockets."""

from __future__ import annotations

import asyncio
import gzip
import http.client
import json
import socket
import ssl
import zlib
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from endpoints.certificates import certificate
from endpoints.wires import NEVER_S, Client, Wire, serving

from lepton.endpoints.replica.limits import Limits

GET = b"GET /a?b=c HTTP/1.1\r\nHost: a\r\n\r\n"


def post(body: bytes, *lines: bytes, path: bytes = b"/a") -> bytes:
    head = [b"POST " + path + b" HTTP/1.1", b"Host: a", b"Content-Length: %d" % len(body), *lines, b"", b""]
    return b"\r\n".join(head) + body


def chunked(*chunks: bytes, trailers: bytes = b"", path: bytes = b"/a", lines: bytes = b"") -> bytes:
    parts = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)
    head = b"POST " + path + b" HTTP/1.1\r\nHost: a\r\n" + lines + b"Transfer-Encoding: chunked\r\n\r\n"
    return head + parts + b"0\r\n" + trailers + b"\r\n"


@pytest.fixture(scope="module")
def shared() -> Iterator[Wire]:
    with serving() as wire:
        yield wire


@pytest.fixture
def wire(shared: Wire) -> Iterator[Wire]:
    yield shared
    shared.rest()


def test_a_request_is_told_whole(wire: Wire) -> None:
    (answer,) = wire.ask(post(b"abc", b"X-Y: z", path=b"/p%20q?r=s?t"))
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json == {
        "method": "POST",
        "path": "/p%20q",
        "query": "r=s?t",
        "headers": {"host": "a", "content-length": "3", "x-y": "z"},
        "body": "abc",
    }


def test_a_connection_is_kept(wire: Wire) -> None:
    client = wire.connect()
    for n in range(3):
        answer = client.send(post(b"%d" % n)).read()
        assert answer.json["body"] == str(n)
        assert "connection" not in answer.headers


def test_pipelined_requests_are_answered_in_their_order(wire: Wire) -> None:
    client = wire.connect().send(GET + post(b"x", path=b"/hold/1") + post(b"y", path=b"/hold/2") + GET)
    assert client.read().json["path"] == "/a"
    wire.until(lambda: len(wire.app.seen) == 4)
    wire.release(b"/hold/2", b"second")
    wire.release(b"/hold/1", b"first")
    assert [client.read().body for _ in range(2)] == [b"first", b"second"]
    assert client.read().json["path"] == "/a"
    assert client.open


def test_more_than_the_allowed_unanswered_requests_are_not_read() -> None:
    with serving(Limits(sweep_s=NEVER_S, pipelined=4)) as wire:
        holds = [post(bytes(3000), path=b"/hold/%d" % n) for n in range(40)]
        client = wire.connect()
        client.sock.setblocking(False)
        client.send(b"".join(holds[:8]))
        wire.until(lambda: len(wire.app.held) >= 5)
        wire.do(lambda: None)
        assert wire.do(lambda: len(wire.app.seen)) <= 4 + 3  # and what 8 KiB hold
        client.sock.settimeout(20)
        client.send(b"".join(holds[8:]))
        for n in range(40):
            path = b"/hold/%d" % n
            wire.until(lambda path=path: path in wire.app.held)  # type: ignore[misc]
            wire.release(path, path)
            assert client.read().body == path


def test_head_is_answered_without_a_body_and_with_its_length(wire: Wire) -> None:
    client = wire.connect()
    answer = client.send(GET.replace(b"GET", b"HEAD")).read("HEAD")
    assert (answer.status, answer.body) == (200, b"")
    assert int(answer.headers["content-length"]) > 50
    assert client.open


def test_an_answer_without_a_body_has_no_length(wire: Wire) -> None:
    client = wire.connect()
    answer = client.send(GET.replace(b"/a", b"/empty")).read()
    assert (answer.status, answer.body) == (204, b"")
    assert "content-length" not in answer.headers
    assert client.open


@pytest.mark.parametrize(
    ("line", "kept"),
    [(b"", False), (b"Connection: keep-alive\r\n", True), (b"Connection: close\r\n", False)],
)
def test_http_1_0_closes_unless_it_asks_to_be_kept(wire: Wire, line: bytes, kept: bool) -> None:
    client = wire.connect().send(b"GET /a HTTP/1.0\r\n" + line + b"\r\n")
    answer = client.read()
    assert answer.headers["connection"] == ("keep-alive" if kept else "close")
    if kept:
        assert client.open
    else:
        assert client.rest() == []


@pytest.mark.parametrize("value", [b"close", b"Close", b"te, close"])
def test_connection_close_ends_after_the_answer(wire: Wire, value: bytes) -> None:
    (answer,) = wire.tell(post(b"abc", b"Connection: " + value))
    assert answer.headers["connection"] == "close"
    assert answer.json["body"] == "abc"


def test_what_follows_the_last_request_is_not_read(wire: Wire) -> None:
    assert len(wire.tell(post(b"abc", b"Connection: close") + GET)) == 1
    assert len(wire.app.seen) == 1


def test_chunks_and_trailers(wire: Wire) -> None:
    client = wire.connect()
    answer = client.send(chunked(b"ab", b"c" * 300, b"d", trailers=b"Host: evil\r\nX: y\r\n") + GET).read()
    assert answer.json["body"] == "ab" + "c" * 300 + "d"
    assert answer.json["headers"] == {"host": "a", "transfer-encoding": "chunked"}
    assert client.read().json["headers"] == {"host": "a"}


def test_an_empty_chunked_body(wire: Wire) -> None:
    assert wire.ask(chunked())[0].json["body"] == ""


def test_chunk_extensions_and_sizes_in_any_case_are_read(wire: Wire) -> None:
    head = b"POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n"
    (answer,) = wire.ask(head + b"00A;name=value\r\n0123456789\r\n0\r\n\r\n")
    assert answer.json["body"] == "0123456789"


def test_100_continue_comes_after_the_app_has_let_it_pass(wire: Wire) -> None:
    client = wire.connect().send(post(b"abc", b"Expect: 100-continue")[:-3])
    assert client.read().status == 100
    assert client.send(b"abc").read().json["body"] == "abc"
    assert client.open


def test_100_continue_waits_for_earlier_answers(wire: Wire) -> None:
    client = wire.connect().send(post(b"", path=b"/hold/1") + post(b"abc", b"Expect: 100-Continue")[:-3])
    wire.until(lambda: wire.server.counts.in_flight >= 2)
    wire.release(b"/hold/1")
    assert client.read().body == b"released"
    assert client.read().status == 100
    assert client.send(b"abc").read().json["body"] == "abc"


def test_no_100_continue_for_what_the_app_refuses(wire: Wire) -> None:
    (answer,) = wire.tell(post(b"abc", b"Expect: 100-continue", path=b"/deny")[:-3])
    assert (answer.status, answer.headers["connection"]) == (401, "close")


def test_no_100_continue_without_a_body_or_to_http_1_0(wire: Wire) -> None:
    assert wire.ask(post(b"", b"Expect: 100-continue"))[0].status == 200
    assert wire.ask(post(b"abc", b"Expect: 100-continue").replace(b"/1.1", b"/1.0"))[0].status == 200


def test_a_refusal_of_the_app_drains_a_small_body_and_keeps_the_connection(wire: Wire) -> None:
    client = wire.connect().send(post(b"abc", path=b"/deny") + GET)
    answer = client.read()
    assert (answer.status, answer.headers["www-authenticate"], answer.body) == (401, "Bearer", b"denied")
    assert client.read().json["path"] == "/a"
    assert [request.path for request in wire.app.seen] == [b"/a"]


def test_a_refusal_of_the_app_closes_before_a_large_body(wire: Wire) -> None:
    client = wire.connect().send(post(bytes(1 << 20), path=b"/deny"))
    answer = client.read()
    assert (answer.status, answer.headers["connection"]) == (401, "close")
    assert wire.tell(chunked(b"abc", path=b"/deny"))[0].headers["connection"] == "close"


@pytest.mark.parametrize(
    ("encoding", "pack"),
    [
        (b"gzip", gzip.compress),
        (b"X-GZIP", gzip.compress),
        (b"deflate", zlib.compress),
        (b"identity", bytes),
        (b"gzip", lambda body: gzip.compress(body[:5]) + gzip.compress(body[5:])),
    ],
)
def test_compressed_bodies_are_inflated(wire: Wire, encoding: bytes, pack: object) -> None:
    body = json.dumps([{"area": n} for n in range(300)]).encode()
    packed = pack(body)  # type: ignore[operator]
    assert wire.ask(post(packed, b"Content-Encoding: " + encoding))[0].json["body"] == body.decode()
    assert wire.ask(chunked(packed, lines=b"Content-Encoding: " + encoding + b"\r\n"))[0].json["body"] == body.decode()


def test_repeated_headers_are_one_list(wire: Wire) -> None:
    (answer,) = wire.ask(b"GET / HTTP/1.1\r\nHost: a\r\nX: 1\r\nx: 2\r\nY: 3\r\nX: 4\r\n\r\n")
    assert answer.json["headers"] == {"host": "a", "x": "1, 2, 4", "y": "3"}


def test_a_second_answer_and_one_to_nobody_are_dropped(wire: Wire) -> None:
    client = wire.connect().send(GET.replace(b"/a", b"/twice"))
    assert client.read().body == b"once"
    assert client.open
    client.send(GET.replace(b"/a", b"/hold/gone"))
    wire.until(lambda: b"/hold/gone" in wire.app.held)
    client.reset()
    wire.until(lambda: wire.server.counts.in_flight == 0)
    wire.release(b"/hold/gone")


def test_an_app_that_raises_is_500_and_says_nothing_of_why(wire: Wire, caplog: pytest.LogCaptureFixture) -> None:
    for path in (b"/fails", b"/admit-fails"):
        (answer,) = wire.tell(post(b"abc", path=path) + GET)
        assert answer.status == 500
        assert answer.refused == "Internal error (ZeroDivisionError)."
    assert "ZeroDivisionError" in caplog.text
    assert "secret" not in caplog.text


def test_large_answers_arrive_whole(wire: Wire) -> None:
    client = wire.connect().send(GET.replace(b"/a?b=c", b"/large?16") + GET)
    assert client.read().body == bytes(16 << 20)
    assert client.read().json["path"] == "/a"


def test_large_bodies_arrive_whole(wire: Wire) -> None:
    body = bytes(range(256)) * (8 << 10)
    assert wire.ask(post(body))[0].json["body"].encode("latin-1") == body
    assert wire.ask(chunked(body[: 1 << 20], body[1 << 20 :]))[0].json["body"].encode("latin-1") == body


@pytest.mark.parametrize("size", [8 << 10, 33 << 10, 45_000, 300_000])
def test_what_is_left_of_a_body_is_no_head(wire: Wire, size: int) -> None:
    """Whole, and its head and body apart; bodies come in the last of several pieces, or alone in one."""
    client = wire.connect()
    for _ in range(3):
        for packets in ([post(bytes(size))], [post(bytes(size))[:-size], bytes(size)]):
            for packet in packets:
                client.send(packet)
            assert len(client.read().json["body"]) == size
    client.send(GET)
    assert client.read().status == 200
    assert client.open


def test_a_half_closed_client_gets_its_answers(wire: Wire) -> None:
    client = wire.connect().send(post(b"abc", path=b"/hold/half") + GET)
    client.sock.shutdown(socket.SHUT_WR)
    wire.until(lambda: len(wire.app.seen) == 2)
    wire.release(b"/hold/half")
    assert [answer.status for answer in client.rest()] == [200, 200]


def test_a_client_that_leaves_in_the_middle_is_forgotten(wire: Wire) -> None:
    for data in (b"GE", GET[:-2], post(b"abc")[:-1], chunked(b"abc")[:-5]):
        client = wire.connect().send(data)
        client.close()
    wire.until(lambda: wire.server.counts.connections == 0)
    assert wire.app.seen == []


# Ends.


def test_a_drain_answers_what_is_in_flight_and_closes_the_idle_at_once() -> None:
    with serving() as wire:
        idle = wire.connect().send(GET)
        idle.read()
        busy = wire.connect().send(post(b"", path=b"/hold/1") + post(b"", path=b"/hold/2"))
        wire.until(lambda: len(wire.app.held) == 2)

        drained = asyncio.run_coroutine_threadsafe(wire.server.begin_drain(), wire.loop)
        assert idle.rest() == []
        with pytest.raises(ConnectionRefusedError):
            wire.connect()
        assert wire.server.counts.in_flight == 2
        wire.release(b"/hold/1")
        wire.release(b"/hold/2")
        first, last = busy.rest()
        assert "connection" not in first.headers
        assert last.headers["connection"] == "close"
        busy.close()
        drained.result(20)
        assert wire.server.counts.connections == 0


def test_a_drain_ends_what_was_answered_before_its_turn() -> None:
    with serving() as wire:
        client = wire.connect().send(post(b"", path=b"/hold/1") + GET)
        wire.until(lambda: len(wire.app.seen) == 2)
        drained = asyncio.run_coroutine_threadsafe(wire.server.begin_drain(), wire.loop)
        wire.until(lambda: wire.server._shared.draining)
        wire.release(b"/hold/1")
        assert [answer.status for answer in client.rest()] == [200, 200]
        client.close()
        drained.result(20)


def test_a_drain_ends_within_its_grace() -> None:
    with serving(Limits(sweep_s=NEVER_S, drain_s=0.05)) as wire:
        client = wire.connect().send(post(b"", path=b"/hold/1"))
        wire.until(lambda: len(wire.app.held) == 1)
        wire.run(wire.server.begin_drain())
        assert wire.server.counts.connections == 0
        assert client.rest() == []


# Real clients.


def test_the_standard_library_s_client(wire: Wire) -> None:
    client = http.client.HTTPConnection("127.0.0.1", wire.port, timeout=20)
    for method in ("POST", "PUT", "GET"):
        client.request(method, "/x", body=b"abc" if method != "GET" else None)
        assert json.loads(client.getresponse().read())["method"] == method
    client.request("POST", "/x", body=iter([b"a", b"bc"]), encode_chunked=True)
    assert json.loads(client.getresponse().read())["body"] == "abc"
    client.request("HEAD", "/x")
    assert client.getresponse().read() == b""
    client.close()


def test_httpx2(wire: Wire) -> None:
    with httpx2.Client(base_url=f"http://127.0.0.1:{wire.port}") as client:
        assert client.post("/x", json={"a": 1}).json()["body"] == '{"a":1}'
        assert client.post("/x", content=(part for part in (b"a", b"bc"))).json()["body"] == "abc"
        assert client.head("/x").text == ""
        assert client.get("/large").content == bytes(4 << 20)
        packed = client.post("/x", content=gzip.compress(b"abc"), headers={"Content-Encoding": "gzip"})
        assert packed.json()["body"] == "abc"


def test_tls(tmp_path: Path) -> None:
    with serving(context=certificate(tmp_path)) as wire:
        trusted = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
        with httpx2.Client(base_url=f"https://127.0.0.1:{wire.port}", verify=trusted) as client:
            assert client.post("/x", content=b"abc").json()["body"] == "abc"
            assert client.get("/large").content == bytes(4 << 20)
            assert client.get("/x", headers={"Connection": "close"}).headers["connection"] == "close"
        raw = Client(trusted.wrap_socket(wire.connect().sock, server_hostname="127.0.0.1"))
        (answer,) = raw.send(b"GET / HTTP/1.1\r\n\r\n").rest()
        assert answer.status == 400
        raw.close()


def test_plain_http_to_a_tls_port_harms_nobody(tmp_path: Path) -> None:
    with serving(context=certificate(tmp_path)) as wire:
        assert wire.connect().send(GET).sock.recv(100) == b""
        trusted = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
        with httpx2.Client(base_url=f"https://127.0.0.1:{wire.port}", verify=trusted) as client:
            assert client.get("/x").status_code == 200
