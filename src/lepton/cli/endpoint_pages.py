"""What the terminal shows of how an endpoint does."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import RenderableType
from rich.text import Text

from lepton.cli.tables import facts
from lepton.cli.words import bars, number, share
from lepton.client.endpoint_metrics import DeploymentMetrics, EndpointMetrics, ShadowComparison

_WIDTH = 48


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
    return [Text(found.model, "bold"), *lines, facts(about)]


def _shadow(found: ShadowComparison | None) -> str:
    if found is None:
        return ""
    said = f"{share(found.same, found.rows) or '0%'} of {found.rows:,} rows the same"
    apart = f", differs by {number(found.difference_sum / found.rows)} on average" if found.rows else ""
    missed = f"; {found.failed:,} failed, {found.skipped:,} skipped" if found.failed or found.skipped else ""
    return said + apart + missed
