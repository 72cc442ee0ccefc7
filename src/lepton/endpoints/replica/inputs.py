"""What one request asks of a model, decoded: rows of numbers as plain bytes and texts as lists, ready to be batched.

Several requests become one batch by joining bytes, which costs less than any arithmetic on arrays. Checks that hold for
whatever protocol the rows came by are here; what a protocol looks like is in the file of that protocol.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lepton.core.columns import ColumnType
from lepton.core.errors import InvalidInput
from lepton.models.prediction import MAX_ROWS, Arrays
from lepton.models.signature import NUMBERS, Signature
from lepton.models.values import check_numbers, check_texts

Buffer = bytes | bytearray | memoryview


@dataclass(slots=True)
class Inputs:
    """Rows to predict.

    Attributes:
        rows: How many, N.
        numbers: float64 [N, k] as bytes, row after row, in the order of `Signature.numbers`; NaN is missing.
        texts: The values [N] of each column of `Signature.texts`; "" is missing.
        longest: Characters of the longest text of a free-text column, 0 if there is none.
        is_finite: Whether it is known that every number is there and finite, so that nobody has to look.
    """

    rows: int
    numbers: Buffer = b""
    texts: Sequence[Sequence[str]] = ()
    longest: int = 0
    is_finite: bool = False


class Shape:
    """How the rows of one model lie in memory, and what holds for them."""

    def __init__(self, signature: Signature) -> None:
        self.signature = signature
        self.width = len(signature.numbers)
        self._tensors = tuple(signature.tensors.values())
        self._free = [i for i, column in enumerate(signature.texts) if column.values is None]
        self._whole = [i for i, column in enumerate(signature.numbers) if column.type is not ColumnType.NUMBER]
        required = [i for i, column in enumerate(signature.numbers) if not column.nullable]
        self._all_required = len(required) == self.width
        self._required = [] if self._all_required else required
        self._booleans = [i for i, column in enumerate(signature.numbers) if column.type is ColumnType.BOOLEAN]

    def arrays(self, parts: Sequence[Inputs]) -> Arrays:
        """Return the graph's inputs for several requests one after the other; of one request without a copy."""
        arrays: Arrays = {}
        if self.width:
            joined = parts[0].numbers if len(parts) == 1 else b"".join([part.numbers for part in parts])
            matrix = np.frombuffer(joined, np.float64).reshape(-1, self.width)
            # What is a view may lie behind any JSON.
            arrays[NUMBERS] = matrix if type(joined) is bytes or matrix.flags.aligned else matrix.copy()
        for index, tensor in enumerate(self._tensors):
            arrays[tensor] = np.array([value for part in parts for value in part.texts[index]], dtype=object)
        return arrays

    def fits(self, arrays: Arrays, *, is_finite: bool = False) -> bool:
        """Whether all numbers are what their columns allow, as far as a quick look at a whole batch tells.

        Args:
            arrays: The batch.
            is_finite: As `Inputs.is_finite`, of all its parts.
        """
        if not self.width:
            return True
        matrix = arrays[NUMBERS]
        if not is_finite:
            if not np.isfinite(matrix).all() if self._all_required else np.isinf(matrix).any():
                return False
            if self._required and np.isnan(matrix[:, self._required]).any():
                return False
        if not self._whole:
            return True
        whole = matrix[:, self._whole]
        if (np.abs(whole - np.trunc(whole)) > 0).any():  # never true of NaN
            return False
        return not self._booleans or not (np.abs(matrix[:, self._booleans] - 0.5) > 0.5).any()

    def check(self, inputs: Inputs) -> None:
        """Check the numbers of one request.

        Raises:
            InvalidInput: naming the first row and column with a number that its column does not allow.
        """
        if self.width:
            matrix = np.frombuffer(inputs.numbers, np.float64).reshape(-1, self.width)
            check_numbers(self.signature.numbers, matrix)

    def longest(self, texts: Sequence[Sequence[str]]) -> int:
        """Check texts and return the characters of the longest that is cut into words.

        Raises:
            InvalidInput: if one is not valid Unicode, or if they are too long to be answered together.
        """
        lengths = [check_texts(column, values) for column, values in zip(self.signature.texts, texts, strict=True)]
        return max((lengths[index] for index in self._free), default=0)

    def from_arrays(self, arrays: Arrays) -> Inputs:
        """Take one request as the graph's inputs."""
        texts = [arrays[tensor].tolist() for tensor in self._tensors]
        rows = len(arrays[NUMBERS] if self.width else texts[0])
        return Inputs(rows, arrays[NUMBERS].tobytes() if self.width else b"", texts, self.longest(texts))


def check_rows(rows: int) -> None:
    """Refuse no rows at all, and more than may be asked at once."""
    if rows < 1:
        raise InvalidInput("The request holds no row. Send one or more.")
    if rows > MAX_ROWS:
        raise InvalidInput(f"The request has {rows:,} rows and at most {MAX_ROWS:,} are allowed. Send them in parts.")
