"""What a model answered to a batch, cut into the answers of its requests only as far as somebody asks."""

from __future__ import annotations

from typing import Any

import numpy as np

from lepton.core.columns import ColumnType
from lepton.models.prediction import Arrays
from lepton.models.signature import LABEL, Signature


class Outputs:
    """The outputs of one batch: arrays by name, and the same as lists for those who write JSON, or as bytes.

    Attributes:
        seconds: How long the model took for them.
    """

    __slots__ = ("_bytes", "_lists", "arrays", "seconds", "signature")

    def __init__(self, signature: Signature, arrays: Arrays, seconds: float = 0.0) -> None:
        self.signature = signature
        self.seconds = seconds
        self.arrays = arrays
        self._lists: dict[str, list[Any]] = {}
        self._bytes: dict[str, bytes] = {}

    def values(self, name: str, start: int, stop: int) -> list[Any]:
        """Return rows `start` to `stop` of an output as Python values; the labels of booleans are booleans."""
        return self.all_values(name)[start:stop]

    def all_values(self, name: str) -> list[Any]:
        """Return all rows of an output as Python values."""
        found = self._lists.get(name)
        if found is None:
            found = self.arrays[name].tolist()
            if name == LABEL and self.signature.target_type is ColumnType.BOOLEAN:
                found = [bool(value) for value in found]
            self._lists[name] = found  # once for the whole batch: converting is dearer than slicing
        return found

    def raw(self, name: str, datatype: np.dtype[Any], start: int, stop: int) -> bytes:
        """Return rows `start` to `stop` of an output of numbers as bytes, row after row.

        Args:
            name: The output.
            datatype: How each number is written; the same at every call.
            start: First row.
            stop: Behind the last row.
        """
        found = self._bytes.get(name)
        if found is None:
            found = self._bytes[name] = self.arrays[name].astype(datatype, copy=False).tobytes()
        row_bytes = len(found) // len(self.arrays[name])
        return found[start * row_bytes : stop * row_bytes]
