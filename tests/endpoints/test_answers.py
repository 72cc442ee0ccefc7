"""What a model may answer: looked at number by number or as an array, the verdict is the same."""

from __future__ import annotations

import numpy as np
import pytest
from endpoints.models import MIXED, NUMERIC
from hypothesis import example, given
from hypothesis import strategies as st

from lepton.core.errors import Internal
from lepton.endpoints.replica import answers
from lepton.endpoints.replica.answers import check_answer
from lepton.models.prediction import Arrays
from lepton.models.signature import Signature

NUMBER = st.sampled_from([0.0, 0.25, 0.5, 1.0, -0.5, 1e308, np.inf, -np.inf, np.nan])


def accepted(signature: Signature, rows: int, outputs: Arrays) -> bool:
    try:
        check_answer(signature, rows, outputs)
    except Internal:
        return False
    return True


def both_ways(signature: Signature, rows: int, outputs: Arrays) -> set[bool]:
    found = set()
    for few in (0, 10**9):
        with pytest.MonkeyPatch.context() as patch, np.errstate(all="ignore"):
            patch.setattr(answers, "_FEW", few)
            found.add(accepted(signature, rows, outputs))
    return found


@example([(0.5, 0.5), (np.nan, 0.5)])
@example([(np.inf, -np.inf)])
@given(st.lists(st.tuples(NUMBER, NUMBER), min_size=1, max_size=4))
def test_few_shares_are_judged_as_many(shares: list[tuple[float, float]]) -> None:
    outputs = {"label": np.array(["no"] * len(shares), dtype=object), "probabilities": np.array(shares)}
    right = all(0.0 <= share <= 2.0 for row in shares for share in row) and abs(
        sum(map(sum, shares)) - len(shares)
    ) <= 1e-3 * len(shares)
    assert both_ways(MIXED, len(shares), outputs) <= {right}


@given(st.lists(NUMBER, min_size=1, max_size=4))
def test_few_numbers_are_judged_as_many(numbers: list[float]) -> None:
    assert both_ways(NUMERIC, len(numbers), {"prediction": np.array(numbers)}) == {bool(np.isfinite(numbers).all())}


def test_no_row_is_no_answer_to_a_row() -> None:
    assert not accepted(MIXED, 1, {"label": np.empty(0, dtype=object), "probabilities": np.empty((0, 2))})
