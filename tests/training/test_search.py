"""What is searched, one line for each setting."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lepton.core.errors import InvalidInput
from lepton.training.search import Between, Dimension, Either, edges, grid, grid_size, parse, parse_all, written

NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.-]{0,20}", fullmatch=True)
WORDS = st.text("abcdefghij_", min_size=1, max_size=8).filter(lambda text: text not in ("true", "false"))
NUMBERS = st.floats(-1e9, 1e9, allow_nan=False).map(lambda value: value + 0.0)


@st.composite
def ranges(draw: st.DrawFn) -> Between:
    name = draw(NAMES)
    if draw(st.booleans()):
        low = draw(st.integers(-1000, 1000))
        high = draw(st.integers(low + 1, low + 1000))
        step = draw(st.none() | st.integers(1, high - low))
        log = step is None and low > 0 and draw(st.booleans())
        return Between(name, float(low), float(high), whole=True, log=log, step=None if step is None else float(step))
    low_, high_ = sorted(draw(st.lists(NUMBERS, min_size=2, max_size=2, unique=True)))
    return Between(name, low_, high_, log=low_ > 0 and draw(st.booleans()))


@st.composite
def choices(draw: st.DrawFn) -> Either:
    found = draw(st.lists(WORDS | st.integers(-99, 99) | st.booleans(), min_size=2, max_size=5))
    different = list({(type(one), one): one for one in found}.values())
    return Either(draw(NAMES), tuple(different) if len(different) > 1 else ("a", "b"))


@given(ranges() | choices())
def test_what_is_written_is_read_as_the_same(one: Dimension) -> None:
    assert parse(one.text) == one


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused_with_a_sentence(text: str) -> None:
    try:
        found = parse(text)
    except InvalidInput as error:
        said = error.message
    else:
        said = "Write for example" if found.name == text.partition("=")[0].strip() else ""
    assert any(part in said for part in ("Write for example", "Begin above 0", "not both", "Take a smaller"))


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("max_depth=2..10", Between("max_depth", 2, 10, whole=True)),
        ("learning_rate=0.001..0.3 log", Between("learning_rate", 0.001, 0.3, log=True)),
        ("learning_rate = 1e-3 .. 3e-1", None),
        ("dropout=0..0.5 step 0.1", Between("dropout", 0, 0.5, step=0.1)),
        ("units=16..256 step 16", Between("units", 16, 256, whole=True, step=16)),
        ("optimizer=adamw|sgd", Either("optimizer", ("adamw", "sgd"))),
        ("depth=2|4|8", Either("depth", (2, 4, 8))),
        ("shuffle=true|false", Either("shuffle", (True, False))),
        ("rate=0.1|auto", Either("rate", (0.1, "auto"))),
        ("depth=10..2", None),
        ("depth=3", None),
        ("depth=", None),
        ("=2..3", None),
        ("depth", None),
        ("rate=0..1 log", None),
        ("rate=0.1..1 log step 0.1", None),
        ("rate=0..1 step 2", None),
        ("rate=0..1 step 0", None),
        ("a=x|x", None),
        ("a=x||y", None),
        ("rate=1e400..2e400", None),
    ],
)
def test_a_line_means_one_thing_or_is_refused(line: str, meant: Dimension | None) -> None:
    if meant is None:
        with pytest.raises(InvalidInput):
            parse(line)
    else:
        assert parse(line) == meant


def test_a_setting_is_searched_once() -> None:
    with pytest.raises(InvalidInput, match="'a' is searched twice"):
        parse_all(["a=1..2", "a=x|y"])
    with pytest.raises(InvalidInput, match="1 to 100 settings"):
        parse_all([])


def test_a_mapping_is_the_same_as_its_lines() -> None:
    space = {"depth": (2, 10), "rate": (0.001, 0.3), "lr": "0.1..1 log", "opt": ["adamw", "sgd"], "flag": [True, False]}
    lines = ["depth=2..10", "rate=0.001..0.3", "lr=0.1..1 log", "opt=adamw|sgd", "flag=true|false"]
    assert written(space) == lines
    assert parse_all(lines)[1] == Between("rate", 0.001, 0.3)


def test_a_grid_is_every_combination_and_needs_steps() -> None:
    space = parse_all(["depth=1..3", "rate=0..1 step 0.5", "opt=a|b"])
    points = list(grid(space))
    assert len(points) == grid_size(space) == 18
    assert len({tuple(point.items()) for point in points}) == 18
    assert {"depth": 2, "rate": 0.5, "opt": "b"} in points
    with pytest.raises(InvalidInput, match="step"):
        grid_size(parse_all(["rate=0.0..1.0"]))


@given(st.lists(ranges() | choices(), min_size=1, max_size=4, unique_by=lambda one: one.name))
def test_the_values_to_try_a_setting_with_lie_in_it_and_show_its_kind(space: list[Dimension]) -> None:
    for one in space:
        values = edges(one)
        if isinstance(one, Either):
            assert values == one.choices
        else:
            assert all(isinstance(value, int if one.whole else float) for value in values)
            assert (float(values[0]), float(values[-1])) == (one.low, one.high)
            assert all(one.low <= float(value) <= one.high for value in values)


def test_a_range_of_numbers_is_tried_with_one_that_is_not_whole() -> None:
    assert not all(float(value).is_integer() for value in edges(parse("epochs=1.0..3.0")))
