"""What a worker counts: requests, errors, latencies, batches. Plain integers, because it happens at every request.

Workers report `Counts`, which add up; `exposition` writes them for Prometheus. Source of the format:
https://prometheus.io/docs/instrumenting/exposition_formats/ (text, version 0.0.4).
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

LATENCY_BOUNDS_S = tuple(round(step * 10.0**power, 9) for power in range(-5, 2) for step in (1, 1.5, 2, 3, 4, 5, 7))
"""Upper bounds of the latency histogram: 10 µs to 70 s, seven for each power of ten, so a percentile is known to a
third or better."""
BATCH_BOUNDS = tuple(1 << power for power in range(15))


@dataclass
class Counts:
    """The counts of one endpoint in one worker, or of several added up.

    Attributes:
        requests: By HTTP status.
        latencies: Answers by time from the complete request to the answer, less what was refused at once; the last bin
            is beyond all bounds.
        latency_sum_s: The same times added up.
        batches: Runs of the model by rows.
        rows: Rows predicted.
        model_s: Seconds the model worked.
        limited: Requests that a limit of the endpoint refused; they are among `requests`, with 429.
    """

    requests: dict[int, int] = field(default_factory=dict)
    latencies: list[int] = field(default_factory=lambda: [0] * (len(LATENCY_BOUNDS_S) + 1))
    latency_sum_s: float = 0.0
    batches: list[int] = field(default_factory=lambda: [0] * (len(BATCH_BOUNDS) + 1))
    rows: int = 0
    model_s: float = 0.0
    limited: int = 0

    def answered(self, status: int, seconds: float) -> None:
        """Count an answer; of 0 seconds if it was refused at once, which tells nothing of how long predicting takes."""
        requests = self.requests
        requests[status] = requests.get(status, 0) + 1
        if seconds:
            self.latencies[bisect_left(LATENCY_BOUNDS_S, seconds)] += 1
            self.latency_sum_s += seconds

    def predicted(self, rows: int, seconds: float) -> None:
        """Count a run of the model."""
        self.batches[bisect_left(BATCH_BOUNDS, rows)] += 1
        self.rows += rows
        self.model_s += seconds

    def add(self, other: Counts) -> None:
        """Add the counts of another worker."""
        for status, count in other.requests.items():
            self.requests[status] = self.requests.get(status, 0) + count
        self.latencies = [a + b for a, b in zip(self.latencies, other.latencies, strict=True)]
        self.batches = [a + b for a, b in zip(self.batches, other.batches, strict=True)]
        self.latency_sum_s += other.latency_sum_s
        self.rows += other.rows
        self.model_s += other.model_s
        self.limited += other.limited

    def since(self, before: Counts) -> Counts:
        """Return what was counted after `before`, an earlier state of the same counts."""
        return Counts(
            requests={s: n - before.requests.get(s, 0) for s, n in self.requests.items()},
            latencies=[a - b for a, b in zip(self.latencies, before.latencies, strict=True)],
            latency_sum_s=self.latency_sum_s - before.latency_sum_s,
            batches=[a - b for a, b in zip(self.batches, before.batches, strict=True)],
            rows=self.rows - before.rows,
            model_s=self.model_s - before.model_s,
            limited=self.limited - before.limited,
        )

    @property
    def answers(self) -> int:
        """Requests answered, whatever with."""
        return sum(self.requests.values())

    @property
    def errors(self) -> int:
        """Requests that failed by our own fault: a status of 500 or above."""
        return sum(count for status, count in self.requests.items() if status >= 500)

    def quantile_s(self, share: float) -> float | None:
        """Return the upper bound of the latency that `share` of the answers stayed within; None without answers."""
        total = sum(self.latencies)
        if not total:
            return None
        seen = 0
        for count, bound in zip(self.latencies, (*LATENCY_BOUNDS_S, float("inf")), strict=True):
            seen += count
            if seen >= share * total:
                return bound
        return None


def exposition(series: Iterable[tuple[Mapping[str, str], Counts, Mapping[str, float]]]) -> str:
    """Write counts for Prometheus.

    Args:
        series: For each endpoint its labels, its counts, and gauges by name such as ``queue`` or ``in_flight``.
    """
    lines: dict[str, list[str]] = {}

    def put(name: str, kind: str, about: str, rows: Iterable[str]) -> None:
        head = [f"# HELP lepton_endpoint_{name} {about}", f"# TYPE lepton_endpoint_{name} {kind}"]
        lines.setdefault(name, head).extend(f"lepton_endpoint_{name}{row}" for row in rows)

    for labels, counts, gauges in series:
        of = ",".join(f'{key}="{_escaped(value)}"' for key, value in labels.items())
        statuses = [f'{{{of},status="{s}"}} {n}' for s, n in sorted(counts.requests.items())]
        put("requests_total", "counter", "Requests answered, by HTTP status.", statuses)
        latencies = _histogram(of, counts.latencies, LATENCY_BOUNDS_S, counts.latency_sum_s)
        put(
            "latency_seconds",
            "histogram",
            "Time from the complete request to the answer, of what was not refused at once.",
            latencies,
        )
        sizes = _histogram(of, counts.batches, BATCH_BOUNDS, float(counts.rows))
        put("batch_rows", "histogram", "Rows that the model predicted together.", sizes)
        put("model_seconds_total", "counter", "Time the model worked.", [f"{{{of}}} {counts.model_s:.9g}"])
        put(
            "limited_total", "counter", "Requests that a limit of the endpoint refused.", [f"{{{of}}} {counts.limited}"]
        )
        for name, value in gauges.items():
            put(name, "gauge", _GAUGES[name], [f"{{{of}}} {value:.9g}"])
    return "\n".join(line for block in lines.values() for line in block) + "\n"


_GAUGES = {
    "queue": "Requests that wait for the model.",
    "in_flight": "Requests that were read and not yet answered.",
    "workers": "Worker processes that answer.",
    "model_version": "Version of the model that answers.",
}


def _histogram(of: str, counts: Iterable[int], bounds: Iterable[float], total: float) -> list[str]:
    rows, seen = [], 0
    for count, bound in zip(counts, (*(f"{b:.9g}" for b in bounds), "+Inf"), strict=True):
        seen += count
        rows.append(f'_bucket{{{of},le="{bound}"}} {seen}')
    return [*rows, f"_sum{{{of}}} {total:.9g}", f"_count{{{of}}} {seen}"]


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
