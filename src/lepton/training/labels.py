"""Labels of any plain type (text, whole numbers, booleans) as numbers 0, 1, 2, …, the same on every worker."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from lepton.training.problems import TrainingDataError

Kind = Literal["text", "number", "boolean"]
Label = str | int | float | bool
MAX_CLASSES = 10_000


@dataclass
class LabelIndex:
    """Numbers the labels of one worker's rows in the order in which they appear."""

    kind: Kind | None = None
    dtype: str = "O"
    values: list[Label] = field(default_factory=list)
    _codes: dict[Label, int] = field(default_factory=dict)

    def add(self, labels: NDArray[Any]) -> NDArray[np.int32]:
        """Return the numbers of a batch of labels [n], giving new ones to labels not seen before."""
        kind, plain = _plain(labels)
        if self.kind not in (None, kind):
            raise TrainingDataError(f"The target mixes {self.kind} and {kind} labels; cast the column to one type.")
        first = self.kind is None
        self.kind = kind
        self.dtype = _common_dtype(None if first else self.dtype, plain.dtype.str)
        if kind == "text":
            codes = np.fromiter(map(self._code, plain.tolist()), dtype=np.int32, count=len(plain))
        else:
            distinct, inverse = np.unique(plain, return_inverse=True)
            known = np.array([self._code(value) for value in distinct.tolist()], dtype=np.int32)
            codes = known[inverse]
        if len(self.values) > MAX_CLASSES:
            raise TrainingDataError(
                f"The target has more than {MAX_CLASSES} different labels, so it is an id or a measurement; "
                "choose another target or LinearRegression."
            )
        return codes

    def _code(self, value: Label) -> int:
        code = self._codes.get(value)
        if code is None:
            code = self._codes[value] = len(self.values)
            self.values.append(value)
        return code


def encode(labels: NDArray[Any], classes: NDArray[Any]) -> NDArray[np.int64]:
    """Return the position of each label [n] in the classes [k]; -1 for a label that is none of them."""
    positions = {value: position for position, value in enumerate(classes.tolist())}
    return np.array([positions.get(value, -1) for value in np.asarray(labels).tolist()], dtype=np.int64)


def merge(indexes: list[tuple[Kind | None, str, list[Label]]]) -> tuple[list[Label], str]:
    """Return the sorted labels of all workers and the NumPy dtype to hold them."""
    seen = [index for index in indexes if index[0] is not None]
    kinds = sorted({str(kind) for kind, _, _ in seen})
    if len(kinds) > 1:
        raise TrainingDataError(f"The target mixes {' and '.join(kinds)} labels; cast the column to one type.")
    dtype: str | None = None
    for _, other, _ in seen:
        dtype = _common_dtype(dtype, other)
    return sorted({value for _, _, values in seen for value in values}), dtype or "O"


def _plain(labels: NDArray[Any]) -> tuple[Kind, NDArray[Any]]:
    """Return what the labels are and an array of that type; raise for missing, mixed and continuous ones."""
    if labels.dtype.kind == "b":
        return "boolean", labels
    if labels.dtype.kind in "iu":
        return "number", labels
    if labels.dtype.kind == "f":
        if not np.isfinite(labels).all():
            raise _missing()
        if (labels != np.floor(labels)).any():
            raise TrainingDataError(
                "Unknown label type: the target holds numbers with decimals, which are no classes; "
                "use LinearRegression to predict a number, or cast the column to text."
            )
        return "number", labels
    if labels.dtype.kind == "U":
        return "text", labels
    return _plain_objects(labels)


def _plain_objects(labels: NDArray[Any]) -> tuple[Kind, NDArray[Any]]:
    """Do the same for an array of Python objects, by the types that occur in it."""
    types = set(map(type, labels.tolist()))
    if type(None) in types or any(t.__name__ in ("NAType", "NaTType") for t in types):
        raise _missing()
    if all(issubclass(t, str) for t in types):
        return "text", labels
    if all(issubclass(t, bool | np.bool_) for t in types):
        return "boolean", labels.astype(bool)
    if all(issubclass(t, int | float | np.number) and not issubclass(t, bool) for t in types):
        return _plain(np.array(labels.tolist()))
    if float in types and any(value != value for value in labels.tolist()):  # noqa: PLR0124
        raise _missing()
    raise TrainingDataError("The target mixes labels of different types; cast the column to one type.")


def _common_dtype(one: str | None, other: str) -> str:
    if one is None:
        return other
    return np.result_type(np.dtype(one), np.dtype(other)).str


def _missing() -> TrainingDataError:
    return TrainingDataError("The target has missing values; drop or fill those rows first.")
