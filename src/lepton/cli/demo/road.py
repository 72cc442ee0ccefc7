"""The steps of the demo, in order; each asks the platform through the SDK and shows what came of it."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from lepton import local
from lepton.cli import dataset_pages, model_pages, tables
from lepton.cli.demo.damage import TARGET, damaged_cancer
from lepton.cli.demo.screen import Screen
from lepton.cli.words import count, curve, number
from lepton.client import Client, DatasetDetail, ModelDetail, Predictions
from lepton.client.answers import Cell, decode
from lepton.client.dataset_records import ColumnProfile
from lepton.client.transport import Transport
from lepton.core.errors import InvalidInput, Unauthenticated
from lepton.core.refs import name_from
from lepton.core.settings import Settings

_FOLDER = Path("lepton-demo")
_WORKERS = 2
_ASKED = 5
_TIMED = 101
_TOLD = 6
_FEW = 100
"""A column with up to so many different values is spread evenly over the parts of a split."""


@dataclass(frozen=True)
class Source:
    """The file that the demo is about."""

    path: Path
    name: str
    target: str | None


def walk(console: Console, *, csv: Path | None, target: str | None, project: str) -> None:
    """Go from a raw file to a secured prediction and leave the platform running.

    Args:
        console: Where it is shown.
        csv: One's own file; None takes the built-in table.
        target: The column of one's own file to predict.
        project: Where everything is made.

    Raises:
        LeptonError: if a step fails; the message says why.
    """
    screen = Screen(console)
    settings = Settings.from_environment()
    console.print(Text("Lepton: from a raw file to a secured prediction", "bold"))
    console.print()
    source = _source(screen, csv, target)
    with screen.step("Start the platform") as step:
        started = local.up(settings)
        step.say(
            f"It {'runs already' if started.already else 'runs'} at {started.server.url}; files in {settings.home}."
        )
    with local.client_of(settings, project=project) as client:
        raw = _import(screen, client, source)
        goal = _profile(screen, client, raw, source.target)
        train, test = _prepare(screen, client, raw, goal)
        model = _train(screen, client, source.name, train, goal.name)
        _evaluate(screen, client, model, test)
        url = _deploy(screen, client, source.name, model)
        _predict(screen, client, url, test, goal.name)
        _farewell(console, client, source.name, model)


def _source(screen: Screen, csv: Path | None, target: str | None) -> Source:
    if csv is not None:
        return Source(csv, name_from(csv.stem), target)
    with screen.step("Damage a real table") as step:
        damage = damaged_cancer()
        _FOLDER.mkdir(exist_ok=True)
        path = _FOLDER / "cancer.csv"
        path.write_text(damage.text)
        step.say(
            "scikit-learn's breast cancer table: measurements of tumors and what they turned out to be.",
            f"It was damaged on purpose: {damage.blanked} values blanked, {damage.doubled} rows doubled, "
            f"{damage.impossible} impossible values put in, {damage.respelled} labels respelled (2 labels in "
            f"{damage.spellings} spellings).",
            f"Written to {path}: {damage.rows} rows, {damage.columns} columns. This file is plain text; "
            "what the platform keeps of it is encrypted.",
        )
    return Source(path, "cancer", TARGET if target is None else target)


def _import(screen: Screen, client: Client, source: Source) -> DatasetDetail:
    with screen.step(f"Import {source.path.name}") as step:
        made = client.datasets.import_(source.path, name=source.name, on_progress=step.on_progress)
        step.say(f"Made {made.ref}: {count(made.rows, 'row')}, {count(made.columns, 'column')}, encrypted.")
        report = client.datasets.report(made.ref)
        if report.detected or report.rejected_total:
            step.say(*dataset_pages.report(report))
    return made


def _profile(screen: Screen, client: Client, raw: DatasetDetail, target: str | None) -> ColumnProfile:
    """Show what is in the file and return what is known of the column to predict."""
    names = [column.name for column in raw.schema]
    if target not in names:
        asked = f"{raw.name} has no column {target!r}." if target else "No column to predict was named."
        raise InvalidInput(
            f"{asked} Its columns are: {', '.join(names)}. "
            "Name one: make demo CSV=… TARGET=…, or: lepton demo --csv … --target …"
        )
    with screen.step("Profile") as step:
        profile = client.datasets.profile(raw.ref, target=target)
        told = sorted(profile.columns, key=lambda c: (c.name != target, not c.warnings))[:_TOLD]
        step.say(*dataset_pages.profile(replace(profile, columns=tuple(told), suggested_recipe=None)))
        if len(profile.columns) > _TOLD:
            step.say(f"and {len(profile.columns) - _TOLD} columns more; all with: lepton datasets profile {raw.ref}")
    return next(column for column in profile.columns if column.name == target)


def _prepare(
    screen: Screen, client: Client, raw: DatasetDetail, target: ColumnProfile
) -> tuple[DatasetDetail, DatasetDetail]:
    with screen.step("Clean") as step:
        clean = client.datasets.clean(raw.ref, target=target.name, on_progress=step.on_progress)
        step.say(*dataset_pages.report(client.datasets.report(clean.ref)))
        step.say(f"Made {clean.ref}: {number(clean.rows)} rows. {raw.ref} is unchanged.")
    with screen.step("Set rows aside for the test") as step:
        few = target.type in ("text", "boolean", "integer") and (target.distinct or 0) <= _FEW
        train, test = client.datasets.split(
            clean.ref, stratify=target.name if few else None, on_progress=step.on_progress
        )
        step.say(
            f"Made {train.ref} ({number(train.rows)} rows) to learn from and {test.ref} ({number(test.rows)}) to test."
        )
    return train, test


def _train(screen: Screen, client: Client, name: str, train: DatasetDetail, target: str) -> ModelDetail:
    with screen.step(f"Train on {_WORKERS} workers") as step:
        run = client.models.train(name, dataset=train.ref, target=target, workers=_WORKERS, wait=False)
        ended = client.runs.wait(run.id, on_progress=step.on_progress)
        model = client.models.get(ended.made("model")[0])
        step.say(f"Made {model.ref}: {model.recipe.replace('_', ' ')}, {model.task}.")
        losses = client.runs.metrics(run.id).values("loss")
        if len(losses) > 1:  # linear regression needs but one look at the rows
            told = f" {number(losses[0])} → {number(losses[-1])} in {len(losses)} rounds"
            step.say(Text.assemble("Loss ", (curve(losses), "cyan"), told))
        step.say(*(Text(f"! {note}", "yellow") for note in model.notes))
        if (plot := model.plot("coefficients")) is not None:
            step.say(model_pages.coefficients(plot))
    return model


def _evaluate(screen: Screen, client: Client, model: ModelDetail, test: DatasetDetail) -> None:
    with screen.step("Evaluate on rows it has never seen") as step:
        found = client.models.evaluate(model.ref, dataset=test.ref, on_progress=step.on_progress)
        step.say(model_pages.metrics(found.metrics, title=f"{model.ref} on {test.ref}"))
        step.say(*(model_pages.confusion(plot) for plot in found.plots if plot.kind == "confusion"))
    with screen.step("Register with its lineage") as step:
        detail = client.models.get(model.ref)
        step.say(f"{detail.ref}, sha256 {detail.sha256[:16]}…, one ONNX graph with everything it needs. It came from:")
        step.say(*model_pages.lineage(client.models.lineage(model.ref)))


def _deploy(screen: Screen, client: Client, name: str, model: ModelDetail) -> str:
    with screen.step("Deploy") as step:
        endpoint = client.endpoints.deploy(name, model=model.ref)
        step.say(*model_pages.endpoint(replace(endpoint, signature=None)))
    return endpoint.url or ""


def _predict(screen: Screen, client: Client, url: str, test: DatasetDetail, target: str) -> None:
    rows = client.datasets.rows(test.ref, limit=_ASKED).records()
    asked = [{key: value for key, value in row.items() if key != target} for row in rows]
    with screen.step("Predict through the endpoint, with a token that is good for nothing else") as step:
        token = client.tokens.create("demo", scopes=["endpoints.predict"], expires_in_s=600)
        with _asking(url, token.secret) as ask:
            told = [a.value if a.label is None else a.label for a in ask(asked)]
            step.say(_compared([row[target] for row in rows], told))
            took_ms = sorted(1000 * _seconds(lambda: ask(asked[:1])) for _ in range(_TIMED))
        client.tokens.delete(token.id)
        step.say(f"One row takes {took_ms[_TIMED // 2]:.1f} ms there and back (median of {_TIMED}).")
    with screen.step("Try the same without a token") as step, _asking(url, None) as ask:
        try:
            ask(asked)
        except Unauthenticated as error:
            step.say(f"Refused with 401: {error.message}")


@contextmanager
def _asking(url: str, token: str | None) -> Iterator[Callable[[list[dict[str, Cell]]], Predictions]]:
    """Ask an endpoint at its own address, as programs do."""
    origin, _, name = url.partition("/predict/")
    transport = Transport(origin, token)
    try:
        yield lambda rows: decode(Predictions, transport.send("POST", f"/predict/{name}", json=rows))
    finally:
        transport.close()


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def _compared(true: list[Cell], told: list[Cell]) -> Table:
    return tables.table(
        [">row", ">predicted", ">true", ""],
        [
            (str(i), number(guess), number(truth), Text("✓", "green") if guess == truth else "")
            for i, (truth, guess) in enumerate(zip(true, told, strict=True), 1)
        ],
    )


def _farewell(console: Console, client: Client, name: str, model: ModelDetail) -> None:
    link = client.create_sign_in_link()
    console.print(Text("Done. The platform goes on running.", "bold green"))
    console.print()
    console.print("Web page, sign in with this link (once, within the hour):")
    console.print(Text(link.url, "bold cyan"), soft_wrap=True)
    console.print()
    console.print("What to try next:")
    lepton = "lepton" if shutil.which("lepton") else min(sys.argv[0], os.path.relpath(sys.argv[0]), key=len)
    for command, about in (
        (f"lepton datasets profile {name}", "look at the cleaned data"),
        (f"lepton models get {model.ref}", "look at the model"),
        (f"lepton endpoints get {name}", "see what it takes"),
        ("lepton tokens create shop --scope endpoints.predict", "make a token for a program"),
        ("make demo CSV=my.csv TARGET=price", "the same with your own file"),
        ("lepton down", "stop the platform"),
    ):
        typed = command.replace("lepton", lepton, 1) if command.startswith("lepton") else command
        line = Text.assemble("  ", (f"{typed:<{46 + len(lepton)}}", "cyan"), (f"  # {about}", "dim"))
        console.print(line, soft_wrap=True)
