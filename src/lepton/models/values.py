"""Checks one column of a request and makes an array of it. Names the row and the column, never the value."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from lepton.core.columns import ColumnType
from lepton.core.errors import InvalidInput
from lepton.models.signature import Input

Array = npt.NDArray[Any]

TEXT_BUDGET = 8 << 20
"""Rows × characters of the longest text that are cut into words together: the words lie in a matrix of that shape."""

_NUMBERS: frozenset[type] = frozenset((int, float, type(None)))
_ALLOWED: Mapping[ColumnType, frozenset[type]] = {
    ColumnType.NUMBER: _NUMBERS,
    ColumnType.INTEGER: _NUMBERS,
    ColumnType.BOOLEAN: frozenset((bool, type(None))),
    ColumnType.TEXT: frozenset((str, type(None))),
}
TYPE_WORDS = {
    ColumnType.NUMBER: "a number",
    ColumnType.INTEGER: "a whole number",
    ColumnType.BOOLEAN: "true or false",
    ColumnType.TEXT: "text",
}


def column_array(column: Input, values: list[Any]) -> Array:
    """Make the array of one column: float64 [N] with NaN for null, or str objects [N] with "" for null.

    Raises:
        InvalidInput: if a value has the wrong type or is not finite.
    """
    allowed = _ALLOWED[column.type]
    if not allowed.issuperset(map(type, values)):
        number = next(n for n, value in enumerate(values, 1) if type(value) not in allowed)
        _refuse_value(column, number)
    if column.type is ColumnType.TEXT:
        return _text(column, values)
    try:
        array = np.array(values, dtype=np.float64)
    except OverflowError:
        number = next(n for n, value in enumerate(values, 1) if not _fits(value))
        raise InvalidInput(f"Row {number}: the number in column {column.name!r} is too large.") from None
    _check_finite(column, values, array)
    return array


def _text(column: Input, values: list[str | None]) -> Array:
    if column.values is None and len(values) * max(len(value or "") for value in values) > TEXT_BUDGET:
        raise InvalidInput(
            f"The texts in column {column.name!r} are too long to be answered together. Send fewer rows in a request."
        )
    for number, value in enumerate(values, 1):
        try:
            (value or "").encode()
        except UnicodeEncodeError:
            raise InvalidInput(f"Row {number}: the text in column {column.name!r} is not valid Unicode.") from None
    array = np.empty(len(values), dtype=object)
    array[:] = [value or "" for value in values]
    return array


def _check_finite(column: Input, values: list[Any], array: Array) -> None:
    finite = np.isfinite(array)
    if not finite.all():
        for index in np.flatnonzero(~finite).tolist():
            if values[index] is not None:
                raise InvalidInput(
                    f"Row {index + 1}: column {column.name!r} holds NaN or infinity. "
                    "Use a finite number, or null where the value is missing."
                )
    if column.type is ColumnType.INTEGER:
        fractional = np.flatnonzero(finite & (array != np.trunc(array)))
        if fractional.size:
            _refuse_value(column, int(fractional[0]) + 1)


def _refuse_value(column: Input, number: int) -> None:
    raise InvalidInput(
        f"Row {number}: column {column.name!r} must be {TYPE_WORDS[column.type]}, or null where the value is missing."
    )


def _fits(value: object) -> bool:
    try:
        return not isinstance(value, int) or math.isfinite(float(value))
    except OverflowError:
        return False
