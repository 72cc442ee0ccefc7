"""Lists for the terminal: one table for each noun. What is shown of a single thing is in the ``…_pages.py`` files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from rich import box
from rich.console import JustifyMethod
from rich.table import Table
from rich.text import Text

from lepton.cli.words import ago, number, size, when
from lepton.client.access import AuditEntry, Project, Token, User
from lepton.client.answers import Cell
from lepton.client.dataset_records import Dataset, DatasetVersion
from lepton.client.endpoints import Endpoint
from lepton.client.models import Model, ModelVersion, Proposed
from lepton.client.runs import Artifact, Run

_LONGEST_NAME = 40
STATE_STYLES = {
    "succeeded": "green",
    "ready": "green",
    "failed": "red",
    "running": "cyan",
    "starting": "cyan",
    "queued": "dim",
    "cancelled": "yellow",
    "stopped": "yellow",
}


def table(columns: Sequence[str], rows: Iterable[Sequence[Text | str]]) -> Table:
    """Return a table; a column whose name begins with ``>`` is set flush right.

    Cells are taken as they are: square brackets in somebody's data are no markup.
    """
    made = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for i, column in enumerate(columns):
        title = column.lstrip(">")
        justify: JustifyMethod = "right" if column.startswith(">") else "left"
        # What is typed again, ids and names, stays in one piece.
        made.add_column(title, justify=justify, overflow="fold", no_wrap=i == 0 or title == "at")
    for row in rows:
        made.add_row(*(Text(cell) if isinstance(cell, str) else cell for cell in row))
    return made


def facts(pairs: Iterable[tuple[str, str]]) -> Table:
    """Return facts one below the other; those without a value are left out."""
    made = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2))
    for name, value in pairs:
        if value:
            made.add_row(Text(name, "dim"), Text(value))
    return made


def state(name: str) -> Text:
    """Return the name of a state in its color."""
    return Text(name, STATE_STYLES.get(name, ""))


def metrics_line(metrics: Iterable[tuple[str, Cell]]) -> str:
    """Write metrics on one line."""
    return "  ".join(f"{key} {number(value)}" for key, value in metrics if value is not None)


def datasets(items: Sequence[Dataset]) -> Table | str:
    """List datasets by their latest version."""
    if not items:
        return "No datasets yet. Bring one in with: lepton datasets import FILE"
    return table(
        ["dataset", ">rows", ">columns", ">size", "made by", "at", ">versions"],
        [(*_version_cells(item.versions[0]), str(len(item.versions))) for item in items if item.versions],
    )


def dataset_versions(versions: Sequence[DatasetVersion]) -> Table:
    """List versions of a dataset."""
    return table(["version", ">rows", ">columns", ">size", "made by", "at"], [_version_cells(v) for v in versions])


def _version_cells(version: DatasetVersion) -> tuple[str, str, str, str, str, str]:
    made = f"{version.made_by} of {version.parent}" if version.parent else version.made_by
    return (
        version.ref, number(version.rows), number(version.columns), size(version.size_bytes),
        f"{made} ({version.created_by})", when(version.created_at),
    )  # fmt: skip


def artifacts(items: Sequence[Artifact]) -> Table | str:
    """List the files of a run."""
    if not items:
        return "This run has left no files."
    return table(
        ["path", ">size", "sha256", "at"],
        [(item.path, size(item.size_bytes), item.sha256[:12], when(item.created_at)) for item in items],
    )


def runs(items: Sequence[Run], columns: Sequence[str] = ()) -> Table | str:
    """List runs, with what they have told under some names; their own is asked for as ``tags.name``."""
    if not items:
        return "No runs."
    now = datetime.now(UTC)
    return table(
        ["run", "name", "state", *(f">{name}" for name in columns), "made", "at"],
        [
            (
                r.id, name_of(r, r.columns.get("tags.name")), _run_state(r),
                *(_told(r.columns.get(name)) for name in columns), "\n".join(r.outputs), ago(r.created_at, now),
            )
            for r in items
        ],
    )  # fmt: skip


def name_of(found: Run, tag: Cell = None) -> str:
    """Return what a run is called: by whoever submitted or recorded it, or after what it does."""
    given = found.params.get("name") or tag
    if given and found.verb.startswith("models."):  # what is trained and tuned is called like its model or its study
        recipe = found.params.get("recipe")
        given = f"{found.verb.removeprefix('models.')} {given}" + (f" ({recipe})" if recipe else "")
    name = str(given or (found.params.get("command") if found.verb == found.task else None) or found.verb)
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"


def _told(value: Cell) -> str:
    return "" if value is None else value if isinstance(value, str) else number(value)


def _run_state(run: Run) -> Text:
    done = f" {round(100 * run.progress)}%" if run.state == "running" else ""
    return state(run.state).append(done)


def models(items: Sequence[Model]) -> Table | str:
    """List models by their latest version."""
    if not items:
        return "No models yet. Make one with: lepton models train NAME --dataset REF --target COLUMN"
    return table(
        ["model", "predicts", "learned from", "measured", "at", ">versions"],
        [(*_model_cells(item.versions[0]), str(len(item.versions))) for item in items if item.versions],
    )


def proposals(found: Proposed) -> Table:
    """List recipes that fit."""
    rows = [
        (one.recipe, one.model, " ".join(f"{key}={value}" for key, value in one.params.items()), one.reason)
        for one in found.proposals
    ]
    return table(["recipe", "model", "parameters", f"for {found.target} ({found.task})"], rows)


def templates(known: Mapping[str, str]) -> Table:
    """List the networks to copy."""
    return table(["template", "for"], known.items())


def _model_cells(version: ModelVersion) -> tuple[str, str, str, str, str]:
    return (
        version.ref, f"{version.target} ({version.task})", version.dataset,
        metrics_line(_headline(version.metrics)), when(version.created_at),
    )  # fmt: skip


def _headline(metrics: Mapping[str, float | None]) -> list[tuple[str, float | None]]:
    """Pick the two metrics that tell most."""
    telling = [name for name in ("roc_auc", "accuracy", "r2", "mae") if name in metrics]
    return [(name, metrics[name]) for name in (telling or [*metrics])[:2]]


def endpoints(items: Sequence[Endpoint]) -> Table | str:
    """List endpoints."""
    if not items:
        return "No endpoints yet. Make one with: lepton endpoints deploy NAME --model REF"
    return table(
        ["endpoint", "model", "state", "address", "by", "at"],
        [(e.name, e.model, state(e.state), e.url or "", e.created_by, when(e.created_at)) for e in items],
    )


def projects(items: Sequence[Project]) -> Table:
    """List projects."""
    return table(["project", "made by", "at"], [(p.name, p.created_by, when(p.created_at)) for p in items])


def users(items: Sequence[User]) -> Table:
    """List users."""
    return table(
        ["user", "project", "role", "password", "since"],
        [(u.name, u.project, u.role, "yes" if u.has_password else "no", when(u.created_at)) for u in items],
    )


def tokens(items: Sequence[Token]) -> Table | str:
    """List tokens."""
    if not items:
        return "No tokens yet. Make one with: lepton tokens create NAME"
    return table(
        ["id", "name", "begins with", "good for", "made", "last used", "ends"],
        [
            (
                t.id, t.name, t.prefix, "all" if t.scopes is None else "\n".join(t.scopes),
                when(t.created_at), when(t.last_used_at), when(t.expires_at) or "never",
            )
            for t in items
        ],
    )  # fmt: skip


def audit(items: Sequence[AuditEntry]) -> Table:
    """List who did what."""
    return table(
        ["at", "who", "what", "project", "on", "outcome"],
        [(when(e.time), e.actor, e.action, e.project, e.target, _outcome(e)) for e in items],
    )


def _outcome(entry: AuditEntry) -> Text:
    style = {"allowed": "green", "denied": "red", "failed": "yellow"}.get(entry.outcome, "")
    return Text(f"{entry.outcome} {entry.code}".strip(), style)
