"""From rows of a table to the graph's inputs: the training-time twin of `prediction.py`, for polars frames."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from lepton.core.columns import ColumnType
from lepton.core.errors import InvalidInput
from lepton.datasets.schema import Schema, suggestion
from lepton.models.features import Column, number_expression, text_expression
from lepton.models.prediction import Arrays, Session, run_session
from lepton.models.signature import NUMBERS, Input, Signature, fits, tensor_names
from lepton.models.words import text_parts

if TYPE_CHECKING:
    import polars as pl


def frame_arrays(frame: pl.DataFrame, inputs: Sequence[Input]) -> Arrays:
    """Turn the columns of a frame into the graph's inputs."""
    names = tensor_names(column.name for column in inputs)
    numbers = [Column(column.name, column.type) for column in inputs if column.type is not ColumnType.TEXT]
    arrays: Arrays = {names[i.name]: _texts(frame, i) for i in inputs if i.type is ColumnType.TEXT}
    if numbers:
        matrix = frame.select(number_expression(column).alias(str(i)) for i, column in enumerate(numbers))
        arrays[NUMBERS] = np.ascontiguousarray(matrix.to_numpy(), dtype=np.float64)
    return arrays


def transform(session: Session, frame: pl.DataFrame, inputs: Sequence[Input]) -> npt.NDArray[np.float64]:
    """Run the features graph on the rows of a frame: float64 [N, d]."""
    parts = [session.run(None, arrays)[0] for arrays in _parts(frame, inputs)]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def predict_frame(session: Session, signature: Signature, frame: pl.DataFrame) -> Arrays:
    """Run the whole graph on the rows of a frame; outputs by name, as `prediction.run_session`."""
    parts = [run_session(session, signature, arrays) for arrays in _parts(frame, signature.inputs)]
    return parts[0] if len(parts) == 1 else {k: np.concatenate([part[k] for part in parts]) for k in parts[0]}


def check_columns(signature: Signature, schema: Schema) -> None:
    """Check that a dataset has the columns a model needs, the target included, with values of the right kind.

    Raises:
        InvalidInput: if a column is missing or holds another kind of values.
    """
    wanted = [*((column.name, column.type) for column in signature.inputs), (signature.target, signature.target_type)]
    for name, kind in wanted:
        if name not in schema:
            raise InvalidInput(
                f"The dataset has no column {name[:80]!r}, which the model needs. {suggestion(name, schema.names)}"
            )
        found = schema.column(name).type
        if not fits(found, kind):
            raise InvalidInput(
                f"Column {name!r} holds {found.value} values and the model was trained on {kind.value}. "
                f"Cast it to {kind.value} with datasets.clean."
            )


def _parts(frame: pl.DataFrame, inputs: Sequence[Input]) -> Iterator[Arrays]:
    """The graph's inputs for a frame, in parts small enough for its longest texts."""
    arrays = frame_arrays(frame, inputs)
    names = tensor_names(column.name for column in inputs)
    texts = [arrays[names[i.name]] for i in inputs if i.type is ColumnType.TEXT and i.values is None]
    if not texts or not len(frame):
        yield arrays
        return
    lengths = [max(map(len, row)) for row in zip(*texts, strict=True)]
    for first, end in text_parts(lengths):
        yield {name: array[first:end] for name, array in arrays.items()}


def _texts(frame: pl.DataFrame, column: Input) -> npt.NDArray[np.generic]:
    array = np.empty(len(frame), dtype=object)
    array[:] = frame.select(text_expression(Column(column.name, column.type))).to_series().to_list()
    return array
