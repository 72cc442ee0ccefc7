"""``lepton demo``: the whole road, shown on a built-in table that is damaged first, or on one's own file."""

from __future__ import annotations

from lepton.cli.demo.road import walk

__all__ = ["walk"]
