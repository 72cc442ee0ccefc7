"""Any bytes, cut in any way: the same requests, ending where a second parser sees their ends, and nobody suffers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

import pytest
from endpoints.test_wire import GET
from endpoints.wires import NEVER_S, Wire, answers, fed, serving
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lepton.endpoints.replica.limits import Limits

Told = tuple[bytes, bytes, bytes, bytes]
LOOSE = Limits(pipelined=10_000)

TOKEN = st.text("abcXYZ019!#$%&'*+-.^_`|~", min_size=1, max_size=8).map(str.encode)
VALUE = st.binary(max_size=12).map(lambda raw: bytes(c for c in raw if c >= 32 and c != 127).strip(b" \t"))
BODY = st.one_of(
    st.binary(max_size=40), st.sampled_from([b"\r\n\r\n", b"0\r\n\r\n", b"GET / HTTP/1.1\r\n", bytes(9000)])
)


@st.composite
def requests(draw: st.DrawFn) -> tuple[bytes, Told]:
    """Return a request as bytes, and what should be understood."""
    method = draw(st.sampled_from([b"GET", b"POST", b"PUT", b"DELETE", b"OPTIONS", b"PATCH"]))
    path = b"/" + draw(st.text('abc/%2.:@;=+~"<>', max_size=8)).encode()
    query = draw(st.text("ab?/&=%", max_size=6)).encode()
    lines = [b"Host: a"]
    for name, value in draw(st.lists(st.tuples(TOKEN, VALUE), max_size=4)):
        lines.append(b"X-" + name + b":" + draw(st.sampled_from([b"", b" ", b"\t", b"  "])) + value)
    body = draw(BODY)
    kind = draw(st.sampled_from(["length", "chunked", "none"]))
    if kind == "none":
        body, sent = b"", b""
    elif kind == "length":
        name = draw(st.sampled_from([b"Content-Length", b"content-length", b"CONTENT-LENGTH"]))
        lines.append(name + b": %d" % len(body))
        sent = body
    else:
        lines.append(b"Transfer-Encoding: chunked")
        sent, at = b"", 0
        while at < len(body):
            size = draw(st.integers(1, len(body) - at))
            ending = draw(st.sampled_from([b"", b";a=b", b";c"]))
            sent += b"%x%b\r\n%b\r\n" % (size, ending, body[at : at + size])
            at += size
        sent += b"0\r\n" + draw(st.sampled_from([b"", b"T: u\r\n", b"Host: evil\r\nX: y\r\n"])) + b"\r\n"
    target = path + (b"?" + query if query else b"")
    head = b"\r\n".join([method + b" " + target + b" HTTP/1.1", *draw(st.permutations(lines)), b"", b""])
    return head + sent, (method, path, query, body)


def cut(data: bytes, at: list[int]) -> list[bytes]:
    places = sorted({place % len(data) for place in at} | {0, len(data)}) if data else []
    return [data[a:b] for a, b in pairwise(places)]


def told(packets: list[bytes]) -> list[Told]:
    return heard(packets)[0]


def heard(packets: list[bytes]) -> tuple[list[Told], bool]:
    """Return the requests that came out, and whether the last thing said was a refusal."""
    app, transport = fed(packets, LOOSE)
    methods = [request.method.decode() for request in app.seen]
    said = answers(bytes(transport.written), [*methods, "HEAD?"])  # well-formed, and one each
    requests = [(request.method, request.path, request.query, request.body) for request in app.seen]
    return requests, bool(said) and said[-1].status >= 400


@settings(max_examples=150, deadline=None)
@given(st.lists(requests(), min_size=1, max_size=5), st.lists(st.integers(0, 1 << 20), max_size=12))
def test_any_cut_of_valid_requests_gives_the_same_requests(made: list[tuple[bytes, Told]], at: list[int]) -> None:
    stream = b"".join(data for data, _ in made)
    assert told(cut(stream, at)) == [expected for _, expected in made]


@settings(max_examples=100, deadline=None)
@given(requests(), st.integers(1, 3))
def test_byte_by_byte_gives_the_same_requests(made: tuple[bytes, Told], size: int) -> None:
    data, expected = made
    data = data if len(data) < 2000 else GET
    assert told([data[n : n + size] for n in range(0, len(data), size)]) == [
        expected if data is not GET else (b"GET", b"/a", b"b=c", b"")
    ]


def letter(length: bytes, body: bytes, line: bytes = b"") -> bytes:
    return b"POST /a HTTP/1.1\r\nHost: a\r\n" + line + b"Content-Length: " + length + b"\r\n\r\n" + body


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.one_of(
            BODY.map(lambda body: letter(b"%d" % len(body), body)),
            BODY.map(lambda body: letter(b"%d" % len(body), body) * 2),
            BODY.map(lambda body: letter(b"00%d" % len(body), body)),
            BODY.map(lambda body: letter(b"%d" % len(body), body, b"X: y\r\n")),
            BODY.map(lambda body: letter(b"%d " % len(body), body)),
            st.just(GET),
            requests().map(lambda made: made[0]),
        ),
        min_size=1,
        max_size=8,
    ),
    st.lists(st.integers(0, 1 << 20), max_size=6),
)
def test_heads_that_repeat_are_understood_as_if_they_were_parsed(messages: list[bytes], at: list[int]) -> None:
    """Packets that are whole requests take the short road; cut elsewhere they do not."""
    whole = told(messages)
    assert len(whole) >= len(messages)
    assert told(cut(b"".join(messages), at)) == whole == reference(b"".join(messages))[0]


@pytest.mark.parametrize(
    "begun",
    [
        b"POST /x HTTP/1.1\r\nX: ",
        b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 200\r\n\r\n",
        b"POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n" % len(letter(b"3", b"abc")),
        b"\r\n",
        b"\r\n\r\n",
    ],
)
def test_what_looks_like_the_head_before_but_is_in_the_middle_of_something_is_not_one(begun: bytes) -> None:
    """A short road that did not know where the parser stands would let a request be smuggled."""
    same = letter(b"3", b"abc")
    for packets in ([same, same + begun, same, same], [same + begun, same, same], [begun, same, same, same]):
        assert told(packets) == reference(b"".join(packets))[0] == told([b"".join(packets)])


# A second parser, as simple as can be, of what we say we understand.

LINE = re.compile(rb"[\r\n]*(GET|HEAD|POST|PUT|PATCH|DELETE|OPTIONS) +(/[!-~]*) +HTTP/1\.1\r\n")
FIELD = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\t -~\x80-\xff]*?)[ \t]*\r\n")
CHUNK = re.compile(rb"([0-9A-Fa-f]+)((?:;[^\r\n\0]*)?)\r\n")
SINGLE = {b"host", b"content-length", b"transfer-encoding", b"content-type", b"content-encoding", b"authorization"}


def reference(data: bytes) -> tuple[list[Told], str]:
    """Return the requests of a stream and how it ends: "more" if the last one is not complete, or "wrong"."""
    found: list[Told] = []
    at = 0
    while True:
        line = LINE.match(data, at)
        end = data.find(b"\r\n\r\n", at)
        if line is None:
            return found, "wrong" if end >= 0 else "more"
        at = line.end()
        headers: dict[bytes, list[bytes]] = {}
        while field := FIELD.match(data, at):
            headers.setdefault(field[1].lower(), []).append(field[2])
            at = field.end()
        if data[at : at + 2] != b"\r\n":
            return found, "wrong" if b"\r\n\r\n" in data[at - 2 :] else "more"
        at += 2
        length = headers.get(b"content-length", [b"0"])[0]
        coding = headers.get(b"transfer-encoding", [b""])[0].lower()
        if (
            any(len(headers.get(name, [])) > 1 for name in SINGLE)
            or b"host" not in headers
            or b"upgrade" in headers
            or b"#" in line[2]
            or coding not in {b"", b"chunked"}
            or (coding and b"content-length" in headers)
            or not re.fullmatch(rb"\d{1,7}", length)
        ):
            return found, "wrong"
        if coding:
            read = unchunked(data, at)
            if read is None:
                return found, "more"
            body, at = read
        else:
            body = data[at : at + int(length)]
            at += int(length)
            if len(body) < int(length):
                return found, "more"
        path, _, query = line[2].partition(b"?")
        found.append((line[1], path, query, body))
        if any(b"close" in value.lower() for value in headers.get(b"connection", [])):
            return found, "closed"


def unchunked(data: bytes, at: int) -> tuple[bytes, int] | None:
    body = b""
    while True:
        chunk = CHUNK.match(data, at)
        if chunk is None:
            return None
        size = int(chunk[1], 16)
        at = chunk.end()
        if size == 0:
            while field := FIELD.match(data, at):
                at = field.end()
            return (body, at + 2) if data[at : at + 2] == b"\r\n" else None
        body += data[at : at + size]
        if data[at + size : at + size + 2] != b"\r\n":
            return None
        at += size + 2


def mutated(made: list[tuple[bytes, Told]], place: int, what: int, new: bytes) -> bytes:
    stream = b"".join(data for data, _ in made)
    place %= len(stream)
    removed = (0, 1, len(new))[what % 3]
    return stream[:place] + (new if what % 3 != 1 else b"") + stream[place + removed :]


SPICE = st.one_of(
    st.binary(min_size=1, max_size=3),
    st.sampled_from(
        [b"\r", b"\n", b"\r\n", b"\r\n\r\n", b"\0", b" ", b"\t", b":", b",", b"Content-Length: 3\r\n", b"\r\n ", b"0",
         b"Transfer-Encoding: chunked\r\n", b"Host: b\r\n", b"Connection: close\r\n", b"\x0b", b";", b"1", b"-", b"+"]
    ),
)  # fmt: skip


@settings(max_examples=600, deadline=None)
@given(
    st.lists(requests(), min_size=1, max_size=3),
    st.integers(0, 1 << 20),
    st.integers(0, 2),
    SPICE,
    st.lists(st.integers(0, 1 << 20), max_size=3),
)
def test_requests_end_where_a_second_parser_sees_their_end(
    made: list[tuple[bytes, Told]], place: int, what: int, new: bytes, at: list[int]
) -> None:
    """Nothing is taken for a request that the other does not see there; where we see less, we have said no."""
    stream = mutated(made, place, what, new)
    assume(b"HTTP/1.0" not in stream)  # which the second parser does not speak
    expected, _ = reference(stream)
    found, refused = heard(cut(stream, at))
    assert found == expected[: len(found)]
    assert refused or found == expected


@pytest.fixture(scope="module")
def wire() -> Iterator[Wire]:
    with serving(Limits(sweep_s=NEVER_S)) as wire:
        yield wire


@settings(max_examples=150, deadline=None)
@given(
    st.one_of(
        st.binary(max_size=300),
        st.builds(
            mutated, st.lists(requests(), min_size=1, max_size=3), st.integers(0, 1 << 20), st.integers(0, 2), SPICE
        ),
    )
)
def test_whatever_is_sent_ends_in_answers_and_a_close_and_another_connection_is_served(wire: Wire, data: bytes) -> None:
    bystander = wire.connect()
    wire.ask(data)
    assert bystander.open
    bystander.close()
    wire.clients.clear()
