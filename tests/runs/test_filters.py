"""Runs are found by what they measured and how they were set, and sorted by it; the language says where it is wrong."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from runs.small_platform import Platform

from lepton.access.records import Actor, Role
from lepton.core.errors import InvalidInput
from lepton.runs.batch import Batch, Columns
from lepton.runs.filters import Condition, Order, Search, parse_columns, parse_filter, parse_order

ANN = Actor("ann-id", "ann", {"default": Role.EDITOR, "lab": Role.EDITOR})


@pytest.fixture
def names(platform: Platform) -> dict[str, str]:
    """Three runs and one of another project, by id."""
    found = {}
    for name, loss, lr, model in (("a", 0.3, "0.1", "mlp"), ("b", 0.1, "0.02", "mlp"), ("c", 0.2, "10", "tree")):
        run = platform.runs.create(ANN, params={"lr": lr, "model": model}, tags={"name": name, "team.x": "it's"})
        curve = Columns("loss", [1, 2], [0, 1], [9.0, loss])
        platform.runs.track(ANN, run.id, Batch(client="c", batch=1, curves=[curve]))
        found[run.id] = name
    bare = platform.runs.create(ANN)
    found[bare.id] = "bare"
    elsewhere = platform.runs.create(ANN, project="lab", params={"model": "mlp"})
    found[elsewhere.id] = "elsewhere"
    return found


def look(platform: Platform, names: dict[str, str], text: str = "", order: str = "created_at", **more: int) -> str:
    search = Search(parse_filter(text), parse_order(order), **more)
    return " ".join(names[run.id] for run in platform.runs.list(ANN, search=search))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "a b c bare"),
        ("metrics.loss < 0.25", "b c"),
        ("metrics.loss >= 0.2 and params.model = 'mlp'", "a"),
        ("metrics.loss != 0.1", "a c"),
        ("metrics.`loss` <= 1e-1", "b"),
        ("params.lr > 0.05", "a c"),
        ("params.lr = 0.1", "a"),
        ("params.lr = '0.1'", "a"),
        ("params.lr = '0.10'", ""),
        ("params.model != 'mlp'", "c"),
        ("params.model like 'T%'", "c"),
        ("tags.team.x = 'it''s' AND tags.name = 'b'", "b"),
        ("tags.\"name\" == 'c'", "c"),
        ("state = 'running'", "a b c bare"),
        ("state != 'running'", ""),
        ("task = 'runs.create' and submitted_by = 'ann' and metric.loss > -1", "a b c"),
        ("metrics.nothing > 0", ""),
        ("params.model = '%' ", ""),
        ("params.model = '''; DROP TABLE runs; --'", ""),
    ],
)
def test_runs_are_found(platform: Platform, names: dict[str, str], text: str, found: str) -> None:
    assert look(platform, names, text) == found


@pytest.mark.parametrize(
    ("order", "found"),
    [
        ("metrics.loss", "b c a"),
        ("metrics.loss DESC", "a c b"),
        ("params.lr", "b a c"),
        ("params.model asc", "a b c"),
        ("tags.name desc", "c b a"),
        ("created_at desc", "bare c b a"),
        ("ended_at", ""),
    ],
)
def test_runs_are_sorted_and_those_that_lack_it_are_left_out(
    platform: Platform, names: dict[str, str], order: str, found: str
) -> None:
    assert look(platform, names, "", order) == found


def test_pages_follow_each_other(platform: Platform, names: dict[str, str]) -> None:
    pages = [look(platform, names, "", "metrics.loss", limit=1, offset=n) for n in range(4)]
    assert pages == ["b", "c", "a", ""]


def test_a_long_value_is_found_whole(platform: Platform) -> None:
    long = "x" * 5000
    first = platform.runs.create(ANN, params={"p": long + "1"})
    platform.runs.create(ANN, params={"p": long + "2"})
    found = platform.runs.list(ANN, search=Search(parse_filter(f"params.p = '{long[:3000]}'")))
    assert found == []
    wanted = Condition("param", "p", "=", long + "1")
    assert [run.id for run in platform.runs.list(ANN, search=Search((wanted,)))] == [first.id]


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("metrics.loss", 13),
        ("metrics.loss <", 15),
        ("metrics.loss < 'a'", 16),
        ("metrics.loss ~ 1", 14),
        ("metrics.loss < 1 or metrics.loss > 2", 18),
        ("metrics.loss < 1 and", 18),
        ("params.a < 'b'", 12),
        ("params.a like 1", 15),
        ("state = 1", 9),
        ("'a' = 1", 1),
        ("params.a = 'never closed", 12),
        ("params.a = b", 12),
    ],
)
def test_a_filter_that_is_none_says_where(text: str, at: int) -> None:
    with pytest.raises(InvalidInput, match=f"character {at}:"):
        parse_filter(text)


@pytest.mark.parametrize("text", ["loss < 1", "attributes.x = 'y'", "sealed_params = 'x'", "user_id = 'x'"])
def test_only_what_is_meant_to_be_seen_can_be_asked_for(text: str) -> None:
    with pytest.raises(InvalidInput, match="not known here"):
        parse_filter(text)


@pytest.mark.parametrize("text", ["", "loss desc", "metrics.loss sideways", "sealed_params", "1", "metrics.loss, id"])
def test_an_order_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        parse_order(text)


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused_with_a_sentence(text: str) -> None:
    try:
        parse_filter(text)
        parse_order(text)
    except InvalidInput:
        pass


KEYS = st.from_regex(r"[A-Za-z0-9_./-]{1,20}", fullmatch=True)


@given(
    st.lists(
        st.tuples(st.sampled_from(["param", "tag"]), KEYS, st.sampled_from(["=", "!=", "like"]), st.text(max_size=10))
        | st.tuples(
            st.just("metric"), KEYS, st.sampled_from(["=", "!=", "<", "<=", ">", ">="]),
            st.floats(allow_nan=False, allow_infinity=False),
        ),
        max_size=4,
    )
)  # fmt: skip
def test_what_is_written_is_read_back(wanted: list[tuple[str, str, str, str | float]]) -> None:
    def value(v: str | float) -> str:
        return repr(v) if isinstance(v, float) else "'" + v.replace("'", "''") + "'"

    text = " and ".join(f"{kind}s.{key} {operator} {value(v)}" for kind, key, operator, v in wanted)
    assert parse_filter(text) == tuple(Condition(*parts) for parts in wanted)  # type: ignore[arg-type]


def test_the_newest_are_listed_where_nothing_is_asked(platform: Platform, names: dict[str, str]) -> None:
    assert parse_order("created_at desc") == Order("run", "created_at", descending=True)
    assert [names[run.id] for run in platform.runs.list(ANN)] == ["bare", "c", "b", "a"]
    assert datetime.now(UTC) > platform.runs.list(ANN)[0].created_at


def test_a_list_tells_of_each_run_what_it_is_asked_for(platform: Platform, names: dict[str, str]) -> None:
    wanted = parse_columns(["metrics.loss", "params.lr", "tags.team.x"])
    found = platform.runs.list(ANN, search=Search(order=Order("param", "lr", descending=False), columns=wanted))
    assert [dict(run.columns) for run in found] == [
        {"metrics.loss": 0.1, "params.lr": "0.02", "tags.team.x": "it's"},
        {"metrics.loss": 0.3, "params.lr": "0.1", "tags.team.x": "it's"},
        {"metrics.loss": 0.2, "params.lr": "10", "tags.team.x": "it's"},
    ]
    everything = Search(ids=(found[0].id,), columns=parse_columns(["metrics.*", "params.*"]))
    (one,) = platform.runs.list(ANN, search=everything)
    assert one.columns == {"metrics.loss": 0.1, "params.lr": "0.02", "params.model": "mlp"}


def test_runs_named_by_their_ids_are_those_of_the_project_only(platform: Platform, names: dict[str, str]) -> None:
    ids = {name: run_id for run_id, name in names.items()}
    search = Search(ids=(ids["a"], ids["elsewhere"], "nobody"))
    assert [run.id for run in platform.runs.list(ANN, search=search)] == [ids["a"]]


@pytest.mark.parametrize("name", ["loss", "state", "metrics.", "models.x", ""])
def test_what_is_no_column_is_refused(name: str) -> None:
    with pytest.raises(InvalidInput, match=r"is no column. There are metrics\.NAME"):
        parse_columns([name])
    with pytest.raises(InvalidInput, match="100 columns at most"):
        parse_columns(["params.x"] * 101)
