"""What is kept of a version besides its table, as JSON: a document per kind and column class, each to be sealed.

What tells of a column's values is in the document of that column's class only, so who cannot open it learns nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import orjson

from lepton.core.columns import ColumnClass
from lepton.datasets.profile import ColumnProfile
from lepton.datasets.reading import Detected, Rejected
from lepton.datasets.recipe import parse_recipe
from lepton.datasets.report import StepReport
from lepton.datasets.schema import Column, Schema, strictest
from lepton.datasets.steps import Recipe

SCHEMA, PROFILE, REPORT = "schema", "profile", "report"

Key = tuple[str, ColumnClass]
Opened = Mapping[Key, bytes]
"""The documents a reader can open, by kind and class."""


@dataclass(frozen=True)
class Description:
    """Everything that is kept of a version besides its table.

    Attributes:
        schema: Its columns.
        table: The manifest of its table.
        profiles: Statistics of each column.
        duplicate_rows: Rows that repeat an earlier one.
        recipe: The recipe that made it, None if none did.
        steps: What each step changed.
        rejected: Rows of the file that were not taken.
        rejected_total: How many there are.
        detected: How the file was read, None if it was made of another version.
        source_classes: Class of each column before the steps, which may have dropped some.
    """

    schema: Schema
    table: bytes
    profiles: tuple[ColumnProfile, ...]
    duplicate_rows: int
    recipe: Recipe | None = None
    steps: tuple[StepReport, ...] = ()
    rejected: tuple[Rejected, ...] = ()
    rejected_total: int = 0
    detected: Detected | None = None
    source_classes: Mapping[str, ColumnClass] = field(default_factory=dict)

    @property
    def classes(self) -> Mapping[str, ColumnClass]:
        """Class of every column, those that were dropped included."""
        return {**self.source_classes, **self.schema.classes}

    def class_of_step(self, index: int) -> ColumnClass:
        """Return the strictest class of the columns a step was done on."""
        return strictest(self.classes[name] for name in self.steps[index].columns)


def write_documents(description: Description) -> dict[Key, bytes]:
    """Write a description as documents."""
    plain = ColumnClass.PLAIN
    classes = description.schema.classes
    data: dict[Key, Any] = {
        (SCHEMA, plain): {"columns": description.schema.to_json(), "table": description.table.decode()}
    }
    for group in {plain, *classes.values(), *_classes_of_steps(description)}:
        own = [profile.to_json() for profile in description.profiles if profile.column_class is group]
        data[PROFILE, group] = {"columns": own}
        data[REPORT, group] = _own_report(description, group)
    data[PROFILE, plain]["duplicate_rows"] = description.duplicate_rows
    data[REPORT, plain] |= {
        "recipe": None if description.recipe is None else _open_part(description).to_json(),
        "outline": [[s.step, s.rows_before, s.rows_after, s.columns] for s in description.steps],
        "rejected": _by_reason(description.rejected),
        "rejected_total": description.rejected_total,
        "detected": None if description.detected is None else asdict(description.detected),
    }
    return {key: orjson.dumps(value) for key, value in data.items()}


def _own_report(description: Description, group: ColumnClass) -> dict[str, Any]:
    """Return what only readers of a class may know: counts and values of its columns, and values in the recipe."""
    classes = description.classes

    def own(values: Mapping[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in values.items() if classes[name] is group}

    hidden = {}
    if description.recipe is not None and group is not ColumnClass.PLAIN:
        hidden = {
            str(index): step.to_json()
            for index, step in enumerate(description.recipe.steps)
            if description.class_of_step(index) is group
        }
    return {
        "changed": [own(step.changed) for step in description.steps],
        "fitted": [own(step.fitted) for step in description.steps],
        "hidden": hidden,
    }


def _open_part(description: Description) -> Recipe:
    """Return the recipe without the values in steps on protected columns."""
    steps = description.recipe.steps if description.recipe is not None else ()
    is_open = [description.class_of_step(index) is ColumnClass.PLAIN for index in range(len(steps))]
    return Recipe(tuple(s if plain else s.redacted() for s, plain in zip(steps, is_open, strict=True)))


def _classes_of_steps(description: Description) -> set[ColumnClass]:
    return {description.class_of_step(index) for index in range(len(description.steps))}


def _by_reason(rejected: Sequence[Rejected]) -> dict[str, list[int]]:
    by_reason: dict[str, list[int]] = {}
    for row in rejected:
        by_reason.setdefault(row.reason, []).append(row.line)
    return by_reason


def read_schema(opened: Opened, readable: Iterable[ColumnClass]) -> tuple[Schema, bytes]:
    """Read the schema, as one may see it, and the manifest of the table."""
    data = orjson.loads(opened[SCHEMA, ColumnClass.PLAIN])
    return Schema.from_json(data["columns"]).mask(readable), data["table"].encode()


def read_profiles(opened: Opened, schema: Schema) -> tuple[tuple[ColumnProfile, ...], int]:
    """Read the profiles, in the order of the schema and masked where it is, and the number of duplicate rows."""
    found = {
        profile["name"]: ColumnProfile.from_json(profile)
        for (kind, _), text in opened.items()
        if kind == PROFILE
        for profile in orjson.loads(text)["columns"]
    }
    profiles = tuple(
        ColumnProfile(c.name, c.type, c.column_class, masked=True) if c.masked else found[c.name] for c in schema
    )
    return profiles, orjson.loads(opened[PROFILE, ColumnClass.PLAIN])["duplicate_rows"]


def with_counts(schema: Schema, profiles: Sequence[ColumnProfile]) -> tuple[Column, ...]:
    """Return the columns with their counts of missing and of different values."""
    return tuple(replace(c, nulls=p.nulls, distinct=p.distinct) for c, p in zip(schema, profiles, strict=True))


@dataclass(frozen=True)
class ReadReport:
    """A report as one may see it."""

    recipe: Recipe | None
    steps: tuple[StepReport, ...]
    rejected: tuple[Rejected, ...]
    rejected_total: int
    detected: Detected | None


def read_report(opened: Opened) -> ReadReport:
    """Read the report; what the documents that are not opened hold is left out."""
    parts = [orjson.loads(text) for (kind, _), text in opened.items() if kind == REPORT]
    plain = orjson.loads(opened[REPORT, ColumnClass.PLAIN])
    recipe = plain["recipe"]
    for part in parts:
        for index, step in part["hidden"].items():
            recipe["steps"][int(index)] = step
    steps = tuple(
        StepReport(
            step=name,
            rows_before=before,
            rows_after=after,
            columns=tuple(columns),
            changed={key: value for part in parts for key, value in part["changed"][index].items()},
            fitted={key: value for part in parts for key, value in part["fitted"][index].items()},
        )
        for index, (name, before, after, columns) in enumerate(plain["outline"])
    )
    rejected = (Rejected(line, reason) for reason, lines in plain["rejected"].items() for line in lines)
    return ReadReport(
        recipe=None if recipe is None else parse_recipe(recipe, is_redacted=True),
        steps=steps,
        rejected=tuple(sorted(rejected, key=lambda row: row.line)),
        rejected_total=plain["rejected_total"],
        detected=None if plain["detected"] is None else Detected(**plain["detected"]),
    )
