"""What the tests of datasets share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from datasets.warehouse import Warehouse

from lepton.core.clock import Clock
from lepton.core.settings import Settings


@pytest.fixture
def warehouse(settings: Settings, clock: Clock) -> Iterator[Warehouse]:
    """An empty warehouse, on each catalog."""
    warehouse = Warehouse(settings, clock)
    yield warehouse
    warehouse.close()
