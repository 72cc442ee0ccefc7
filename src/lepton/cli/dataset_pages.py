"""What the terminal shows of one dataset version: schema, profile, rows, and how it was made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from lepton.cli.tables import dataset_versions, table
from lepton.cli.words import bars, count, number, share, size, when
from lepton.client import Client
from lepton.client.dataset_records import Column, ColumnProfile, DatasetDetail, Profile, Recipe, Report, Rows
from lepton.client.runs import Run

_SHOWN_REJECTED = 10


def dataset(detail: DatasetDetail) -> list[RenderableType]:
    """Show a version and its schema."""
    parts: list[RenderableType] = [
        f"{detail.ref}: {count(detail.rows, 'row')}, {count(detail.columns, 'column')}, {size(detail.size_bytes)}; "
        f"{_origin(detail)} by {detail.created_by} at {when(detail.created_at)}",
        schema(detail.schema, rows=detail.rows),
    ]
    if len(detail.versions) > 1:
        parts.append(dataset_versions(detail.versions))
    return parts


def _origin(detail: DatasetDetail) -> str:
    words = {"import": "imported", "clean": "cleaned", "split": "split", "predict": "predicted"}
    made = words.get(detail.made_by, detail.made_by)
    return f"{made} from {detail.parent}" if detail.parent else made


def schema(columns: Sequence[Column], *, rows: int) -> Table:
    """Show the columns of a version."""
    return table(
        ["column", "type", "class", ">missing", ">distinct"],
        [
            (c.name, c.type, _class(c), "hidden" if c.masked else share(c.nulls, rows), number(c.distinct))
            for c in columns
        ],
    )


def _class(column: Column) -> Text:
    return Text(column.column_class, {"personal": "yellow", "secret": "red"}.get(column.column_class, "dim"))


def profile(found: Profile) -> list[RenderableType]:
    """Show what is in each column, what is wrong, and what to do about it."""
    columns = table(
        ["column", "type", ">missing", ">distinct", "shape", "values"],
        [
            (
                c.name, c.type, "hidden" if c.masked else share(c.nulls, found.rows), number(c.distinct),
                Text(_shape(c), "cyan"), _values(c, found.rows),
            )
            for c in found.columns
        ],
    )  # fmt: skip
    parts: list[RenderableType] = [f"{found.ref}: {count(found.rows, 'row')}", columns]
    if found.duplicate_rows:
        parts.append(Text(f"! {count(found.duplicate_rows, 'duplicate row')}", "yellow"))
    parts += [Text(f"! {c.name}: {' '.join(c.warnings)}", "yellow") for c in found.columns if c.warnings]
    if found.suggested_recipe is not None and found.suggested_recipe.steps:
        parts.append(Text(f"Suggested; do it with: lepton datasets clean {found.ref}", "bold"))
        parts += recipe_lines(found.suggested_recipe)
    return parts


def _shape(column: ColumnProfile) -> str:
    if column.histogram is not None:
        return bars(column.histogram.counts)
    return bars([top.count for top in column.top_values or ()])


def _values(column: ColumnProfile, rows: int) -> str:
    if column.mean is not None or (column.min is not None and not column.top_values):
        middle = (column.quantiles or {}).get("0.5")
        return " … ".join(number(value) for value in (column.min, middle, column.max) if value is not None)
    tops = [f"{_short(number(top.value))} {share(top.count, rows)}" for top in (column.top_values or ())[:3]]
    return ", ".join(tops)


def _short(text: str, limit: int = 24) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def recipe_lines(recipe: Recipe) -> list[RenderableType]:
    """Show the steps of a recipe, one to a line, each with the reason why it is suggested."""
    return [_step(i, step) for i, step in enumerate(recipe.steps, 1)]


def _step(number_: int, step: Mapping[str, object]) -> Text:
    told = {key: value for key, value in step.items() if key not in ("step", "why") and value not in (None, {}, [])}
    settings = "".join(f"  {key}={_setting(value)}" for key, value in told.items())
    return Text.assemble(f"  {number_}. {step.get('step')}{settings}", (f"  {step.get('why', '')}".rstrip(), "dim"))


def _setting(value: object) -> str:
    if isinstance(value, list):
        return _names([str(item) for item in value], 6)
    if isinstance(value, Mapping):
        return f"{len(value)} entries"
    return number(value) if isinstance(value, float) else str(value)


def rows(found: Rows, offset: int) -> list[RenderableType]:
    """Show some rows; as many columns as fit, or each row on its own if they do not."""
    parts: list[RenderableType] = []
    if len(found.columns) <= 12:
        cells = [[number(value) for value in row] for row in found.rows]
        parts.append(table(list(found.columns), cells))
    else:
        titles = [f"row {offset + i}" for i in range(1, len(found.rows) + 1)][:5]
        turned = [[name, *(number(row[i]) for row in found.rows[:5])] for i, name in enumerate(found.columns)]
        parts.append(table(["column", *titles], turned))
    shown = min(len(found.rows), 5) if len(found.columns) > 12 else len(found.rows)
    parts.append(f"{number(shown)} of {number(found.total)} rows")
    if found.masked:
        parts.append(f"Hidden from you: {', '.join(found.masked)}")
    return parts


def report(found: Report) -> list[RenderableType]:
    """Show how a version was made."""
    parts: list[RenderableType] = []
    if found.detected:
        told = ", ".join(f"{key} {_character(value)}" for key, value in found.detected.items() if value is not None)
        parts.append(f"The file was read as: {told}")
    if found.steps:
        parts.append(steps(found))
    if found.rejected_total:
        parts.append(Text(f"Rejected from the file: {count(found.rejected_total, 'row')}", "yellow"))
        shown = found.rejected[:_SHOWN_REJECTED]
        parts.append(table([">line", "why"], [(str(r.line), r.reason) for r in shown]))
        if found.rejected_total > len(shown):
            parts.append(f"… and {number(found.rejected_total - len(shown))} more; all with --json")
    return parts or ["Nothing was changed and nothing was rejected."]


def _character(value: object) -> str:
    names = {"\t": "tab", ",": "comma", ";": "semicolon", " ": "space", "True": "yes", "False": "no"}
    return names.get(str(value), str(value))


def steps(found: Report) -> Table:
    """Show what each cleaning step changed."""
    asked = found.recipe.steps if found.recipe is not None else ()
    # A step that names no columns is about all of them.
    whole = [step.get("columns") is None for step in asked] + [False] * (len(found.steps) - len(asked))
    return table(
        ["step", "what it did", "to"],
        [
            (s.step, s.summary, "all columns" if everywhere else _names(s.columns))
            for s, everywhere in zip(found.steps, whole, strict=False)
        ],
    )


def _names(columns: Sequence[str], limit: int = 4) -> str:
    shown = ", ".join(columns[:limit])
    return shown if len(columns) <= limit else f"{shown} and {len(columns) - limit} more"


def made(client: Client, run: Run) -> list[RenderableType]:
    """Show the versions that a run made, and what it had to leave out."""
    parts: list[RenderableType] = []
    for ref in run.made("dataset"):
        detail = client.datasets.get(ref)
        parts.append(f"Made {ref}: {count(detail.rows, 'row')}, {count(detail.columns, 'column')}.")
        if len(run.made("dataset")) == 1:
            parts.append(schema(detail.schema, rows=detail.rows))
            if (found := client.datasets.report(ref)).rejected_total:
                parts += report(found)
    return parts


def cleaned(client: Client, run: Run) -> list[RenderableType]:
    """Show the version that a cleaning run made and what each step changed."""
    (ref,) = run.made("dataset")
    detail = client.datasets.get(ref)
    return [
        *report(client.datasets.report(ref)),
        f"Made {ref}: {count(detail.rows, 'row')}. {detail.parent} is unchanged.",
    ]
