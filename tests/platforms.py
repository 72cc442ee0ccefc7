"""Platforms that tests start: one in a process of its own, that can be killed, or one in the test's."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import lepton
from lepton import local
from lepton.core.settings import Settings

_OF_THE_USER = ("LEPTON_CATALOG", "LEPTON_URL", "LEPTON_TOKEN", "LEPTON_PROJECT")


@contextmanager
def in_a_process(home: Path) -> Iterator[Settings]:
    """A platform in a process of its own, that can be killed, whatever the environment says."""
    with pytest.MonkeyPatch.context() as patch:
        for name in _OF_THE_USER:
            patch.delenv(name, raising=False)
        patch.setenv("LEPTON_HOME", str(home))
        patch.setenv("LEPTON_PORT", "0")
        settings = Settings.from_environment()
        local.up(settings)
        yield settings
        local.down(settings)


@contextmanager
def embedded(home: Path) -> Iterator[lepton.Client]:
    """A platform in this process, whatever the environment says."""
    with pytest.MonkeyPatch.context() as patch:
        for name in _OF_THE_USER:
            patch.delenv(name, raising=False)
        with lepton.open(home) as opened:
            yield opened
