"""What the terminal shows of a search among candidates: in words, who did how well, what matters, how sure, where."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from lepton.cli.tables import table
from lepton.cli.words import number
from lepton.client.models import Plot

_SHOWN = 12
_PARTS = {
    "low": "the lowest tenth of {0}",
    "high": "the highest tenth of {0}",
    "category": "{0}: category {1}",
    "named": "{0}",
}


def search(plots: Mapping[str, Plot]) -> list[RenderableType]:
    """Show what a search found, as far as it is there."""
    draws = (
        ("report", report), ("importance", importance), ("leaderboard", leaderboard), ("certainty", certainty),
        ("failures", failures),
    )  # fmt: skip
    return [draw(plots[kind]) for kind, draw in draws if kind in plots]


def report(plot: Plot) -> Group:
    """Show what was found in words."""
    return Group(*(Text(f"• {sentence}") for sentence in _list(plot, "sentences")))


def leaderboard(plot: Plot) -> Table:
    """Show the best of each kind of candidate."""
    rows = [
        (name, number(score), f"± {number(spread)}", number(seconds), f"{weight:.0%}" if weight else "")
        for name, score, spread, seconds, weight in _lines(plot, "names", "scores", "spreads", "seconds", "weights")
    ]
    metric = str(plot.data.get("metric", "score"))
    return table(["candidate", f">{metric}", ">spread", ">seconds", ">share in the model"], rows[:_SHOWN])


def importance(plot: Plot) -> Table:
    """Show how much worse it gets when a column is shuffled."""
    lines = _lines(plot, "names", "values", "spreads")
    most = max((value for _, value, _ in lines), default=0.0)
    rows = [
        (name, number(value), f"± {number(spread)}", Text("█" * round(20 * max(value, 0.0) / (most or 1.0)), "green"))
        for name, value, spread in lines[:_SHOWN]
    ]
    return table(["what matters", ">worse without", ">spread", ""], rows)


def certainty(plot: Plot) -> Table:
    """Show how often it was right when it was so sure, or how far off it was."""
    if plot.data.get("task") == "number":
        lines = _lines(plot, "levels", "lows", "highs")
        return table(
            [">of rows", ">from", ">to, of the prediction"],
            [(f"{level:.0%}", number(low), number(high)) for level, low, high in lines],
        )
    rows = [
        (f"{low:.0%} to {high:.0%}", f"{right:.0%}", number(count))
        for low, high, right, count in _lines(plot, "lows", "highs", "right", "counts")
    ]
    return table(["how sure", ">right", ">rows"], rows)


def failures(plot: Plot) -> RenderableType:
    """Show the parts of the table where it does clearly worse."""
    lines = _lines(plot, "columns", "parts", "places", "counts", "scores", "others")
    if not lines:
        return Text("It does not clearly worse in any part of the table.")
    metric = str(plot.data.get("metric", ""))
    share = metric.startswith("share")
    rows = [
        (
            _PARTS.get(part, "{0}: value {1}").format(column, place + 1), number(count),
            f"{score:.0%}" if share else number(score), f"{other:.0%}" if share else number(other),
        )
        for column, part, place, count, score, other in lines[:_SHOWN]
    ]  # fmt: skip
    return table(["where it fails", ">rows", f">{metric} there", ">elsewhere"], rows)


def _list(plot: Plot, key: str) -> Sequence[Any]:
    found = plot.data.get(key)
    return found if isinstance(found, list) else []


def _lines(plot: Plot, *keys: str) -> list[tuple[Any, ...]]:
    return list(zip(*(_list(plot, key) for key in keys), strict=False))
