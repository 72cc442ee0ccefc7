"""Archives that somebody else has made, some of them with bad intent."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest

from lepton.client.bundle import pack
from lepton.core.errors import InvalidInput
from lepton.launch.unpack import unpack

MAX = 1 << 20


def archive(*members: tuple[str, bytes, bytes, str]) -> io.BytesIO:
    """Pack members of (name, type, content, link)."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, kind, content, link in members:
            info = tarfile.TarInfo(name)
            info.type, info.linkname, info.size = kind, link, len(content)
            info.mode = 0o6777
            tar.addfile(info, io.BytesIO(content))
    packed.seek(0)
    return packed


FILE, LINK, HARD = tarfile.REGTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE


@pytest.mark.parametrize(
    "members",
    [
        [("/etc/cron.d/evil", FILE, b"x", "")],
        [("../evil", FILE, b"x", "")],
        [("a/../../evil", FILE, b"x", "")],
        [("door", LINK, b"", "/etc")],
        [("door", LINK, b"", "..")],
        [("a/door", LINK, b"", "../../evil")],
        [("a", FILE, b"x", ""), ("hard", HARD, b"", "/etc/passwd")],
        [("hard", HARD, b"", "../evil")],
        [("pipe", tarfile.FIFOTYPE, b"", "")],
        [("device", tarfile.CHRTYPE, b"", "")],
        [("twice", FILE, b"x", ""), ("twice", FILE, b"y", "")],
        [("a", FILE, b"x", ""), ("a/b", FILE, b"y", "")],
        [("large", FILE, bytes(MAX + 1), "")],
        [("half", FILE, bytes(MAX // 2 + 1), ""), ("other", FILE, bytes(MAX // 2 + 1), "")],
    ],
)
def test_nothing_leaves_the_folder(tmp_path: Path, members: list[tuple[str, bytes, bytes, str]]) -> None:
    (tmp_path / "here").mkdir()
    with pytest.raises(InvalidInput):
        unpack(archive(*members), tmp_path / "here", max_bytes=MAX)
    assert [path.name for path in tmp_path.iterdir()] == ["here"]


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "inside").mkdir()
    packed = archive(("door", LINK, b"", "inside"), ("door/file", FILE, b"x", ""))
    with pytest.raises(InvalidInput):  # by then there is a folder of that name
        unpack(packed, tmp_path / "here", max_bytes=MAX)
    assert list((tmp_path / "here" / "inside").iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"no archive at all", archive(("a", FILE, b"x" * 9999, "")).getvalue()[:60]])
def test_what_is_damaged_is_told(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(InvalidInput, match="could not be unpacked"):
        unpack(io.BytesIO(content), tmp_path, max_bytes=MAX)


def test_what_was_packed_comes_out_as_it_was_without_special_rights(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    (here / "a").mkdir(parents=True)
    there.mkdir()
    (here / "a" / "run.sh").write_text("#!/bin/sh\n")
    (here / "a" / "run.sh").chmod(0o4755)
    (here / "ä b.txt").write_text("ü")
    (here / "link").symlink_to("a/run.sh")
    with pack(here, max_bytes=MAX) as (file, _):
        unpack(file, there, max_bytes=MAX)
    assert (there / "ä b.txt").read_text() == "ü"
    assert (there / "link").read_text() == "#!/bin/sh\n"
    assert (there / "a" / "run.sh").stat().st_mode & 0o7777 == 0o700
