"""The encrypted log: what is written is read, and nothing else is."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lepton.runs.engines.journal import MAX_TEXT_BYTES, JournalError, JournalReader, JournalWriter

KEY = bytes(32)
lines = st.lists(st.tuples(st.integers(-1, 63), st.floats(0, 4e9), st.text(max_size=40)), max_size=150)


def write(path: Path, texts: list[str], run_id: str = "R1") -> None:
    writer = JournalWriter(path, run_id, KEY)
    for text in texts:
        writer.write(0, 0.0, text)
    writer.close()


@given(lines=lines, after=st.integers(0, 160), limit=st.integers(1, 160), cut=st.integers(0, 60))
def test_any_page_of_any_log_is_what_was_written(
    lines: list[tuple[int, float, str]], after: int, limit: int, cut: int
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log"
        writer = JournalWriter(path, "R1", KEY)
        for rank, time, text in lines:
            writer.write(rank, time, text)
        writer.close()
        reader = JournalReader(path, "R1")
        expected = [(seq, rank, text) for seq, (rank, _, text) in enumerate(lines, 1)]
        readable = [(rank, text.encode(errors="replace").decode()) for rank, _, text in lines]
        expected = [(seq, *line) for seq, line in enumerate(readable, 1)]
        page = reader.read(KEY, after=after, limit=limit)
        assert [(line.seq, line.rank, line.text) for line in page] == expected[after : after + limit]
        # A second look uses what the first remembered; a torn end loses the last line at most.
        path.write_bytes(path.read_bytes()[: -cut or None])
        again = [(line.seq, line.rank, line.text) for line in reader.read(KEY, after=after, limit=limit)]
        assert expected[after : after + limit][: len(again)] == again
        if not cut:
            assert len(again) == len(page)


def test_a_log_that_is_not_there_is_empty(tmp_path: Path) -> None:
    assert JournalReader(tmp_path / "log", "R1").read(KEY, after=0, limit=10) == []


def test_a_log_can_be_read_while_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "log"
    writer, reader = JournalWriter(path, "R1", KEY), JournalReader(path, "R1")
    for number in range(1, 200):
        writer.write(0, 0.0, f"line {number}")
        (line,) = reader.read(KEY, after=number - 1, limit=10)
        assert (line.seq, line.text) == (number, f"line {number}")
    writer.close()


def test_a_line_is_cut_at_8_kib(tmp_path: Path) -> None:
    write(tmp_path / "log", ["é" * MAX_TEXT_BYTES])
    (line,) = JournalReader(tmp_path / "log", "R1").read(KEY, after=0, limit=10)
    assert len(line.text.encode()) <= MAX_TEXT_BYTES
    assert line.text.endswith("… [cut]")


@pytest.mark.parametrize("change", ["swap", "other run", "other key", "length"])
def test_frames_that_were_moved_or_changed_are_refused(tmp_path: Path, change: str) -> None:
    path = tmp_path / "log"
    write(path, ["aa", "bb"], "R2" if change == "other run" else "R1")
    data = path.read_bytes()
    half = len(data) // 2
    if change == "swap":
        path.write_bytes(data[half:] + data[:half])
    if change == "length":
        path.write_bytes(b"\xff" + data[1:])
    key = bytes(range(32)) if change == "other key" else KEY
    with pytest.raises(JournalError):
        JournalReader(path, "R1").read(key, after=0, limit=10)
