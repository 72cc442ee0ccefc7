"""What any model has to answer, whatever it is written in: a row for each it was asked, right shapes, numbers."""

from __future__ import annotations

from math import isfinite

import numpy as np

from lepton.core.errors import Internal
from lepton.models.prediction import Arrays
from lepton.models.signature import LABEL, PREDICTION, PROBABILITIES, Signature
from lepton.models.values import Array

_TOLERANCE = 1e-3
"""How far shares may add up to something else than 1; models in single precision do."""

_FEW = 128
"""Up to so many numbers are looked at faster one by one than as an array."""
_FLOAT64 = np.dtype(np.float64)

_NUMBERS = "one number for each row"
_SHARES = "a probability of each class for each row, which add up to 1"


def check_answer(signature: Signature, rows: int, outputs: Arrays) -> Arrays:
    """Return the outputs if they are what a signature promises for so many rows.

    Raises:
        Internal: if not; the sentence quotes no value.
    """
    classes = signature.classes
    if classes is None:
        array = _check(outputs.get(PREDICTION), (rows,), _NUMBERS)
        if not (all(map(isfinite, array.tolist())) if rows <= _FEW else np.isfinite(array).all()):
            raise _wrong(_NUMBERS)
        return outputs
    shares = _check(outputs.get(PROBABILITIES), (rows, len(classes)), _SHARES)
    if not _are_shares(shares, rows):
        raise _wrong(_SHARES)
    label = outputs.get(LABEL)
    if label is None or label.shape != (rows,):
        raise _wrong("one class for each row")
    return outputs


def from_array(signature: Signature, rows: int, array: Array) -> Arrays:
    """Make outputs of a plain array: [N] numbers for a regression, [N, K] probabilities for a classification.

    Raises:
        Internal: if it is not that, or the probabilities of a row do not add up to 1.
    """
    if signature.classes is None:
        return check_answer(signature, rows, {PREDICTION: array})
    labels = np.array([*signature.classes], dtype=object)
    chosen = labels[array.argmax(axis=1)] if array.ndim == 2 and array.shape[1] == len(labels) else labels[:0]
    outputs = check_answer(signature, rows, {LABEL: chosen, PROBABILITIES: array})
    if not (abs(array.sum(axis=1) - 1.0) <= _TOLERANCE).all():
        raise _wrong(_SHARES)
    return outputs


def _are_shares(shares: Array, rows: int) -> bool:
    """Look twice at a whole batch, as this is on the road of every prediction; no look is true of what is no number."""
    if 0 < shares.size <= _FEW:
        values = shares.ravel().tolist()
        return bool(min(values) >= 0.0 and abs(sum(values) - rows) <= _TOLERANCE * rows)
    return bool(shares.min() >= 0.0 and abs(shares.sum() - rows) <= _TOLERANCE * rows)


def _check(array: Array | None, shape: tuple[int, ...], wanted: str) -> Array:
    if array is None or array.shape != shape or array.dtype != _FLOAT64:
        raise _wrong(wanted)
    return array


def _wrong(wanted: str) -> Internal:
    return Internal(f"The model did not answer what its signature promises: {wanted}.")
