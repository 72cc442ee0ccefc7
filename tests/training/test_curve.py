"""The drawing of a loss curve: one file, no network, moving."""

import re
from xml.etree import ElementTree as ET

import numpy as np

from lepton import LinearRegression, LogisticRegression
from lepton.training.curve import Curve


def points(curve):
    path = next(e for e in ET.fromstring(curve.to_svg()).iter() if e.get("class") == "lepton-loss").get("d")
    return [(float(x), float(y)) for x, y in re.findall(r"[ML]([\d.]+) ([\d.]+)", path)]


def test_the_line_falls_as_the_loss_did():
    random = np.random.default_rng(0)
    features = random.normal(size=(200, 3))
    model = LinearRegression(solver="gd").fit(features, features @ [1.0, 2.0, 3.0] + random.normal(size=200))
    curve = model.plot_history()
    assert curve.losses == tuple(model.loss_curve_)
    drawn = points(curve)
    assert len(drawn) == model.n_iter_
    assert [x for x, _ in drawn] == sorted(x for x, _ in drawn)
    assert [y for _, y in drawn] == sorted(y for _, y in drawn)  # y counts from the top
    assert drawn[-1][1] > drawn[0][1] + 200


def test_a_page_needs_nothing_from_elsewhere_and_quotes_what_it_is_given(tmp_path):
    curve = Curve((3.0, 2.0, 1.5), "<script>alert(1)</script>")
    curve.save(tmp_path / "curve.html")
    page = (tmp_path / "curve.html").read_text()
    assert "<script" not in page
    assert "src=" not in page
    assert re.findall(r"https?://[^\"]+", page) == ["http://www.w3.org/2000/svg"]  # the name of SVG, not an address
    assert "@keyframes" in page
    assert "prefers-reduced-motion" in page
    assert curve._repr_html_() == curve.to_svg()


def test_long_and_short_walks_are_drawn_too():
    assert len(points(Curve(tuple(np.geomspace(1e6, 1e-3, 5000)), "long"))) <= 401
    assert len(points(Curve((1.0,), "short"))) == 1
    assert len(points(Curve((0.0, 0.0), "flat"))) == 2
    assert LogisticRegression().fit([[0], [1], [2], [3]], [0, 1, 0, 1]).plot_history().losses[0] > 0
