"""A few answered requests, for the request log: one of so many, at most a handful a second.

Values of columns that are personal or secret do not get in here, so they never leave the worker.
"""

from __future__ import annotations

import random
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np

from lepton.core.columns import ColumnClass, ColumnType
from lepton.core.ids import new_id
from lepton.endpoints.replica.inputs import Inputs
from lepton.endpoints.replica.outputs import Outputs
from lepton.models.signature import Input, Signature

MOST_A_SECOND = 5
KEPT = 15
"""Told again with every report, so that one that is not asked for in time loses nothing."""
MOST_COLUMNS = 32
"""Of a row that are kept: nobody reads more in a log, and a wide row told again every second would stop a worker."""
_MAX_CHARACTERS = 200
_EXACT = 1 << 53


class Samples:
    """Of one deployment in one worker.

    Args:
        signature: What the columns are.
        one_in: How many requests there are to one that is kept, on average; 0 keeps none.
        clock: Seconds on a clock that only goes forward.
    """

    def __init__(self, signature: Signature, one_in: int, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._signature = signature
        self._clock = clock
        self._one_in = one_in
        self._kept: deque[dict[str, Any]] = deque(maxlen=KEPT)
        self._second_s = -1.0
        self._in_second = 0
        self._left = self._draw()

    def note(self, inputs: Inputs, outputs: Outputs, start: int, seconds: float) -> None:
        """Take an answered request into account, and keep its first row if its turn has come."""
        self._left -= 1
        if self._left == 0:
            self._left = self._draw()
            self._keep(inputs, outputs, start, seconds)

    def told(self) -> list[dict[str, Any]]:
        """Return the newest, the oldest first."""
        return [*self._kept]

    def _draw(self) -> int:
        # By chance, not every n-th: what comes in turns would be caught always or never.
        return random.randint(1, 2 * self._one_in - 1) if self._one_in else 0  # noqa: S311 - not a secret

    def _keep(self, inputs: Inputs, outputs: Outputs, start: int, seconds: float) -> None:
        now_s = self._clock()
        if now_s - self._second_s >= 1.0:
            self._second_s, self._in_second = now_s, 0
        if self._in_second >= MOST_A_SECOND:
            return
        self._in_second += 1
        signature = self._signature
        is_open = signature.target_class is ColumnClass.PLAIN
        self._kept.append(
            {
                "id": new_id(),
                "at_s": time.time(),
                "seconds": seconds,
                "rows": inputs.rows,
                "row": first_row(signature, inputs),
                "answer": outputs.values(signature.outputs[0], start, start + 1)[0] if is_open else None,
                "masked": [c.name for c in signature.inputs if c.column_class is not ColumnClass.PLAIN][:MOST_COLUMNS]
                + ([] if is_open else [signature.target]),
            }
        )


def first_row(signature: Signature, inputs: Inputs) -> dict[str, Any]:
    """Return the values of the first row by column, without those that not everybody may read, or too many of them."""
    shown = [c for c in signature.inputs if c.column_class is ColumnClass.PLAIN][:MOST_COLUMNS]
    number_of = {column.name: place for place, column in enumerate(signature.numbers)}
    text_of = {column.name: place for place, column in enumerate(signature.texts)}
    numbers = np.frombuffer(inputs.numbers, np.float64, count=len(number_of)) if number_of else np.empty(0)
    return {
        c.name: _number(c, numbers[number_of[c.name]])
        if c.name in number_of
        else inputs.texts[text_of[c.name]][0][:_MAX_CHARACTERS] or None
        for c in shown
    }


def _number(column: Input, value: float) -> float | int | bool | None:
    if np.isnan(value):
        return None
    if column.type is ColumnType.BOOLEAN:
        return bool(value)
    is_exact = column.type is ColumnType.INTEGER and abs(value) <= _EXACT  # reports hold no longer integers
    return int(value) if is_exact else float(value)
