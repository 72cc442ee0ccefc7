"""One log out of those of the parts of a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from lepton.runs.engines.journal import JournalReader, JournalWriter
from lepton.runs.engines.merged_log import MergedLog
from lepton.runs.records import LogLine, Part

KEY = bytes(range(32))
PARTS = (Part("a", 2), Part("b", 1))


class Logs:
    """Those of the parts, as agents write them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.writers = [JournalWriter(folder / f"p{n}", f"rp{n}", KEY) for n in range(2)]
        self.time = 0.0

    def write(self, part: int, rank: int, text: str) -> None:
        self.time += 1
        self.writers[part].write(rank, self.time, text)

    def read(self, part: int, after: int, limit: int) -> list[LogLine]:
        return JournalReader(self.folder / f"p{part}", f"rp{part}").read(KEY, after=after, limit=limit)

    def merged(self, max_bytes: int = 1 << 20) -> MergedLog:
        return MergedLog(self.folder / "log", "r", PARTS, max_bytes=max_bytes)


@pytest.fixture
def logs(tmp_path: Path) -> Logs:
    return Logs(tmp_path)


def texts(log: MergedLog, after: int = 0) -> list[str]:
    return [f"{line.rank} {line.text}" for line in log.read(KEY, after=after, limit=100)]


def test_lines_of_all_parts_come_in_order_and_one_that_comes_late_is_behind_the_cursor(logs: Logs) -> None:
    log = logs.merged()
    logs.write(0, 0, "first")
    logs.write(1, 2, "second")
    logs.write(0, -1, "[third]")
    log.bring(KEY, logs.read)
    assert texts(log) == ["0 first", "2 second", "-1 [third]"]
    logs.write(1, 2, "fourth")
    log.bring(KEY, lambda part, after, limit: [] if part == 1 else logs.read(part, after, limit))  # b does not answer
    logs.write(0, 1, "fifth")
    log.bring(KEY, lambda part, after, limit: [] if part == 1 else logs.read(part, after, limit))
    assert texts(log, after=3) == ["1 fifth"]
    log.bring(KEY, logs.read)
    assert texts(log, after=4) == ["2 fourth"]


def test_one_that_comes_later_goes_on_behind_the_last_whole_line_and_brings_nothing_twice(logs: Logs) -> None:
    for number in range(5):
        logs.write(number % 2, -1 if number == 4 else 2 * (number % 2), f"line {number}")
    logs.merged().bring(KEY, logs.read)
    path = logs.folder / "log"
    path.write_bytes(path.read_bytes()[:-3])  # it was killed while it wrote
    logs.write(1, 2, "more")
    later = logs.merged()
    later.bring(KEY, logs.read, ended=True)
    assert sorted(texts(later)) == sorted(["0 line 0", "2 line 1", "0 line 2", "2 line 3", "-1 line 4", "2 more"])
    assert [line.seq for line in later.read(KEY, after=0, limit=100)] == list(range(1, 7))


def test_a_full_log_says_so_once(logs: Logs) -> None:
    for _ in range(100):
        logs.write(0, 0, "x" * 100)
    log = logs.merged(max_bytes=2000)
    for _ in range(3):
        log.bring(KEY, logs.read)
        log = logs.merged(max_bytes=2000)
    assert len([text for text in texts(log) if "the log is full" in text]) == 1
    assert len(texts(log)) < 20
