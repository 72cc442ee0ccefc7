"""A stream of rows is read while it arrives, however the network cuts it."""

from __future__ import annotations

import io
from itertools import pairwise

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lepton.client.arrow import frames
from lepton.core.errors import Unavailable
from lepton.datasets.exports import write_file

FRAME = pl.DataFrame(
    {"n": range(1000), "x": [None, *(0.5 * n for n in range(999))], "text": [f"größe {n % 7}" for n in range(1000)]}
)


def _stream(frame: pl.DataFrame) -> bytes:
    return b"".join(write_file("arrow", frame.lazy()))


@given(cuts=st.lists(st.integers(0, len(_stream(FRAME))), max_size=20))
def test_the_rows_are_the_same_wherever_it_is_cut(cuts: list[int]) -> None:
    stream = _stream(FRAME)
    places = [0, *sorted(cuts), len(stream)]
    pieces = [stream[first:end] for first, end in pairwise(places)]
    assert pl.concat(frames(pieces)).equals(FRAME)


@given(end=st.integers(0, len(_stream(FRAME)) - 1))
def test_a_stream_that_breaks_off_says_so(end: int) -> None:
    whole = frames([_stream(FRAME)[:end]])
    with pytest.raises(Unavailable, match="middle"):
        list(whole)


def test_streams_of_others_with_many_batches_and_categories_are_read() -> None:
    buffer = io.BytesIO()
    many = pl.concat([FRAME, FRAME.reverse()], rechunk=False).with_columns(pl.col("text").cast(pl.Categorical))
    many.write_ipc_stream(buffer)
    assert (
        pl.concat(frames([buffer.getvalue()]))
        .with_columns(pl.col("text").cast(pl.String))
        .equals(many.with_columns(pl.col("text").cast(pl.String)))
    )


def test_a_large_table_comes_in_pieces_of_about_a_megabyte() -> None:
    frame = pl.DataFrame({f"x{n}": pl.Series(range(100_000), dtype=pl.Float64) for n in range(8)})
    found = list(frames(write_file("arrow", frame.lazy())))
    assert pl.concat(found).equals(frame)
    sizes = [one.estimated_size() for one in found]
    assert max(sizes) <= 1 << 20  # as the server cuts them
    assert len(found) < 20  # 6.4 MB, and one remainder for each batch of rows
