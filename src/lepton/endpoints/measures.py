"""What `endpoints.metrics` tells of the deployments of an endpoint, put together from what is remembered. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from lepton.endpoints.drifting import DriftReport
from lepton.endpoints.records import Endpoint
from lepton.endpoints.replica.metrics import Counts
from lepton.endpoints.replica.reports import Comparison
from lepton.endpoints.watch import Point, Tally

RECENT_S = 30.0
"""What rates and latencies of now are taken over."""


@dataclass(frozen=True)
class DeploymentMetrics:
    """How one deployment does.

    Attributes:
        model: The version, as ``name@version``.
        requests: Answers by HTTP status, since the platform first saw the deployment.
        rows: Rows predicted since then.
        mean_batch_rows: Rows that the model predicted together, on average; None before the first.
        queued: Requests that wait for the model, now.
        requests_per_s: Of the last 30 s, like the three below.
        errors_per_s: Answers with a status of 500 or above.
        p50_s: Median latency, None without answers; infinite above 70 s.
        p99_s: Latency that 99 in 100 stayed within.
        comparison: What a shadow would have said against what was said; None if nothing was compared.
        history: The last ten minutes, the oldest step first.
        drift: How its rows differ from those its model learned from; None before the first comparison.
    """

    model: str
    requests: Mapping[int, int]
    rows: int
    mean_batch_rows: float | None
    queued: int
    requests_per_s: float
    errors_per_s: float
    p50_s: float | None
    p99_s: float | None
    comparison: Comparison | None
    history: tuple[Point, ...]
    drift: DriftReport | None = None


@dataclass(frozen=True)
class EndpointMetrics:
    """How an endpoint does, the deployment that answers by default first."""

    name: str
    deployments: tuple[DeploymentMetrics, ...]


def measured(model: str, tally: Tally, now: Point, history: Sequence[Point]) -> DeploymentMetrics:
    """Put together what is known of a deployment.

    Args:
        model: The version.
        tally: What it has done.
        now: Its last `RECENT_S`.
        history: Its steps.
    """
    compared = tally.comparison
    batches = sum(tally.counts.batches)
    return DeploymentMetrics(
        model=model,
        requests=dict(sorted(tally.counts.requests.items())),
        rows=tally.counts.rows,
        mean_batch_rows=tally.counts.rows / batches if batches else None,
        queued=tally.queued,
        requests_per_s=now.requests_per_s,
        errors_per_s=now.errors_per_s,
        p50_s=now.p50_s,
        p99_s=now.p99_s,
        comparison=compared if compared.rows or compared.failed or compared.skipped else None,
        history=tuple(history),
    )


def series(
    found: Iterable[tuple[Endpoint, int, Mapping[str, Tally]]],
) -> Iterator[tuple[dict[str, str], Counts, dict[str, float]]]:
    """Give the deployments of endpoints the labels and gauges that Prometheus shows.

    Args:
        found: Each endpoint, how many of its workers are ready, and its tallies by model version.
    """
    for endpoint, workers, tallies in found:
        for model, tally in tallies.items():
            labels = {"project": endpoint.project, "endpoint": endpoint.name, "model": model}
            gauges: dict[str, float] = {"queue": tally.queued, "model_version": int(model.rpartition("@")[2])}
            if model == endpoint.model:
                gauges["workers"] = workers
            yield labels, tally.counts, gauges
