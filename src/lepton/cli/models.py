"""``lepton models``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from lepton.cli.door import Detach, Door, Ref, Yes, group, verb
from lepton.core.errors import Conflict, InvalidInput

MODELS = group(
    "models", "Versioned predictors: propose, train, tune, copy templates, register, evaluate, predict, trace, export."
)
GROUPS = (MODELS,)

DatasetRef = Annotated[str, typer.Option(help="Dataset version, NAME or NAME@VERSION.", metavar="REF")]
Name = Annotated[str, typer.Argument(help="Name of the model.")]
Target = Annotated[str, typer.Option(help="The column to predict.", metavar="COLUMN")]
OwnModel = Annotated[str, typer.Option(help="Of a framework: your own, or a template's name.", metavar="FILE.py:NAME")]
TestFraction = Annotated[float, typer.Option(help="Share of the rows held out to measure the model.")]
Features = Annotated[
    list[str] | None, typer.Option(help="A column to learn from; all but the target if absent.", metavar="COLUMN")
]
Cpus = Annotated[float, typer.Option(help="Processors of each worker of a framework.", min=0.01)]
Memory = Annotated[str | None, typer.Option(help="The most memory of each, such as 512M or 2G.")]
Gpus = Annotated[int, typer.Option(help="GPUs of each.", min=0)]


@verb(
    MODELS,
    "lepton models train houses --dataset houses@2 --target price --workers 2",
    "lepton models train churn --dataset churn --target left --param solver=gd --param max_iterations=500",
    "lepton models train churn --dataset churn --target left --recipe xgboost --param max_depth=4 --workers 2",
    "lepton models train digits --dataset digits --target digit --recipe pytorch --model net.py:Net --param epochs=20",
    "lepton models train sales --dataset sales --target amount --recipe auto --budget 10min --cpus 4",
)
def train(  # noqa: PLR0913 - a command's parameters are its options
    door: Door,
    name: Name,
    *,
    dataset: DatasetRef,
    target: Target,
    recipe: Annotated[
        str,
        typer.Option(
            help="auto (with --budget it looks for the best; without, the target decides), linear_regression, "
            "logistic_regression, sklearn, xgboost, lightgbm, pytorch, lightning, keras, jax or transformers."
        ),
    ] = "auto",
    model: OwnModel = "",
    workers: Annotated[int, typer.Option(help="Processes that share the work.", min=1)] = 1,
    param: Annotated[
        list[str] | None, typer.Option(help="Of the recipe, such as solver=newton.", metavar="NAME=VALUE")
    ] = None,
    test_fraction: TestFraction = 0.2,
    seed: Annotated[int, typer.Option(help="The same seed holds out the same rows.")] = 0,
    feature: Features = None,
    budget: Annotated[str | None, typer.Option(help="How long auto may look, such as 10min.", metavar="TIME")] = None,
    cpus: Cpus = 1.0,
    memory: Memory = None,
    gpus: Gpus = 0,
    timeout: Annotated[str | None, typer.Option(help="How long it may take, such as 2h.", metavar="TIME")] = None,
    detach: Detach = False,
) -> None:
    """Train a model, or a new version of it."""
    from lepton.cli import model_pages, values, waiting
    from lepton.client.models import TrainOptions

    options = TrainOptions(
        recipe=recipe,
        workers=workers,
        params=values.pairs(param or []),
        test_fraction=test_fraction,
        seed=seed,
        features=feature or None,
        model=model,
        budget_s=values.seconds(budget) if budget else 0,
        cpus=cpus,
        memory=memory or 0,
        gpus=gpus,
        timeout_s=values.seconds(timeout) if timeout else 0,
    )
    run = door.client.models.train(name, dataset=dataset, target=target, wait=False, **options)
    if ended := waiting.finish(door, run, detach=detach):
        made = [] if door.json else model_pages.model(door.client.models.get(ended.made("model")[0]))
        door.answer(ended.body, *made)


@verb(MODELS, "lepton models propose churn@2 --target left")
def propose(
    door: Door,
    ref: Annotated[str, typer.Argument(help="Dataset version, NAME or NAME@VERSION.", metavar="DATASET")],
    target: Target,
) -> None:
    """Show recipes that fit a dataset and a target, the best first."""
    from lepton.cli import tables

    found = door.client.models.propose(ref, target=target)
    door.answer(found.body, tables.proposals(found), *(f"\n{one.command}" for one in found.proposals[:1]))


@verb(
    MODELS,
    "lepton models template",
    "lepton models template mlp --to net.py",
    "lepton models template gru > net.py",
    takes=["json"],
)
def template(
    door: Door,
    name: Annotated[str | None, typer.Argument(help="Which one; a list of all if absent.")] = None,
    to: Annotated[Path | None, typer.Option(help="File to write, which must not be there.", metavar="FILE")] = None,
) -> None:
    """Copy a network to change it and to train it as your own; without a name, list those that there are."""
    import json

    from lepton.cli import tables
    from lepton.client.models import Models

    known = Models.templates()
    if name is None:
        items = [{"name": one, "about": about} for one, about in known.items()]
        door.answer(json.dumps({"items": items}).encode(), tables.templates(known))
        return
    source = Models.template(name)
    if to is not None:
        _write_new(to, source)
    if door.json:
        door.print_body(json.dumps({"name": name, "about": known[name], "source": source}).encode())
    elif to is not None:
        door.say(f"Wrote {to}. Train it with: --recipe pytorch --model {to}:build")
    else:
        sys.stdout.write(source)  # as it is: a console of Rich would break long lines


def _write_new(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise Conflict(f"{path} is there already, and is left as it is. Choose another name: --to FILE") from None
    except OSError as error:
        raise InvalidInput(f"{path} cannot be written: {error.strerror}. Choose another place: --to FILE") from None


@verb(
    MODELS,
    "lepton models register rules --code rules/ --signature rules.json",
    "lepton models register digits --code digits.onnx",
)
def register(
    door: Door,
    name: Name,
    code: Annotated[
        Path,
        typer.Option(help="A file, or a folder with model.py, that holds a class Model; or an ONNX graph, *.onnx."),
    ],
    signature: Annotated[
        Path | None, typer.Option(help="JSON file: what it takes and answers; signature.json of the folder if absent.")
    ] = None,
) -> None:
    """Keep code of your own, or an ONNX graph from elsewhere, as a model, or a new version of it."""
    from lepton.cli import model_pages

    detail = door.client.models.register(name, code=code, signature=signature)
    door.answer(detail.body, *model_pages.model(detail))


@verb(MODELS, "lepton models evaluate houses --dataset houses-test")
def evaluate(door: Door, ref: Ref, dataset: DatasetRef, detach: Detach = False) -> None:
    """Measure a model on a dataset version."""
    from lepton.cli import model_pages, waiting

    run = door.client.models.evaluate(ref, dataset=dataset, wait=False)
    if ended := waiting.finish(door, run, detach=detach):
        evaluations = [] if door.json else [door.client.models.evaluation(ref, ended.id)]
        door.answer(ended.body, *([] if door.json else [model_pages.evaluations(evaluations)]))


@verb(
    MODELS,
    "lepton models predict churn@1 --dataset customers@3",
    "lepton models predict churn --dataset customers --name at-risk",
)
def predict(
    door: Door,
    ref: Ref,
    dataset: DatasetRef,
    name: Annotated[
        str | None, typer.Option(help="Dataset that gets the predictions; DATASET-MODEL if absent.", metavar="NAME")
    ] = None,
    detach: Detach = False,
) -> None:
    """Make a dataset version of another: its rows and columns, and the predictions of a model."""
    from lepton.cli import dataset_pages, waiting

    run = door.client.models.predict(ref, dataset=dataset, name=name, wait=False)
    if ended := waiting.finish(door, run, detach=detach):
        door.answer(ended.body, *([] if door.json else dataset_pages.made(door.client, ended)))


@verb(MODELS, "lepton models list", name="list")
def list_(door: Door) -> None:
    """List the models."""
    from lepton.cli import tables

    items = door.client.models.list()
    door.answer(items.body, tables.models(items))


@verb(MODELS, "lepton models get houses", "lepton models get houses@1 --json")
def get(door: Door, ref: Ref) -> None:
    """Show one version: what it takes, what it gives, how well it does."""
    from lepton.cli import model_pages

    detail = door.client.models.get(ref)
    door.answer(detail.body, *model_pages.model(detail))


@verb(MODELS, "lepton models lineage houses")
def lineage(door: Door, ref: Ref) -> None:
    """Show what a version was made from and what it predicted."""
    from lepton.cli import model_pages

    found = door.client.models.lineage(ref)
    door.answer(found.body, *model_pages.lineage(found))


@verb(MODELS, "lepton models scorecard churn@3 --pdo 20 --base 600 --odds 50 --to churn.csv")
def scorecard(
    door: Door,
    ref: Ref,
    *,
    base: Annotated[float, typer.Option(help="The score at the odds given.")] = 600.0,
    odds: Annotated[float, typer.Option(help="Odds of the good class, to 1.")] = 50.0,
    pdo: Annotated[float, typer.Option(help="Points that double the odds.")] = 20.0,
    good: Annotated[
        str | None, typer.Option(help="Class that a high score speaks for; the second if absent.", metavar="CLASS")
    ] = None,
    to: Annotated[Path | None, typer.Option(help="CSV file to write.")] = None,
) -> None:
    """Show a logistic regression of two classes as points to add up."""
    from lepton.cli import model_pages

    found = door.client.models.scorecard(ref, base=base, odds=odds, pdo=pdo, good=good)
    if to is not None:
        to.write_text(found.to_csv(), encoding="utf-8")
    door.answer(found.body, *model_pages.scorecard(found))


@verb(MODELS, "lepton models export houses@1 --to houses.onnx")
def export(
    door: Door,
    ref: Ref,
    to: Annotated[Path | None, typer.Option(help="File to write; REF.onnx if absent.")] = None,
) -> None:
    """Write a version to a file: one ONNX graph that takes raw columns."""
    from lepton.cli.words import size

    path = to or Path(f"{ref}.onnx")
    written = door.client.models.export(ref, path)
    door.say(f"Wrote {path} ({size(written.size_bytes)}).")


@verb(MODELS, "lepton models delete houses@1")
def delete(door: Door, ref: Ref, yes: Yes = False) -> None:
    """Delete a version, or all versions, for good."""
    what = ref if "@" in ref else f"all versions of {ref}"
    door.confirm(f"Delete {what} for good?", yes=yes)
    door.client.models.delete(ref)
    door.say(f"Deleted {what}.")
