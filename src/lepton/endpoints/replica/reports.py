"""What a worker tells of each of its deployments, once a second: counts since it started, and what was compared.

Travels as one opaque JSON document through the supervisor to the control plane, where the documents of all workers are
added up (``endpoints/watch.py``).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from lepton.endpoints.replica.metrics import Counts


@dataclass
class Comparison:
    """What a shadow would have said, against what was said.

    Attributes:
        rows: Compared.
        same: Rows with the same label, or with a number that differs by less than a millionth of its size.
        difference_sum: Differences of the numbers, or of the probabilities, added up; mean over classes.
        difference_most: The largest of them.
        failed: Requests that the shadow could not answer.
        skipped: Requests that it was not asked, because it was behind.
    """

    rows: int = 0
    same: int = 0
    difference_sum: float = 0.0
    difference_most: float = 0.0
    failed: int = 0
    skipped: int = 0

    def add(self, other: Comparison) -> None:
        """Add what another worker compared."""
        self.rows += other.rows
        self.same += other.same
        self.difference_sum += other.difference_sum
        self.difference_most = max(self.difference_most, other.difference_most)
        self.failed += other.failed
        self.skipped += other.skipped


@dataclass
class Report:
    """One deployment in one worker.

    Attributes:
        endpoint: The name it answers under.
        model: The version, as ``name@version``.
        counts: Since the worker started.
        queued: Requests that wait for the model, now.
        comparison: What was compared since the worker started, for a shadow.
        window: Live values since the worker started, as ``drifting.told_of`` writes them; empty if not watched.
        samples: The newest requests for the request log, as `samples.py` writes them; each is told several times.
    """

    endpoint: str
    model: str
    counts: Counts
    queued: int = 0
    comparison: Comparison | None = None
    window: str = ""
    samples: list[dict[str, Any]] = field(default_factory=list)


def encode(reports: Sequence[Report]) -> str:
    """Write reports as one document."""
    return orjson.dumps(
        [*reports], option=orjson.OPT_NON_STR_KEYS | orjson.OPT_SERIALIZE_NUMPY
    ).decode()  # while requests wait


def decode(document: str) -> list[Report]:
    """Read what `encode` wrote."""
    return [_report(values) for values in orjson.loads(document)]


def _report(values: dict[str, Any]) -> Report:
    counts = values["counts"]
    counts["requests"] = {int(status): count for status, count in counts["requests"].items()}
    comparison = values["comparison"]
    if comparison is not None:  # JSON has no infinity, which is how far models can be apart
        apart: dict[str, Any] = {name: math.inf if value is None else value for name, value in comparison.items()}
        comparison = Comparison(**apart)
    return Report(**(values | {"counts": Counts(**counts), "comparison": comparison}))
