"""What the terminal shows of studies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from lepton.cli.tables import table
from lepton.cli.words import number
from lepton.client.answers import Cell
from lepton.client.studies import Study, StudySummary, Trial

_SHOWN_TRIALS = 10


def studies(items: Sequence[StudySummary]) -> Table:
    """Show studies, one to a line."""
    return table(
        ["study", ">trials", "tuned for", ">best", "with", "model", ""],
        [
            (
                one.name,
                str(sum(one.counts.values())),
                f"{one.metric or 'value'} ({'highest' if one.directions[:1] == ('maximize',) else 'lowest'})",
                "" if one.best_value is None else number(one.best_value),
                _params(one.best_params),
                one.model,
                one.message,
            )
            for one in items
        ],
    )


def study(found: Study) -> list[RenderableType]:
    """Show a study: how it stands, its best trials, and what mattered."""
    counts = ", ".join(f"{count} {state}" for state, count in found.counts.items())
    parts: list[RenderableType] = [f"{found.name}: {counts or 'no trials yet'}; {found.message or 'written by Optuna'}"]
    if found.model:
        parts.append(f"The best settings made {found.model}.")
    if found.importance:
        ranked = sorted(found.importance.items(), key=lambda pair: -pair[1])
        rows = [(name, f"{share:.0%}", Text("█" * max(1, round(20 * share)), "cyan")) for name, share in ranked]
        parts.append(table(["what mattered", ">importance", ""], rows))
    parts.append(_trials(found))
    hidden = len(found.trials) - _SHOWN_TRIALS
    if hidden > 0:
        parts.append(Text(f"and {hidden} more: --json, or all with plots: --to {found.name}.html", "dim"))
    return parts


def _trials(found: Study) -> Table:
    sign = -1 if found.directions[:1] == ("maximize",) else 1

    def rank(one: Trial) -> tuple[bool, float, int]:
        return one.value is None, sign * (one.value or 0.0), one.number

    names = [one.name for one in found.space]
    rows = [
        (
            str(one.number), one.state, "" if one.value is None else number(one.value),
            *(_cell(one.params.get(name)) for name in names), one.run_id,
        )
        for one in sorted(found.trials, key=rank)[:_SHOWN_TRIALS]
    ]  # fmt: skip
    return table([">trial", "state", f">{found.metric or 'value'}", *names, "run"], rows)


def _params(params: Mapping[str, Cell]) -> str:
    return ", ".join(f"{name} {_cell(value)}" for name, value in params.items())


def _cell(value: Cell) -> str:
    return "" if value is None else number(value)
