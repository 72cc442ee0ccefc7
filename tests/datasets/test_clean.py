"""What each step of a recipe does, and what it reports."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import numpy as np
import polars as pl
import pytest
from datasets.tables import profiles_of, schema_of, table
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from lepton.core.errors import InvalidInput
from lepton.datasets.clean import Cleaned, apply_recipe
from lepton.datasets.profile import count_duplicates
from lepton.datasets.recipe import parse_recipe
from lepton.datasets.schema import dtype_of
from lepton.datasets.split import holdout_mask, strata_of
from lepton.datasets.suggest import suggest_recipe


def clean(frame: pl.DataFrame, *steps: dict[str, Any]) -> Cleaned:
    return apply_recipe(frame, schema_of(frame), parse_recipe({"steps": list(steps)}))


def test_clean_keeps_the_first_of_duplicate_rows() -> None:
    cleaned = clean(table(a=[2, 1, 2, None, None], b=["x", "y", "x", "z", "z"]), {"step": "drop_duplicates"})
    assert cleaned.frame.rows() == [(2, "x"), (1, "y"), (None, "z")]
    assert cleaned.steps[0].summary == "2 rows dropped that repeated an earlier one"
    assert (cleaned.steps[0].rows_before, cleaned.steps[0].rows_after) == (5, 3)


def test_the_same_table_gives_the_same_rows_in_the_same_order_and_the_same_parts() -> None:
    draw = np.random.default_rng(0)
    rows = 200_000  # enough for Polars to share the work among its threads
    frame = table(a=draw.integers(0, 300, rows).tolist(), b=draw.choice(["x", "Y", "y "], rows).tolist())
    steps = ({"step": "normalize_labels", "columns": ["b"]}, {"step": "drop_duplicates"})
    cleaned = [clean(frame, *steps).frame for _ in range(5)]
    expected = list(dict.fromkeys((a, b.strip()) for a, b in frame.iter_rows()))
    assert [one.rows() for one in cleaned] == [expected] * 5
    held_out = [holdout_mask(one.height, 0.2, seed=7, strata=strata_of(one["b"])).tolist() for one in cleaned]
    assert held_out == held_out[:1] * 5


def test_duplicates_can_be_looked_for_in_some_columns() -> None:
    cleaned = clean(table(a=[1, 1, 2], b=["x", "y", "z"]), {"step": "drop_duplicates", "columns": ["a"]})
    assert cleaned.frame.rows() == [(1, "x"), (2, "z")]


def test_drop_missing_drops_rows_that_lack_any_of_the_columns() -> None:
    frame = table(a=[1, None, 3], b=["x", "y", None])
    assert clean(frame, {"step": "drop_missing"}).frame.rows() == [(1, "x")]
    assert clean(frame, {"step": "drop_missing", "columns": ["b"]}).frame.rows() == [(1, "x"), (None, "y")]


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [("mean", [1.0, 2.0, 6.0, 3.0]), ("median", [1.0, 2.0, 6.0, 2.0]), ("mode", [1.0, 2.0, 6.0, 1.0])],
)
def test_fill_missing_takes_what_is_typical(strategy: str, expected: list[float]) -> None:
    cleaned = clean(table(x=[1.0, 2.0, 6.0, None]), {"step": "fill_missing", "strategy": strategy})
    assert cleaned.frame["x"].to_list() == expected
    (step,) = cleaned.steps
    assert step.fitted == {"x": {strategy: expected[-1]}}
    assert (step.summary, step.changed) == ("1 cell filled", {"x": 1})


def test_whole_numbers_are_filled_by_whole_numbers() -> None:
    cleaned = clean(table(n=[1, 2, None, 2, 4]), {"step": "fill_missing", "strategy": "mean"})
    assert cleaned.frame["n"].to_list() == [1, 2, 2, 2, 4]


def test_the_mode_of_equally_frequent_labels_is_the_first_in_order() -> None:
    cleaned = clean(table(t=["b", "a", None, "b", "a"]), {"step": "fill_missing", "strategy": "mode"})
    assert cleaned.frame["t"].to_list() == ["b", "a", "a", "b", "a"]


def test_constants_fill_the_columns_they_fit() -> None:
    frame = table(n=[None, 1], t=[None, "x"], d=[None, date(2026, 1, 1)], w=[None, datetime(2026, 1, 1)])
    fill = {"step": "fill_missing", "strategy": "constant"}
    assert clean(frame, {**fill, "value": 7}).frame.row(0) == (7, None, None, None)
    assert clean(frame, {**fill, "columns": ["d"], "value": "2026-02-01"}).frame["d"][0] == date(2026, 2, 1)
    filled = clean(frame, {**fill, "columns": ["w"], "value": "2026-02-01T10:00:00+02:00"}).frame["w"][0]
    assert filled == datetime(2026, 2, 1, 8)


def test_a_column_without_values_stays_missing() -> None:
    frame = table(x=pl.Series([None, None], dtype=pl.Float64).to_list(), y=[1, 2]).with_columns(
        pl.col("x").cast(pl.Float64)
    )
    steps = [{"step": "fill_missing", "strategy": "median"}, {"step": "clip_outliers"}, {"step": "scale"}]
    assert clean(frame, *steps).frame["x"].null_count() == 2


def test_outliers_are_clipped_to_the_fences() -> None:
    values = [1.0, 2.0, 3.0, 4.0, 100.0, None]
    cleaned = clean(table(x=values), {"step": "clip_outliers", "method": "iqr", "factor": 1.5})
    assert cleaned.frame["x"].to_list() == [1.0, 2.0, 3.0, 4.0, 7.0, None]
    assert cleaned.steps[0].fitted == {"x": {"low": -1.0, "high": 7.0}}


def test_whole_numbers_are_clipped_to_whole_numbers_inside_the_fences() -> None:
    frame = table(n=[0, 1, 2, 3, 4, 5, 6, 7, 100, -100])
    cleaned = clean(frame, {"step": "clip_outliers", "factor": 1.0})
    fences = cleaned.steps[0].fitted["n"]
    assert cleaned.frame["n"].dtype == pl.Int64
    low, high = cleaned.frame["n"].min(), cleaned.frame["n"].max()
    assert fences["low"] <= low <= fences["low"] + 1  # type: ignore[operator]
    assert fences["high"] - 1 <= high <= fences["high"]  # type: ignore[operator]


def test_rows_with_outliers_are_dropped_and_missing_values_are_none() -> None:
    frame = table(x=[1.0, 2.0, 3.0, 2.0, 100.0, None])
    cleaned = clean(frame, {"step": "drop_outliers", "method": "zscore", "factor": 1.5})
    assert cleaned.frame["x"].to_list() == [1.0, 2.0, 3.0, 2.0, None]


def test_a_column_that_hardly_varies_has_no_outliers() -> None:
    frame = table(x=[0.0] * 9 + [5.0])
    assert clean(frame, {"step": "clip_outliers"}).frame.equals(frame)
    assert clean(frame, {"step": "drop_outliers"}).frame.equals(frame)


def test_a_range_clips_or_makes_missing() -> None:
    frame = table(n=[-5, 0, 5, None, 500])
    step = {"step": "clip_range", "columns": ["n"], "min": 0, "max": 99.5}
    assert clean(frame, step).frame["n"].to_list() == [0, 0, 5, None, 99]
    assert clean(frame, {**step, "outside": "missing"}).frame["n"].to_list() == [None, 0, 5, None, None]


def test_labels_are_trimmed_cased_and_mapped_in_this_order() -> None:
    frame = table(sex=[" M", "m", "F ", "male", None, "?x"])
    step = {"step": "normalize_labels", "columns": ["sex"], "case": "lower", "mapping": {"M": "male", "?X": None}}
    cleaned = clean(frame, step)
    assert cleaned.frame["sex"].to_list() == ["male", "male", "f", "male", None, None]
    assert cleaned.steps[0].changed == {"sex": 4}


@pytest.mark.parametrize(("case", "expected"), [("upper", "NEW YORK"), ("title", "New York"), ("none", "new YORK")])
def test_labels_can_be_in_any_case(case: str, expected: str) -> None:
    cleaned = clean(table(t=["new YORK "]), {"step": "normalize_labels", "columns": ["t"], "case": case})
    assert cleaned.frame["t"].to_list() == [expected]


@pytest.mark.parametrize(
    ("values", "kind", "expected"),
    [
        (["1", " 2.5 ", "x", None], "number", [1.0, 2.5, None, None]),
        (["1", "2.5"], "integer", [1, None]),
        (["true", "FALSE", "yes"], "boolean", [True, False, None]),
        (["2026-01-31", "soon"], "date", [date(2026, 1, 31), None]),
        ([1, 0, 2], "boolean", [True, False, None]),
        ([1, None], "number", [1.0, None]),
        ([1.0, 1.5, 1e300], "integer", [1, None, None]),
        ([1.5, None], "text", ["1.5", None]),
        ([True, None], "integer", [1, None]),
        ([True, False], "text", ["true", "false"]),
        ([date(2026, 1, 31)], "text", ["2026-01-31"]),
        ([date(2026, 1, 31)], "datetime", [datetime(2026, 1, 31)]),
        ([datetime(2026, 1, 31, 5)], "date", [date(2026, 1, 31)]),
    ],
)
def test_values_are_read_as_another_type(values: list[Any], kind: str, expected: list[Any]) -> None:
    cleaned = clean(table(x=values), {"step": "cast", "columns": ["x"], "type": kind})
    assert cleaned.frame["x"].to_list() == expected
    (column,) = cleaned.schema
    assert (column.type.value, dtype_of(column.type)) == (kind, cleaned.frame["x"].dtype)


def test_numbers_are_scaled() -> None:
    frame = table(n=[0, 5, 10], c=[3.0, 3.0, 3.0])
    assert clean(frame, {"step": "scale", "method": "min_max"}).frame.rows() == [(0.0, 0.0), (0.5, 0.0), (1.0, 0.0)]
    cleaned = clean(frame, {"step": "scale", "columns": ["n"]})
    # The deviation is that of the population, as in scikit-learn; 1e-12 covers rounding.
    assert cleaned.frame["n"].to_list() == pytest.approx([-(1.5**0.5), 0.0, 1.5**0.5], abs=1e-12)
    assert cleaned.steps[0].fitted["n"]["mean"] == 5.0


def test_dropping_every_row_is_refused() -> None:
    with pytest.raises(InvalidInput, match=r"Step 2 \(drop_missing\) drops every row"):
        clean(table(a=[1, 2], b=[None, None]), {"step": "drop_duplicates"}, {"step": "drop_missing"})


def test_steps_report_how_far_they_are() -> None:
    done: list[int] = []
    frame = table(a=[1, 1])
    recipe = parse_recipe({"steps": [{"step": "drop_duplicates"}, {"step": "drop_missing"}]})
    apply_recipe(frame, schema_of(frame), recipe, on_step=done.append)
    assert done == [1, 2]


cells = st.one_of(st.none(), st.sampled_from([" a", "a", "A ", "b", "B", "c"]))
numbers = st.one_of(st.none(), st.floats(-1e6, 1e6, allow_nan=False))


@given(rows=st.lists(st.tuples(cells, numbers, st.one_of(st.none(), st.integers(-9, 9))), min_size=1, max_size=40))
@hypothesis_settings(max_examples=60, deadline=None)
def test_cleaning_by_its_own_suggestion_leaves_nothing_to_suggest_about_gaps_and_doubles(
    rows: list[tuple[str | None, float | None, int | None]],
) -> None:
    schema = {"t": pl.String, "x": pl.Float64, "n": pl.Int64}
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    recipe = suggest_recipe(list(profiles_of(frame).values()), count_duplicates(frame.lazy()))
    cleaned = apply_recipe(frame, schema_of(frame), recipe)
    assert cleaned.frame.height <= frame.height
    names = cleaned.frame.columns
    assert all(cleaned.frame[name].null_count() in (0, cleaned.frame.height) for name in names)
    for step, before in zip(cleaned.steps, [frame.height, *(s.rows_after for s in cleaned.steps)], strict=False):
        assert step.rows_before == before
    after = profiles_of(cleaned.frame)
    assert all(profile.hints.variants == 0 for profile in after.values())
