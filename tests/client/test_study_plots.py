"""A study as pictures: what is drawn, and that nothing in a name becomes markup."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from lepton.client.studies import Dimension, Study, Trial

SPACE = (
    Dimension(name="rate", kind="number", low=0.001, high=1.0, log=True),
    Dimension(name="depth", kind="whole", low=1, high=9),
    Dimension(name="kind", kind="choice", choices=("adam", "sgd")),
)


def a_study(count: int = 9, **more: Any) -> Study:
    trials = tuple(
        Trial(
            number=number,
            state="pruned" if number == 4 else "complete",
            value=None if number == 4 else 1.0 / (number + 1),
            params={"rate": 10.0 ** (-3 + number / 3), "depth": 1 + number, "kind": ("adam", "sgd")[number % 2]},
        )
        for number in range(count)
    )
    told = {
        "name": "net", "journal": "net", "directions": ("minimize",), "metric": "valid_loss", "best": count - 1,
        "space": SPACE, "trials": trials, "importance": {"depth": 0.7, "rate": 0.2, "kind": 0.1},
        "model": "net@1", **more,
    }  # fmt: skip
    return Study(**told)


def pictures(page: str) -> dict[str, list[ElementTree.Element]]:
    """All drawings by their kind, each whole XML."""
    found: dict[str, list[ElementTree.Element]] = {}
    for kind, text in re.findall(r'(?s)(?=<svg [^>]*class="lepton-(\w+)")(<svg .*?</svg>)', page):
        found.setdefault(kind, []).append(ElementTree.fromstring(text))
    return found


def count(picture: ElementTree.Element, tag: str) -> int:
    return len(picture.findall(f".//{{http://www.w3.org/2000/svg}}{tag}"))


def test_every_plot_is_drawn_with_every_trial_that_ended_well() -> None:
    found = pictures(a_study()._repr_html_())
    assert {kind: len(drawn) for kind, drawn in found.items()} == {
        "history": 1, "importance": 1, "slice": 3, "contour": 1, "parallel": 1,
    }  # fmt: skip
    for kind in ("history", "slice", "contour"):
        assert {count(picture, "circle") for picture in found[kind]} == {8}
    assert count(found["importance"][0], "rect") == 3
    assert count(found["parallel"][0], "path") == 8 + 4, (
        "a line for each trial, and an axis for each setting and the goal"
    )


@pytest.mark.parametrize(("direction", "falls"), [("minimize", True), ("maximize", False)])
def test_the_line_of_the_best_so_far_only_gets_better(direction: str, falls: bool) -> None:
    page = a_study(directions=(direction,), best=0)._repr_html_()
    line = pictures(page)["history"][0].findall(".//{http://www.w3.org/2000/svg}path")[1].get("d") or ""
    heights = [float(y) for y in re.findall(r"[\d.]+ ([\d.]+)", line)]
    assert len(heights) == 8
    assert (heights == sorted(heights)) if falls else (len(set(heights)) == 1)  # the first was the highest


def test_a_study_without_trials_or_with_one_setting_is_drawn_as_far_as_it_goes() -> None:
    assert "0 trials" in a_study(0, best=None, importance={}, model="").to_html()
    one = a_study(3, space=SPACE[:1], importance={})
    assert set(pictures(one._repr_html_())) == {"history", "slice", "parallel"}
    alike = a_study(1)
    assert "valid_loss" in alike._repr_html_()


def test_names_and_values_are_text_and_never_markup() -> None:
    evil = "<script>alert(1)</script>"
    space = (Dimension(name=evil, kind="choice", choices=(evil, "b")), SPACE[0])
    trials = (Trial(number=0, state="complete", value=1.0, params={evil: evil, "rate": 0.1}),)
    page = a_study(
        name=evil, metric=evil, space=space, trials=trials, best=0, importance={evil: 1.0}, model=evil
    ).to_html()
    assert "<script" not in page
    assert "&lt;script&gt;" in page


def test_the_page_stands_alone(tmp_path: Path) -> None:
    a_study().save(tmp_path / "study.html")
    page = (tmp_path / "study.html").read_text()
    assert page.startswith("<!doctype html>")
    assert not re.findall(r"(?:src|href)=", page)
    assert page.replace('xmlns="http://www.w3.org/2000/svg"', "").count("http") == 0
