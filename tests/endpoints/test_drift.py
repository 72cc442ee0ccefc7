"""Drift: windows add up, the three distances are what SciPy finds on the values, and levels neither flap nor rush."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from lepton.core.columns import ColumnType
from lepton.core.errors import InvalidInput
from lepton.datasets.profile import profile_column
from lepton.datasets.schema import Column
from lepton.endpoints.drift import (
    MAJOR_PSI,
    MIN_ROWS,
    MODERATE_PSI,
    ColumnDrift,
    Level,
    compare,
    level_after,
    psi,
    wasserstein,
)
from lepton.endpoints.windows import (
    NumberReference,
    Reference,
    TextReference,
    Window,
    number_reference,
    profiled_reference,
    text_reference,
)

Floats = npt.NDArray[np.float64]
ROUNDING = 1e-9
"""Sums of shares and of distances are rounded; nothing else separates what should be equal."""

NUMBERS = st.one_of(
    st.floats(-1e6, 1e6), st.integers(-5, 5).map(float), st.just(np.nan)
)  # whole numbers make ties, NaN makes gaps
COLUMNS = arrays(np.float64, st.integers(1, 300), elements=NUMBERS)
TEXTS = st.lists(st.sampled_from(["", *"abcdefghijklmnop"]), max_size=200)


def drift_of(reference: NumberReference | TextReference, live: Floats | list[str]) -> ColumnDrift:
    """Compare one column with live values."""
    if isinstance(reference, TextReference):
        window = Window(Reference(texts=(reference,)))
        window.add(np.empty((len(live), 0)), [live])  # type: ignore[list-item]
    else:
        window = Window(Reference((reference,)))
        window.add(np.asarray(live, dtype=np.float64).reshape(-1, 1))
    return compare(window.reference, window)[0]


def normal(rows: int, seed: int, shift: float = 0.0) -> Floats:
    return np.random.default_rng(seed).normal(shift, 1, rows)


# The distances


@given(COLUMNS, COLUMNS)
def test_kolmogorov_smirnov_is_below_that_of_the_values_by_at_most_the_lesser_share_of_a_cell(
    before: Floats, live: Floats
) -> None:
    old, new = before[~np.isnan(before)], live[~np.isnan(live)]
    reference = number_reference("x", before)
    found = drift_of(reference, live)
    if not len(old) or not len(new):
        assert found.ks is None
        return
    with np.errstate(divide="ignore"):  # in the p-value of two rows, which is not looked at
        exact = stats.ks_2samp(old, new, method="asymp").statistic
    cells = np.bincount(np.searchsorted(reference.edges, new), minlength=len(reference.shares)) / len(new)
    slack = np.minimum(cells, reference.shares).max()
    assert found.ks is not None
    assert found.ks - ROUNDING <= exact <= found.ks + slack + ROUNDING


@given(COLUMNS, COLUMNS)
def test_wasserstein_is_that_of_the_values_within_half_of_each_cells_width_times_its_shares(
    before: Floats, live: Floats
) -> None:
    old, new = before[~np.isnan(before)], live[~np.isnan(live)]
    reference = number_reference("x", before)
    found = drift_of(reference, live)
    if not len(old) or not len(new):
        assert found.wasserstein is None
        return
    cells = np.bincount(np.searchsorted(reference.edges, new), minlength=len(reference.shares)) / len(new)
    widths = np.diff(reference.edges)
    spread = cells if reference.is_stepped else (cells + reference.shares) / 2
    slack = float(np.sum(widths * spread[1:-1]))
    exact = stats.wasserstein_distance(old, new)
    scale = 1 + np.abs(np.concatenate([old, new])).max()
    assert found.wasserstein == pytest.approx(exact, abs=slack + ROUNDING * scale)


@given(st.lists(st.integers(0, 9).map(float), min_size=1), st.lists(st.integers(0, 9).map(float), min_size=1))
def test_of_few_different_values_both_distances_are_exact(before: list[float], live: list[float]) -> None:
    old = [*before, *map(float, range(10))]
    found = drift_of(number_reference("x", np.array(old)), np.array(live))
    assert found.wasserstein == pytest.approx(stats.wasserstein_distance(old, live), abs=ROUNDING)
    with np.errstate(divide="ignore"):
        assert found.ks == pytest.approx(stats.ks_2samp(old, live, method="asymp").statistic, abs=ROUNDING)


def test_on_ordinary_data_the_distances_are_close_to_scipys() -> None:
    before, live = normal(20_000, 0), normal(5_000, 1, shift=0.3)
    found = drift_of(number_reference("x", before), live)
    # Hundred cells of one hundredth each: the greatest difference is missed by less than 0.01.
    assert found.ks == pytest.approx(stats.ks_2samp(before, live).statistic, abs=0.01)
    # Values are nearly evenly spread inside of narrow cells: far closer than the bound.
    assert found.wasserstein == pytest.approx(stats.wasserstein_distance(before, live), rel=0.02)


@given(COLUMNS)
def test_the_same_values_have_not_drifted(values: Floats) -> None:
    found = drift_of(number_reference("x", values), values)
    assert found.psi == pytest.approx(0, abs=ROUNDING)
    assert found.ks in (None, pytest.approx(0, abs=ROUNDING))
    assert found.wasserstein in (None, pytest.approx(0, abs=ROUNDING * 1e6))
    assert found.unseen_share in (None, 0.0)
    assert found.missing_share == pytest.approx(np.isnan(values).mean())


@given(TEXTS)
def test_the_same_texts_have_not_drifted(values: list[str]) -> None:
    found = drift_of(text_reference("x", values), values)
    assert found.psi == pytest.approx(0, abs=ROUNDING)
    assert found.unseen_share in (None, 0.0)


@given(COLUMNS.filter(lambda values: not np.isnan(values).all()), st.lists(st.floats(0, 1e6), min_size=2, max_size=6))
def test_a_greater_shift_is_a_greater_distance(values: Floats, shifts: list[float]) -> None:
    reference = number_reference("x", values)
    found = [drift_of(reference, values + shift) for shift in sorted(shifts)]
    for less, more in pairwise(found):
        assert (less.ks or 0) <= (more.ks or 0) + ROUNDING
        assert (less.wasserstein or 0) <= (more.wasserstein or 0) + ROUNDING * 1e6


def test_psi_grows_with_the_shift_of_a_normal_and_tells_moderate_from_major() -> None:
    reference = number_reference("x", normal(20_000, 0))
    found = [drift_of(reference, normal(5_000, 1, shift)).psi for shift in (0, 0.2, 0.4, 0.6, 1.0)]
    assert found == sorted(found)
    assert found[0] < 0.02
    assert MODERATE_PSI < found[2] < MAJOR_PSI < found[3]


def test_values_beyond_training_count_by_how_far_they_lie() -> None:
    reference = number_reference("x", np.array([0.0, 1.0, 2.0]))
    found = drift_of(reference, np.array([-10.0, 1.0, 102.0]))
    assert found.unseen_share == pytest.approx(2 / 3)
    assert found.wasserstein == pytest.approx(stats.wasserstein_distance([0, 1, 2], [-10, 1, 102]))


@given(
    arrays(np.float64, 8, elements=st.floats(0.01, 1)), arrays(np.float64, 8, elements=st.floats(0.01, 1))
)  # positive shares
def test_psi_and_wasserstein_are_the_same_both_ways_round(one: Floats, other: Floats) -> None:
    one, other = one / one.sum(), other / other.sum()
    assert psi(one, other) == pytest.approx(psi(other, one))
    assert psi(one, other) >= -ROUNDING
    edges = np.arange(7.0)
    assert wasserstein(edges, one, other) == pytest.approx(wasserstein(edges, other, one))


def test_missing_values_alone_are_a_drift() -> None:
    values = normal(2_000, 0)
    holes = values.copy()
    holes[::3] = np.nan
    found = drift_of(number_reference("x", values), holes)
    assert found.psi > MAJOR_PSI
    assert found.missing_share == pytest.approx(667 / 2000)
    assert found.ks is not None
    assert found.ks < 0.05  # those that are there are as they were


def test_texts_that_training_has_not_seen_are_told_apart_from_rare_ones() -> None:
    before = [value for value in "abcdefghijkl" for _ in range(20 if value < "k" else 1)]
    found = drift_of(text_reference("x", before), ["a"] * 5 + ["l", "zebra", "zebra", ""])
    assert (found.unseen_share, found.missing_share) == (2 / 8, 1 / 9)
    assert (found.ks, found.wasserstein) == (None, None)
    unsure = replace(text_reference("x", before), known=None)
    assert drift_of(unsure, ["zebra"]).unseen_share is None


def test_a_column_without_values_in_training_has_only_unseen_ones() -> None:
    found = drift_of(number_reference("x", np.full(600, np.nan)), np.ones(600))
    assert (found.ks, found.wasserstein, found.unseen_share, found.missing_share) == (None, None, 1.0, 0.0)
    assert found.psi > MAJOR_PSI


def test_an_empty_window_says_nothing() -> None:
    found = drift_of(number_reference("x", normal(100, 0)), np.empty(0))
    assert (found.rows, found.ks, found.wasserstein, found.unseen_share, found.missing_share) == (
        0,
        None,
        None,
        None,
        0,
    )


# Windows

REFERENCE = Reference(
    (number_reference("x", normal(1000, 0)), number_reference("n", np.random.default_rng(1).integers(0, 4, 500) * 1.0)),
    (text_reference("city", ["Rome", "Oslo", "Oslo", ""]),),
)
ROWS = st.lists(st.tuples(NUMBERS, NUMBERS, st.sampled_from(["", "Rome", "Oslo", "Atlantis"])), max_size=60)


def window_of(rows: list[tuple[float, float, str]]) -> Window:
    window = Window(REFERENCE)
    window.add(np.array([row[:2] for row in rows], dtype=np.float64).reshape(-1, 2), [[row[2] for row in rows]])
    return window


def same(one: Window, other: Window) -> bool:
    return (
        one.rows == other.rows
        and bool((one.numbers == other.numbers).all())
        and all((a == b).all() for a, b in zip(one.texts, other.texts, strict=True))
        and np.allclose(one.below, other.below, rtol=ROUNDING)
        and np.allclose(one.above, other.above, rtol=ROUNDING)
    )


@given(ROWS, ROWS)
def test_windows_that_are_merged_are_the_window_of_all_rows(some: list, others: list) -> None:
    merged = window_of(some)
    merged.merge(window_of(others))
    assert same(merged, window_of(some + others))
    assert int(merged.numbers.sum()) == 2 * merged.rows
    assert int(merged.texts[0].sum()) == merged.rows


@given(ROWS)
def test_windows_and_references_are_read_back_as_they_were_written(rows: list) -> None:
    window = window_of(rows)
    reference = Reference.from_json(REFERENCE.to_json())
    assert reference == REFERENCE
    assert same(Window.from_json(window.to_json(), reference), window)


def test_a_window_holds_no_value() -> None:
    window = window_of([(0.12345678, 3.0, "Atlantis"), (0.5, 1.0, "Rome")])
    assert b"0.12345678" not in window.to_json()
    assert b"Atlantis" not in window.to_json()


def test_windows_of_different_references_do_not_add_up() -> None:
    other = Window(Reference((number_reference("x", normal(10, 3)), REFERENCE.numbers[1]), REFERENCE.texts))
    with pytest.raises(InvalidInput, match="different references"):
        window_of([]).merge(other)
    with pytest.raises(InvalidInput, match="another reference"):
        Window.from_json(other.to_json(), REFERENCE)


@given(COLUMNS)
def test_a_value_is_counted_in_the_cell_where_a_search_finds_it(values: Floats) -> None:
    reference = number_reference("x", normal(1000, 0))
    window = Window(Reference((reference,)))
    window.add(values.reshape(-1, 1))
    present = values[~np.isnan(values)]
    expected = np.bincount(np.searchsorted(reference.edges, present), minlength=window.numbers.shape[1] - 1)
    assert window.numbers[0, :-1].tolist() == expected.tolist()


# From profiles


def profiled(values: pl.Series, kind: ColumnType, **options: list[str]) -> NumberReference | TextReference:
    return profiled_reference(profile_column(Column("x", kind), values), len(values), **options)


@pytest.mark.parametrize("kind", [ColumnType.NUMBER, ColumnType.INTEGER])
@pytest.mark.parametrize("values", ["normal", "ages", "few", "mostly zero"])
def test_a_reference_from_a_profile_is_right_within_a_hundredth(kind: ColumnType, values: str) -> None:
    random = np.random.default_rng(3)
    drawn = {
        "normal": random.normal(0, 1000, 5000),
        "ages": random.integers(18, 80, 5000).astype(float),
        "few": random.choice([1.0, 2.0, 5.0], 5000, p=[0.595, 0.2, 0.205]),
        "mostly zero": np.where(random.random(5000) < 0.7, 0.0, random.exponential(10, 5000)),
    }[values]
    if kind is ColumnType.INTEGER:
        drawn = drawn.round()
    series = pl.Series("x", drawn).cast(pl.Int64 if kind is ColumnType.INTEGER else pl.Float64)
    reference = profiled(series, kind)
    assert isinstance(reference, NumberReference)
    ordered = np.sort(drawn)
    actual = np.searchsorted(ordered, np.array(reference.edges), side="right") / len(drawn)
    claimed = np.cumsum(reference.shares)[:-1]
    # 1 / len: percentiles are interpolated between two rows.
    assert np.abs(actual - claimed).max() <= (1e-12 if values == "few" else 0.01 + 1 / len(drawn))
    found = drift_of(reference, drawn)
    assert found.psi < 0.01
    assert found.ks is not None
    assert found.ks <= 0.01 + 1 / len(drawn)


def test_booleans_and_texts_have_references_from_their_profiles() -> None:
    flags = pl.Series("x", [True, False, True, None])
    reference = profiled(flags, ColumnType.BOOLEAN)
    assert isinstance(reference, NumberReference)
    assert drift_of(reference, np.array([1.0, 0.0, 1.0, np.nan])).psi == pytest.approx(0)
    texts = pl.Series("x", ["a", "a", "b", None])
    text = profiled(texts, ColumnType.TEXT, known=["a", "b"])
    found = drift_of(text, ["a", "a", "b", ""])
    assert found.psi == pytest.approx(0)
    assert drift_of(text, ["c"]).unseen_share == 1.0
    empty = profiled(pl.Series("x", [None, None], dtype=pl.Float64), ColumnType.NUMBER)
    assert drift_of(empty, np.array([1.0])).unseen_share == 1.0


def test_dates_and_hidden_columns_have_no_reference() -> None:
    dates = pl.Series("x", [date(2026, 1, 1)])
    with pytest.raises(InvalidInput, match="no statistics"):
        profiled(dates, ColumnType.DATE)
    hidden = replace(profile_column(Column("x", ColumnType.NUMBER), pl.Series("x", [1.0])), nulls=None, masked=True)
    with pytest.raises(InvalidInput, match="no statistics"):
        profiled_reference(hidden, 1)


# Levels


def seen(index: float, rows: int = MIN_ROWS) -> ColumnDrift:
    return ColumnDrift("x", index, None, None, 0.0, None, rows)


@pytest.mark.parametrize(
    ("before", "index", "after"),
    [
        (Level.STABLE, 0.099, Level.STABLE),
        (Level.STABLE, 0.1, Level.MODERATE),
        (Level.STABLE, 0.25, Level.MAJOR),
        (Level.MODERATE, 0.09, Level.MODERATE),
        (Level.MODERATE, 0.079, Level.STABLE),
        (Level.MAJOR, 0.21, Level.MAJOR),
        (Level.MAJOR, 0.19, Level.MODERATE),
        (Level.MAJOR, 0.01, Level.STABLE),
    ],
)
def test_a_level_begins_at_its_threshold_and_ends_a_fifth_below(before: Level, index: float, after: Level) -> None:
    assert level_after(before, seen(index)) is after


@pytest.mark.parametrize("before", Level)
def test_few_rows_change_no_level(before: Level) -> None:
    for index in (0.0, 5.0):
        assert level_after(before, seen(index, MIN_ROWS - 1)) is before


def test_an_index_that_trembles_at_a_threshold_changes_the_level_once() -> None:
    levels = [Level.STABLE]
    for index in [0.095, 0.105] * 20:
        levels.append(level_after(levels[-1], seen(index)))
    assert sum(one is not other for one, other in pairwise(levels)) == 1


@settings(max_examples=20)
@given(st.integers(0, 10_000))
def test_a_window_of_the_least_rows_without_drift_is_no_alert(seed: int) -> None:
    reference = number_reference("x", normal(20_000, 0))
    assert level_after(Level.STABLE, drift_of(reference, normal(MIN_ROWS, seed + 1))) is Level.STABLE
