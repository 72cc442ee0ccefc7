"""What the terminal shows of how an endpoint does."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from lepton.cli.tables import facts, table
from lepton.cli.words import bars, number, share, when
from lepton.client.endpoint_metrics import (
    ColumnDrift,
    DeploymentMetrics,
    Drift,
    EndpointMetrics,
    LoggedRequest,
    ShadowComparison,
)

_WIDTH = 48
_LEVELS = {"stable": "green", "moderate": "yellow", "major": "red"}


def metrics(found: EndpointMetrics) -> list[RenderableType]:
    """Show every deployment: its numbers now, and small pictures of the last ten minutes."""
    return [part for deployment in found.deployments for part in _deployment(deployment)]


def latency(seconds: float | None) -> str:
    """Write a latency: ``850 µs``, ``1.2 ms``, ``2 s``; a dash for None."""
    if seconds is None:
        return "–"
    if seconds < 0.001:
        return f"{seconds * 1e6:.0f} µs"
    return f"{seconds * 1e3:.3g} ms" if seconds < 1 else f"{seconds:.3g} s"


def _deployment(found: DeploymentMetrics) -> list[RenderableType]:
    history = found.history
    rows: list[tuple[str, str, Sequence[float], str]] = [
        ("requests", f"{number(found.requests_per_s)}/s", [m.requests_per_s for m in history], "cyan"),
        ("errors", f"{number(found.errors_per_s)}/s", [m.errors_per_s for m in history], "red"),
        ("p50", latency(found.p50_s), [m.p50_s or 0.0 for m in history], "green"),
        ("p99", latency(found.p99_s), [m.p99_s or 0.0 for m in history], "yellow"),
    ]
    lines = [
        Text.assemble((f"{name:<9}", "dim"), f"{now:>12}  ", (bars(values, _WIDTH), style))
        for name, now, values, style in rows
    ]
    batch = "" if found.mean_batch_rows is None else f"{number(found.mean_batch_rows)} rows on average"
    about = [
        ("answers", ", ".join(f"{count:,} with {status}" for status, count in found.requests.items()) or "none yet"),
        ("rows", f"{found.rows:,}"),
        ("batches", batch),
        ("queue", f"{found.queued:,}"),
        ("shadow", _shadow(found.comparison)),
    ]
    return [Text(found.model, "bold"), *lines, facts(about), *_drift(found.drift)]


def _drift(found: Drift | None) -> list[RenderableType]:
    if found is None:
        return []
    part = "" if found.counted == found.seen else f" of {found.seen:,}"
    head = Text.assemble(
        "Drift from training: ", (found.level, _LEVELS[found.level]),
        (f"  {found.rows:,} rows in the last hour, {found.counted:,}{part} counted since the deployment", "dim"),
    )  # fmt: skip
    rows = [
        (
            column.name,
            Text(column.level, _LEVELS[column.level]),
            *(["hidden"] + [""] * 5 if column.last_hour is None else _numbers(column.last_hour)),
        )
        for column in sorted(found.columns, key=lambda column: -_psi(column.last_hour))
    ]
    return [head, table(["column", "level", ">PSI", "", ">KS", ">moved by", ">missing", ">unseen"], rows)]


def _psi(found: ColumnDrift | None) -> float:
    return found.psi if found is not None and found.rows else 0.0


def _numbers(found: ColumnDrift) -> list[Text | str]:
    if not found.rows:
        return ["–", "", "", "", "", ""]
    bar = Text("█" * min(20, round(40 * found.psi)), "cyan")
    unseen = "" if found.unseen_share is None else f"{100 * found.unseen_share:.1f}%"
    missing = f"{100 * found.missing_share:.1f}%"
    return [f"{found.psi:.3f}", bar, number(found.ks), number(found.wasserstein), missing, unseen]


def logs(found: Sequence[LoggedRequest]) -> Table | str:
    """List requests: what was asked and what was answered."""
    if not found:
        return "No request was kept yet. One in a hundred is, unless LEPTON_REQUEST_LOG_ONE_IN says otherwise."
    return table(
        [">at", "model", ">took", ">rows", "answer", "first row"],
        [
            (
                when(one.at), one.model, latency(one.seconds), f"{one.rows:,}", number(one.answer),
                ", ".join(
                    [f"{name}={number(value)}" for name, value in one.row.items()]
                    + [f"{name} hidden" for name in one.masked]
                ),
            )
            for one in found
        ],
    )  # fmt: skip


def _shadow(found: ShadowComparison | None) -> str:
    if found is None:
        return ""
    said = f"{share(found.same, found.rows) or '0%'} of {found.rows:,} rows the same"
    apart = f", differs by {number(found.difference_sum / found.rows)} on average" if found.rows else ""
    missed = f"; {found.failed:,} failed, {found.skipped:,} skipped" if found.failed or found.skipped else ""
    return said + apart + missed
