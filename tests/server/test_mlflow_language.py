"""MLflow's filters mean here what MLflow itself reads in them, and whatever is not one is refused as wrong input."""

from __future__ import annotations

import os
import warnings
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lepton.core.errors import InvalidInput
from lepton.runs.filters import Condition, Order
from lepton.server.mlflow.language import Comparison, conditions, holds, orders, parse, shown_tags, stored_tag

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
    from mlflow.utils.search_utils import SearchUtils

pytestmark = pytest.mark.filterwarnings("default")

KEYS = st.from_regex(r"[a-z][a-z0-9_ ./-]{0,10}[a-z0-9]", fullmatch=True)
TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="'\"\0\\`", exclude_categories=("C", "Z")), min_size=1)
NUMBERS = st.one_of(st.integers(-(10**9), 10**9), st.decimals(-1000, 1000, places=3))


def spaced(draw: Any) -> str:
    return draw(st.sampled_from([" ", "  "]))


@st.composite
def compared(draw: Any) -> str:
    """One comparison as somebody might write it."""
    kind = draw(st.sampled_from(["metrics", "metric", "params", "tags", "tag", "attributes", "run"]))
    if kind.startswith("metric"):
        sign, value = draw(st.sampled_from(["=", "!=", "<", "<=", ">", ">="])), str(draw(NUMBERS))
    else:
        sign, value = draw(st.sampled_from(["=", "!=", "LIKE", "ILIKE", "like"])), f"'{draw(TEXTS)}'"
    if kind in ("attributes", "run"):
        key = draw(st.sampled_from(["status", "run_id", "user_id", "run_name"]))
    else:
        key = f"`{draw(KEYS)}`"
    return f"{kind}.{key}{spaced(draw)}{sign}{spaced(draw)}{value}"


@given(st.lists(compared(), min_size=1, max_size=5))
def test_a_filter_is_read_as_mlflow_reads_it(parts: list[str]) -> None:
    text = " AND ".join(parts)
    theirs = SearchUtils.parse_search_filter(text)
    ours = parse(text)
    assert [(one.entity, one.key, one.sign.upper()) for one in ours] == [
        (one["type"].replace("parameter", "param"), one["key"], one["comparator"].upper()) for one in theirs
    ]
    for mine, one in zip(ours, theirs, strict=True):
        assert mine.value == (float(one["value"]) if mine.entity == "metric" else one["value"])
    assert len(conditions(text)) == len(parts)


@given(st.text(max_size=60))
def test_whatever_is_no_filter_is_wrong_input(text: str) -> None:
    for read in (parse, conditions, lambda text: orders([text])):
        with suppress(InvalidInput):
            read(text)


@given(st.text(max_size=8), st.text(alphabet="ab%_", max_size=8))
def test_a_pattern_fits_what_mlflow_says_it_fits(text: str, pattern: str) -> None:
    from mlflow.utils.search_utils import _ilike, _like

    if "\n" not in text:  # theirs does not let % stand for the end of a line
        assert holds(Comparison("tag", "a", "like", pattern), text) == bool(_like(text, pattern))
        assert holds(Comparison("tag", "a", "ilike", pattern), text) == bool(_ilike(text, pattern))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ()),
        ("metrics.a/b < 1e-3", (Condition("metric", "a/b", "<", 0.001),)),
        ("end_time >= 1000", (Condition("run", "ended_at", ">=", datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)),)),
        ('params."a b" = "x"', (Condition("param", "a b", "=", "x"),)),
        ("tags.name = 'it''s'", (Condition("tag", "tag.name", "=", "it's"),)),
        ("tags.`mlflow.runName` LIKE 'a%'", (Condition("tag", "name", "like exactly", "a%"),)),
        ("`Run name` = 'a'", (Condition("tag", "name", "=", "a"),)),
        ("run_id IN ('a', 'b')", (Condition("run", "id", "in", ("a", "b")),)),
        ("run_id NOT  IN ('a')", (Condition("run", "id", "not in", ("a",)),)),
        ("status LIKE 'F%'", (Condition("run", "state", "in", ("succeeded", "failed")),)),
        ("status != 'FINISHED'", (Condition("run", "state", "in", ("queued", "running", "failed", "cancelled")),)),
        ("params.a IS NULL and tags.b is not null",
         (Condition("param", "a", "is null", ""), Condition("tag", "b", "is not null", ""))),
    ],
)  # fmt: skip
def test_filters_become_conditions(text: str, expected: tuple[Condition, ...]) -> None:
    assert conditions(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "metrics.a LIKE 'x'", "metrics.a < 'x'", "params.a < 3", "params.a = 3", "start_time = 'a'", "mood = 'a'",
        "metrics.a < 1 OR metrics.b < 1", "metrics.a < 1 AND", "metrics.a <", "datasets.name = 'x'",
        "start_time > 1e300",        "run_id IN 'a'", "run_id IN ('a'", "a.b.c", "(metrics.a < 1)", "x" * 20_000,
        " AND ".join(["metrics.a < 1"] * 51),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_is_said(text: str) -> None:
    with pytest.raises(InvalidInput):
        conditions(text)


def test_orders_are_read() -> None:
    assert orders(["metrics.`a b` DESC", "start_time", "params.x ASC", "tags.mlflow.runName desc", "run_name"]) == (
        Order("metric", "a b", descending=True),
        Order("run", "started_at", descending=False),
        Order("param", "x", descending=False),
        Order("tag", "name", descending=True),
        Order("tag", "name", descending=False),
    )
    for wrong in ("", "metrics.a down", "mood", "datasets.x"):
        with pytest.raises(InvalidInput):
            orders([wrong])


@given(st.dictionaries(st.sampled_from(["mlflow.runName", "name", "experiment", "a", "tag.a"]), st.text()))
def test_tags_come_back_under_the_names_they_came_with(tags: dict[str, str]) -> None:
    stored = {stored_tag(key): value for key, value in tags.items()}
    assert shown_tags({**stored, "experiment": "of Lepton"}) == tags
