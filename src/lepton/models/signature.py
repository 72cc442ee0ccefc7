"""What a model takes and what it answers: the columns by name and type, the task, the classes.

Light on purpose: the inference replica reads signatures too. How rows become arrays is in `prediction.py`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property

from lepton.core.columns import ColumnClass, ColumnType

Label = str | int | bool
"""A class of a classification, as it is written in JSON."""

LABEL = "label"
PROBABILITIES = "probabilities"
PREDICTION = "prediction"
OUTPUTS = (LABEL, PROBABILITIES, PREDICTION)
NUMBERS = "numbers"
"""The graph's input that holds all columns of numbers side by side."""
_NUMERIC = frozenset((ColumnType.NUMBER, ColumnType.INTEGER, ColumnType.BOOLEAN))
_RESERVED = frozenset((*OUTPUTS, NUMBERS))


class Task(StrEnum):
    """What is predicted: a class, a number, or text that another server generates; nothing, by files that are kept."""

    CLASSIFICATION = "classification"
    REGRESSION = "regression"
    GENERATION = "generation"
    FILES = "files"


@dataclass(frozen=True)
class Input:
    """One column the model takes.

    Attributes:
        name: Name of the column.
        type: ``number``, ``integer``, ``boolean`` or ``text``.
        column_class: Sensitivity of the column in the dataset the model was trained on.
        nullable: Whether a missing value is allowed; the model then fills it in as it learned to.
        values: Known categories of a text column, most frequent first; None for numbers and free text. Other values
            are allowed and count as unknown.
    """

    name: str
    type: ColumnType
    column_class: ColumnClass = ColumnClass.PLAIN
    nullable: bool = True
    values: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Signature:
    """What a model takes and answers.

    Attributes:
        task: Classification or regression.
        target: Name of the column that is predicted.
        target_type: Type of that column; it decides how labels are written.
        target_class: Sensitivity of that column.
        inputs: Columns taken, in the order of the graph's inputs.
        classes: Classes in the order of the probabilities; None for a regression.
    """

    task: Task
    target: str
    target_type: ColumnType
    inputs: tuple[Input, ...]
    classes: tuple[Label, ...] | None = None
    target_class: ColumnClass = ColumnClass.PLAIN

    @cached_property
    def outputs(self) -> tuple[str, ...]:
        """Names of the graph's outputs."""
        return (LABEL, PROBABILITIES) if self.task is Task.CLASSIFICATION else (PREDICTION,)

    @cached_property
    def numbers(self) -> tuple[Input, ...]:
        """The columns of numbers and booleans, in the order in which they lie side by side."""
        return tuple(column for column in self.inputs if column.type is not ColumnType.TEXT)

    @cached_property
    def texts(self) -> tuple[Input, ...]:
        """The columns of text."""
        return tuple(column for column in self.inputs if column.type is ColumnType.TEXT)

    @cached_property
    def tensors(self) -> Mapping[str, str]:
        """Name of the graph's input by column of text."""
        names = tensor_names(column.name for column in self.inputs)
        return {column.name: names[column.name] for column in self.texts}

    @property
    def classes_held(self) -> frozenset[ColumnClass]:
        """The column classes whose values the model has learned from."""
        return frozenset((self.target_class, *(column.column_class for column in self.inputs)))

    def masked(self, readable: frozenset[ColumnClass]) -> Signature:
        """Return the signature without the values and classes of columns outside `readable`."""
        inputs = tuple(
            column if column.column_class in readable else replace(column, values=None) for column in self.inputs
        )
        return replace(self, inputs=inputs, classes=self.classes if self.target_class in readable else None)

    def to_json(self) -> bytes:
        """Write as JSON; `from_json` reads it back."""
        return json.dumps(
            {
                "task": self.task,
                "target": self.target,
                "target_type": self.target_type,
                "target_class": self.target_class,
                "classes": self.classes,
                "inputs": [
                    {
                        "name": column.name,
                        "type": column.type,
                        "class": column.column_class,
                        "nullable": column.nullable,
                        "values": column.values,
                    }
                    for column in self.inputs
                ],
            },
            ensure_ascii=False,
        ).encode()

    @classmethod
    def from_json(cls, data: bytes) -> Signature:
        """Read what `to_json` wrote."""
        return _read(json.loads(data))


GENERATION = Signature(Task.GENERATION, "text", ColumnType.TEXT, ())
"""Of a model that is another server: what it takes and answers is between it and its clients."""


def _read(value: Mapping[str, object]) -> Signature:
    inputs = value["inputs"]
    classes = value["classes"]
    if not isinstance(inputs, list) or not (classes is None or isinstance(classes, list)):
        raise ValueError("not a signature")
    return Signature(
        task=Task(str(value["task"])),
        target=str(value["target"]),
        target_type=ColumnType(str(value["target_type"])),
        target_class=ColumnClass(str(value["target_class"])),
        classes=None if classes is None else tuple(classes),
        inputs=tuple(
            Input(
                name=column["name"],
                type=ColumnType(column["type"]),
                column_class=ColumnClass(column["class"]),
                nullable=column["nullable"],
                values=None if column["values"] is None else tuple(column["values"]),
            )
            for column in inputs
        ),
    )


def tensor_names(columns: Iterable[str]) -> dict[str, str]:
    """Name tensors after columns: a column's own name, with ``_`` added where the graph has that name already.

    Returns:
        Tensor name by column name, in the order given, without repetition.
    """
    names = list(columns)
    taken = {*_RESERVED, *names}
    result: dict[str, str] = {}
    for name in names:
        tensor = name
        while tensor in _RESERVED or (tensor != name and tensor in taken):
            tensor += "_"
        taken.add(tensor)
        result[name] = tensor
    return result


def fits(found: ColumnType, wanted: ColumnType) -> bool:
    """Whether a column of a dataset holds the kind of values that a model takes or predicts."""
    return found is wanted or _NUMERIC.issuperset((found, wanted))


def class_name(label: Label) -> str:
    """Write a class as the key it has among the probabilities: ``True`` → ``"true"``, ``3`` → ``"3"``."""
    if isinstance(label, bool):
        return "true" if label else "false"
    return str(label)
