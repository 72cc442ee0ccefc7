"""Counts the rows that a deployment predicts, for drift: gathered beside the answers, counted all at once later.

An answer costs one entry in a list. What comes above a bound is left out, and how much that is is told.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lepton.endpoints.drifting import told_of
from lepton.endpoints.replica.inputs import Inputs
from lepton.endpoints.windows import Reference, Window

MOST_ROWS = 512
"""Counted at a time, twice a second."""
MOST_VALUES = 16_384
"""The same of a wide table: what is counted keeps requests waiting, half a millisecond for so many numbers."""

MOST_CHARACTERS = 4 << 20
"""Of texts held until they are counted; long ones are left out rather than kept."""


class Live:
    """The rows of one deployment in one worker.

    Args:
        reference: What they will be compared with.

    Attributes:
        seen: Rows that came; `window.rows` of them are counted.
    """

    def __init__(self, reference: Reference) -> None:
        self.window = Window(reference)
        self.seen = 0
        self._width = len(reference.numbers)
        self._most_rows = max(1, min(MOST_ROWS, MOST_VALUES // max(1, self._width + len(reference.texts))))
        self._gathered: list[tuple[bytes, Sequence[Sequence[str]]]] = []
        self._rows = 0
        self._characters = 0
        self._told = ""
        self._told_seen = 0

    def note(self, inputs: Inputs) -> None:
        """Take rows that were answered."""
        self.seen += inputs.rows
        if self._rows >= self._most_rows:
            return
        if inputs.texts:
            characters = self._characters + sum([sum(map(len, column)) for column in inputs.texts])
            if characters > MOST_CHARACTERS:
                return
            self._characters = characters
        self._rows += inputs.rows
        # As bytes of their own: a view would keep the whole body of its request.
        self._gathered.append((bytes(inputs.numbers), inputs.texts))

    def count(self) -> None:
        """Count what was gathered. To be called from a timer, not while somebody waits."""
        gathered, rows = self._gathered, self._rows
        if not gathered:
            return
        self._gathered, self._rows, self._characters = [], 0, 0
        # Every n-th row, not the first ones: rows that come together may lie in an order.
        step = -(-rows // self._most_rows)
        numbers = np.frombuffer(b"".join([one for one, _ in gathered]), np.float64)
        numbers = numbers.reshape(rows, self._width)[::step]
        places = range(len(self.window.texts))
        texts = [[text for _, one in gathered for text in one[place]][::step] for place in places]
        self.window.add(numbers, texts)

    def told(self) -> str:
        """Return what was counted so far, for the control plane; the same string while nothing is new."""
        if self.seen != self._told_seen:
            self._told, self._told_seen = told_of(self.window, self.seen), self.seen
        return self._told
