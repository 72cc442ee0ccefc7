"""Profiles: numbers that agree with NumPy, warnings that help, suggestions that do no harm."""

from __future__ import annotations

from datetime import date
from typing import Any

import numpy as np
import orjson
import polars as pl
import pytest
from datasets.tables import profiles_of, table
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from lepton.datasets.profile import ColumnProfile, TopValue, count_duplicates
from lepton.datasets.suggest import suggest_recipe


def test_numbers_are_described() -> None:
    values = [float(v) for v in range(101)] + [None]
    profile = profiles_of(table(x=values))["x"]
    assert (profile.nulls, profile.distinct, profile.min, profile.max, profile.mean) == (1, 101, 0.0, 100.0, 50.0)
    # Two ways to sum in floating point: equal to a few units in the last place.
    assert profile.std == pytest.approx(float(np.std(np.arange(101), ddof=1)), rel=1e-12)
    assert profile.quantiles is not None
    assert profile.quantiles["0.25"] == 25.0
    # Interpolation may round in the last place.
    assert list(profile.reference) == pytest.approx(range(101), rel=1e-12)
    assert profile.histogram is not None
    assert (len(profile.histogram.edges), sum(profile.histogram.counts)) == (21, 101)
    assert profile.top_values is None


def test_labels_are_counted_most_frequent_first() -> None:
    profile = profiles_of(table(t=["b", "a", "b", None, "c", "a"]))["t"]
    assert (profile.nulls, profile.distinct, profile.mean) == (1, 3, None)
    assert profile.top_values == (TopValue("a", 2), TopValue("b", 2), TopValue("c", 1))


def test_dates_have_a_first_and_a_last() -> None:
    profile = profiles_of(table(d=[date(2026, 1, 2), date(2026, 1, 1), None]))["d"]
    assert (profile.min, profile.max) == ("2026-01-01", "2026-01-02")
    assert profile.top_values == (TopValue("2026-01-01", 1), TopValue("2026-01-02", 1))


def test_extreme_numbers_do_not_break_the_profile() -> None:
    profile = profiles_of(table(x=[-1.7e308, 1.7e308, 0.0]))["x"]
    assert (profile.min, profile.max, profile.histogram) == (-1.7e308, 1.7e308, None)
    assert profiles_of(table(n=[2**63 - 1, -(2**63)]))["n"].max == 2**63 - 1
    assert profiles_of(table(x=[1.0]))["x"].std == 0.0


@pytest.mark.parametrize(
    ("values", "warning"),
    [
        ([None, None], "All values are missing."),
        (["a", "a"], "All values are the same."),
        ([1, None, None], "67% of the values are missing."),
        (list(range(30)), "Every value is different: it looks like an identifier."),
        ([f"id-{i}" for i in range(30)], "Every value is different: it looks like an identifier."),
        ([f"a long text number {i}" for i in range(120)], "There are 120 different texts, too many to be categories."),
        (["Bern", "bern ", "Rome"], "1 label differs from others only in case or blanks."),
        (
            [float(i % 10) for i in range(100)] + [9999.0],
            "A few values look impossible: far from all others, or negative among positive ones.",
        ),
        ([float(i % 10) for i in range(99)] + [30.0], "1.00% of the values lie more than 3 quartile ranges out."),
    ],
)
def test_warnings_say_what_is_odd(values: list[Any], warning: str) -> None:
    assert warning in profiles_of(table(x=values))["x"].warnings


def test_an_ordinary_column_has_no_warning() -> None:
    generator = np.random.default_rng(0)
    frame = table(x=generator.normal(50, 10, 500).tolist(), t=["a", "b"] * 250)
    assert [profile.warnings for profile in profiles_of(frame).values()] == [(), ()]


def test_duplicates_are_rows_equal_to_an_earlier_one() -> None:
    assert count_duplicates(table(a=[1, 1, None, None, 1], b=["x", "x", None, None, "y"]).lazy()) == 2


@given(
    values=st.lists(st.one_of(st.none(), st.floats(allow_nan=False, allow_infinity=False)), max_size=40),
    texts=st.lists(st.one_of(st.none(), st.text(max_size=5)), max_size=40),
)
@hypothesis_settings(max_examples=60, deadline=None)
def test_a_profile_comes_back_from_json(values: list[float | None], texts: list[str | None]) -> None:
    columns = [
        pl.DataFrame({"x": pl.Series(values, dtype=pl.Float64)}),
        pl.DataFrame({"x": pl.Series(texts, dtype=pl.String)}),
    ]
    for frame in columns:
        profile = profiles_of(frame)["x"]
        assert ColumnProfile.from_json(orjson.loads(orjson.dumps(profile.to_json()))) == profile


# --- suggestions


def suggested(frame: pl.DataFrame, target: str | None = None) -> list[dict[str, Any]]:
    recipe = suggest_recipe(list(profiles_of(frame).values()), count_duplicates(frame.lazy()), target=target)
    return [{k: v for k, v in step.to_json().items() if k != "why"} for step in recipe.steps]


def test_nothing_is_suggested_for_a_clean_table() -> None:
    assert suggested(table(x=[1.0, 2.0, 3.0], t=["a", "b", "c"])) == []


def test_an_empty_column_is_dropped_unless_it_is_the_target() -> None:
    frame = table(x=[1, 2], e=[None, None])
    assert suggested(frame) == [{"step": "drop_columns", "columns": ["e"]}]
    assert suggested(frame, "e") == [{"step": "drop_missing", "columns": ["e"]}]


def test_labels_are_written_as_most_of_them_are() -> None:
    frame = table(a=["YES", "YES", "yes", "NO"], b=["x", "x ", "y", "Z"], n=[1, 2, 3, 4])
    assert suggested(frame) == [
        {"step": "normalize_labels", "columns": ["a"], "trim": True, "case": "upper", "mapping": {}},
        {"step": "normalize_labels", "columns": ["b"], "trim": True, "case": "none", "mapping": {}},
    ]


def test_impossible_values_become_missing_and_are_filled() -> None:
    values = [20.0 + i % 30 for i in range(200)]
    frame = table(age=[*values, 9999.0, -1.0], order=[float(i) for i in range(202)])
    cut, fill = suggested(frame)
    assert (cut["step"], cut["columns"], cut["min"], cut["outside"]) == ("clip_range", ["age"], 0.0, "missing")
    assert 50 < cut["max"] < 9999
    assert fill == {"step": "fill_missing", "columns": ["age"], "strategy": "median", "value": None}


def test_heavy_tails_and_mostly_zero_columns_are_left_alone() -> None:
    generator = np.random.default_rng(1)
    frame = table(
        income=generator.lognormal(10, 1, 2000).tolist(),
        people=generator.pareto(1.5, 2000).tolist(),
        debt=[0.0] * 1900 + [float(i) for i in range(1, 101)],
        balance=(generator.normal(100, 100, 2000)).tolist(),
    )
    assert suggested(frame) == []


@pytest.mark.parametrize("rows", [200, 2000, 20_000])
@pytest.mark.parametrize("seed", range(5))
def test_the_negative_end_of_a_bell_is_no_mistake(rows: int, seed: int) -> None:
    values = np.random.default_rng(seed).normal(5.0, 2.2, rows)  # about 1.2% lie below 0
    assert suggested(table(x=values.tolist())) == []


def test_numbers_to_be_predicted_are_never_changed() -> None:
    values: list[float | None] = [20.0 + i % 30 for i in range(200)]
    frame = table(y=[*values, 9999.0, None], x=list(range(202)))
    assert suggested(frame, "y") == [{"step": "drop_missing", "columns": ["y"]}]


def test_free_text_is_not_filled() -> None:
    frame = table(t=[None, *(f"some text {i}" for i in range(200))])
    assert suggested(frame) == []


def test_each_suggestion_says_why() -> None:
    frame = table(t=["a", "A", None], n=[1, None, 3])
    recipe = suggest_recipe(list(profiles_of(frame).values()), 3)
    assert len(recipe.steps) == 4
    assert all(step.why.endswith(".") for step in recipe.steps)
