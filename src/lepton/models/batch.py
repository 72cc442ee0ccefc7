"""Predicting a whole dataset: which columns it must have, which are added to it, and how answers become those.

Pure functions on schemas and frames; the rows are read and written in `tasks.py`.
"""

from __future__ import annotations

from collections.abc import Container, Sequence
from typing import TYPE_CHECKING

from lepton.core.columns import ColumnClass, ColumnType
from lepton.core.errors import InvalidInput
from lepton.datasets.schema import Column, Schema, dtype_of, strictest
from lepton.models.signature import LABEL, PREDICTION, PROBABILITIES, Signature, class_name, fits

if TYPE_CHECKING:
    import polars as pl

    from lepton.models.prediction import Arrays
    from lepton.models.values import Array

PROBABILITY = "probability"
_LABEL_CHARACTERS = 60
_NAMES_SHOWN = 20


def check_inputs(signature: Signature, schema: Schema, dataset: str) -> None:
    """Check that a dataset has the columns a model takes, with values of the right kind.

    Args:
        signature: What the model takes.
        schema: The dataset's columns.
        dataset: How to call it.

    Raises:
        InvalidInput: naming every column that is missing or holds another kind of values.
    """
    found = {column.name: column.type for column in schema}
    missing = [repr(column.name) for column in signature.inputs if column.name not in found]
    wrong = [
        f"{column.name!r} ({found[column.name].value}, the model takes {column.type.value})"
        for column in signature.inputs
        if column.name in found and not fits(found[column.name], column.type)
    ]
    problems = []
    if missing:
        problems.append(f"lacks the column{'s' * (len(missing) > 1)} {_listed(missing)}")
    if wrong:
        problems.append(f"holds another kind of values in {_listed(wrong)}")
    if problems:
        raise InvalidInput(
            f"The model cannot predict dataset {dataset!r}: it {' and '.join(problems)}. "
            "Rename columns before the import and change types with datasets.clean, or choose another dataset."
        )


def added_columns(signature: Signature, schema: Schema) -> tuple[Column, ...]:
    """Return the columns that predictions add to a dataset, under names it does not have yet.

    First the predicted value. A classification adds ``probability_<class>`` for each class; where its target is
    personal or secret only the `PROBABILITY` of the predicted class, as every reader sees the names of columns.

    Returns:
        The columns. All are as sensitive as the strictest column that the model has learned from or now reads.
    """
    classes = schema.classes
    target_class = strictest((signature.target_class, classes.get(signature.target, ColumnClass.PLAIN)))
    read = [classes[column.name] for column in signature.inputs]
    column_class = strictest((target_class, *signature.classes_held, *read))
    wanted = [PREDICTION]
    if signature.classes is not None:
        named = target_class is ColumnClass.PLAIN
        wanted += [f"{PROBABILITY}_{_short(class_name(c))}" for c in signature.classes] if named else [PROBABILITY]
    names = list(schema.names)
    for name in wanted:
        names.append(_unique(name, names))
    first = ColumnType.NUMBER if signature.classes is None else signature.target_type
    kinds = [first, *(ColumnType.NUMBER for _ in wanted[1:])]
    return tuple(Column(name, kind, column_class) for name, kind in zip(names[len(schema) :], kinds, strict=True))


def add_answers(frame: pl.DataFrame, added: Sequence[Column], signature: Signature, outputs: Arrays) -> pl.DataFrame:
    """Append a model's answers on the rows of a frame, as the columns of `added_columns`."""
    if signature.classes is None:
        return frame.with_columns(_series(added[0], outputs[PREDICTION]))
    shares = outputs[PROBABILITIES]
    kept = shares if len(added) == 1 + len(signature.classes) else shares.max(axis=1, keepdims=True)
    columns = [outputs[LABEL], *kept.T]
    return frame.with_columns([_series(column, values) for column, values in zip(added, columns, strict=True)])


def _series(column: Column, values: Array) -> pl.Series:
    import polars as pl

    # Text comes as an array of objects; classes that are booleans as 0 and 1.
    made = pl.Series(column.name, values.tolist(), dtype=pl.String) if values.dtype == object else pl.Series(values)
    return made.cast(dtype_of(column.type)).alias(column.name)


def _short(label: str) -> str:
    return " ".join(label.split())[:_LABEL_CHARACTERS]


def _unique(name: str, taken: Container[str]) -> str:
    candidate, number = name, 2
    while candidate in taken:
        candidate, number = f"{name}_{number}", number + 1
    return candidate


def _listed(names: Sequence[str]) -> str:
    text = ", ".join(names[:_NAMES_SHOWN])
    return text if len(names) <= _NAMES_SHOWN else f"{text} and {len(names) - _NAMES_SHOWN} more"
