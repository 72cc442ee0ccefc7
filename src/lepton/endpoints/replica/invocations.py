"""The formats that MLflow's scoring server takes at ``/invocations``, so that its clients need not change.

``dataframe_split``, ``dataframe_records``, ``instances``, ``inputs`` and CSV in, ``{"predictions": [...]}`` out.
Source: https://mlflow.org/docs/latest/ml/deployment/deploy-model-locally/, "Accepted JSON inputs".
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson

from lepton.core.columns import ColumnType
from lepton.core.errors import InvalidInput
from lepton.endpoints.replica.inputs import Inputs, Shape
from lepton.endpoints.replica.outputs import Outputs
from lepton.endpoints.replica.records import from_columns, read_json
from lepton.models.prediction import decode_rows
from lepton.models.signature import Input, Signature

_BOOLEANS = {"true": True, "false": False, "1": True, "0": False}
_FORMATS = "dataframe_split, dataframe_records, instances or inputs"


class Invocations:
    """Decodes and encodes MLflow's formats for one model."""

    def __init__(self, shape: Shape) -> None:
        self._shape = shape
        self._signature = shape.signature

    def decode(self, body: bytes, content_type: bytes) -> Inputs:
        """Read a request.

        Args:
            body: As sent.
            content_type: ``text/csv``, or anything else for JSON.

        Raises:
            InvalidInput: saying what is wrong and where, never with a value.
        """
        if content_type.partition(b";")[0].strip().lower() == b"text/csv":
            rows: object = _from_csv(self._signature, body)
        else:
            request = _read_json(body)
            found = [name for name in _READERS if isinstance(request, dict) and name in request]
            if len(found) != 1:
                raise InvalidInput(f"The body must be an object with exactly one of {_FORMATS}.")
            rows = _READERS[found[0]](self._signature, request[found[0]])
        return self._shape.from_arrays(decode_rows(self._signature, rows))

    def encode(self, outputs: Outputs, start: int, stop: int) -> bytes:
        """Write rows `start` to `stop`: the label, or the number, of each."""
        return orjson.dumps({"predictions": outputs.values(self._signature.outputs[0], start, stop)})


def _read_json(body: bytes) -> Any:
    """Parse JSON, with ``NaN`` for a missing value, as MLflow's clients write one."""
    try:
        return read_json(body)
    except InvalidInput:
        if b"NaN" not in body:
            raise
        try:
            return json.loads(body, parse_constant=_constant)
        except (ValueError, RecursionError):
            pass
        raise


def _constant(name: str) -> None:
    if name != "NaN":
        raise ValueError


def _split(_signature: Signature, value: object) -> object:
    if not isinstance(value, dict) or not isinstance(value.get("columns"), list):
        raise InvalidInput("dataframe_split must be an object with the lists 'columns' and 'data'.")
    return _named(value["columns"], value.get("data"))


def _records(_signature: Signature, value: object) -> object:
    return value


def _instances(signature: Signature, value: object) -> object:
    if isinstance(value, list) and value and not isinstance(value[0], dict):
        return _named([column.name for column in signature.inputs], value)
    return value


def _inputs(signature: Signature, value: object) -> object:
    return from_columns(value) if isinstance(value, dict) else _instances(signature, value)


_READERS: Mapping[str, Callable[[Signature, object], object]] = {
    "dataframe_split": _split,
    "dataframe_records": _records,
    "instances": _instances,
    "inputs": _inputs,
}


def _named(names: Sequence[Any], rows: object) -> list[dict[str, Any]]:
    """Give the values of each row their names."""
    if not isinstance(rows, list):
        raise InvalidInput("The rows must be a list with a list of values for each row.")
    names = [str(name) for name in names]
    _check_names(names)
    for number, row in enumerate(rows, 1):
        if not isinstance(row, list) or len(row) != len(names):
            raise InvalidInput(f"Row {number} must be a list of {len(names)} values, one for each column.")
    return [dict(zip(names, row, strict=True)) for row in rows]


def _check_names(names: Sequence[str]) -> None:
    if len(set(names)) < len(names):
        twice = next(name for index, name in enumerate(names) if name in names[:index])
        raise InvalidInput(f"The column {twice[:80]!r} is given twice. Give every column once.")


def _from_csv(signature: Signature, body: bytes) -> list[dict[str, Any]]:
    try:
        lines = [line for line in csv.reader(io.StringIO(body.decode("utf-8-sig")), strict=True) if line]
    except (csv.Error, UnicodeDecodeError):
        raise InvalidInput("The body is not CSV in UTF-8. Separate values by commas, one row a line.") from None
    if not lines:
        raise InvalidInput("The body is empty. Send a line of column names and a line for each row.")
    names, *rows = lines
    _check_names(names)
    for number, row in enumerate(rows, 1):
        if len(row) != len(names):
            raise InvalidInput(f"Row {number} has {len(row)} values and there are {len(names)} column names.")
    types = {column.name: column for column in signature.inputs}
    columns = [_parsed(types.get(name), [row[place] for row in rows]) for place, name in enumerate(names)]
    return [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]


def _parsed(column: Input | None, cells: Sequence[str]) -> Sequence[Any]:
    """Read the cells of a column; empty means missing. A column the model has not is refused later, by its name."""
    if column is None or column.type is ColumnType.TEXT:
        return cells
    if column.type is ColumnType.BOOLEAN:
        return [_BOOLEANS.get(cell.strip().lower(), cell) if cell else None for cell in cells]
    try:
        if any("_" in cell for cell in cells):  # which is a number to Python only
            raise ValueError
        return [float(cell) if cell else None for cell in cells]
    except ValueError:
        number = next(number for number, cell in enumerate(cells, 1) if not _is_number(cell))
        raise InvalidInput(
            f"Row {number}: column {column.name!r} must be a number, or empty where the value is missing."
        ) from None


def _is_number(cell: str) -> bool:
    try:
        return not cell or ("_" not in cell and isinstance(float(cell), float))
    except ValueError:
        return False
