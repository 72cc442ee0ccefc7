"""Labels: an empty place, behind the guard."""

from __future__ import annotations

import pytest

from lepton.access.guard import Guard
from lepton.access.records import Actor, Role
from lepton.core.clock import Clock
from lepton.core.errors import Forbidden, NotFound
from lepton.core.settings import Settings
from lepton.labels.operations import Labels
from lepton.store.database import Database


def test_labelling_has_not_begun(settings: Settings, clock: Clock) -> None:
    database = Database(settings.catalog_url)
    database.upgrade()
    labels = Labels(Guard(database, clock))
    assert labels.list(Actor("v", "vic", {"default": Role.VIEWER})) == []
    with pytest.raises(Forbidden):
        labels.list(Actor("c", "cal", {"default": Role.CALLER}))
    with pytest.raises(NotFound):
        labels.list(Actor("e", "eve", {}))
    database.close()
