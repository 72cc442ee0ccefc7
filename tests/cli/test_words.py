"""Numbers in words and small pictures."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lepton.cli import words


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (999, "999 B"), (1500, "1.5 kB"), (123_456, "123 kB"), (5 << 40, "5.5 TB")]
)
def test_sizes(size: int, text: str) -> None:
    assert words.size(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (61, "1 min"), (7500, "2 h 5 min"), (3600 * 72, "3 days")]
)
def test_durations(seconds: float, text: str) -> None:
    assert words.duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), (True, "true"), (1234567, "1,234,567"), (0.98765, "0.9877"), (452600.0, "452,600"), ("a", "a")],
)
def test_values(value: words.Cell, text: str) -> None:
    assert words.number(value) == text


def test_shares_are_never_rounded_to_nothing() -> None:
    assert (words.share(1, 100_000), words.share(0, 10), words.share(1, 3)) == ("<0.1%", "", "33.3%")


def test_bars_follow_the_counts() -> None:
    assert words.bars([0, 1, 4, 8]) == " ▂▅█"
    assert words.bars([]) == words.bars([0, 0]) == ""


@given(st.lists(st.integers(0, 10**9), min_size=1, max_size=300), st.integers(1, 40))
def test_bars_fit_into_the_width_and_the_highest_is_full(counts: list[int], width: int) -> None:
    drawn = words.bars(counts, width)
    assert len(drawn) <= width
    assert ("█" in drawn) == (max(counts) > 0)


@given(st.lists(st.floats(-1e9, 1e9), max_size=300))
def test_curves_fit_into_the_width(values: list[float]) -> None:
    assert len(words.curve(values, 40)) == min(len(values), len(words.curve(values, 40))) <= 40
