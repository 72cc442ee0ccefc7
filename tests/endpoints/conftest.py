"""Endpoints over real models, keys and processes; only who holds tokens is made up."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import polars as pl
import pytest
from endpoints.callers import FakeHolders
from models.workshop import Workshop

from lepton.core.clock import utc_now
from lepton.core.settings import Settings
from lepton.endpoints import rows
from lepton.endpoints.operations import Endpoints
from lepton.store.database import metadata


@pytest.fixture
def holders() -> FakeHolders:
    return FakeHolders()


@pytest.fixture
def workshop(settings: Settings) -> Iterator[Workshop]:
    """A workshop with a table of small numbers and a category, to train on."""
    workshop = Workshop(settings)
    with workshop.database.begin() as tx:
        tables = [rows.endpoints, rows.companions, rows.endpoint_drift, rows.endpoint_requests]
        metadata.create_all(tx, tables=tables)
    frame = pl.DataFrame(
        {
            "area": [float(n % 40 + 20) for n in range(200)],
            "city": [("Bern", "Graz")[n % 2] for n in range(200)],
            "big": [("no", "yes")[n % 40 > 20] for n in range(200)],
        }
    )
    workshop.datasets.add("table", frame, run_id="01J00000000000000000000000")
    yield workshop
    workshop.close()


@pytest.fixture
def endpoints(workshop: Workshop, holders: FakeHolders) -> Iterator[Endpoints]:
    """Endpoints whose replicas are ended with the test."""
    made = made_endpoints(workshop, holders)
    yield made
    made.stop_replicas()


def made_endpoints(workshop: Workshop, holders: FakeHolders) -> Endpoints:
    """What a platform makes when it starts; a second one is a platform that came back."""
    made = Endpoints(
        database=workshop.database, guard=workshop.guard, keyring=workshop.keyring, blobs=workshop.blobs,
        models=workshop.models, clock=utc_now, settings=workshop.settings,
    )  # fmt: skip
    workshop.models.used_by = made.using
    made.holders = holders
    return made


@pytest.fixture
def restarted(workshop: Workshop, holders: FakeHolders) -> Callable[[], Endpoints]:
    """Make the endpoints of a platform that came back."""
    return lambda: made_endpoints(workshop, holders)
