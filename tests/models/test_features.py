"""What is learned about columns before training."""

from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest

from lepton.core.columns import ColumnType
from lepton.core.errors import InvalidInput
from lepton.models.features import CategoryFeature, Column, NumberFeature, WordsFeature
from lepton.models.fitting import MAX_CATEGORIES, fit_features


def test_numbers_are_scaled_as_they_are_after_filling_in() -> None:
    values = [1.0, 2.0, None, 10.0, None, float("inf")]
    features = fit_features(pl.LazyFrame({"x": values}), [Column("x", ColumnType.NUMBER)])
    number = features.items[0]
    assert isinstance(number, NumberFeature)
    filled = np.array([1.0, 2.0, 2.0, 10.0, 2.0, 2.0])
    assert number.median == 2.0
    # Two ways to the same sums in double precision
    assert number.mean == pytest.approx(filled.mean(), rel=1e-12)
    assert number.std == pytest.approx(filled.std(), rel=1e-12)


def test_the_same_rows_give_the_same_features_to_the_last_bit() -> None:
    values = np.random.default_rng(0).normal(50, 7, 400_000)
    rows = pl.LazyFrame({"x": values, "chosen": values > 40}).filter(pl.col("chosen")).drop("chosen")
    fitted = [fit_features(rows, [Column("x", ColumnType.NUMBER)]) for _ in range(8)]
    assert len(set(fitted)) == 1
    kept = values[values > 40]
    assert fitted[0].numbers[0].mean == kept.mean()
    assert fitted[0].numbers[0].std == math.sqrt(kept.var())


def test_more_columns_than_fit_together_are_fitted_in_groups() -> None:
    frame = pl.LazyFrame({f"x{i}": [i, i + 1, i + 2] for i in range(40)})
    features = fit_features(frame, [Column(f"x{i}", ColumnType.INTEGER) for i in range(40)])
    assert [item.median for item in features.numbers] == [i + 1.0 for i in range(40)]


def test_categories_are_kept_most_frequent_first_and_missing_is_one_of_them() -> None:
    frame = pl.LazyFrame({"c": ["b", "a", "b", None, "", "c", "a", "b"]})
    features = fit_features(frame, [Column("c", ColumnType.TEXT)])
    assert features.items == (CategoryFeature(Column("c", ColumnType.TEXT), ("b", "a", "c", "")),)
    assert features.inputs[0].values == ("b", "a", "c")


def test_rare_categories_are_left_unknown() -> None:
    values = [f"v{i:03}" for i in range(150) for _ in range(150 - i)]
    features = fit_features(pl.LazyFrame({"c": values}), [Column("c", ColumnType.TEXT)])
    assert features.width == MAX_CATEGORIES
    assert features.categories[0].categories[0] == "v000"


@pytest.mark.parametrize(
    ("values", "kind", "reason"),
    [
        ([None, None, None], ColumnType.NUMBER, "has no values"),
        ([5.0, None, 5.0], ColumnType.NUMBER, "one and the same value"),
        ([True, True, None], ColumnType.BOOLEAN, "one and the same value"),
        (["a", "a", "a"], ColumnType.TEXT, "one and the same value"),
        (["", None, ""], ColumnType.TEXT, "has no values"),
        ([1e308, -1e308, 1.0], ColumnType.NUMBER, "too large"),
        ([1e300, 1.0, 2.0], ColumnType.NUMBER, "too large"),
        ([1e-300, -1e-300, 0.0], ColumnType.NUMBER, "too close together"),
    ],
)
def test_columns_that_say_nothing_are_left_out_with_a_note(values: list[object], kind: ColumnType, reason: str) -> None:
    dtype = {ColumnType.NUMBER: pl.Float64, ColumnType.BOOLEAN: pl.Boolean, ColumnType.TEXT: pl.String}[kind]
    frame = pl.LazyFrame({"dull": pl.Series(values, dtype=dtype), "x": [1.0, 2.0, 3.0]})
    columns = [Column("dull", kind), Column("x", ColumnType.NUMBER)]
    features = fit_features(frame, columns)
    assert [item.column.name for item in features.items] == ["x"]
    assert len(features.notes) == 1
    assert "'dull'" in features.notes[0]
    assert reason in features.notes[0]
    with pytest.raises(InvalidInput, match=reason):
        fit_features(frame, columns, named=True)
    with pytest.raises(InvalidInput, match=reason):
        fit_features(frame, columns[:1])


def test_dates_are_left_out_with_a_note() -> None:
    frame = pl.LazyFrame({"day": ["2026-01-01", "2026-01-02"], "x": [1, 2]}).with_columns(pl.col("day").cast(pl.Date))
    features = fit_features(frame, [Column("day", ColumnType.DATE), Column("x", ColumnType.INTEGER)])
    assert "'day' holds date values" in features.notes[0]


@pytest.mark.parametrize("rows", [100, 20_000])
def test_an_identifier_is_left_out_with_a_note(rows: int) -> None:
    frame = pl.LazyFrame({"code": [f"secret{i:x}" for i in range(rows)]})
    with pytest.raises(InvalidInput, match="'code' is an identifier rather than a text or a category") as caught:
        fit_features(frame, [Column("code", ColumnType.TEXT)])
    assert "secret" not in caught.value.message


def test_free_text_becomes_its_most_frequent_words() -> None:
    texts = [f"Hello {'FREE!' if i % 2 else 'dear'} friend {i:05}" for i in range(2000)] + [None, ""]
    features = fit_features(pl.LazyFrame({"message": texts}), [Column("message", ColumnType.TEXT)])
    assert features.items == (WordsFeature(Column("message", ColumnType.TEXT), ("friend", "hello", "dear", "free")),)
    assert features.inputs[0].values is None


def test_a_short_table_of_texts_is_not_free_text() -> None:
    frame = pl.LazyFrame({"c": [f"v{i}" for i in range(12)]})
    assert fit_features(frame, [Column("c", ColumnType.TEXT)]).width == 12


def test_columns_that_tell_nothing_stay_in_their_places_for_a_model_that_counts_on_them() -> None:
    frame = pl.DataFrame(
        {"edge": [0.0] * 30, "empty": [None] * 30, "x": [float(n) for n in range(30)], "far": [7.0] * 30}
    )
    columns = [Column(name, ColumnType.NUMBER) for name in frame.columns]
    kept = fit_features(frame.cast(pl.Float64).lazy(), columns, keep_constant=True)
    assert [item.column.name for item in kept.items] == frame.columns
    assert [(item.median, item.mean, item.std) for item in kept.numbers if item.column.name != "x"] == [
        (0.0, 0.0, 1.0),
        (0.0, 0.0, 1.0),
        (7.0, 7.0, 1.0),
    ]
    assert not kept.notes
