"""How an endpoint does: what `client.endpoints.metrics` and `logs` answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from lepton.client.answers import Answer, Cell


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
class ColumnDrift:
    """How the values of a column differ from those its model learned from.

    Attributes:
        psi: Population stability index; 0 is no change.
        ks: Greatest difference of the shares of values up to a point, 0 to 1; None for text.
        wasserstein: How far values have moved on average, in the column's unit; None for text.
        missing_share: Share of the rows without a value.
        unseen_share: Share of the values that training has not seen; None where that is not known.
        rows: Rows compared.
    """

    psi: float
    ks: float | None
    wasserstein: float | None
    missing_share: float
    unseen_share: float | None
    rows: int


@dataclass(frozen=True, kw_only=True)
class ColumnReport:
    """One column.

    Attributes:
        level: ``stable``, ``moderate`` or ``major``, by the last hour.
        last_hour: Its values of the last hour; None for who may not read the column.
        deployed: Its values since the deployment.
    """

    name: str
    level: str
    last_hour: ColumnDrift | None
    deployed: ColumnDrift | None


@dataclass(frozen=True, kw_only=True)
class Drift:
    """How the rows of a deployment differ from those its model learned from.

    Attributes:
        at_s: When that was found, seconds since 1970.
        level: The highest level of a column.
        rows: Rows of the last hour that were compared.
        counted: Rows counted since the deployment, of the `seen` ones that came.
    """

    at_s: float
    level: str
    rows: int
    counted: int
    seen: int
    columns: tuple[ColumnReport, ...]


@dataclass(frozen=True, kw_only=True)
class LoggedRequest:
    """A request that was answered and kept.

    Attributes:
        seconds: From the complete request to the answer.
        rows: How many it asked for.
        row: The values of its first row, by column.
        answer: The label, or the number, for that row; None where it may not be shown.
        masked: Columns whose values are left out, as they are personal or secret.
    """

    id: str
    at: datetime
    model: str
    seconds: float
    rows: int
    row: Mapping[str, Cell]
    answer: Cell
    masked: tuple[str, ...]


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
        drift: How its rows differ from those its model learned from; None before that was looked at, or if the model
            has nothing to compare with.
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
    drift: Drift | None = None


@dataclass(frozen=True, kw_only=True)
class EndpointMetrics(Answer):
    """How an endpoint's deployments do, the one that answers by default first."""

    name: str
    deployments: tuple[DeploymentMetrics, ...]
