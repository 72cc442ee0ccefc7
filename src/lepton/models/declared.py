"""Reads the signature that somebody has written down for code of their own. Pure; names what is wrong, once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from lepton.core.columns import ColumnClass, ColumnType
from lepton.core.errors import InvalidInput
from lepton.models.signature import Input, Label, Signature, Task

MAX_COLUMNS = 2000
MAX_CLASSES = 1000
_INPUT_TYPES = (ColumnType.NUMBER, ColumnType.INTEGER, ColumnType.BOOLEAN, ColumnType.TEXT)
_CLASSES_OF: Mapping[ColumnType, type] = {
    ColumnType.TEXT: str,
    ColumnType.BOOLEAN: bool,
    ColumnType.INTEGER: int,
    ColumnType.NUMBER: int,
}


def read_signature(text: bytes) -> Signature:
    """Read a signature.

    Args:
        text: A JSON object: ``task``, ``target``, ``target_type`` (may be absent), ``inputs`` (a list of ``name``,
            ``type`` and, if wanted, ``nullable`` and ``values``), and ``classes`` for a classification, in the order of
            the probabilities.

    Raises:
        InvalidInput: if it is not that.
    """
    try:
        value = json.loads(text)
    except ValueError:
        raise InvalidInput("The signature is not JSON. See: docs/models.md") from None
    if not isinstance(value, dict):
        raise InvalidInput("The signature must be a JSON object with task, target, inputs and classes.")
    task = _one_of("task", value.get("task"), [Task.CLASSIFICATION, Task.REGRESSION])
    classes = _classes(value.get("classes")) if task is Task.CLASSIFICATION else None
    if classes is None and value.get("classes") is not None:
        raise InvalidInput("The signature of a regression has no classes. Leave them out, or make it a classification.")
    return Signature(
        task=task,
        target=_name("target", value.get("target")),
        target_type=_target_type(value.get("target_type"), classes),
        inputs=_inputs(value.get("inputs")),
        classes=classes,
    )


def _inputs(value: object) -> tuple[Input, ...]:
    if not isinstance(value, list) or not 0 < len(value) <= MAX_COLUMNS:
        raise InvalidInput(f"The signature's inputs must be a list of 1 to {MAX_COLUMNS:,} columns.")
    inputs = []
    for number, column in enumerate(value, 1):
        if not isinstance(column, dict) or column.keys() - {"name", "type", "nullable", "values"}:
            raise InvalidInput(f"Input {number} of the signature takes name, type, nullable and values, nothing else.")
        inputs.append(_input(number, column))
    if len({column.name for column in inputs}) != len(inputs):
        raise InvalidInput("The signature names an input twice. Give every input once.")
    return tuple(inputs)


def _input(number: int, column: Mapping[str, Any]) -> Input:
    kind = _one_of(f"type of input {number}", column.get("type"), [*_INPUT_TYPES])
    values, nullable = column.get("values"), column.get("nullable", True)
    if values is not None and (kind is not ColumnType.TEXT or not _are_texts(values)):
        raise InvalidInput(f"The values of input {number} must be a list of texts, and the input a text.")
    if not isinstance(nullable, bool):
        raise InvalidInput(f"Input {number}: nullable must be true or false.")
    return Input(
        name=_name(f"name of input {number}", column.get("name")),
        type=kind,
        column_class=ColumnClass.PLAIN,
        nullable=nullable,
        values=None if values is None else tuple(values),
    )


def _classes(value: object) -> tuple[Label, ...]:
    if not isinstance(value, list) or not 2 <= len(value) <= MAX_CLASSES:
        raise InvalidInput(f"The signature of a classification names its 2 to {MAX_CLASSES:,} classes, in a list.")
    kinds = {type(label) for label in value}
    if len(kinds) != 1 or not kinds <= {str, bool, int} or len(set(value)) != len(value):
        raise InvalidInput("The classes must differ, and be all texts, all whole numbers, or true and false.")
    return tuple(value)


def _target_type(value: object, classes: tuple[Label, ...] | None) -> ColumnType:
    if classes is None:
        return ColumnType.NUMBER
    of_classes = {str: ColumnType.TEXT, bool: ColumnType.BOOLEAN, int: ColumnType.INTEGER}[type(classes[0])]
    found = of_classes if value is None else _one_of("target_type", value, [*_CLASSES_OF])
    if _CLASSES_OF[found] is not type(classes[0]):
        raise InvalidInput("The classes are not of the signature's target_type. Leave it out, and they decide.")
    return found


def _one_of(what: str, value: object, allowed: list[Any]) -> Any:
    if value not in [str(item) for item in allowed]:
        raise InvalidInput(f"The {what} of the signature must be one of {', '.join(allowed)}.")
    return next(item for item in allowed if str(item) == value)


def _name(what: str, value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= 200 or not value.isprintable():
        raise InvalidInput(f"The {what} of the signature must be a text of 1 to 200 printable characters.")
    return value


def _are_texts(value: object) -> bool:
    return isinstance(value, list) and len(value) <= MAX_CLASSES and all(isinstance(item, str) for item in value)
