"""``lepton models tune`` and what shows studies."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lepton.cli import models
from lepton.cli.door import Detach, Door, Yes, verb
from lepton.cli.models import (
    MODELS,
    Cpus,
    DatasetRef,
    Features,
    Gpus,
    Memory,
    Name,
    OwnModel,
    Target,
    TestFraction,
)

GROUPS = models.GROUPS
Study = Annotated[str, typer.Argument(help="Name of the study.")]


@verb(
    MODELS,
    "lepton models tune churn --dataset churn --target left --recipe logistic_regression"
    " --search 'l2=0.0001..10 log' --search 'solver=newton|lbfgs' --trials 30 --parallel 4",
    "lepton models tune churn --dataset churn --target left --search 'l2=0.001|0.1|10' --sampler grid",
)
def tune(  # noqa: PLR0913 - a command's parameters are its options
    door: Door,
    name: Name,
    *,
    dataset: DatasetRef,
    target: Target,
    search: Annotated[
        list[str],
        typer.Option(
            help="What is searched: max_depth=2..10, 'rate=0.001..0.3 log', 'dropout=0..0.5 step 0.1', opt=adam|sgd.",
            metavar="NAME=SPACE",
        ),
    ],
    recipe: Annotated[str, typer.Option(help="As for lepton models train.")] = "auto",
    param: Annotated[
        list[str] | None, typer.Option(help="A setting that all trials have.", metavar="NAME=VALUE")
    ] = None,
    feature: Features = None,
    workers: Annotated[int, typer.Option(help="Processes that share the work of each trial.", min=1)] = 1,
    test_fraction: TestFraction = 0.2,
    seed: Annotated[int, typer.Option(help="Decides the split of the rows, and what is drawn.")] = 0,
    model: OwnModel = "",
    cpus: Cpus = 1.0,
    memory: Memory = None,
    gpus: Gpus = 0,
    timeout: Annotated[str | None, typer.Option(help="How long a trial may take, such as 2h.", metavar="TIME")] = None,
    trials: Annotated[int, typer.Option(help="How many settings to try at most.", min=1)] = 20,
    parallel: Annotated[int, typer.Option(help="How many of them at a time.", min=1)] = 2,
    sampler: Annotated[str, typer.Option(help="tpe, cmaes, random or grid.")] = "tpe",
    pruner: Annotated[str, typer.Option(help="none, median, hyperband or asha: ends bad trials early.")] = "none",
    metric: Annotated[
        str, typer.Option(help="What to tune for, such as valid_loss or valid_accuracy; ' min' or ' max' behind it.")
    ] = "valid_loss",
    budget: Annotated[
        str | None, typer.Option(help="How long to search at most, such as 30min.", metavar="TIME")
    ] = None,
    patience: Annotated[int | None, typer.Option(help="Stop after so many trials without a better one.")] = None,
    study: Annotated[str | None, typer.Option(help="Name of the study; that of the model if absent.")] = None,
    detach: Detach = False,
) -> None:
    """Search for the best settings of a model, and train its next version with them."""
    from lepton.cli import study_pages, values, waiting
    from lepton.client.models import TuneOptions

    options = TuneOptions(
        recipe=recipe, workers=workers, params=values.pairs(param or []), test_fraction=test_fraction, seed=seed,
        features=feature or None, trials=trials, parallel=parallel, sampler=sampler, pruner=pruner, metric=metric,
        search_s=None if budget is None else values.seconds(budget), patience=patience, study=study or "",
        model=model, cpus=cpus, memory=memory or 0, gpus=gpus, timeout_s=values.seconds(timeout) if timeout else 0,
    )  # fmt: skip
    run = door.client.models.tune(name, dataset=dataset, target=target, search=search, wait=False, **options)
    if ended := waiting.finish(door, run, detach=detach):
        door.answer(ended.body, *([] if door.json else study_pages.study(door.client.models.study(study or name))))


@verb(MODELS, "lepton models studies")
def studies(door: Door) -> None:
    """List the studies: what was searched, and how well it went."""
    from lepton.cli import study_pages

    items = door.client.models.studies()
    door.answer(items.body, study_pages.studies(items))


@verb(MODELS, "lepton models study churn", "lepton models study churn --to churn.html")
def study(
    door: Door,
    name: Study,
    to: Annotated[Path | None, typer.Option(help="Page to write, with all plots.", metavar="FILE")] = None,
) -> None:
    """Show a study: its best trials, and what mattered."""
    from lepton.cli import study_pages

    found = door.client.models.study(name)
    if to is not None:
        found.save(to)
    door.answer(found.body, *study_pages.study(found))


@verb(MODELS, "lepton models forget churn")
def forget(door: Door, name: Study, yes: Yes = False) -> None:
    """Delete a study with all its trials for good; its runs and its model stay."""
    door.confirm(f"Delete the study {name} with all its trials for good?", yes=yes)
    door.client.models.forget(name)
    door.say(f"Deleted the study {name}.")
