"""Dividing rows at random, but the same way each time: seeded, and stratified where strata are given."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from lepton.core.errors import InvalidInput

if TYPE_CHECKING:
    import polars as pl

MAX_STRATA = 1000
_STREAM = (0x5911_7000,)
"""Of all streams of a seed, the one of splits: a table that was drawn with the same seed, which is often 0, has nothing
to do with its split then. Its first column would decide otherwise which of its rows are held out."""
_ROUNDING = 1e-9  # a product of floats may lie this far beside a whole number
_SUM_TOLERANCE = 1e-6  # shares such as 0.7, 0.2 and 0.1 do not add up to 1 exactly

Mask = npt.NDArray[np.bool_]
Strata = npt.NDArray[np.int64]
Shares = npt.NDArray[np.float64]


def check_fractions(fractions: Mapping[str, float]) -> None:
    """Check that shares are above 0, and that together they are all.

    Raises:
        InvalidInput: if not.
    """
    example = 'for example {"train": 0.8, "test": 0.2}'
    if len(fractions) < 2:
        raise InvalidInput(f"A split needs at least two parts, {example}.")
    if not all(0 < share < 1 for share in fractions.values()):
        raise InvalidInput(f"Each part's share must lie between 0 and 1, {example}.")
    total = sum(fractions.values())
    if abs(total - 1) > _SUM_TOLERANCE:
        raise InvalidInput(f"The shares add up to {total:g}; they must add up to 1, {example}.")


def check_seed(seed: int) -> None:
    """Check that a number can be a seed.

    Raises:
        InvalidInput: if it is negative or has more than 64 bits.
    """
    if not 0 <= seed < 2**64:
        raise InvalidInput("The seed must be a whole number from 0 to 18446744073709551615.")


def split_masks(
    rows: int, fractions: Mapping[str, float], *, seed: int = 0, strata: Strata | None = None
) -> dict[str, Mask]:
    """Assign each row to one part.

    In every stratum each part gets its share of the rows, rounded down or up. The same arguments give the same masks on
    every machine.

    Args:
        rows: Number of rows.
        fractions: Share of each part; they add up to 1.
        seed: Seed of the shuffle, 0 or above.
        strata: A number for each row, shape (rows,); rows of equal numbers are divided by themselves.

    Returns:
        For each part a mask of shape (rows,); each row is in exactly one.
    """
    check_fractions(fractions)
    # NumPy promises that the raw stream of a bit generator never changes, which it does not of a permutation.
    stream = np.random.PCG64(np.random.SeedSequence(seed, spawn_key=_STREAM))
    order = np.argsort(stream.random_raw(rows), kind="stable")
    part_of = np.empty(rows, dtype=np.int64)
    shares: Shares = np.array(list(fractions.values()), dtype=np.float64)
    if strata is not None:
        order = order[np.argsort(strata[order], kind="stable")]
        starts = np.flatnonzero(np.diff(strata[order])) + 1
    else:
        starts = np.empty(0, dtype=np.int64)
    owed = np.zeros(len(shares))  # what rounding in earlier strata left each part short of
    for block in np.split(order, starts):
        counts, owed = _counts(len(block), shares, owed)
        part_of[block] = np.repeat(np.arange(len(shares)), counts)
    return {name: part_of == index for index, name in enumerate(fractions)}


def holdout_mask(rows: int, fraction: float, *, seed: int = 0, strata: Strata | None = None) -> Mask:
    """Choose the share `fraction` of the rows to hold out from training; True means held out. See `split_masks`."""
    parts = {"rest": 1 - fraction, "held_out": fraction}
    return split_masks(rows, parts, seed=seed, strata=strata)["held_out"]


def strata_of(values: pl.Series) -> Strata:
    """Number the rows by their value, missing as a value of its own, for use as `strata`.

    Raises:
        InvalidInput: if there are too many different values.
    """
    import polars as pl

    distinct = values.unique().sort(nulls_last=False)
    if len(distinct) > MAX_STRATA:
        raise InvalidInput(
            f"Column {values.name!r} has {len(distinct)} different values; a split can be stratified by at most "
            f"{MAX_STRATA}. Choose a column of categories, or leave 'stratify' out."
        )
    codes = pl.DataFrame({"value": distinct, "code": np.arange(len(distinct), dtype=np.int64)})
    joined = pl.DataFrame({"value": values}).join(
        codes, on="value", how="left", nulls_equal=True, maintain_order="left"
    )
    numbers: Strata = joined["code"].to_numpy()
    return numbers


def _counts(rows: int, shares: Shares, owed: Shares) -> tuple[npt.NDArray[np.int64], Shares]:
    """Round shares of `rows` down or up so that they add up, up for those who are owed most; earlier parts win ties."""
    exact = shares / shares.sum() * rows
    counts: npt.NDArray[np.int64] = np.floor(exact + _ROUNDING).astype(np.int64)
    is_divided = exact - counts > _ROUNDING
    claims = np.where(is_divided, np.round(exact - counts + owed, 9), -np.inf)  # 0.1 + 0.2 must not decide
    for index in np.argsort(-claims, kind="stable")[: rows - int(counts.sum())]:
        counts[index] += 1
    return counts, owed + exact - counts
