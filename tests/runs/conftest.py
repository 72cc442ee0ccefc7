"""What the tests of runs share: a small disk that can be filled."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lepton.testing.engines import eventually


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """An empty file system of 64 KiB."""
    mount = tmp_path / "small"
    mount.mkdir()
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", mount], check=False, capture_output=True)
    if made.returncode:
        pytest.skip("needs the right to mount a tmpfs")
    yield mount
    # A supervisor that has just written its last word may not have left its folder yet.
    unmount = ["umount", mount]
    eventually(
        lambda: subprocess.run(unmount, check=False, capture_output=True).returncode == 0,
        "the disk is left",
        within_s=10,
    )
