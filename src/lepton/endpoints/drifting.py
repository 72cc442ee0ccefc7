"""Follows the drift of one deployment: over the last hour and since it was deployed, with levels that do not flap.

Fed with what its workers counted (`windows.py`), compares by `drift.py`. No clock and no storage in here.
"""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import orjson

from lepton.core.errors import InvalidInput
from lepton.endpoints.drift import ColumnDrift, Level, compare, level_after
from lepton.endpoints.windows import Reference, Window

HORIZON_S = 3600.0
SNAPSHOT_EVERY_S = 300.0
"""The horizon is longer than said by this at most."""


@dataclass(frozen=True)
class ColumnReport:
    """One column of a deployment.

    Attributes:
        level: Decided by the last hour.
        last_hour: How its values of the last hour differ from training; None for who may not read the column.
        deployed: The same, of all values since the deployment.
    """

    name: str
    level: Level
    last_hour: ColumnDrift | None
    deployed: ColumnDrift | None


@dataclass(frozen=True)
class DriftReport:
    """How the rows of a deployment differ from those its model learned from.

    Attributes:
        at_s: When that was found, seconds since 1970.
        rows: Rows compared of the last hour.
        counted: Rows counted since the deployment.
        seen: Rows that came since then; when more come than can be counted beside predicting, some are left out.
        columns: Numbers first, then texts.
    """

    at_s: float
    rows: int
    counted: int
    seen: int
    columns: tuple[ColumnReport, ...]

    @property
    def level(self) -> Level:
        """The highest level of a column."""
        return max((column.level for column in self.columns), default=Level.STABLE)

    def of(self, visible: frozenset[str]) -> DriftReport:
        """Return the report without the numbers of other columns than these; their levels stay."""
        return replace(
            self,
            columns=tuple(
                column if column.name in visible else replace(column, last_hour=None, deployed=None)
                for column in self.columns
            ),
        )

    def to_json(self) -> bytes:
        """Write as JSON. It tells of values: seal it."""
        return json.dumps(asdict(self)).encode()

    @classmethod
    def from_json(cls, data: bytes) -> DriftReport:
        """Read what `to_json` wrote."""
        read = json.loads(data)
        columns = tuple(
            ColumnReport(one["name"], Level(one["level"]), *(_drift(one[which]) for which in ("last_hour", "deployed")))
            for one in read["columns"]
        )
        return cls(**(read | {"columns": columns}))


@dataclass
class Drifting:
    """One deployment.

    Args:
        reference: What its rows are compared with.
        report: The last that was found before this process began.
    """

    reference: Reference
    report: DriftReport | None = None
    _past: deque[tuple[float, Window]] = field(default_factory=deque)

    @property
    def level(self) -> Level:
        """The highest level of a column, as far as was looked."""
        return Level.STABLE if self.report is None else self.report.level

    def look(self, told: Sequence[str], now_s: float) -> bool:
        """Compare what was counted by now; say whether there is a new report.

        Args:
            told: What workers told of this deployment, as `told_of` writes it.
            now_s: Seconds since 1970.
        """
        total, seen = added_up(told, self.reference)
        if not total.rows:
            return False
        if self._past and total.rows < self._past[-1][1].rows:
            self._past.clear()  # a worker was forgotten: count anew
        while len(self._past) > 1 and self._past[1][0] <= now_s - HORIZON_S:
            self._past.popleft()
        begin = self._past[0][1] if self._past and self._past[0][0] <= now_s - HORIZON_S else Window(self.reference)
        if not self._past or now_s - self._past[-1][0] >= SNAPSHOT_EVERY_S:
            self._past.append((now_s, total))
        recent = total.since(begin)
        before = {} if self.report is None else {column.name: column.level for column in self.report.columns}
        columns = _compared(self.reference, recent, total, before)
        self.report = DriftReport(now_s, recent.rows, total.rows, seen, columns)
        return True


def told_of(window: Window, seen: int) -> str:
    """Write what a worker counted of the rows that it has seen."""
    return orjson.dumps({"seen": seen, "window": window.to_json().decode()}).decode()


def added_up(told: Sequence[str], reference: Reference) -> tuple[Window, int]:
    """Add up what workers told; windows of another reference are left out."""
    total, seen = Window(reference), 0
    for document in told:
        one = orjson.loads(document)
        try:
            window = Window.from_json(one["window"].encode(), reference)
        except InvalidInput:
            continue
        total.merge(window)
        seen += one["seen"]
    return total, seen


def joined(told: Sequence[str]) -> list[str]:
    """Return the same with one document for each reference; needs none of them."""
    sums: dict[str, dict[str, Any]] = {}
    seen: Counter[str] = Counter()
    for document in told:
        one = orjson.loads(document)
        window = orjson.loads(one["window"])
        digest = window["reference"]
        seen[digest] += one["seen"]
        sums[digest] = _sum(sums[digest], window) if digest in sums else window
    return [json.dumps({"seen": seen[digest], "window": json.dumps(window)}) for digest, window in sums.items()]


def _sum(one: Any, other: Any) -> Any:
    if isinstance(one, dict):
        return {key: value if key == "reference" else _sum(value, other[key]) for key, value in one.items()}
    return [_sum(a, b) for a, b in zip(one, other, strict=True)] if isinstance(one, list) else one + other


def _compared(
    reference: Reference, recent: Window, total: Window, before: Mapping[str, Level]
) -> tuple[ColumnReport, ...]:
    known = {column.name for column in reference.numbers if column.rows}
    known |= {column.name for column in reference.texts if column.rows}
    return tuple(
        ColumnReport(now.name, level_after(before.get(now.name, Level.STABLE), now), now, ever)
        for now, ever in zip(compare(reference, recent), compare(reference, total), strict=True)
        if now.name in known
    )


def _drift(values: Mapping[str, object] | None) -> ColumnDrift | None:
    return None if values is None else ColumnDrift(**values)  # type: ignore[arg-type]
