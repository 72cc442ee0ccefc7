"""What the tests of runs share: a platform of runs alone, and a small disk that can be filled."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from runs.small_platform import Platform

from lepton.access.records import Actor, Role
from lepton.core.settings import Settings
from lepton.runs import rows
from lepton.runs.controller import RunController
from lepton.runs.engines.port import EnginePhase
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


@pytest.fixture
def platform(settings: Settings) -> Iterator[Platform]:
    """Runs on a real engine, over an empty catalog."""
    platform = Platform(settings)
    platform.create_tables()
    yield platform
    for row in _unended(platform):
        platform.engine.cancel(row)
        eventually(lambda row=row: platform.engine.status(row).phase is not EnginePhase.RUNNING, "the workers are gone")
    platform.close()


@pytest.fixture
def controlled(platform: Platform) -> Iterator[Platform]:
    """The same, with a controller at work."""
    controller = RunController(platform.runs.dispatch, check_every_s=0.02)
    controller.start()
    yield platform
    controller.stop()


@pytest.fixture
def ann() -> Actor:
    """Somebody who may start things."""
    return Actor("ann-id", "ann", {"default": Role.EDITOR})


def _unended(platform: Platform) -> list[str]:
    with platform.database.read() as tx:
        return [row.id for row in rows.running(tx)]
