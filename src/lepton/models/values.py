"""Checks one column of a request and makes an array of it. Names the row and the column, never the value."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

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
        return _texts(column, values)
    try:
        array = np.array(values, dtype=np.float64)
    except OverflowError:
        number = next(n for n, value in enumerate(values, 1) if not _fits(value))
        raise InvalidInput(f"Row {number}: the number in column {column.name!r} is too large.") from None
    _check_finite(column, values, array)
    return array


def check_texts(column: Input, values: Sequence[str]) -> int:
    """Check the texts of one column and return the characters of the longest.

    Raises:
        InvalidInput: if one is not valid Unicode, or if they are too long to be cut into words together.
    """
    longest = max(map(len, values), default=0)
    if column.values is None and len(values) * longest > TEXT_BUDGET:
        raise InvalidInput(
            f"The texts in column {column.name!r} are too long to be answered together. Send fewer rows in a request."
        )
    try:
        "".join(values).encode()
    except UnicodeEncodeError:
        number = next(n for n, value in enumerate(values, 1) if not _is_unicode(value))
        raise InvalidInput(f"Row {number}: the text in column {column.name!r} is not valid Unicode.") from None
    return longest


def check_numbers(columns: Sequence[Input], matrix: Array) -> None:
    """Check numbers that came as numbers, NaN being a missing value.

    Args:
        columns: k columns of numbers or booleans.
        matrix: float64 [N, k].

    Raises:
        InvalidInput: naming the first row and column with infinity, without a value where there must be one, or with a
            fraction where none is allowed.
    """
    for column, values in zip(columns, matrix.T, strict=True):
        infinite = np.flatnonzero(np.isinf(values))
        if infinite.size:
            _refuse_infinite(column, int(infinite[0]) + 1)
        if not column.nullable and (missing := np.flatnonzero(np.isnan(values))).size:
            raise InvalidInput(
                f"Row {int(missing[0]) + 1}: column {column.name!r} has no value, and this model does not fill it in."
            )
        if column.type is ColumnType.NUMBER:
            continue
        wrong = np.abs(values - np.trunc(values)) > 0
        if column.type is ColumnType.BOOLEAN:
            wrong |= np.abs(values - 0.5) > 0.5
        if wrong.any():
            _refuse_value(column, int(np.flatnonzero(wrong)[0]) + 1)


def _texts(column: Input, values: list[str | None]) -> Array:
    texts = [value or "" for value in values]
    check_texts(column, texts)
    array = np.empty(len(texts), dtype=object)
    array[:] = texts
    return array


def _check_finite(column: Input, values: list[Any], array: Array) -> None:
    finite = np.isfinite(array)
    if not finite.all():
        for index in np.flatnonzero(~finite).tolist():
            if values[index] is not None:
                _refuse_infinite(column, index + 1)
    if column.type is ColumnType.INTEGER:
        fractional = np.flatnonzero(finite & (array != np.trunc(array)))
        if fractional.size:
            _refuse_value(column, int(fractional[0]) + 1)


def _refuse_infinite(column: Input, number: int) -> NoReturn:
    raise InvalidInput(
        f"Row {number}: column {column.name!r} holds NaN or infinity. "
        "Use a finite number, or null where the value is missing."
    )


def _refuse_value(column: Input, number: int) -> NoReturn:
    raise InvalidInput(
        f"Row {number}: column {column.name!r} must be {TYPE_WORDS[column.type]}, or null where the value is missing."
    )


def _fits(value: object) -> bool:
    try:
        return not isinstance(value, int) or math.isfinite(float(value))
    except OverflowError:
        return False


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
