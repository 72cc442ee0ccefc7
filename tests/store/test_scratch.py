from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lepton.core.errors import StorageFull
from lepton.store.scratch import publish, scratch, sweep

WRITER = """
import sys, pathlib
from lepton.store.scratch import scratch
with scratch(pathlib.Path(sys.argv[1])) as folder:
    (folder / "half").write_bytes(b"half a file")
    print("ready", flush=True)
    sys.stdin.read()
"""


def left(root: Path) -> list[str]:
    return [file.name for file in root.rglob("*") if file.is_file()]


def test_a_published_file_has_its_name_and_nothing_else_is_left(tmp_path: Path) -> None:
    with scratch(tmp_path) as folder:
        (folder / "made").write_bytes(b"x")
        (folder / "notes").write_bytes(b"y")
        publish(folder / "made", tmp_path / "kept" / "name")
    assert left(tmp_path) == ["name"]


def test_a_whole_folder_can_be_published(tmp_path: Path) -> None:
    with scratch(tmp_path) as folder:
        (folder / "made").write_bytes(b"x")
        publish(folder, tmp_path / "kept" / "folder")
    assert (tmp_path / "kept" / "folder" / "made").read_bytes() == b"x"


def test_a_taken_name_is_not_overwritten(tmp_path: Path) -> None:
    for attempt in (b"first", b"second"):
        with scratch(tmp_path) as folder:
            (folder / "made").write_bytes(attempt)
            if attempt == b"first":
                publish(folder, tmp_path / "name")
            else:
                with pytest.raises(FileExistsError):
                    publish(folder, tmp_path / "name")
    assert (tmp_path / "name" / "made").read_bytes() == b"first"


def test_a_writer_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def write(folder: Path) -> None:
        (folder / "half").write_bytes(b"x")
        raise KeyError

    with pytest.raises(KeyError), scratch(tmp_path) as folder:
        write(folder)
    assert left(tmp_path) == []
    assert sweep(tmp_path) == 0


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_said_so(tmp_path: Path, code: int) -> None:
    with pytest.raises(StorageFull), scratch(tmp_path):
        raise OSError(code, os.strerror(code))


def test_other_troubles_with_files_pass_as_they_are(tmp_path: Path) -> None:
    with pytest.raises(PermissionError), scratch(tmp_path):
        raise PermissionError(errno.EACCES, "no")


def test_sweeping_removes_what_dead_writers_left_and_spares_the_living(tmp_path: Path) -> None:
    assert sweep(tmp_path) == 0
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    for writer in writers:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
    assert sweep(tmp_path) == 0
    writers[0].send_signal(signal.SIGKILL)
    writers[0].wait()
    assert left(tmp_path) == ["half", "half"]
    assert sweep(tmp_path) == 1
    assert left(tmp_path) == ["half"]
    for writer in writers:
        writer.communicate()
    assert left(tmp_path) == []
    assert writers[1].returncode == 0
