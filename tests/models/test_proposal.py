"""What fits a dataset is proposed by its columns and its target, each with a reason and what to type."""

from __future__ import annotations

import pytest

from lepton.core.columns import ColumnClass, ColumnType
from lepton.datasets.profile import ColumnProfile, TopValue
from lepton.models.proposal import Proposal, propose, task_of
from lepton.models.signature import Task


def column(name: str, kind: ColumnType = ColumnType.NUMBER, distinct: int = 50) -> ColumnProfile:
    return ColumnProfile(name, kind, ColumnClass.PLAIN, distinct=distinct)


def text(*values: str, distinct: int = 6000) -> ColumnProfile:
    top = tuple(TopValue(value, 1) for value in values)
    return ColumnProfile("note", ColumnType.TEXT, ColumnClass.PLAIN, distinct=distinct, top_values=top)


def recipes(*columns: ColumnProfile, target: ColumnProfile, rows: int) -> list[tuple[str, str]]:
    return [(found.recipe, found.model) for found in propose([*columns, target], target.name, rows)]


YES = column("bought", ColumnType.TEXT, 2)


@pytest.mark.parametrize(
    ("target", "rows", "expected"),
    [
        (column("y", ColumnType.TEXT, 3), 100, Task.CLASSIFICATION),
        (column("y", ColumnType.BOOLEAN, 2), 100, Task.CLASSIFICATION),
        (column("y", ColumnType.INTEGER, 2), 10, Task.CLASSIFICATION),
        (column("y", ColumnType.INTEGER, 10), 100, Task.CLASSIFICATION),
        (column("y", ColumnType.INTEGER, 10), 99, Task.REGRESSION),
        (column("y", ColumnType.INTEGER, 21), 10_000, Task.REGRESSION),
        (column("y", ColumnType.NUMBER, 50), 100, Task.REGRESSION),
    ],
)
def test_the_target_decides_what_is_predicted(target: ColumnProfile, rows: int, expected: Task) -> None:
    assert task_of(target, rows) is expected


def test_a_small_table_gets_the_linear_model_alone() -> None:
    assert recipes(column("age"), target=YES, rows=299) == [("logistic_regression", "")]
    assert recipes(column("age"), target=column("price"), rows=100) == [("linear_regression", "")]


def test_trees_and_the_search_follow_with_more_rows_and_a_network_with_many() -> None:
    assert recipes(column("age"), target=YES, rows=300) == [
        ("logistic_regression", ""),
        ("sklearn", ""),
        ("auto", ""),
    ]
    assert recipes(column("age"), target=YES, rows=5000)[-1] == ("pytorch", "mlp")


def test_a_square_of_numbered_columns_is_a_picture_and_a_line_of_them_a_series() -> None:
    pixels = [column(f"pixel_{number}") for number in range(64)]
    assert recipes(*pixels, target=YES, rows=1000)[0] == ("pytorch", "cnn")
    assert recipes(*pixels[:-1], target=YES, rows=1000)[:2] == [("pytorch", "tcn"), ("pytorch", "gru")]
    with_gap = [*pixels[:30], *pixels[31:]]
    assert recipes(*with_gap, target=YES, rows=1000)[0] == ("logistic_regression", "")


@pytest.mark.parametrize(
    "note",
    [text("It broke after a day.", "Never again, sorry!", "ok"), text("这家酒店很好", "房间太小而且很吵")],
    ids=["English", "Chinese"],
)
def test_long_texts_in_many_rows_are_read_by_a_transformer(note: ColumnProfile) -> None:
    assert recipes(note, target=YES, rows=8000)[0] == ("transformers", "")
    assert recipes(note, target=YES, rows=12_001)[0] == ("logistic_regression", "")  # half of them repeat


@pytest.mark.parametrize(
    "names",
    [
        text("c0", "c1", "c599"),
        text("0f8fad5b-d9cb-469f-a165-70867728950e", "7c9e6679-7425-40de-944b-e07fc1f90ae7"),
        text("Smith, Ann", "Lee, Bo"),
        text("王小明", "李四"),
        text(),
    ],
    ids=["numbers", "uuids", "names", "Chinese names", "nothing known"],
)
def test_identifiers_and_names_are_nothing_to_read_though_all_differ(names: ColumnProfile) -> None:
    found = propose([names, YES], "bought", 6000)
    assert (found[0].recipe, found[0].reason) == ("logistic_regression", "Fast, and it says what counts for how much.")
    assert "transformers" not in [one.recipe for one in found]


def test_what_to_type_is_the_whole_command() -> None:
    proposal = Proposal("auto", "why", budget="10min", params={"folds": 3})
    assert proposal.typed("sales@2", "amount") == (
        "lepton models train NAME --dataset sales@2 --target amount --recipe auto --param folds=3 --budget 10min"
    )
