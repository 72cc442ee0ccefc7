"""The people that a test lets predict."""

from __future__ import annotations

from datetime import datetime

from lepton.access.records import Holder
from lepton.access.secrets import digest


class FakeHolders:
    """Who holds tokens in every project: those in `allowed` may predict, those in `refused` may not."""

    def __init__(self) -> None:
        self.allowed: dict[str, datetime | None] = {"good": None}
        self.refused: dict[str, datetime | None] = {"viewer": None}

    def __call__(self, _project: str) -> list[Holder]:
        everyone = [(self.allowed, True), (self.refused, False)]
        return [Holder(digest(name), may, ends) for people, may in everyone for name, ends in people.items()]
