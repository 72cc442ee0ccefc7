"""Cutting free text into words, in bounded memory."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lepton.core.columns import ColumnType
from lepton.core.errors import InvalidInput
from lepton.models.prediction import decode_rows
from lepton.models.signature import Input, Signature, Task
from lepton.models.values import TEXT_BUDGET
from lepton.models.words import MAX_WORDS, find_words, text_parts


def texts(*values: str) -> np.ndarray:
    return np.array(values, dtype=object)


def test_words_are_ranked_by_the_rows_they_are_in() -> None:
    batches = [texts("free free free go", "free 中文 go"), texts("Free, stop!", "中 stop", ""), texts("go 中 stop it")]
    assert find_words(batches) == ("free", "go", "stop", "中")


def test_single_words_are_no_text() -> None:
    assert find_words([texts(*["alpha"] * 10, *["beta"] * 10)]) == ()
    assert find_words([texts("", "")]) == ()
    assert find_words([]) == ()


def test_at_most_a_thousand_words_are_kept() -> None:
    line = " ".join(f"w{i}" for i in range(1500))
    assert len(find_words([texts(line, line, line)])) == MAX_WORDS


@given(st.lists(st.integers(0, TEXT_BUDGET * 2), max_size=30))
def test_texts_are_cut_into_parts_that_fit_together(lengths: list[int]) -> None:
    parts = list(text_parts(lengths))
    assert [row for first, end in parts for row in range(first, end)] == list(range(len(lengths)))
    for first, end in parts:
        assert end - first == 1 or (end - first) * max(lengths[first:end]) <= TEXT_BUDGET


def test_a_request_whose_texts_are_too_long_together_is_refused() -> None:
    text = Input("message", ColumnType.TEXT)
    category = Input("city", ColumnType.TEXT, values=("Paris",))
    rows = [{"message": "x" * 3_000_000, "city": "y"}, *({"message": "", "city": "y"} for _ in range(9))]
    signature = Signature(Task.REGRESSION, "t", ColumnType.NUMBER, (text, category))
    with pytest.raises(InvalidInput, match="'message' are too long to be answered together"):
        decode_rows(signature, rows)
    assert len(decode_rows(signature, rows[:2])["message"]) == 2
