"""What one would train on a dataset: recipes that fit its columns and its target, the best first. Pure.

A rule of thumb each, with its reason; ``--recipe auto`` finds out instead.
"""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from lepton.core.columns import ColumnType
from lepton.datasets.profile import ColumnProfile
from lepton.datasets.records import DatasetProfile
from lepton.models.records import Parameter
from lepton.models.requests import LINEAR, LOGISTIC
from lepton.models.signature import Task
from lepton.models.target import MAX_AUTO_CLASSES

_NUMBERS = (ColumnType.NUMBER, ColumnType.INTEGER)
_SERIES = re.compile(r"(.*?)[ _-]?(\d+)")
_IMAGE_SIDE, _SERIES_LENGTH = 7, 8
"""Smallest side of a picture, and shortest series, that is taken for one."""
_FEW_ROWS, _MANY_ROWS = 300, 5000
_LONG_TEXT = 0.5
"""Share of different values among the rows from which a column of text is one that is read, not looked up."""
_FEW_WORDS = 3
"""Texts with fewer words are identifiers and names, however many of them differ."""
_HAN = re.compile("[\u3400-\u9fff]")


@dataclass(frozen=True)
class Proposal:
    """One way to train.

    Attributes:
        recipe: For ``--recipe``.
        reason: Why, in a sentence.
        model: For ``--model``; empty for the recipe's own.
        params: For ``--param``.
        budget: For ``--budget``; empty: none.
        command: What to type.
    """

    recipe: str
    reason: str
    model: str = ""
    params: Mapping[str, Parameter] = field(default_factory=dict)
    budget: str = ""

    command: str = ""

    def typed(self, dataset: str, target: str) -> str:
        """Return what to type."""
        parts = [f"lepton models train NAME --dataset {dataset} --target {shlex.quote(target)} --recipe {self.recipe}"]
        parts += [f"--model {self.model}"] if self.model else []
        parts += [f"--param {key}={value}" for key, value in self.params.items()]
        parts += [f"--budget {self.budget}"] if self.budget else []
        return " ".join(parts)


@dataclass(frozen=True)
class Proposed:
    """What one would train on a dataset, the best first."""

    dataset: str
    target: str
    task: Task
    proposals: tuple[Proposal, ...]


def proposed(profile: DatasetProfile, target: str) -> Proposed:
    """Propose recipes for a dataset and a target, with what to type."""
    columns, rows, ref = profile.columns, profile.version.rows, profile.version.ref
    task = task_of(next(column for column in columns if column.name == target), rows)
    found = propose(columns, target, rows)
    return Proposed(ref, target, task, tuple(replace(one, command=one.typed(ref, target)) for one in found))


def task_of(target: ColumnProfile, rows: int) -> Task:
    """Return what is predicted; the same rule as training's own, on what the profile knows."""
    if target.type not in _NUMBERS:
        return Task.CLASSIFICATION
    distinct = target.distinct or 0
    few = distinct == 2 or (distinct <= MAX_AUTO_CLASSES and 10 * distinct <= rows)
    return Task.CLASSIFICATION if target.type is ColumnType.INTEGER and few else Task.REGRESSION


def propose(columns: Sequence[ColumnProfile], target: str, rows: int) -> tuple[Proposal, ...]:
    """Propose recipes.

    Args:
        columns: All columns of the dataset, the target among them.
        target: Name of the column to predict.
        rows: How many rows there are.
    """
    task = task_of(next(column for column in columns if column.name == target), rows)
    given = [column for column in columns if column.name != target and not column.masked]
    return tuple(_proposals(given, task, rows))


def _proposals(given: Sequence[ColumnProfile], task: Task, rows: int) -> Iterator[Proposal]:
    texts = [column for column in given if _is_read(column, rows)]
    length = _series(given)
    side = math.isqrt(length) if length else 0
    if side >= _IMAGE_SIDE and side * side == length and rows >= _FEW_ROWS:
        yield Proposal("pytorch", f"{length} columns of one name, a square of {side} by {side}: a picture.", "cnn")
    elif length >= _SERIES_LENGTH and rows >= _FEW_ROWS:
        yield Proposal("pytorch", f"{length} columns of one name, numbered: a series in time.", "tcn")
        yield Proposal("pytorch", "The same, read step by step.", "gru")
    if texts and rows >= _MANY_ROWS:
        yield Proposal("transformers", f"Column {texts[0].name!r} is text, and there are {rows:,} rows to read.")
    linear = LINEAR if task is Task.REGRESSION else LOGISTIC
    why = "Its words count, and it says which." if texts else "Fast, and it says what counts for how much."
    yield Proposal(linear, why)
    if rows >= _FEW_ROWS:
        yield Proposal("sklearn", "Boosted trees: what to beat on tables, and no scaling or filling in is needed.")
        yield Proposal("auto", "Tries all of the above and more, and says which is best.", budget="10min")
    if rows >= _MANY_ROWS:
        yield Proposal("pytorch", f"{rows:,} rows are enough for a network, with an embedding of each category.", "mlp")


def _is_read(column: ColumnProfile, rows: int) -> bool:
    if column.type is not ColumnType.TEXT or (column.distinct or 0) <= _LONG_TEXT * max(rows, 1):
        return False
    known = [_count_words(str(top.value)) for top in column.top_values or ()]
    return 2 * sum(count >= _FEW_WORDS for count in known) > len(known)


def _count_words(text: str) -> int:
    """Count what blanks part, for a UUID is no five words; Chinese has no blanks, and two characters to a word."""
    return len(text.split()) + len(_HAN.findall(text)) // 2


def _series(given: Sequence[ColumnProfile]) -> int:
    """Return how many columns there are if all but a few are numbers of one name, counted without a gap; 0 else."""
    counted: dict[str, list[int]] = {}
    for column in given:
        found = _SERIES.fullmatch(column.name)
        if found and column.type in _NUMBERS:
            counted.setdefault(found[1], []).append(int(found[2]))
    longest = max(counted.values(), key=len, default=[])
    is_whole = sorted(longest) == list(range(min(longest, default=0), min(longest, default=0) + len(longest)))
    return len(longest) if is_whole and len(longest) >= 0.9 * len(given) else 0
