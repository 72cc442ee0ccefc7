"""What people type becomes values, or one sentence."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lepton.cli import values
from lepton.core.errors import InvalidInput

TYPES = {"area": "number", "zip": "text", "sold": "boolean"}


def types() -> Mapping[str, str]:
    return TYPES


def test_a_row_is_typed_as_names_and_values() -> None:
    typed = ["area=120.5", "zip=01234", "sold=true", "floor=3", "note=1e999", "gap="]
    assert values.rows(typed, types) == [
        {"area": 120.5, "zip": "01234", "sold": True, "floor": 3, "note": "1e999", "gap": None}
    ]


def test_a_number_in_a_text_column_stays_text() -> None:
    assert values.rows(["zip=75001"], types) == [{"zip": "75001"}]
    assert values.rows(["zip=75001"], dict) == [{"zip": 75001}]


@pytest.mark.parametrize("text", ['{"area": 1}', '[{"area": 1}]', '{"rows": [{"area": 1}]}', ' {"area": 1}'])
def test_rows_are_given_as_json(text: str) -> None:
    assert values.rows([text], dict) == [{"area": 1}]


def test_rows_are_read_from_a_file_and_from_standard_input(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "rows.json").write_text('[{"area": 1}, {"area": 2}]')
    assert len(values.rows([f"@{tmp_path / 'rows.json'}"], dict)) == 2
    monkeypatch.setattr("sys.stdin", io.StringIO('{"area": 3}'))
    assert values.rows(["@-"], dict) == [{"area": 3}]


@pytest.mark.parametrize(
    ("typed", "sentence"),
    [
        (["area"], "NAME=VALUE"),
        (["=3"], "not of the form NAME=VALUE"),
        (["[1]"], "does not hold rows"),
        (['{"area": '], "not JSON.*line 1, column"),
        (["@nowhere.json"], "nowhere.json cannot be read"),
    ],
)
def test_what_is_no_row_gets_a_sentence(typed: list[str], sentence: str) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        values.rows(typed, dict)


@given(st.lists(st.text(min_size=1, max_size=12).filter(lambda text: text != "@-"), min_size=1, max_size=3))
def test_whatever_is_typed_is_rows_or_one_sentence(typed: list[str]) -> None:
    try:
        rows = values.rows(typed, types)
    except InvalidInput:
        return
    json.dumps(rows, allow_nan=False)


@given(st.dictionaries(st.from_regex(r"[a-z]{1,5}", fullmatch=True), st.integers() | st.booleans(), min_size=1))
def test_numbers_and_booleans_come_back_as_they_were(row: dict[str, int]) -> None:
    typed = [f"{name}={json.dumps(value)}" for name, value in row.items()]
    assert values.rows(typed, dict) == [row]


@pytest.mark.parametrize(
    "text",
    ["steps:\n- step: drop_duplicates\n", "- step: drop_duplicates\n", '{"steps": [{"step": "drop_duplicates"}]}'],
)
def test_a_recipe_is_read_from_yaml_and_json(tmp_path: Path, text: str) -> None:
    (tmp_path / "recipe").write_text(text)
    assert values.recipe(tmp_path / "recipe") == {"steps": [{"step": "drop_duplicates"}]}


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("steps: [", "line 1"),
        ("hello", "no list of steps"),
        ("", "no list of steps"),
        ("a: !!python/name:os.system", "line 1"),
    ],
)
def test_a_wrong_recipe_gets_a_sentence(tmp_path: Path, text: str, sentence: str) -> None:
    (tmp_path / "recipe").write_text(text)
    with pytest.raises(InvalidInput, match=sentence):
        values.recipe(tmp_path / "recipe")
    with pytest.raises(InvalidInput, match="cannot be read"):
        values.recipe(tmp_path / "nowhere")


def test_durations_and_shares_are_read() -> None:
    assert [values.seconds(text) for text in ("45s", "30m", "12h", "90d")] == [45, 1800, 43_200, 7_776_000]
    assert values.shares(["train=0.8", "test=.2"]) == {"train": 0.8, "test": 0.2}
    with pytest.raises(InvalidInput, match="no duration"):
        values.seconds("soon")
    with pytest.raises(InvalidInput, match="must be a number"):
        values.shares(["train=most"])


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        (["train=0.5", "train=0.5"], "'train' is given twice"),
        (["train=nan", "test=1"], "must be a number"),
        (["train=true", "test=1"], "must be a number"),
    ],
)
def test_wrong_shares_get_a_sentence(parts: list[str], sentence: str) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        values.shares(parts)


@pytest.mark.parametrize(("text", "found"), [("2", 2), ("0:4", (0, 4)), ("1:1", (1, 1))])
def test_workers_are_a_number_or_a_range(text: str, found: object) -> None:
    assert values.workers(text) == found


@pytest.mark.parametrize("text", ["", "two", "1:", ":4", "1:2:3", "-1", "1-4", "1.5"])
def test_what_is_no_number_of_workers_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="such as 0:4"):
        values.workers(text)
