"""The recipe ``auto`` behind the port: gathers the rows, searches within time and memory, and leaves one graph."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from typing import Any

import numpy as np
import numpy.typing as npt

from lepton.core.errors import InvalidInput
from lepton.training import advice
from lepton.training.auto import finish as ending
from lepton.training.auto import folds, graphs, report
from lepton.training.auto.candidates import FAMILIES, Size, available
from lepton.training.auto.losses import row_losses
from lepton.training.auto.memory import free_bytes
from lepton.training.auto.results import DONE, FAILED, SLOW, Found, unpack
from lepton.training.auto.search import Clock, Search
from lepton.training.auto.seats import Seats
from lepton.training.auto.work import Rows
from lepton.training.context import TrainingContext
from lepton.training.problems import TrainingDataError
from lepton.training.recipes.gathering import gather_rows, share_rows
from lepton.training.recipes.parameters import at_least, choose, read_parameters
from lepton.training.recipes.port import Features, Fitted, Material, Parameters, Problem, Scores, Targets

_SHARE_OF_FREE = 0.7
_BASE_BYTES = 250 * 2**20
"""What a process takes before it has a row."""
_LEAST_SHARE_BYTES = 150 * 2**20
_MIB = 2**20


@dataclass(frozen=True)
class _Asked:
    """The parameters, checked."""

    budget_s: float
    memory_bytes: int
    folds: int
    stack: bool
    candidates: tuple[str, ...]
    trials: int


class Auto:
    """Tries families of estimators with cross-validation and keeps what predicts best."""

    name = "auto"
    needs: Sequence[str] = ("sklearn", "skl2onnx")

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters, with their defaults.

        ``budget_s``: seconds; ``memory_mb``: 0 is 70% of what is free; ``folds``: 0 goes by the number of rows;
        ``stack``: whether several may answer together; ``candidates``: names with commas between them, empty for all;
        ``trials``: most trials of a family, 0 as many as there is time for.
        """
        return {"budget_s": 600.0, "memory_mb": 0, "folds": 0, "stack": True, "candidates": "", "trials": 0}

    def fit(
        self, material: Material, context: TrainingContext, parameters: Parameters, model: object | None
    ) -> Fitted | None:
        """Search, and leave the best on worker 0; see `lepton.training.recipes.port.Recipe`."""
        if model is not None:
            raise InvalidInput(
                "The recipe auto brings its own candidates and takes no model. Leave the model out, or take the recipe "
                "of its framework, for example --recipe sklearn."
            )
        asked = _asked(parameters)
        began = time.monotonic()
        wanted = [FAMILIES[name] for name in asked.candidates] or list(FAMILIES.values())
        with Seats([module for family in wanted for module in family.modules if find_spec(module)]) as seats:
            return self._search(material, context, asked, began, seats)

    def _search(
        self, material: Material, context: TrainingContext, asked: _Asked, began: float, seats: Seats
    ) -> Fitted | None:
        features, targets = share_rows(material.train, context.collective)
        watched = None if material.valid is None else gather_rows(material.valid, context.collective)
        notes = advice.unseen(targets, watched[1], material.problem) if watched else []
        looked: list[str] = []
        looking = threading.Thread(target=_look, args=(features, targets, material, asked, looked), daemon=True)
        if context.collective.rank == 0:
            looking.start()
        rows, mean, scale = _rows(features, targets, material, asked)
        rows, share, thinned = _within(rows, asked, context)
        size = Size(len(rows.features), rows.features.shape[1], rows.classes)
        families, left_out = available(size, asked.candidates, share)
        notes += [*thinned, *left_out]
        if not families:
            raise InvalidInput(f"No candidate can be tried. {' '.join(left_out)} Ask for others, or for all.")
        saved = context.checkpoints.restore(context.collective)
        before, spent_s = unpack(saved.state) if saved else ([], 0.0)
        clock = Clock(began - spent_s, asked.budget_s)
        search = Search(rows, families, clock, context, trials=asked.trials)
        if before:
            search.restore(before)
            context.say(f"goes on after {len(before)} candidates, {spent_s:.0f} of {asked.budget_s:g} seconds are gone")
        seats.open(max(1, min(context.threads, len(search.lanes))), rows, int(share))
        stopped = search.run(seats)
        if context.collective.rank:
            return None
        context.progress(0.92, "fits the chosen on all rows")
        done = ending.finish(rows, search, seats, clock, stack=asked.stack)
        context.progress(0.97, "looks into what was learned")
        columns = None if stopped else ending.importance(rows, done, seats, clock)
        looking.join(max(0.5, clock.left_s))
        if looking.is_alive():
            notes.append("There was no time to look at every column for leaks. Give it more time: --budget.")
        notes = [*looked, *notes, *done.notes, *_trouble(search.found)]
        view = None
        if done.answers is not None:
            known = rows.targets[done.judged]
            view = report.Judged(rows, material.problem, done.answers, known, done.judged, mean, scale)
        plots = _plots(view, done, search.found, columns, clock.spent_s)
        plots["report"]["warnings"] = list(notes)
        fitted = _fitted(done, material.problem, rows.features.shape[1], (mean, scale), notes, plots)
        if watched is not None:
            context.report(len(search.found) + 1, valid_loss=_loss(fitted, watched, material.problem, scale))
        return fitted


def _look(features: Features, targets: Targets, material: Material, asked: _Asked, found: list[str]) -> None:
    """Look for leaks beside the search, which works in other processes; what is imported here is needed in the end."""
    problem, limit_s = material.problem, 0.3 * asked.budget_s
    found += advice.advise(features, targets, problem, seed=material.seed, limit_s=limit_s)


def _asked(given: Parameters) -> _Asked:
    """Check the parameters."""
    read = read_parameters(Auto().parameters, given)
    for name, least in (("budget_s", 1.0), ("memory_mb", 0), ("folds", 0), ("trials", 0)):
        at_least(name, read[name], least)
    if read["folds"] > 20:
        raise InvalidInput(f"The parameter folds is {read['folds']}; it can be 1 to 20, or 0 to go by the rows.")
    names = tuple(read["candidates"].replace(",", " ").split())
    for name in names:
        choose("candidates", name, list(FAMILIES))
    memory = read["memory_mb"] * _MIB or int(_SHARE_OF_FREE * free_bytes())
    return _Asked(read["budget_s"], memory, read["folds"], read["stack"], names, read["trials"])


def _rows(features: Features, targets: Targets, material: Material, asked: _Asked) -> tuple[Rows, float, float]:
    """Check what is learned from, and standardize numbers."""
    problem, mean, scale = material.problem, 0.0, 1.0
    if problem.classes is None:
        mean, scale = float(targets.mean()), float(targets.std())
        if not np.isfinite(scale) or scale <= 0.0:
            raise TrainingDataError(
                f"Every value of {problem.target} to learn from is the same. Choose another target, or bring others."
            )
        targets = (targets.astype(np.float64) - mean) / scale
    elif len(np.unique(targets)) < 2:
        raise TrainingDataError(
            f"All rows to learn from have one class of {problem.target}; two are needed. Bring rows of others."
        )
    count = asked.folds or folds.usual(len(targets))
    parts = folds.split(targets, count, classes=problem.classes, seed=material.seed)
    return Rows(features, targets, problem.classes, parts, problem.blocks, material.seed), mean, scale


def _within(rows: Rows, asked: _Asked, context: TrainingContext) -> tuple[Rows, float, list[str]]:
    """Take fewer rows if copies of all of them do not fit into the memory; return what each process may take."""
    seats = max(1, context.threads)
    share = max(asked.memory_bytes / seats - _BASE_BYTES, _LEAST_SHARE_BYTES)
    most = int(share / 4 / max(1, rows.features.shape[1] * 4))
    count = len(rows.features)
    if count <= most:
        return rows, share, []
    kept = np.sort(np.random.default_rng(rows.seed).choice(count, most, replace=False))
    features, targets = rows.features[kept], rows.targets[kept]
    parts = folds.split(targets, len(rows.folds), classes=rows.classes, seed=rows.seed)
    said = (
        f"Only {most:,} of {count:,} rows were learned from: {share / _MIB:,.0f} MB of memory are there for each "
        "process. Give the run more memory, or fewer processors."
    )
    return replace(rows, features=features, targets=targets, folds=parts), share, [said]


def _trouble(found: Sequence[Found]) -> list[str]:
    """Say which families never got through, once each."""
    through = {result.family for result, _ in found if result.fate == DONE}
    said = {}
    for result, _ in found:
        if result.family not in through and result.fate in (SLOW, FAILED):
            title = FAMILIES[result.family].title
            said[result.family] = f"{title} is not among the candidates: {result.why}. More time may help: --budget."
    return list(said.values())


def _plots(
    judged: report.Judged | None, done: ending.Finished, found: Sequence[Found],
    columns: tuple[list[int], npt.NDArray[np.float64]] | None, seconds: float,
) -> dict[str, dict[str, object]]:  # fmt: skip
    """Return what is drawn and said."""
    plots: dict[str, dict[str, object]] = {}
    said: list[report.Said] = []
    if judged is not None:
        classes = judged.problem.classes
        plots["leaderboard"] = report.leaderboard(found, done, judged, classes=classes)
        if columns is not None:
            plots["importance"] = report.importance(columns, judged.problem.blocks, classes=classes)
        plots["certainty"] = report.certainty(judged)
        plots["failures"] = report.failures(judged)
        said = report.sentences(judged, done, plots, tried=len(found), seconds=seconds)
    plots["report"] = {
        "sentences": [one.text for one in said] if said else list(done.notes),
        "told": [asdict(one) for one in said],
    }
    return plots


def _fitted(
    done: ending.Finished, problem: Problem, width: int, unit: tuple[float, float], notes: list[str],
    plots: dict[str, dict[str, object]],
) -> Fitted:  # fmt: skip
    """Put together the graph and what answers like it."""
    mean, scale = unit
    members = done.members
    if any(member.family == "neighbors" for member, _ in members):
        notes.append("Nearest neighbors are part of the model, so its graph holds the rows that it learned from.")

    def scores(asked: Features) -> Scores:
        start = np.zeros((len(asked), problem.classes) if problem.classes else len(asked))
        total = sum((weight * member.answers(asked).astype(np.float64) for member, weight in members), start)
        return np.asarray(total * scale + mean)

    return Fitted(graphs.compose(members, width, mean=mean, scale=scale), scores, tuple(notes), plots)


def _loss(fitted: Fitted, watched: tuple[Features, Targets], problem: Problem, scale: float) -> float:
    """Return the mean loss on rows that nothing was learned or chosen by; squares of standardized numbers."""
    features, targets = watched
    if problem.classes is None:
        return float(np.mean(((fitted.scores(features) - targets) / scale) ** 2))
    return float(row_losses(fitted.scores(features), targets, problem.classes).mean())


RECIPE = Auto()
