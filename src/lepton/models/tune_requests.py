"""Checks what is asked to be tuned, before the run that searches is submitted, and carries it there as JSON. Pure."""

from __future__ import annotations

import gzip
import io
import json
import math
import re
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, replace

from lepton.core.errors import Conflict, InvalidInput
from lepton.core.refs import check_name
from lepton.models.parameters import check_parameters, check_searched
from lepton.models.records import TrainRequest
from lepton.models.requests import check_request
from lepton.runs.records import ONE_CPU, Quota, Resources
from lepton.training.search import Dimension, grid_size, parse_all

SAMPLERS = ("tpe", "cmaes", "random", "grid")
PRUNERS = ("none", "median", "hyperband", "asha")
MOST_TRIALS, MOST_PARALLEL = 10_000, 64
PLAN = "tune.json"
"""The file of the searching run's folder that says what it searches."""
SHARE = 0.1
"""Processors of the run that searches: it waits for others nearly always."""
TRIAL = Resources(0.95)
"""What a trial of one worker takes if nothing else is asked for: so many fit beside the run that searches on a machine
of two processors or more as it has processors."""
_METRIC = re.compile(r"[\w./ -]{1,64}")
_BETTER_HIGH = re.compile(r"(accuracy|auc|f1|r2|precision|recall|score|within_10pct)$")


@dataclass(frozen=True)
class TuneRequest:
    """What to tune.

    Attributes:
        train: What every trial trains, but for the searched settings; the model is the one that is made at the end.
        asked: The same as the body of ``models.train``.
        search: A line for each setting, see `lepton.training.search`.
        trials: How many settings to try at most, those of earlier searches of the same study included.
        parallel: How many of them at a time; the queue decides when each starts.
        sampler: One of `SAMPLERS`.
        pruner: One of `PRUNERS`.
        metric: What of a trial's curves is to become good, such as ``valid_loss``, with `` max`` or `` min`` behind it
            if its name does not tell which.
        budget_s: How long to search at most, without the training at the end; None: until all trials are done.
        patience: After how many trials without a better one to stop; None: never.
        study: Name of the study; empty for the name of the model.
    """

    train: TrainRequest
    asked: Mapping[str, object]
    search: tuple[str, ...]
    trials: int = 20
    parallel: int = 2
    sampler: str = "tpe"
    pruner: str = "none"
    metric: str = "valid_loss"
    budget_s: float | None = None
    patience: int | None = None
    study: str = ""

    @property
    def study_name(self) -> str:
        """Name of the study."""
        return self.study or self.train.name


def check_tuning(request: TuneRequest) -> tuple[Dimension, ...]:
    """Check what can be checked without the data, and return what is searched.

    Raises:
        InvalidInput: if a name, a line of the search, a number or the request for training is not possible.
    """
    space = parse_all(request.search)
    for what, value, known in (("sampler", request.sampler, SAMPLERS), ("pruner", request.pruner, PRUNERS)):
        if value not in known:
            raise InvalidInput(f"There is no {what} {value[:40]!r}. Choose one of: {', '.join(known)}.")
    for name, number, most in (("trials", request.trials, MOST_TRIALS), ("parallel", request.parallel, MOST_PARALLEL)):
        if not 1 <= number <= most:
            raise InvalidInput(f"{name} is 1 to {most:,}, not {number}. Choose one of these.")
    if request.budget_s is not None and not 0 < request.budget_s < math.inf:
        raise InvalidInput(f"The budget is more than 0 s, not {request.budget_s:g}. Leave it out for no limit.")
    if request.patience is not None and request.patience < 1:
        raise InvalidInput(f"patience is 1 or more, not {request.patience}. Leave it out to try all.")
    if request.sampler == "grid" and (size := grid_size(space)) > MOST_TRIALS:
        raise InvalidInput(f"The grid has {size:,} combinations, and {MOST_TRIALS:,} are possible. Take larger steps.")
    if request.study:
        check_name(request.study, "study")
    goal(request.metric)
    for one in space:
        if one.name in request.train.params:
            raise InvalidInput(f"{one.name!r} is searched and set. Leave out one of --search and --param.")
    check_request(request.train)
    check_parameters(request.train)
    check_searched(request.train, space)
    return space


def trial_of(request: TrainRequest) -> TrainRequest:
    """Return a request with `TRIAL` for each worker if it is a trial that asks for nothing in particular."""
    return replace(request, resources=TRIAL) if request.trial and request.resources == ONE_CPU else request


def goal(metric: str) -> tuple[str, str]:
    """Return the name of a metric, and whether to ``minimize`` or ``maximize`` it.

    Raises:
        InvalidInput: if it cannot be one.
    """
    name, _, direction = metric.strip().partition(" ")
    if not name or not _METRIC.fullmatch(name) or direction.strip() not in ("", "min", "max"):
        raise InvalidInput(
            f"{metric[:80]!r} is no metric to tune for. Write its name, such as valid_loss or valid_accuracy, with "
            "' min' or ' max' behind it if it does not tell which is better."
        )
    high = direction.strip() == "max" if direction else _BETTER_HIGH.search(name) is not None
    return name, "maximize" if high else "minimize"


def check_room(quota: Quota, trial: Resources) -> None:
    """Refuse a search whose trials could never start beside the run that searches.

    Raises:
        InvalidInput: if the project's quota is too small for both.
    """
    if quota.running is not None and quota.running < 2:
        raise InvalidInput(
            f"The project may have {quota.running} run at a time, and a search is one that waits for others. Ask for a "
            "quota of 2 at least: lepton runs limit --running 2"
        )
    if quota.cpus is not None and quota.cpus < trial.cpus + SHARE:
        raise InvalidInput(
            f"The project may use {quota.cpus:g} processors at a time, and a trial takes {trial.cpus:g} beside the "
            f"{SHARE:g} of the run that searches. Ask for a quota of {trial.cpus + SHARE:g} at least."
        )


def plan_of(request: TuneRequest, dataset: str) -> dict[str, object]:
    """Return what the searching run is told.

    Args:
        request: What is asked for.
        dataset: The exact version that all trials learn from.
    """
    metric, direction = goal(request.metric)
    return {
        "train": {**request.asked, "dataset": dataset},
        "search": list(request.search),
        "trials": request.trials,
        "parallel": request.parallel,
        "sampler": request.sampler,
        "pruner": request.pruner,
        "metric": metric,
        "direction": direction,
        "budget_s": request.budget_s,
        "patience": request.patience,
        "study": request.study_name,
        "about": about_of(request, dataset),
    }


def about_of(request: TuneRequest, dataset: str) -> dict[str, object]:
    """Return what all searches of one study have in common."""
    metric, direction = goal(request.metric)
    train = request.train
    return {
        "model": train.name,
        "dataset": dataset,
        "target": train.target,
        "recipe": train.recipe,
        "search": list(request.search),
        "metric": metric,
        "direction": direction,
    }


def check_same(study: str, known: Mapping[str, object], wanted: Mapping[str, object]) -> None:
    """Refuse to go on with a study that has searched for something else.

    Args:
        study: Its name.
        known: What it has searched for; empty if it has not begun.
        wanted: What it is to search for.

    Raises:
        Conflict: if they differ.
    """
    for key, value in wanted.items():
        if known and known.get(key) != value:
            raise Conflict(
                f"The study {study!r} has searched with another {key}. Give this search a name of its own: --study NAME"
            )


def folder_of(plan: Mapping[str, object]) -> bytes:
    """Return the folder of the searching run: the plan in a packed archive, the same bytes for the same plan."""
    text, packed = json.dumps(plan, sort_keys=True).encode(), io.BytesIO()
    with (
        gzip.GzipFile(fileobj=packed, mode="wb", mtime=0) as stream,
        tarfile.open(fileobj=stream, mode="w") as archive,
    ):
        about = tarfile.TarInfo(PLAN)
        about.size, about.mode = len(text), 0o600
        archive.addfile(about, io.BytesIO(text))
    return packed.getvalue()
