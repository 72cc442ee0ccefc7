"""Small models for the tests of a replica's parts, and the rows they are asked."""

from __future__ import annotations

from typing import Any

import numpy as np

from lepton.core.columns import ColumnType
from lepton.core.errors import Internal
from lepton.endpoints.replica.inputs import Shape
from lepton.endpoints.replica.outputs import Outputs
from lepton.models.prediction import Arrays
from lepton.models.signature import NUMBERS, Input, Signature, Task

MIXED = Signature(
    task=Task.CLASSIFICATION,
    target="bought",
    target_type=ColumnType.TEXT,
    inputs=(
        Input("city", ColumnType.TEXT, values=("Paris", "Rome")),
        Input("income", ColumnType.NUMBER),
        Input("age", ColumnType.INTEGER),
        Input("note", ColumnType.TEXT),
        Input("member", ColumnType.BOOLEAN),
    ),
    classes=("no", "yes"),
)
NUMERIC = Signature(
    task=Task.REGRESSION,
    target="price",
    target_type=ColumnType.NUMBER,
    inputs=(Input("area", ColumnType.NUMBER), Input("rooms", ColumnType.NUMBER)),
)
TEXTS = Signature(
    task=Task.CLASSIFICATION,
    target="spam",
    target_type=ColumnType.BOOLEAN,
    inputs=(Input("text", ColumnType.TEXT),),
    classes=(False, True),
)
ROW: dict[str, Any] = {"city": "Paris", "income": 1200.5, "age": 30, "note": "a b", "member": True}


class FakeRuntime:
    """A model whose answer is the sum of a row's numbers and the lengths of its texts; it notes what it was given."""

    off_loop = False

    def __init__(self, signature: Signature, *, max_rows: int = 8, poison: float | None = None) -> None:
        self.max_rows = max_rows
        self.batches: list[int] = []
        self._signature = signature
        self._poison = poison

    def predict(self, inputs: Arrays) -> Arrays:
        rows = len(next(iter(inputs.values())))
        self.batches.append(rows)
        total = np.zeros(rows)
        for name, array in inputs.items():
            if name == NUMBERS:
                if self._poison is not None and (array == self._poison).any():
                    raise Internal("Poisoned.")
                total += np.nansum(array, axis=1)
            else:
                total += [len(text) for text in array]
        if self._signature.task is Task.REGRESSION:
            return {"prediction": total}
        shares = np.column_stack([1 - total % 1, total % 1])
        classes = np.array(self._signature.classes, dtype=object)
        return {"label": classes[shares.argmax(axis=1)], "probabilities": shares}

    def close(self) -> None:
        """Nothing to let go of."""


def outputs_of(signature: Signature, arrays: Arrays) -> Outputs:
    """What the fake model answers to a batch."""
    return Outputs(signature, FakeRuntime(signature, max_rows=1 << 20).predict(arrays))


def shape_of(signature: Signature) -> Shape:
    return Shape(signature)
