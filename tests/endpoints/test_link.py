"""Supervisor and worker understand each other, whatever is sent and however it is cut up."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lepton.core.errors import InvalidInput
from lepton.endpoints.replica.config import Deployment, ReplicaConfig, Workers
from lepton.endpoints.replica.link import (
    LATENCY_BOUNDS_S,
    Closed,
    Drain,
    Failed,
    Link,
    Listen,
    Load,
    Message,
    Ready,
    SignedTokens,
    Start,
    decode,
    encode,
)

TEXT = st.text(max_size=20)
COUNT = st.integers(0, 1 << 40)
NUMBERS = st.lists(st.integers(0, 255), max_size=5).map(tuple)
DEPLOYMENT = st.builds(Deployment, *[TEXT] * 3, COUNT, *[TEXT] * 5)
MESSAGES = st.one_of(
    st.builds(Start, st.lists(DEPLOYMENT, max_size=3).map(tuple), TEXT),
    st.builds(Listen, NUMBERS, NUMBERS),
    st.builds(SignedTokens, TEXT),
    st.builds(Drain, st.floats(0, 100), st.floats(0, 100)),
    st.sampled_from([Ready(), Closed()]),
    st.builds(Failed, TEXT),
    st.builds(
        Load, COUNT, COUNT, COUNT, COUNT, st.floats(0, 1e9), st.tuples(*[COUNT] * (len(LATENCY_BOUNDS_S) + 1))
    ),
)  # fmt: skip


@pytest.fixture
def ends() -> Iterator[tuple[Link, Link]]:
    one, other = (Link(end) for end in socket.socketpair())
    yield one, other
    one.close()
    other.close()


@given(MESSAGES)
def test_a_message_is_one_line_and_comes_back_as_it_was(message: Message) -> None:
    line = encode(message)
    assert line.index(b"\n") == len(line) - 1
    assert decode(line) == message


@given(st.lists(MESSAGES, max_size=5), st.lists(st.integers(1, 200), max_size=30))
def test_messages_arrive_whole_however_they_are_cut(messages: list[Message], cuts: list[int]) -> None:
    sender, receiver = socket.socketpair()
    link, heard = Link(receiver), []
    data = b"".join(map(encode, messages))
    for cut in [*cuts, len(data)]:
        sender.sendall(data[:cut])
        data = data[cut:]
        heard += link.receive() or []
    assert heard == messages
    sender.close()
    assert link.receive() is None
    link.close()


@given(
    st.lists(DEPLOYMENT, max_size=3).map(tuple), COUNT, st.tuples(*[TEXT] * 5),
    st.tuples(st.integers(0, 64), st.integers(1, 64)).map(lambda ends: Workers(min(ends), max(ends))),
)  # fmt: skip
def test_what_a_replica_is_told_comes_back_as_it_was(
    deployments: tuple[Deployment, ...], generation: int, texts: tuple[str, str, str, str, str], workers: Workers
) -> None:
    host, path, secret, *files = texts
    config = ReplicaConfig(deployments, generation, host, 7, workers, path, secret, tuple(files), True, 8)
    assert ReplicaConfig.from_json(config.to_json()) == config


def test_secrets_are_not_shown_with_the_rest() -> None:
    deployment = Deployment("size", "default", "m@1", 1, "p", "b", "the-key", "the-signature", "the-secret", "")
    config = ReplicaConfig((deployment,), 1, "h", 0, Workers(), "p", "the-control-secret", "u")
    assert "the-" not in repr(config)
    assert "the-" not in repr(Start((deployment,), "u"))


@pytest.mark.parametrize(("low", "high"), [(-1, 1), (2, 1), (0, 0), (1, 65)])
def test_a_range_of_workers_that_makes_no_sense_is_refused(low: int, high: int) -> None:
    with pytest.raises(InvalidInput, match="at most 1 to 64"):
        Workers(low, high)


def test_what_is_too_much_for_now_is_kept_and_arrives_in_order(ends: tuple[Link, Link]) -> None:
    one, other = ends
    sent = [SignedTokens("x" * 300_000), SignedTokens("y"), Ready()]
    for message in sent:
        one.send(message)
    assert not one.flush()
    heard: list[Message] = []
    while len(heard) < 3:
        heard += other.receive() or []
        one.flush()
    assert heard == sent
    assert one.flush()


def test_descriptors_come_with_the_message_they_belong_to(ends: tuple[Link, Link]) -> None:
    one, other = ends
    pipes = [os.pipe() for _ in range(3)]
    one.send(Listen((0, 1), (0, 1)), [pipes[0][1], pipes[1][1]])
    one.send(SignedTokens("between"))
    one.send(Listen((2,), (2,)), [pipes[2][1]])
    heard: list[Message] = []
    while len(heard) < 3:
        heard += other.receive() or []
    received = other.take_fds(2) + other.take_fds(1)
    for number, ((read, write), fd) in enumerate(zip(pipes, received, strict=True)):
        os.write(fd, bytes([number]))
        assert os.read(read, 1) == bytes([number])
        for open_ in (read, write, fd):
            os.close(open_)


def test_the_end_of_the_other_side_is_seen_and_harms_nobody(ends: tuple[Link, Link]) -> None:
    one, other = ends
    one.send(Ready())
    one.close()
    assert other.receive() == [Ready()]
    assert other.receive() is None
    other.send(Ready())
    assert other.flush()
