"""The requests that are kept to look at: what one is, and which of those that workers tell are new. Pure.

Workers take the samples (`replica/samples.py`) and tell each several times.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from lepton.endpoints.replica.reports import Report

KEPT = 1000
"""Of each endpoint, the newest."""
_REMEMBERED = 4096
"""More than all workers of a replica tell at a time."""

Cell = str | int | float | bool | None


@dataclass(frozen=True)
class LoggedRequest:
    """A request that was answered.

    Attributes:
        id: Sorts by time.
        model: The version that answered.
        seconds: From the complete request to the answer.
        rows: How many it asked for.
        row: The values of its first row, by column.
        answer: The label, or the number, for that row; None where it may not be shown.
        masked: Columns whose values are left out, as they are personal or secret; maybe the target too.
    """

    id: str
    at: datetime
    model: str
    seconds: float
    rows: int
    row: Mapping[str, Cell]
    answer: Cell
    masked: tuple[str, ...]

    @classmethod
    def from_json(cls, data: bytes) -> LoggedRequest:
        """Read what `to_keep` gives."""
        read = json.loads(data)
        at = datetime.fromtimestamp(read.pop("at_s"), UTC)
        return cls(**(read | {"at": at, "masked": tuple(read["masked"])}))


class Fresh:
    """Tells the samples that have not been handed on yet."""

    def __init__(self) -> None:
        self._known: dict[str, None] = {}

    def to_keep(self, reports: Iterable[Report]) -> dict[str, bytes]:
        """Return the new samples by id, as JSON. They tell of values: seal them."""
        found: dict[str, bytes] = {}
        for report in reports:
            for sample in report.samples:
                if sample["id"] not in self._known:
                    self._known[sample["id"]] = None
                    found[sample["id"]] = _written(sample, report.model)
        for old in [*self._known][:-_REMEMBERED]:
            del self._known[old]
        return found


def _written(sample: Mapping[str, Any], model: str) -> bytes:
    return json.dumps({**sample, "model": model}, ensure_ascii=False).encode()
