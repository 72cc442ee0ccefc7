"""What of a folder goes along with a command, and how."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from lepton.client.bundle import find_files, pack
from lepton.core.errors import InvalidInput, TooLarge

MAX = 1 << 20


def write(folder: Path, *paths: str) -> None:
    for path in paths:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(path)


def names(folder: Path) -> list[str]:
    return [str(found.path) for found in find_files(folder)]


def packed(folder: Path) -> bytes:
    with pack(folder, max_bytes=MAX) as (file, size):
        content = file.read()
        assert len(content) == size
        return content


def test_histories_environments_caches_and_secrets_stay_at_home(tmp_path: Path) -> None:
    write(
        tmp_path, "train.py", "src/model.py", ".git/config", "src/.git/config", ".venv/bin/python", "__pycache__/x.pyc",
        "src/__pycache__/y.pyc", "node_modules/a.js", ".env", ".env.local", "server.key", "deep/cert.pem", "id_rsa",
        ".ssh/id_ed25519", "myenv/pyvenv.cfg", "myenv/lib/big.py", ".netrc", "environment.py", "keys.py",
    )  # fmt: skip
    assert names(tmp_path) == ["environment.py", "keys.py", "src/model.py", "train.py"]


def test_ignore_files_mean_what_git_means_in_every_folder(tmp_path: Path) -> None:
    write(
        tmp_path, "a.log", "keep.log", "data/big.csv", "data/small.csv", "sub/a.log", "sub/only.txt", "sub/x/only.txt"
    )
    (tmp_path / ".gitignore").write_text("*.log\n!keep.log\n/data/*\n!/data/small.csv\n")
    (tmp_path / "sub" / ".gitignore").write_text("/only.txt\n!a.log\n")
    assert names(tmp_path) == [
        ".gitignore", "data/small.csv", "keep.log", "sub/.gitignore", "sub/a.log", "sub/x/only.txt",
    ]  # fmt: skip


def test_our_own_ignore_file_has_the_last_word_but_never_takes_the_history_along(tmp_path: Path) -> None:
    write(tmp_path, "public.pem", "private.pem", "built/model.bin", "notes.txt", ".git/config")
    (tmp_path / ".gitignore").write_text("built/\n")
    (tmp_path / ".leptonignore").write_text("!public.pem\n!built/\nnotes.txt\n!.git\n")
    assert names(tmp_path) == [".gitignore", ".leptonignore", "built/model.bin", "public.pem"]


def test_the_same_folder_is_the_same_bytes(tmp_path: Path) -> None:
    for number, folder in enumerate((tmp_path / "one", tmp_path / "two")):
        write(folder, "b.py", "a/c.py")
        (folder / "run.sh").write_text("#!/bin/sh\n")
        (folder / "run.sh").chmod(0o755)
        (folder / "link").symlink_to("a/c.py")
        os.utime(folder / "b.py", (number, number))
    first = packed(tmp_path / "one")
    assert first == packed(tmp_path / "two")
    with tarfile.open(fileobj=io.BytesIO(first)) as tar:
        modes = {member.name: (member.mode, member.uid, member.mtime, member.linkname) for member in tar}
    assert modes == {
        "a/c.py": (0o644, 0, 0, ""),
        "b.py": (0o644, 0, 0, ""),
        "link": (0o777, 0, 0, "a/c.py"),
        "run.sh": (0o755, 0, 0, ""),
    }


@pytest.mark.parametrize("target", ["/etc/passwd", "../outside", "nowhere/../../x"])
def test_a_link_that_leads_out_is_refused_by_name_and_can_be_left_at_home(tmp_path: Path, target: str) -> None:
    folder = tmp_path / "folder"
    write(tmp_path, "outside", "folder/a.py")
    (folder / "door").symlink_to(target)
    with pytest.raises(InvalidInput, match="door is a link to outside"):
        find_files(folder)
    (folder / ".leptonignore").write_text("door\n")
    assert names(folder) == [".leptonignore", "a.py"]


def test_too_much_is_refused_with_the_largest_files_by_name(tmp_path: Path) -> None:
    write(tmp_path, "small.py")
    (tmp_path / "weights.bin").write_bytes(bytes(3_000_000))
    (tmp_path / "more.bin").write_bytes(bytes(1_000_000))
    with pytest.raises(TooLarge) as told, pack(tmp_path, max_bytes=MAX):
        pass
    assert "4.0 MB" in told.value.message
    assert "weights.bin (3.0 MB), more.bin (1.0 MB), small.py" in told.value.message
    assert ".leptonignore" in told.value.message


def test_what_is_no_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no folder"):
        find_files(tmp_path / "nowhere")


def test_sockets_and_pipes_are_left_at_home(tmp_path: Path) -> None:
    write(tmp_path, "a.py")
    os.mkfifo(tmp_path / "pipe")
    assert names(tmp_path) == ["a.py"]
