"""What clients do to a server, by name; each ends in one answer or a close and harms nobody else."""

from __future__ import annotations

import gzip
import socket
import subprocess
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from endpoints.test_wire import GET, chunked, post
from endpoints.wires import NEVER_S, Client, Wire, fed, serving

from lepton.endpoints.replica.limits import Limits

HEAD = b"POST /a HTTP/1.1\r\nHost: a\r\n"
CHUNKED = HEAD + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(scope="module")
def shared() -> Iterator[Wire]:
    with serving(Limits(sweep_s=NEVER_S, body_bytes=1 << 20)) as wire:
        yield wire


@pytest.fixture
def wire(shared: Wire) -> Iterator[Wire]:
    yield shared
    bystander = shared.connect()
    assert bystander.open, "another client suffered"
    shared.rest()


SMUGGLING = {
    "length and chunked": HEAD + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked and length": HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "two lengths": HEAD + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nabcde",
    "one length twice": HEAD + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nabcde",
    "a list of lengths": HEAD + b"Content-Length: 5, 5\r\n\r\nabcde",
    "length with a sign": HEAD + b"Content-Length: +5\r\n\r\nabcde",
    "negative length": HEAD + b"Content-Length: -5\r\n\r\nabcde",
    "length in hex": HEAD + b"Content-Length: 0x5\r\n\r\nabcde",
    "length with an underscore": HEAD + b"Content-Length: 1_0\r\n\r\nabcdeabcde",
    "length with a space inside": HEAD + b"Content-Length: 1 0\r\n\r\nabcdeabcde",
    "empty length": HEAD + b"Content-Length:\r\n\r\n",
    "length over 64 bits": HEAD + b"Content-Length: 18446744073709551616\r\n\r\n",
    "chunked, identity": HEAD + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "identity": HEAD + b"Transfer-Encoding: identity\r\n\r\n",
    "xchunked": HEAD + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "gzip, chunked": HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunked twice": HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked, chunked": HEAD + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
    "chunked and identity apart": HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "chunked in quotes": HEAD + b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n',
    "chunked behind a vertical tab": HEAD + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "chunked in HTTP/1.0": CHUNKED.replace(b"/1.1", b"/1.0") + b"0\r\n\r\n",
    "space before the colon": HEAD + b"Content-Length : 5\r\n\r\nabcde",
    "tab before the colon": HEAD + b"Transfer-Encoding\t: chunked\r\n\r\n0\r\n\r\n",
    "obs-fold": HEAD + b"X: a\r\n b\r\n\r\n",
    "obs-fold of a tab": HEAD + b"X: a\r\n\tb\r\n\r\n",
    "obs-fold of an empty header": HEAD + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "a fold before the first header": b"POST /a HTTP/1.1\r\n Host: a\r\n\r\n",
    "bare LF everywhere": HEAD.replace(b"\r", b"") + b"\n",
    "bare LF in the headers": HEAD + b"X: a\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "bare LF at the end": HEAD + b"X: a\r\n\n",
    "bare CR in a value": HEAD + b"X: a\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "CR CR LF": HEAD + b"X: a\r\r\n\r\n",
    "NUL in a value": HEAD + b"X: a\0b\r\n\r\n",
    "NUL in a name": HEAD + b"X\0: ab\r\n\r\n",
    "NUL in the target": b"GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n",
    "a control character": HEAD + b"X: \x01\r\n\r\n",
    "a name beyond ASCII": HEAD + b"X\xe9: a\r\n\r\n",
    "a header without a colon": HEAD + b"Nothing\r\n\r\n",
    "a header without a name": HEAD + b": a\r\n\r\n",
    "bad chunk size": CHUNKED + b"g\r\na\r\n0\r\n\r\n",
    "chunk size in hex notation": CHUNKED + b"0x1\r\na\r\n0\r\n\r\n",
    "negative chunk size": CHUNKED + b"-1\r\na\r\n0\r\n\r\n",
    "chunk size with a space": CHUNKED + b"1 \r\na\r\n0\r\n\r\n",
    "empty chunk size": CHUNKED + b"\r\na\r\n0\r\n\r\n",
    "chunk size over 64 bits": CHUNKED + b"10000000000000001\r\na\r\n0\r\n\r\n",
    "chunk longer than its size": CHUNKED + b"1\r\nab\r\n0\r\n\r\n",
    "chunk size ended by bare LF": CHUNKED + b"1\na\r\n0\r\n\r\n",
    "chunk ended by bare LF": CHUNKED + b"1\r\na\n0\r\n\r\n",
    "last chunk ended by bare LF": CHUNKED + b"1\r\na\r\n0\n\n",
    "bare CR after a chunk size": CHUNKED + b"1\ra\r\n0\r\n\r\n",
    "NUL in a chunk extension": CHUNKED + b"1;\0\r\na\r\n0\r\n\r\n",
    "LF in a chunk extension": CHUNKED + b"1;a\nb\r\na\r\n0\r\n\r\n",
    "a trailer with a space before its colon": CHUNKED + b"0\r\nX : a\r\n\r\n",
    "a folded trailer": CHUNKED + b"0\r\nX: a\r\n b\r\n\r\n",
    "bytes after the last chunk": CHUNKED + b"0\r\n\r\nGARBAGE",
}


@pytest.mark.parametrize("name", SMUGGLING)
def test_smuggling(wire: Wire, name: str) -> None:
    """One refusal, then the end: what follows on the connection is not taken for a request."""
    found = wire.tell(SMUGGLING[name] + b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n")
    assert found[-1].status in {400, 501}
    assert found[-1].refused.endswith(".")
    assert all(request.path != b"/smuggled" for request in wire.app.seen)
    assert len(found) == (2 if name == "bytes after the last chunk" else 1)


WRONG = {
    "no host": (400, b"GET / HTTP/1.1\r\n\r\n"),
    "two hosts": (400, b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
    "one host twice": (400, b"GET / HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n"),
    "two authorizations": (400, HEAD + b"Authorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n"),
    "two content types": (400, HEAD + b"Content-Type: a/b\r\nContent-Type: a/b\r\n\r\n"),
    "two content encodings": (400, HEAD + b"Content-Encoding: gzip\r\nContent-Encoding: gzip\r\n\r\n"),
    "absolute target": (400, b"GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n"),
    "asterisk target": (400, b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"),
    "a fragment": (400, b"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n"),
    "target beyond ASCII": (400, b"GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n"),
    "connect": (501, b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n"),
    "upgrade to h2c": (501, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n"),
    "upgrade to websocket with a body": (
        501,
        HEAD + b"Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 3\r\n\r\nabc",
    ),
    "upgrade alone": (501, b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\n\r\n"),
    "preface of HTTP/2": (400, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "HTTP/2.0": (505, b"GET / HTTP/2.0\r\nHost: a\r\n\r\n"),
    "HTTP/2.0, kept": (505, b"GET / HTTP/2.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n"),
    "HTTP/0.9": (505, b"GET /\r\n\r\n"),
    "HTTP/1.2": (400, b"GET / HTTP/1.2\r\nHost: a\r\n\r\n"),
    "a method that is not served": (501, b"PROPFIND / HTTP/1.1\r\nHost: a\r\n\r\n"),
    "an unknown method": (400, b"FOO / HTTP/1.1\r\nHost: a\r\n\r\n"),
    "a method in lower case": (400, b"get / HTTP/1.1\r\nHost: a\r\n\r\n"),
    "TLS to a plain port": (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
    "noise": (400, bytes(range(256))),
    "another expectation": (417, HEAD + b"Expect: 200-ok\r\nContent-Length: 1\r\n\r\n"),
    "an unknown content encoding": (415, post(b"abc", b"Content-Encoding: br")),
    "two content encodings in a list": (415, post(b"abc", b"Content-Encoding: gzip, gzip")),
    "gzip that is none": (400, post(b"abc", b"Content-Encoding: gzip")),
    "gzip that is cut off": (400, post(gzip.compress(b"abc")[:-4], b"Content-Encoding: gzip")),
    "gzip with something behind it": (400, post(gzip.compress(b"abc") + b"x", b"Content-Encoding: gzip")),
    "deflate with something behind it": (400, post(zlib.compress(b"abc") + b"x", b"Content-Encoding: deflate")),
    "a long target": (414, b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n"),
    "an endless target": (414, b"GET /" + b"a" * 40_000),
    "a long header": (431, HEAD + b"X: " + b"a" * 40_000 + b"\r\n\r\n"),
    "an endless header": (431, HEAD + b"X: " + b"a" * 40_000),
    "many headers": (431, HEAD + b"".join(b"X%d: a\r\n" % n for n in range(101)) + b"\r\n"),
    "one header many times": (431, HEAD + b"X: a\r\n" * 1000 + b"\r\n"),
    "blank lines without end": (431, b"\r\n" * 30_000),
    "a large body": (413, post(bytes((1 << 20) + 1))),
    "a large body announced": (413, HEAD + b"Content-Length: 18446744073709551615\r\n\r\n"),
    "a large body in chunks": (413, chunked(bytes(1 << 20), b"a")),
    "a large chunk announced": (413, CHUNKED + b"fffffff\r\n" + bytes(1 << 21)),
    "a zip bomb": (413, post(gzip.compress(bytes(1 << 20) + b"a"), b"Content-Encoding: gzip")),
    "a zip bomb in deflate": (413, post(zlib.compress(bytes(1 << 20) + b"a"), b"Content-Encoding: deflate")),
    "a zip bomb by ratio": (413, post(gzip.compress(bytes(500_000)), b"Content-Encoding: gzip")),
    "a long chunk extension": (400, CHUNKED + b"1;" + b"a" * 400_000),
    "extensions on every chunk": (400, CHUNKED + (b"1;" + b"a" * 500 + b"\r\na\r\n") * 400),
    "trailers without end": (400, CHUNKED + b"0\r\n" + b"X: a\r\n" * 30_000),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_refused(wire: Wire, name: str) -> None:
    status, data = WRONG[name]
    (answer,) = wire.tell(data)
    assert answer.status == status or (name == "trailers without end" and answer.status == 431)
    assert answer.refused.endswith(".")


def test_a_refusal_never_quotes_what_was_sent(wire: Wire) -> None:
    for _, data in WRONG.values():
        marked = data.replace(b"Host: a", b"Host: a\r\nX-Canary: c4n4ry")
        for answer in wire.tell(marked):
            assert b"c4n4ry" not in answer.body


def test_a_refusal_waits_for_the_answers_before_it(wire: Wire) -> None:
    client = wire.connect().send(post(b"", path=b"/hold/1") + GET + b"\0\0\0" + GET)
    wire.until(lambda: len(wire.app.seen) == 2)
    wire.release(b"/hold/1")
    assert [answer.status for answer in client.rest()] == [200, 200, 400]


def test_many_small_chunks_cost_no_more_than_their_bytes() -> None:
    app, transport = fed([CHUNKED, *[b"1\r\na\r\n"] * 70_000, b"0\r\n\r\n"])
    assert app.seen[0].body == b"a" * 70_000
    assert transport.written.startswith(b"HTTP/1.1 200")


def test_a_body_byte_by_byte_keeps_few_pieces() -> None:
    from endpoints.wires import Echo, FakeTransport

    from lepton.endpoints.replica.exchange import Shared
    from lepton.endpoints.replica.heads import Heads
    from lepton.endpoints.replica.wire import Connection

    connection = Connection(Shared(Echo(), Limits(), Heads(lambda: 0.0)))
    connection.connection_made(FakeTransport())
    connection.data_received(HEAD + b"Content-Length: 100000\r\n\r\n")
    for _ in range(50_000):
        connection.data_received(b"ab"[:1])
        assert len(connection._pieces) < 1000


def test_every_request_a_packet_holds_is_bounded_by_the_limit_of_unanswered_ones() -> None:
    many = GET.replace(b"/a?b=c", b"/hold") * 10_000
    app, transport = fed([many], Limits(pipelined=64))
    assert 64 < len(app.seen) < 64 + 8192 // len(GET) + 2
    assert not transport.reading


# Time.


def test_slowloris_is_ended_while_others_are_served(wire: Wire) -> None:
    slow = [wire.connect().send(HEAD + b"X: ") for _ in range(30)]
    wire.until(lambda: wire.server.counts.connections >= 30)
    quick = wire.connect().send(GET)
    assert quick.read().status == 200
    for client in slow:
        client.send(b"a")
    wire.after(9)
    for client in slow:
        client.send(b"a")  # a byte now and then does not help
    wire.do(lambda: None)
    wire.after(2)
    for client in slow:
        (answer,) = client.rest()
        assert (answer.status, answer.refused) == (408, "The head of the request took too long.")
    assert quick.open


def test_a_slow_body_is_ended(wire: Wire) -> None:
    client = wire.connect().send(HEAD + b"Content-Length: 100000\r\n\r\n" + bytes(30_000))
    wire.until(lambda: wire.server.counts.in_flight == 1)
    wire.after(9)
    assert wire.server.counts.in_flight == 1
    wire.after(2)
    (answer,) = client.rest()
    assert (answer.status, answer.refused) == (408, "The body of the request came too slowly.")


def test_a_body_that_comes_fast_enough_may_take_long(wire: Wire) -> None:
    client = wire.connect().send(HEAD + b"Content-Length: 100000\r\n\r\n" + bytes(99_999))
    wire.until(lambda: any(c._received == 99_999 for c in wire.server._shared.connections))
    wire.after(20)
    assert client.send(b"a").read().status == 200


def test_a_refused_body_that_comes_too_slowly_is_not_waited_for(wire: Wire) -> None:
    client = wire.connect().send(post(b"abc", path=b"/deny")[:-1])
    assert client.read().status == 401
    wire.after(11)
    assert client.rest() == []


def test_silent_and_idle_connections_are_closed(wire: Wire) -> None:
    silent = wire.connect()
    idle = wire.connect().send(GET)
    idle.read()
    wire.until(lambda: wire.server.counts.connections == 2)
    wire.after(11)
    assert silent.rest() == []
    assert idle.open
    wire.after(76)
    assert idle.rest() == []


def test_a_slow_app_is_not_the_client_s_fault(wire: Wire) -> None:
    client = wire.connect().send(GET.replace(b"/a?b=c", b"/hold/long"))
    wire.until(lambda: len(wire.app.held) == 1)
    wire.after(1000)
    wire.release(b"/hold/long")
    assert client.read().body == b"released"


def test_a_reader_that_takes_nothing_is_dropped_and_bounds_what_waits_for_it(wire: Wire) -> None:
    client = wire.connect(receive_bytes=4096)
    client.send(GET.replace(b"/a?b=c", b"/large?8") * 2000)
    wire.until(lambda: any(c._choked for c in wire.server._shared.connections))
    assert wire.do(lambda: len(wire.app.seen)) < 400
    wire.after(19)
    assert wire.server.counts.connections == 1
    wire.after(21)
    wire.until(lambda: wire.server.counts.connections == 0)


def test_a_reader_that_takes_something_is_not_dropped(wire: Wire) -> None:
    client = wire.connect(receive_bytes=4096).send(GET.replace(b"/a?b=c", b"/large?8"))
    wire.until(lambda: any(c._choked for c in wire.server._shared.connections))
    wire.do(wire.server.sweep)
    (connection,) = wire.server._shared.connections
    for _ in range(3):
        before = wire.do(connection._transport.get_write_buffer_size)
        taken = 0
        while wire.do(connection._transport.get_write_buffer_size) == before:
            taken += len(client.sock.recv(1 << 16))
        wire.clock.now += 19
        wire.do(wire.server.sweep)
    assert wire.server.counts.connections == 1


def test_a_client_that_does_not_close_is_closed_after_a_while(wire: Wire) -> None:
    client = wire.connect().send(b"\0")
    assert client.rest()[0].status == 400
    client.send(b"more" * 1000)
    assert wire.server.counts.connections == 1
    wire.after(3)
    wire.until(lambda: wire.server.counts.connections == 0)


def test_bodies_of_all_connections_together_are_bounded() -> None:
    with serving(Limits(sweep_s=NEVER_S, held_bytes=1 << 20, inflate_ratio=10_000)) as wire:
        half = post(bytes(700_000))
        first = wire.connect().send(half[:-1])
        wire.until(lambda: wire.server._shared.held_bytes > 600_000)
        (answer,) = wire.connect().send(half[:-1]).rest()
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        assert first.send(half[-1:]).read().status == 200
        assert wire.connect().send(half).read().status == 200
        wire.connect().send(half[:-1])
        wire.until(lambda: wire.server._shared.held_bytes > 600_000)
        wire.clients[-1].reset()
        wire.until(lambda: wire.server._shared.held_bytes == 0)
        held = wire.connect().send(post(bytes(700_000), path=b"/hold/1"))
        wire.until(lambda: len(wire.app.held) == 1)
        assert wire.connect().send(half[:-1]).rest()[0].status == 503
        wire.release(b"/hold/1")
        held.read()
        assert wire.server._shared.held_bytes == 0
        bomb = post(gzip.compress(b"ab" * 300_000), b"Content-Encoding: gzip", path=b"/hold/2")
        wire.connect().send(bomb)
        wire.until(lambda: len(wire.app.held) == 1)
        assert wire.connect().send(bomb).rest()[0].status == 503


# Connections.


def test_a_connection_too_many_is_told_to_come_back() -> None:
    with serving(Limits(sweep_s=NEVER_S, connections=3)) as wire:
        first = [wire.connect() for _ in range(3)]
        assert all(client.open for client in first)
        (answer,) = wire.connect().send(GET).rest()
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        assert answer.refused
        assert all(client.open for client in first)
        first[0].close()
        wire.clients[-1].close()
        wire.until(lambda: wire.server.counts.connections == 2)
        assert wire.connect().open


def test_a_flood_of_connections_is_not_even_told() -> None:
    with serving(Limits(sweep_s=NEVER_S, connections=2)) as wire:
        first, second = wire.connect(), wire.connect()
        assert first.open
        assert second.open
        flood = [wire.connect() for _ in range(100)]
        wire.until(lambda: wire.server.counts.connections <= 2 + 64)
        said = [client.sock.recv(100)[:12] for client in flood if gone(client) is None]
        assert said.count(b"HTTP/1.1 503") == 64
        assert first.open


def gone(client: Client) -> OSError | None:
    """Return why a client cannot read, if it cannot."""
    try:
        client.sock.recv(1, socket.MSG_PEEK)
    except OSError as error:
        return error
    return None


def test_as_many_connections_as_open_files_allow(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[int, int]] = []
    monkeypatch.setattr("resource.getrlimit", lambda _: (300, 1024))
    monkeypatch.setattr("resource.setrlimit", lambda _, pair: told.append(pair))
    with serving(Limits(sweep_s=NEVER_S)) as wire:
        assert wire.server._shared.most_connections == 1024 - 256
    assert told == [(1024, 1024)]


def test_clients_that_vanish_leave_nothing(wire: Wire) -> None:
    for data in (b"", b"GE", GET, HEAD, post(b"abc")[:-1], GET.replace(b"/a?b=c", b"/hold/v"), chunked(b"abc")[:-4]):
        for _ in range(5):
            wire.connect().send(data).reset()
    wire.until(lambda: wire.server.counts.connections == 0)
    assert wire.server.counts.in_flight == 0


def test_half_open_with_half_a_request_is_closed(wire: Wire) -> None:
    for data in (b"", b"GE", HEAD, post(b"abc")[:-1], chunked(b"abc")[:-4]):
        assert wire.ask(data) == []


def test_half_open_behind_a_complete_request_gets_its_answer_alone(wire: Wire) -> None:
    client = wire.connect().send(post(b"", path=b"/hold/1") + post(b"abc")[:-1])
    client.sock.shutdown(socket.SHUT_WR)
    wire.until(lambda: wire.server.counts.in_flight == 1 and len(wire.app.held) == 1)
    wire.release(b"/hold/1")
    (answer,) = client.rest()
    assert answer.body == b"released"


def test_answers_never_reach_another_connection(wire: Wire) -> None:
    clients = [wire.connect().send(GET.replace(b"/a?b=c", b"/hold/%d" % n)) for n in range(20)]
    wire.until(lambda: len(wire.app.held) == 20)
    clients[3].reset()
    for n in reversed(range(20)):
        wire.release(b"/hold/%d" % n, b"answer %d" % n)
    for n, client in enumerate(clients):
        if n != 3:
            assert client.read().body == b"answer %d" % n


def test_memory_does_not_grow() -> None:
    """The same in little as the benchmark, which shows it for a million requests."""
    script = Path(__file__).parents[2] / "benchmarks" / "serving" / "memory.py"
    run = subprocess.run([sys.executable, script, "60000"], capture_output=True, text=True, timeout=120, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
