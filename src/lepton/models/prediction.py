"""From a request's rows or tensors to arrays, through the model's graph, to an answer.

The inference replica runs this file as well, so it imports numpy and, where a graph is opened, onnxruntime; nothing
of the store. Every refusal names the row and the column and never the value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from lepton.core.errors import Internal, InvalidInput
from lepton.models.signature import (
    NUMBERS,
    Signature,
)
from lepton.models.values import Array, column_array

MAX_ROWS = 10_000
"""Most rows one request may hold."""

Arrays = dict[str, Array]
"""By name of the graph's input or output. Inputs: `NUMBERS` float64 [N, k], texts str [N]; NaN and "" for missing."""


class Session(Protocol):
    """The part of ``onnxruntime.InferenceSession`` that is used."""

    def run(
        self, output_names: Sequence[str] | None, input_feed: Mapping[str, Array], run_options: Any = None, /
    ) -> Sequence[Array]:
        """Run the graph."""
        ...


def open_session(graph: bytes) -> Session:
    """Open a graph for one thread on the CPU.

    Raises:
        Internal: if the runtime refuses the graph.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session: Session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    except Exception:  # noqa: BLE001 - the runtime's errors share no class, and may quote values
        raise Internal("The model's graph could not be opened. Train the model again.") from None
    return session


def run_options() -> Any:
    """Return what `run_session` would make anew at every call, for who calls it often."""
    import onnxruntime

    return onnxruntime.RunOptions()


def run_session(session: Session, signature: Signature, arrays: Arrays, options: Any = None) -> Arrays:
    """Run the graph on N rows.

    Args:
        session: The graph.
        signature: What it takes and gives.
        arrays: The rows.
        options: Of `run_options`, to be used by one thread at a time; None makes them.

    Returns:
        Outputs by name: ``label`` [N] and ``probabilities`` float64 [N, K], or ``prediction`` float64 [N].

    Raises:
        Internal: if the runtime fails.
    """
    try:
        outputs = session.run(signature.outputs, arrays, options)
    except Exception:  # noqa: BLE001 - as above
        raise Internal("The model's graph could not be run on these rows.") from None
    return dict(zip(signature.outputs, outputs, strict=True))


def decode_rows(signature: Signature, rows: object) -> Arrays:
    """Turn records into the graph's inputs.

    Args:
        signature: What the model takes.
        rows: The parsed JSON: a list of objects, each with exactly the signature's columns; null means missing.

    Raises:
        InvalidInput: if a row has another shape, a column is missing or unknown, or a value has the wrong type.
    """
    if not isinstance(rows, list) or not rows:
        raise InvalidInput(
            "The rows must be a list of one or more objects, each with the columns "
            f"{_listed([column.name for column in signature.inputs])}."
        )
    _check_count(len(rows))
    expected = {column.name for column in signature.inputs}
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise InvalidInput(f"Row {number} is not an object. Write each row as {{column: value, …}}.")
        if row.keys() != expected:
            _refuse_keys(signature, row, number)
    return pack_columns(
        signature, {c.name: column_array(c, [row[c.name] for row in rows]) for c in signature.inputs}, len(rows)
    )


def pack_columns(signature: Signature, columns: Mapping[str, Array], rows: int) -> Arrays:
    """Lay columns out as the graph's inputs.

    Args:
        signature: What the model takes.
        columns: One array [N] for each of its columns, as `column_array` makes them.
        rows: N.
    """
    arrays: Arrays = {tensor: columns[name] for name, tensor in signature.tensors.items()}
    if signature.numbers:
        matrix = arrays[NUMBERS] = np.empty((rows, len(signature.numbers)))
        for index, column in enumerate(signature.numbers):
            matrix[:, index] = columns[column.name]
    return arrays


def _check_count(rows: int) -> None:
    if rows > MAX_ROWS:
        raise InvalidInput(f"The request has {rows:,} rows and at most {MAX_ROWS:,} are allowed. Send them in parts.")


def _refuse_keys(signature: Signature, row: Mapping[object, object], number: int) -> None:
    names = [column.name for column in signature.inputs]
    unknown = [key for key in row if key not in names]
    missing = [name for name in names if name not in row]
    if unknown:
        raise InvalidInput(
            f"Row {number} has the unknown field {str(unknown[0])[:80]!r}. The model takes {_listed(names)}."
        )
    raise InvalidInput(
        f"Row {number} lacks the field{'' if len(missing) == 1 else 's'} {_listed(missing)}. "
        "Give every column; null means that its value is missing."
    )


def _listed(names: Sequence[str], most: int = 40) -> str:
    text = ", ".join(repr(name) for name in names[:most])
    return text if len(names) <= most else f"{text} and {len(names) - most} more"
