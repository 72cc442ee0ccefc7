"""What live rows of a model are compared with, made of the profile of the rows it learned from. Pure."""

from __future__ import annotations

from lepton.endpoints.windows import NumberReference, Reference, TextReference, profiled_reference
from lepton.models.records import TrainingProfile
from lepton.models.signature import Input, Signature


def reference_of(signature: Signature, profile: TrainingProfile) -> Reference:
    """Make the reference of a model, its columns in the order in which rows bring them.

    A column without statistics has a reference of no rows, which nothing is compared with.
    """
    known = {column.name: column for column in profile.columns}

    def made(column: Input) -> NumberReference | TextReference | None:
        found = known.get(column.name)
        if found is None or found.nulls is None or found.type is not column.type:
            return None
        return profiled_reference(found, profile.rows, column.values)

    numbers, texts = [], []
    for column in signature.numbers:
        one = made(column)
        numbers.append(one if isinstance(one, NumberReference) else NumberReference(column.name, (), (1.0,), 0, 0))
    for column in signature.texts:
        one = made(column)
        texts.append(one if isinstance(one, TextReference) else TextReference(column.name, (), (1.0,), None, 0, 0))
    return Reference(tuple(numbers), tuple(texts))
