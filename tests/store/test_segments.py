from __future__ import annotations

import io
import random
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lepton.core.errors import Internal, NotFound
from lepton.store.segments import SEGMENT_BYTES, SegmentWriter, open_segments

KEY = bytes(range(32))
HEADER = 40
STORED = SEGMENT_BYTES + 16

# Sizes near the borders of segments are where a mistake would be.
SIZES = st.one_of(
    st.integers(0, 300),
    st.builds(lambda n, d: max(n * SEGMENT_BYTES + d, 0), st.integers(0, 3), st.integers(-2, 2)),
    st.integers(0, 3 * SEGMENT_BYTES),
)
quick = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


def content(size: int) -> bytes:
    return random.Random(size).randbytes(size)


def encrypted(plain: bytes, *, key: bytes = KEY, blob_id: str = "A", step: int = 50_000) -> bytes:
    file = io.BytesIO()
    writer = SegmentWriter(file, key, blob_id)
    for start in range(0, len(plain), step):
        writer.write(plain[start : start + step])
    writer.finish()
    return file.getvalue()


def read(folder: Path, stored: bytes, *, key: bytes = KEY, blob_id: str = "A") -> bytes:
    path = folder / "stored"
    path.write_bytes(stored)
    with open_segments(path, key, blob_id) as file:
        return file.read()


@quick
@given(size=SIZES, step=st.integers(1, 200_000))
def test_what_is_written_in_any_pieces_is_read_back(tmp_path: Path, size: int, step: int) -> None:
    step = max(step, size // 50 + 1)
    stored = encrypted(content(size), step=step)
    assert read(tmp_path, stored) == content(size)
    assert len(stored) == HEADER + size + 16 * max(-(-size // SEGMENT_BYTES), 1)


@quick
@given(size=SIZES, reads=st.lists(st.tuples(st.floats(0, 1.1), st.integers(0, 70_000)), max_size=8))
def test_random_access_gives_the_plain_bytes(tmp_path: Path, size: int, reads: list[tuple[float, int]]) -> None:
    plain = content(size)
    path = tmp_path / "stored"
    path.write_bytes(encrypted(plain))
    with open_segments(path, KEY, "A") as file:
        assert file.seekable()
        assert file.seek(0, io.SEEK_END) == size
        for where, length in reads:
            offset = int(where * size)
            assert file.seek(offset) == offset
            assert file.read(length) == plain[offset : offset + length]
            assert file.tell() == max(offset, min(offset + length, size))


@quick
@given(size=SIZES, where=st.floats(0, 1), bit=st.integers(0, 7))
def test_any_flipped_bit_is_noticed(tmp_path: Path, size: int, where: float, bit: int) -> None:
    stored = bytearray(encrypted(content(size)))
    stored[min(int(where * len(stored)), len(stored) - 1)] ^= 1 << bit
    with pytest.raises(Internal, match="damaged"):
        read(tmp_path, bytes(stored))


@quick
@given(size=SIZES, keep=st.one_of(st.floats(0, 1, exclude_max=True), st.integers(0, 2)))
def test_any_truncation_is_noticed_on_opening(tmp_path: Path, size: int, keep: float | int) -> None:
    stored = encrypted(content(size))
    length = HEADER + keep * STORED if isinstance(keep, int) else int(keep * len(stored))
    path = tmp_path / "stored"
    path.write_bytes(stored[: min(length, len(stored) - 1)])
    with pytest.raises(Internal, match="damaged"):
        open_segments(path, KEY, "A")


@pytest.mark.parametrize("extra", [b"\0", b"\0" * 16, b"\0" * STORED])
@pytest.mark.parametrize("size", [0, 10, SEGMENT_BYTES, SEGMENT_BYTES + 1])
def test_added_bytes_are_noticed(tmp_path: Path, size: int, extra: bytes) -> None:
    with pytest.raises(Internal):
        read(tmp_path, encrypted(content(size)) + extra)


@pytest.mark.parametrize(("one", "other"), [(0, 1), (1, 2), (0, 2)])
def test_swapped_segments_are_noticed(tmp_path: Path, one: int, other: int) -> None:
    stored = encrypted(content(3 * SEGMENT_BYTES))
    segments = [stored[HEADER + n * STORED :][:STORED] for n in range(3)]
    segments[one], segments[other] = segments[other], segments[one]
    with pytest.raises(Internal):
        read(tmp_path, stored[:HEADER] + b"".join(segments))


def test_a_segment_left_out_is_noticed(tmp_path: Path) -> None:
    stored = encrypted(content(3 * SEGMENT_BYTES))
    with pytest.raises(Internal):
        read(tmp_path, stored[: HEADER + STORED] + stored[HEADER + 2 * STORED :])


def test_segments_of_two_files_with_one_key_cannot_be_mixed(tmp_path: Path) -> None:
    one, other = encrypted(content(2 * SEGMENT_BYTES)), encrypted(content(2 * SEGMENT_BYTES))
    with pytest.raises(Internal):
        read(tmp_path, one[: HEADER + STORED] + other[HEADER + STORED :])
    with pytest.raises(Internal):
        read(tmp_path, other[:HEADER] + one[HEADER:])


def test_a_file_under_another_id_or_key_does_not_open(tmp_path: Path) -> None:
    stored = encrypted(content(10))
    with pytest.raises(Internal):
        read(tmp_path, stored, blob_id="B")
    with pytest.raises(Internal):
        read(tmp_path, stored, key=KEY[::-1])


def test_the_same_content_is_never_stored_as_the_same_bytes() -> None:
    assert encrypted(content(100))[HEADER:] != encrypted(content(100))[HEADER:]


def test_a_file_that_is_gone_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        open_segments(tmp_path / "none", KEY, "A")


def test_nothing_can_be_added_to_a_finished_file() -> None:
    file = io.BytesIO()
    writer = SegmentWriter(file, KEY, "A")
    writer.finish()
    writer.finish()
    with pytest.raises(ValueError, match="finished"):
        writer.write(b"x")
    assert len(file.getvalue()) == HEADER + 16


def test_a_position_before_the_start_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "stored"
    path.write_bytes(encrypted(b"abc"))
    with open_segments(path, KEY, "A") as file, pytest.raises(ValueError, match="before the start"):
        file.seek(-4, io.SEEK_END)


def test_reading_needs_neither_the_database_nor_polars() -> None:
    program = (
        "import sys, lepton.store.segments\n"
        "heavy = {'sqlalchemy', 'polars', 'alembic', 'pydantic', 'fastapi'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", program], check=True)
