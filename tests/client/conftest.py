from __future__ import annotations

from collections.abc import Iterator

import pytest
from client.fakes import FakePlatform, fake_platform

from lepton.client import Client


@pytest.fixture
def fake() -> Iterator[FakePlatform]:
    with fake_platform() as platform:
        yield platform


@pytest.fixture
def client(fake: FakePlatform) -> Iterator[Client]:
    with Client(fake.url, "lpt_secret") as connected:
        connected.transport.pause = lambda _: None
        yield connected
