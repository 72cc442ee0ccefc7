"""Rows are divided at random, exactly, and the same way each time."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from lepton.core.errors import InvalidInput
from lepton.datasets.split import MAX_STRATA, check_fractions, check_seed, holdout_mask, split_masks, strata_of


@given(
    labels=st.lists(st.integers(0, 4), max_size=200),
    weights=st.lists(st.integers(1, 9), min_size=2, max_size=4),
    seed=st.integers(0, 2**64 - 1),
)
@hypothesis_settings(max_examples=100, deadline=None)
def test_each_part_gets_its_share_of_each_stratum(labels: list[int], weights: list[int], seed: int) -> None:
    shares = {f"p{i}": weight / sum(weights) for i, weight in enumerate(weights)}
    strata = np.array(labels, dtype=np.int64)
    masks = split_masks(len(labels), shares, seed=seed, strata=strata)
    assert (sum(mask.astype(int) for mask in masks.values()) == 1).all()
    for label, count in Counter(labels).items():
        for name, share in shares.items():
            got = int(masks[name][strata == label].sum())
            # Shares are floats: a product may lie a rounding error beside a whole number.
            assert math.floor(count * share + 1e-9) <= got <= math.ceil(count * share - 1e-9)


@given(rows=st.integers(0, 500), fraction=st.sampled_from([0.1, 0.2, 0.25, 0.5]), seed=st.integers(0, 1000))
@hypothesis_settings(max_examples=50, deadline=None)
def test_a_holdout_has_the_share_asked_for(rows: int, fraction: float, seed: int) -> None:
    held = holdout_mask(rows, fraction, seed=seed)
    assert abs(int(held.sum()) - rows * fraction) < 1
    strata = np.arange(rows) % 3
    assert abs(int(holdout_mask(rows, fraction, seed=seed, strata=strata).sum()) - rows * fraction) < 1 + 1e-9


def test_the_same_seed_gives_the_same_rows_and_another_seed_others() -> None:
    first, again, other = (holdout_mask(100, 0.2, seed=seed) for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


def test_the_choice_of_rows_never_changes() -> None:
    """Models trained before must be measured on the same rows after an upgrade."""
    held = holdout_mask(20, 0.25, seed=0, strata=np.arange(20) % 2)
    assert np.flatnonzero(held).tolist() == [3, 4, 7, 14, 19]


def test_strata_are_numbered_by_value_and_missing_is_one() -> None:
    assert strata_of(pl.Series("k", ["b", None, "a", "b"])).tolist() == [2, 0, 1, 2]
    assert strata_of(pl.Series("k", [True, False, None])).tolist() == [2, 1, 0]


def test_too_many_strata_are_refused() -> None:
    with pytest.raises(InvalidInput, match=f"Column 'k' has {MAX_STRATA + 1} different values"):
        strata_of(pl.Series("k", range(MAX_STRATA + 1)))


@pytest.mark.parametrize(
    ("fractions", "match"),
    [
        ({"all": 1.0}, "at least two parts"),
        ({"a": 0.8, "b": 0.3}, r"add up to 1\.1"),
        ({"a": 1.0, "b": 0.0}, "between 0 and 1"),
        ({"a": float("nan"), "b": 0.5}, "between 0 and 1"),
    ],
)
def test_wrong_shares_are_refused(fractions: dict[str, float], match: str) -> None:
    with pytest.raises(InvalidInput, match=match):
        check_fractions(fractions)


def test_shares_that_only_nearly_add_up_are_fine() -> None:
    check_fractions({"a": 0.7, "b": 0.2, "c": 0.1})


def test_a_negative_seed_is_refused() -> None:
    with pytest.raises(InvalidInput, match="seed must be a whole number"):
        check_seed(-1)


@pytest.mark.parametrize("seed", [0, 1, 42])
def test_a_table_drawn_with_the_seed_of_the_split_has_nothing_to_do_with_it(seed: int) -> None:
    drawn = np.random.default_rng(seed).uniform(size=1000)
    held = holdout_mask(1000, 0.2, seed=seed)
    # The mean of 200 of them is off by 0.29 / sqrt(200) = 0.02 as a rule; four times that happens once in 16,000.
    assert abs(drawn[held].mean() - drawn.mean()) < 0.08
