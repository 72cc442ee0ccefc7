"""Recipes are read from JSON and YAML, and what is wrong with one is said in a sentence."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from datasets.tables import schema_of, table

from lepton.core.columns import ColumnType
from lepton.core.errors import InvalidInput
from lepton.datasets.fitting import check_recipe
from lepton.datasets.recipe import parse_recipe, parse_recipe_text
from lepton.datasets.steps import (
    Cast,
    ClipOutliers,
    ClipRange,
    DropColumns,
    DropDuplicates,
    DropMissing,
    DropOutliers,
    FillMissing,
    NormalizeLabels,
    Recipe,
    Scale,
)

EVERY_STEP = Recipe(
    (
        DropDuplicates(),
        DropDuplicates(("a",)),
        DropMissing(("a", "b")),
        FillMissing(None, strategy="mean"),
        FillMissing(("b",), strategy="constant", value="x"),
        ClipOutliers(),
        DropOutliers(("a",), method="zscore", factor=3.0),
        ClipRange(("a",), min=0.0, outside="missing"),
        NormalizeLabels(("b",), trim=False, case="title", mapping=(("m", "male"), ("unknown", None))),
        Cast(("a",), type=ColumnType.TEXT),
        Scale(method="min_max"),
        DropColumns(("a",)),
    )
)


def test_a_recipe_is_read_as_it_was_written() -> None:
    assert parse_recipe(EVERY_STEP.to_json()) == EVERY_STEP


def test_yaml_and_json_are_both_read() -> None:
    expected = Recipe((DropDuplicates(), FillMissing(("age",), strategy="median")))
    yaml = "steps:\n- step: drop_duplicates\n- {step: fill_missing, columns: [age], strategy: median}\n"
    json = (
        '{"steps": [{"step": "drop_duplicates", "columns": null}, '
        '{"step": "fill_missing", "columns": ["age"], "strategy": "median"}]}'
    )
    assert parse_recipe_text(yaml) == parse_recipe_text(json) == expected


def test_a_z_score_reaches_three_deviations_by_default() -> None:
    (step,) = parse_recipe({"steps": [{"step": "clip_outliers", "method": "zscore"}]}).steps
    assert isinstance(step, ClipOutliers)
    assert step.factor == 3.0


def test_the_reason_of_a_suggestion_is_ignored() -> None:
    assert parse_recipe({"steps": [{"step": "drop_duplicates", "why": "because"}]}) == Recipe((DropDuplicates(),))
    assert Recipe((DropDuplicates(why="x"),)).to_json()["steps"] == [
        {"step": "drop_duplicates", "columns": None, "why": "x"}
    ]


@pytest.mark.parametrize(
    ("data", "match"),
    [
        ([], "A recipe is an object with the one key 'steps'"),
        ({"steps": 1}, "A recipe is an object"),
        ({"steps": [], "more": 1}, "A recipe is an object"),
        ({"steps": ["drop"]}, "Step 1 of the recipe must be an object with the key 'step'"),
        ({"steps": [{"step": "drop_dupes"}]}, "'drop_dupes', which is unknown. Did you mean 'drop_duplicates'?"),
        ({"steps": [{"step": "scale", "metod": "min_max"}]}, "has no setting 'metod'. Did you mean 'method'?"),
        ({"steps": [{"step": "scale", "method": "max"}]}, "'method' must be 'min_max' or 'z_score'"),
        ({"steps": [{"step": "scale", "columns": "a"}]}, "'columns' must be a list of column names"),
        ({"steps": [{"step": "fill_missing", "columns": ["a"]}]}, "needs 'strategy'"),
        ({"steps": [{"step": "fill_missing", "strategy": "constant"}]}, "'value' goes with the strategy 'constant'"),
        ({"steps": [{"step": "fill_missing", "strategy": "mean", "value": 1}]}, "'value' goes with"),
        ({"steps": [{"step": "cast", "columns": ["a"], "type": "float"}]}, "'type' must be 'integer' or 'number'"),
        ({"steps": [{"step": "clip_outliers", "factor": 0}]}, "'factor' must be a number above 0"),
        ({"steps": [{"step": "clip_outliers", "factor": True}]}, "'factor' must be a number above 0"),
        ({"steps": [{"step": "clip_range", "columns": ["a"]}]}, "needs 'min', 'max' or both"),
        ({"steps": [{"step": "clip_range", "columns": ["a"], "min": 2, "max": 1}]}, "'min' must not be above 'max'"),
        ({"steps": [{"step": "clip_range", "columns": ["a"], "min": "x"}]}, "'min' must be a number"),
        ({"steps": [{"step": "drop_columns"}]}, "needs 'columns'"),
        ({"steps": [{"step": "normalize_labels", "columns": ["a"], "trim": 1}]}, "'trim' must be true or false"),
        ({"steps": [{"step": "normalize_labels", "columns": ["a"], "mapping": {True: "x"}}]}, "in quotes"),
        ({"steps": [{"step": "fill_missing", "strategy": "constant", "value": [1]}]}, "'value' must be a text"),
        ({"steps": [{"step": "drop_missing"}] * 201}, "at most 200"),
    ],
)
def test_a_wrong_recipe_is_told_what_is_wrong(data: Any, match: str) -> None:
    with pytest.raises(InvalidInput, match=match):
        parse_recipe(data)


def test_a_text_that_is_neither_says_where() -> None:
    with pytest.raises(InvalidInput, match=r"neither JSON nor YAML \(line 2, column \d+\)"):
        parse_recipe_text("steps:\n- {step: [}\n")
    with pytest.raises(InvalidInput, match="neither JSON nor YAML"):
        parse_recipe_text("steps: !!python/object/apply:os.system ['true']")


def test_no_value_of_a_recipe_is_quoted() -> None:
    for step in (
        {"step": "fill_missing", "strategy": "constant", "value": ["s3cret"]},
        {"step": "normalize_labels", "columns": ["a"], "mapping": {"s3cret": 1}},
        {"step": "clip_range", "columns": ["a"], "min": "s3cret"},
    ):
        with pytest.raises(InvalidInput) as caught:
            parse_recipe({"steps": [step]})  # type: ignore[list-item]
        assert "s3cret" not in caught.value.message


FRAME = table(n=[1, 2], x=[0.5, None], t=["a", "b"], b=[True, False]).with_columns(d=pl.lit("2026-01-01").str.to_date())


@pytest.mark.parametrize(
    ("step", "match"),
    [
        ({"step": "drop_missing", "columns": ["nn"]}, "names column 'nn', which the dataset does not have"),
        ({"step": "normalize_labels", "columns": ["n"]}, "works on columns of text, and column 'n' is integer"),
        ({"step": "scale", "columns": ["t"]}, "works on columns of numbers, and column 't' is text"),
        ({"step": "clip_outliers", "columns": ["b"]}, "works on columns of numbers, and column 'b' is boolean"),
        ({"step": "fill_missing", "columns": ["t"], "strategy": "median"}, "fills by the median only columns of num"),
        (
            {"step": "fill_missing", "columns": ["n"], "strategy": "constant", "value": "s3cret"},
            "has a 'value' of another type, and column 'n' is integer",
        ),
        (
            {"step": "fill_missing", "columns": ["d"], "strategy": "constant", "value": "today"},
            "has a 'value' of another type, and column 'd' is date",
        ),
        ({"step": "cast", "columns": ["d"], "type": "number"}, "cannot read it as number but as datetime, text"),
        ({"step": "drop_columns", "columns": ["n", "x", "t", "b", "d"]}, "drops every column"),
    ],
)
def test_a_recipe_that_does_not_fit_is_told_why(step: Any, match: str) -> None:
    with pytest.raises(InvalidInput, match=match):
        check_recipe(parse_recipe({"steps": [step]}), schema_of(FRAME))


def test_each_step_is_checked_against_what_the_steps_before_it_make() -> None:
    steps: Any = [
        {"step": "cast", "columns": ["t"], "type": "number"},
        {"step": "scale", "columns": ["t", "n"]},
        {"step": "drop_columns", "columns": ["b"]},
    ]
    after = check_recipe(parse_recipe({"steps": steps}), schema_of(FRAME))
    assert [(c.name, c.type.value) for c in after] == [
        ("n", "number"),
        ("x", "number"),
        ("t", "number"),
        ("d", "date"),
    ]
    with pytest.raises(InvalidInput, match=r"Step 2 \(scale\) names column 't'"):
        check_recipe(
            parse_recipe({"steps": [{"step": "drop_columns", "columns": ["t"]}, {"step": "scale", "columns": ["t"]}]}),
            schema_of(FRAME),
        )
