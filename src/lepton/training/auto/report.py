"""What is drawn and said with the model: who did how well, what matters, how sure it is, where it fails.

All of it comes from answers for rows that did not teach whoever answered.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from lepton.training.auto.candidates import FAMILIES
from lepton.training.auto.finish import Finished
from lepton.training.auto.losses import row_losses
from lepton.training.auto.members import Answers
from lepton.training.auto.results import DONE, Found
from lepton.training.auto.work import Rows
from lepton.training.recipes.port import Block, Problem

Data = dict[str, object]
LEVELS = (0.5, 0.8, 0.95)
FEWEST = 20
"""Rows of a slice of which anything is said."""
_SHOWN = 20
_SURE = 3.0
"""Standard errors; many slices are looked at, so one would always be two of them off by chance."""
_BINS = ((0.0, 0.5), (0.5, 0.6), (0.6, 0.7), (0.7, 0.8), (0.8, 0.9), (0.9, 0.95), (0.95, 1.0))


@dataclass(frozen=True)
class Judged:
    """What was answered for rows that taught nobody.

    Attributes:
        rows: What was learned from.
        problem: What it is.
        answers: [n, K] or standardized [n].
        targets: [n], standardized if numbers.
        positions: Which rows [n].
        mean: Of the numbers before they were standardized.
        scale: Their standard deviation.
    """

    rows: Rows
    problem: Problem
    answers: Answers
    targets: npt.NDArray[np.float64] | npt.NDArray[np.int64]
    positions: npt.NDArray[np.int64]
    mean: float
    scale: float

    @property
    def right(self) -> npt.NDArray[np.bool_]:
        """Whether the likeliest class was the true one [n]."""
        return np.asarray(self.answers.argmax(axis=1) == self.targets)

    @property
    def errors(self) -> npt.NDArray[np.float64]:
        """Answer less truth, in the target's unit [n]."""
        return np.asarray((self.answers.astype(np.float64) - self.targets) * self.scale)


def leaderboard(found: Sequence[Found], done: Finished, judged: Judged | None, *, classes: int | None) -> Data:
    """Return the best of each family, best first, with the chosen ensemble on top if there is one."""
    used = {result.key: weight for result, weight in done.chosen}
    best = sorted((result for result, _ in found if result.fate == DONE), key=lambda one: one.loss)
    families: dict[str, int] = {}
    shown = []
    scale = judged.scale if judged else 1.0
    for result in best:
        families[result.family] = families.get(result.family, 0) + 1
        if families[result.family] == 1 or result.key in used:
            losses = np.asarray(result.losses) if classes else np.sqrt(result.losses) * scale
            name = f"{FAMILIES[result.family].title} ({result.key})"
            shown.append((name, float(losses.mean()), float(losses.std()), result.seconds, used.get(result.key, 0.0)))
    if done.stacked and judged is not None:
        means: list[float] = []
        first = 0
        for fold in judged.rows.folds:
            part = slice(first, first + len(fold))
            loss = float(row_losses(judged.answers[part], judged.targets[part], classes).mean())
            means.append(loss if classes else float(np.sqrt(loss)) * scale)
            first += len(fold)
        seconds = sum(result.seconds for result, _ in done.chosen)
        shown.insert(0, ("All that are used together", float(np.mean(means)), float(np.std(means)), seconds, 1.0))
    names, scores, spreads, times, weights = zip(*shown[:_SHOWN], strict=True) if shown else ((),) * 5
    return {
        "metric": "log loss" if classes else "root mean squared error",
        "names": list(names), "scores": list(scores), "spreads": list(spreads), "seconds": list(times),
        "weights": list(weights),
    }  # fmt: skip


def importance(
    found: tuple[list[int], npt.NDArray[np.float64]], blocks: Sequence[Block], *, classes: int | None
) -> Data:
    """Return by how much the loss grows when a column is shuffled, largest first, with the spread over repeats.

    Numbers are in standard deviations of the target, squared: a column without which nothing is known gets 1 to 2.
    """
    columns, gains = found
    means, spreads = gains.mean(axis=1), gains.std(axis=1)
    order = np.argsort(-means)
    return {
        "metric": "log loss" if classes else "squared error",
        "names": [blocks[columns[i]].column for i in order],
        "values": means[order].tolist(),
        "spreads": spreads[order].tolist(),
    }


def certainty(judged: Judged) -> Data:
    """Return how often the answer was right by how sure it was, or how far numbers were off."""
    if judged.problem.classes is None:
        errors = -judged.errors
        lows = [float(np.quantile(errors, (1 - level) / 2)) for level in LEVELS]
        highs = [float(np.quantile(errors, (1 + level) / 2)) for level in LEVELS]
        return {"task": "number", "levels": list(LEVELS), "lows": lows, "highs": highs}
    sure, right = judged.answers.max(axis=1), judged.right
    lines = []
    for low, high in _BINS:
        inside = (sure >= low) & ((sure < high) | (high == 1.0))
        if inside.any():
            lines.append((low, high, int(inside.sum()), float(sure[inside].mean()), float(right[inside].mean())))
    keys = ("lows", "highs", "counts", "said", "right")
    return {"task": "class", **{key: list(values) for key, values in zip(keys, zip(*lines, strict=True), strict=True)}}


def failures(judged: Judged) -> Data:
    """Return the parts of the table where it does clearly worse: by three standard errors and by a fifth at least."""
    wrong = (~judged.right).astype(np.float64) if judged.problem.classes else np.abs(judged.errors)
    features = judged.rows.features[judged.positions]
    lines = []
    for block in judged.problem.blocks:
        for part, place, inside in _slices(block, features):
            count = int(inside.sum())
            if count < FEWEST or len(inside) - count < FEWEST:
                continue
            mine, rest = wrong[inside], wrong[~inside]
            noise = float(np.sqrt(mine.var() / count + rest.var() / (len(inside) - count)))
            if noise > 0 and mine.mean() > 1.2 * rest.mean() and mine.mean() - rest.mean() > _SURE * noise:
                lines.append((*_named(block, part, place), place, count, float(mine.mean()), float(rest.mean())))
    lines.sort(key=lambda line: (line[5] - line[4]) * line[3] ** 0.5)
    columns, parts, places, counts, scores, others = zip(*lines[:_SHOWN], strict=True) if lines else ((),) * 6
    return {
        "metric": "share of wrong answers" if judged.problem.classes else "mean error", "overall": float(wrong.mean()),
        "columns": list(columns), "parts": list(parts), "places": list(places), "counts": list(counts),
        "scores": list(scores), "others": list(others),
    }  # fmt: skip


def _slices(block: Block, features: npt.NDArray[np.float32]) -> list[tuple[str, int, npt.NDArray[np.bool_]]]:
    """Return parts of the rows: the lowest and highest tenth of a number, or each category (by its place)."""
    values = features[:, block.first : block.first + block.width]
    if block.kind == "number":
        one = values[:, 0]
        if len(np.unique(one[:1000])) <= 10:
            return [("value", int(i), one == value) for i, value in enumerate(np.unique(one)[:10])]
        low, high = np.quantile(one, 0.1), np.quantile(one, 0.9)
        return [("low", -1, one <= low), ("high", -1, one >= high)]
    if block.kind == "category":
        return [("category", i, values[:, i] > 0.5) for i in range(min(block.width, 200))]
    return []


def _named(block: Block, part: str, place: int) -> tuple[str, str]:
    """Return a category by its name, where that is known: ``city = Graz``."""
    if part != "category" or place >= len(block.values):
        return block.column, part
    return (f"{block.column} = {block.values[place]}" if block.values[place] else f"{block.column} missing"), "named"


def part_name(column: str, part: str, place: int) -> str:
    """Return how people call a part of the rows."""
    match part:
        case "low":
            return f"the lowest tenth of {column}"
        case "high":
            return f"the highest tenth of {column}"
        case "named":
            return f"rows with {column}"
        case _:
            return f"{part} {place + 1} of {column}"


SENTENCES = {
    "good_class": "{tried} candidates were tried in {seconds} seconds. On rows that it had not learned from, {right} "
    "of the answers were right; always saying the most frequent class would be right {guess} of the time.",
    "good_number": "{tried} candidates were tried in {seconds} seconds. On rows that it had not learned from, half of "
    "the predictions of {target} were within {usual}; the model explains {known} of what varies.",
    "one": "The model is one candidate: {listed}. No mix of candidates was better by more than chance.",
    "mix": "The model is the weighted mean of {count} candidates ({listed}), which was better than any one.",
    "no_column": "No single column matters clearly: shuffling any one of them changes little.",
    "columns": "What matters most is {listed}.",
    "columns_and_rest": "What matters most is {listed}. {rest} other columns make no clear difference.",
    "sure_number": "For 8 of 10 rows the truth is between {low} and {high} of the prediction.",
    "rarely_sure": "It is rarely sure: fewer than 20 rows got an answer with a probability of 90% or more.",
    "sure_class": "It is sure (90% or more) about {share} of the rows, and is right for {right} of these.",
    "nowhere": "No part of the table was found where it does clearly worse than elsewhere.",
    "fails": "It fails more often in {where}: {score} wrong there ({count} rows), {other} elsewhere.",
    "off": "It is further off in {where}: by {score} there ({count} rows), by {other} elsewhere.",
}
"""What a report can say, by the name under which the page has it in other languages."""


@dataclass(frozen=True)
class Said:
    """A sentence of the report.

    Attributes:
        key: Of `SENTENCES`.
        values: What stands in it: numbers as they are to be shown, ``names``, or the ``column``, ``part`` and ``place``
            of a part of the rows, for which each language has its own words.
    """

    key: str
    values: Mapping[str, str | int | Sequence[str]]

    @property
    def text(self) -> str:
        """The sentence in English."""
        values: dict[str, Any] = {"names": (), **self.values}
        listed = ", then ".join(values["names"]) if self.key.startswith("columns") else _and(values["names"])
        where = part_name(values["column"], values["part"], values["place"]) if "part" in values else ""
        return SENTENCES[self.key].format(**values, listed=listed, where=where)


def sentences(
    judged: Judged, done: Finished, plots: Mapping[str, Mapping[str, object]], *, tried: int, seconds: float
) -> list[Said]:
    """Say in words what was found."""
    said = [_how_good(judged, tried, seconds), _who(done)]
    drawn = plots.get("importance")
    if drawn is not None:
        said.append(_what_matters(drawn))
    said.append(_how_sure(judged, plots["certainty"]))
    return said + _where(judged, plots["failures"])


def _how_good(judged: Judged, tried: int, seconds: float) -> Said:
    began = {"tried": str(tried), "seconds": f"{seconds:.0f}"}
    if judged.problem.classes is None:
        spread = float(np.mean(judged.errors**2)) / max(judged.scale**2, 1e-300)
        usual = float(np.median(np.abs(judged.errors)))
        told = {"target": judged.problem.target, "usual": f"{usual:.3g}", "known": f"{max(0.0, 1.0 - spread):.0%}"}
        return Said("good_number", {**began, **told})
    counts = np.bincount(judged.targets.astype(np.int64), minlength=judged.problem.classes)
    guess = float(counts.max() / counts.sum())
    return Said("good_class", {**began, "right": f"{float(judged.right.mean()):.1%}", "guess": f"{guess:.1%}"})


def _who(done: Finished) -> Said:
    names = list(dict.fromkeys(FAMILIES[result.family].title for result, _ in done.chosen))
    if not done.stacked:
        return Said("one", {"names": names[:1]})
    return Said("mix", {"count": str(len(done.chosen)), "names": names})


def _what_matters(drawn: Mapping[str, Any]) -> Said:
    names, values, spreads = (list(drawn[key]) for key in ("names", "values", "spreads"))
    clear = [name for name, value, spread in zip(names, values, spreads, strict=True) if value > 2 * spread > 0]
    if not clear:
        return Said("no_column", {})
    rest = len(names) - len(clear)
    if rest:
        return Said("columns_and_rest", {"names": clear[:3], "rest": str(rest)})
    return Said("columns", {"names": clear[:3]})


def _how_sure(judged: Judged, drawn: Mapping[str, Any]) -> Said:
    if judged.problem.classes is None:
        return Said("sure_number", {"low": f"{drawn['lows'][1]:+.3g}", "high": f"{drawn['highs'][1]:+.3g}"})
    sure = judged.answers.max(axis=1) >= 0.9
    if int(sure.sum()) < FEWEST:
        return Said("rarely_sure", {})
    right = float(judged.right[sure].mean())
    return Said("sure_class", {"share": f"{float(sure.mean()):.0%}", "right": f"{right:.1%}"})


def _where(judged: Judged, drawn: Mapping[str, Any]) -> list[Said]:
    keys = ("columns", "parts", "places", "counts", "scores", "others")
    lines = list(zip(*(drawn[key] for key in keys), strict=True))
    if not lines:
        return [Said("nowhere", {})]
    key, shape = ("fails", ".0%") if judged.problem.classes else ("off", ".3g")
    return [
        Said(
            key,
            {
                "column": column, "part": part, "place": place, "count": str(count),
                "score": format(score, shape), "other": format(other, shape),
            },
        )
        for column, part, place, count, score, other in lines[:3]
    ]  # fmt: skip


def _and(names: Sequence[str]) -> str:
    return ", ".join(names[:-1]) + f" and {names[-1]}" if len(names) > 1 else "".join(names)
