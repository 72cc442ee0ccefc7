"""Frames between a worker and a sandbox: what is packed comes out, and nothing else is taken for a frame."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lepton.endpoints.replica.frames import (
    Channel,
    Ended,
    Frame,
    Garbled,
    Kind,
    pack_batch,
    pack_begin,
    read_answer,
    unpack_batch,
    unpack_begin,
)

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)


@given(st.data(), st.integers(1, 6), st.integers(0, 4), st.integers(0, 3))
def test_a_batch_comes_out_as_it_went_in(data: st.DataObject, rows: int, width: int, texts: int) -> None:
    numbers = np.array(data.draw(st.lists(st.floats(), min_size=rows * width, max_size=rows * width)))
    numbers = numbers.reshape(rows, width)
    columns = [
        np.array([*data.draw(st.lists(TEXTS, min_size=rows, max_size=rows)), None], dtype=object)[:-1]
        for _ in range(texts)
    ]
    body = memoryview(b"".join(pack_batch(numbers if width else None, columns)))
    back, texts_back = unpack_batch(body, rows=rows, width=width, texts=texts)
    assert np.array_equal(back, numbers, equal_nan=True)
    assert [column.tolist() for column in texts_back] == [column.tolist() for column in columns]


@given(st.binary(max_size=80), st.integers(0, 4), st.integers(0, 3), st.integers(0, 3))
def test_any_bytes_are_a_batch_or_garbled(body: bytes, rows: int, width: int, texts: int) -> None:
    try:
        numbers, columns = unpack_batch(memoryview(body), rows=rows, width=width, texts=texts)
    except Garbled:
        return
    assert numbers.shape == (rows, width)
    assert [len(column) for column in columns] == [rows] * texts


@given(st.dictionaries(TEXTS, st.binary(max_size=30), max_size=4), st.lists(TEXTS, max_size=3))
def test_what_a_sandbox_begins_with_comes_out_as_it_went_in(files: dict[str, bytes], names: list[str]) -> None:
    body = memoryview(b"".join(pack_begin(files, numbers=names, texts=names[::-1])))
    assert unpack_begin(body) == (files, names, names[::-1])


@given(st.integers(0, 5), st.integers(0, 5), st.binary(max_size=100))
def test_an_answer_has_the_size_that_its_head_says(rows: int, columns: int, body: bytes) -> None:
    frame = Frame(Kind.ANSWER, rows, columns, memoryview(body))
    if len(body) == 8 * rows * max(columns, 1):
        assert read_answer(frame).shape == ((rows, columns) if columns else (rows,))
    else:
        with pytest.raises(Garbled):
            read_answer(frame)


@pytest.fixture
def ends() -> Iterator[tuple[Channel, socket.socket]]:
    """A channel, and the bare other end."""
    ours, theirs = socket.socketpair()
    yield Channel(ours), theirs
    ours.close()
    theirs.close()


@pytest.mark.parametrize("head", [
    b"LPF2" + bytes(20), struct.pack("<4sB3xIIQ", b"LPF1", 99, 0, 0, 0),
    struct.pack("<4sB3xIIQ", b"LPF1", 5, 1, 0, 1 << 60),
], ids=["magic", "kind", "size"])  # fmt: skip
def test_what_is_no_frame_is_garbled_before_its_body_is_read(ends: tuple[Channel, socket.socket], head: bytes) -> None:
    channel, other = ends
    other.sendall(head)
    with pytest.raises(Garbled):
        channel.receive(within_s=5)


def test_half_a_frame_times_out_or_ends(ends: tuple[Channel, socket.socket]) -> None:
    channel, other = ends
    other.sendall(b"LPF1")
    with pytest.raises(TimeoutError):
        channel.receive(within_s=0.01)
    other.close()
    with pytest.raises(Ended):
        channel.receive(within_s=5)
    with pytest.raises(Ended):
        channel.send(Kind.READY)
