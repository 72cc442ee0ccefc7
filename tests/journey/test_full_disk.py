"""A disk that is full: one clear sentence, nothing half-written, and the platform goes on."""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from journey.journeys import Live, start

from lepton.core.errors import LeptonError


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Live]:
    """A platform on a disk of 24 MiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = os.geteuid() == 0 and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=24m", "tmpfs", str(disk)], check=False, capture_output=True
    )
    if not mounted or mounted.returncode:
        pytest.skip("mounting a small disk needs root")
    try:
        live = start(disk / "lepton", "sqlite")
        yield live
        live.cli("down")
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


def test_a_full_disk_is_one_sentence_and_leaves_nothing_behind(small: Live, tmp_path: Path) -> None:
    draw = random.Random(3)
    lines = ["a,b"] + [f"{draw.random()},{draw.random()}" for _ in range(2000)]
    fits, too_big = tmp_path / "fits.csv", tmp_path / "too-big.csv"
    fits.write_text("\n".join(lines))
    too_big.write_text("\n".join([lines[0], *(lines[1:] * 500)]))
    with small.client() as client:
        client.datasets.import_(fits, name="before")
        used = objects(small)
        with pytest.raises(LeptonError, match="(?i)space|full") as caught:
            client.datasets.import_(too_big, name="big")
        assert str(small.home) not in caught.value.message
        assert "big" not in [dataset.name for dataset in client.datasets.list()]
        assert objects(small) <= used
        assert client.datasets.import_(fits, name="after").rows == 2000


def objects(live: Live) -> int:
    """Bytes of tables and blobs."""
    return sum(path.stat().st_size for path in (live.home / "objects").rglob("*") if path.is_file())
