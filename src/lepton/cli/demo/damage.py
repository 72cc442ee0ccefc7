"""The built-in table of the demo: scikit-learn's breast cancer data, damaged on purpose, the same way every time."""

from __future__ import annotations

import csv
import io
import random
from dataclasses import dataclass

TARGET = "diagnosis"
_SEED = 20
_SPELLINGS = {
    "malignant": ("malignant", "Malignant", "MALIGNANT", " malignant "),
    "benign": ("benign", "Benign", "BENIGN", "benign  "),
}
_GAPPY = ("mean_radius", "mean_texture", "mean_concavity", "worst_area", "worst_symmetry")
_IMPOSSIBLE = (("mean_area", "-999"), ("worst_radius", "88888"), ("mean_smoothness", "-1"))


@dataclass(frozen=True)
class Damage:
    """A damaged table and what was done to it."""

    text: str
    rows: int
    columns: int
    blanked: int
    doubled: int
    impossible: int
    respelled: int
    spellings: int


def damaged_cancer() -> Damage:
    """Return the table as CSV text: blanks, doubled rows, impossible values and labels spelled in many ways."""
    draw = random.Random(_SEED)  # noqa: S311 - the same damage for everybody, nothing to guess
    header, rows = _cancer()
    blanked = _blank(draw, header, rows)
    impossible = _spoil(draw, header, rows)
    respelled = _respell(draw, header, rows)
    doubled = _double(draw, rows)
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    return Damage(
        text=text.getvalue(),
        rows=len(rows),
        columns=len(header),
        blanked=blanked,
        doubled=doubled,
        impossible=impossible,
        respelled=respelled,
        spellings=len({row[-1] for row in rows}),
    )


def _cancer() -> tuple[list[str], list[list[str]]]:
    from sklearn.datasets import load_breast_cancer

    bunch = load_breast_cancer()
    header = [str(name).replace(" ", "_") for name in bunch.feature_names] + [TARGET]
    labels = [str(name) for name in bunch.target_names]
    rows = [
        [*(f"{value:.6g}" for value in values), labels[label]]
        for values, label in zip(bunch.data.tolist(), bunch.target.tolist(), strict=True)
    ]
    return header, rows


def _blank(draw: random.Random, header: list[str], rows: list[list[str]]) -> int:
    share = 0.04
    count = 0
    for name in _GAPPY:
        column = header.index(name)
        for row in draw.sample(rows, int(share * len(rows))):
            row[column] = ""
            count += 1
    return count


def _spoil(draw: random.Random, header: list[str], rows: list[list[str]]) -> int:
    count = 0
    for name, value in _IMPOSSIBLE:
        column = header.index(name)
        for row in draw.sample(rows, 6):
            row[column] = value
            count += 1
    return count


def _respell(draw: random.Random, header: list[str], rows: list[list[str]]) -> int:
    column = header.index(TARGET)
    count = 0
    for row in draw.sample(rows, len(rows) // 3):
        spelled = draw.choice(_SPELLINGS[row[column]])
        count += spelled != row[column]
        row[column] = spelled
    return count


def _double(draw: random.Random, rows: list[list[str]]) -> int:
    copies = [list(row) for row in draw.sample(rows, 24)]
    for copy in copies:
        rows.insert(draw.randrange(len(rows)), copy)
    return len(copies)
