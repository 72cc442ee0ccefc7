"""How an endpoint does: what `client.endpoints.metrics` answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lepton.client.answers import Answer


@dataclass(frozen=True, kw_only=True)
class Moment:
    """One step of the history, about two seconds long.

    Attributes:
        at_s: When it ended, seconds since 1970.
        requests_per_s: Answers, refusals included; `errors_per_s` of them with a status of 500 or above.
        p50_s: Median latency in seconds; None without answers.
        p99_s: Latency that 99 in 100 stayed within; None also when that is over 70 s.
    """

    at_s: float
    requests_per_s: float
    errors_per_s: float
    p50_s: float | None
    p99_s: float | None


@dataclass(frozen=True, kw_only=True)
class ShadowComparison:
    """What a shadow would have said, against what was said.

    Attributes:
        rows: Compared.
        same: Rows with the same label, or practically the same number.
        difference_sum: Differences of the numbers or probabilities, added up.
        difference_most: The largest of them.
        failed: Requests that the shadow could not answer.
        skipped: Requests that it was not asked, because it was behind.
    """

    rows: int
    same: int
    difference_sum: float
    difference_most: float
    failed: int
    skipped: int


@dataclass(frozen=True, kw_only=True)
class DeploymentMetrics:
    """How one model version of an endpoint does.

    Attributes:
        requests: Answers by HTTP status, since the platform first saw the deployment.
        rows: Rows predicted since then.
        mean_batch_rows: Rows that the model predicted together, on average.
        queued: Requests that wait for the model, now.
        requests_per_s: Of the last 30 s, like `errors_per_s`, `p50_s` and `p99_s`.
        history: The last ten minutes, the oldest first.
    """

    model: str
    requests: Mapping[str, int]
    rows: int
    mean_batch_rows: float | None
    queued: int
    requests_per_s: float
    errors_per_s: float
    p50_s: float | None
    p99_s: float | None
    comparison: ShadowComparison | None
    history: tuple[Moment, ...]


@dataclass(frozen=True, kw_only=True)
class EndpointMetrics(Answer):
    """How an endpoint's deployments do, the one that answers by default first."""

    name: str
    deployments: tuple[DeploymentMetrics, ...]
