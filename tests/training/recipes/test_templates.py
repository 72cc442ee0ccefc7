"""Templates: each learns a small problem of its kind better than chance, and stands alone when it is copied."""

from __future__ import annotations

import ast
import importlib
import sys

import numpy as np
import pytest

from lepton.testing.recipe_workers import load
from lepton.testing.recipes import graph_answers
from lepton.training.context import TrainingContext
from lepton.training.recipes.port import Block, Material, Part, Problem
from lepton.training.recipes.pytorch import RECIPE
from lepton.training.templates import TEMPLATES

pytestmark = pytest.mark.usefixtures("onnx_operators_read_once")
TRAIN, ALL = 160, 260
LENGTH, WORDS = 10, 12


def images(random):
    """8 by 8 pixels: which half is the brighter one."""
    pixels = random.normal(size=(ALL, 8, 8))
    classes = random.integers(2, size=ALL)
    pixels[classes == 0, :4] += 1.0
    pixels[classes == 1, 4:] += 1.0
    return (Block("image", "number", 0, 1), *(Block(f"p{n}", "number", n, 1) for n in range(1, 64))), pixels, classes


def sequences(random):
    """Whether a noisy line rises or falls."""
    classes = random.integers(2, size=ALL)
    slope = np.where(classes == 1, 1.0, -1.0)[:, None]
    values = slope * np.linspace(-1, 1, LENGTH) + 0.5 * random.normal(size=(ALL, LENGTH))
    return tuple(Block(f"t{n}", "number", n, 1) for n in range(LENGTH)), values, classes


def texts(random):
    """Texts of 1 to 10 words of which one, somewhere, decides."""
    tokens = random.integers(4, WORDS, size=(ALL, LENGTH))
    lengths = random.integers(1, LENGTH + 1, size=ALL)
    classes = random.integers(2, size=ALL)
    tokens[np.arange(ALL), random.integers(lengths)] = 2 + classes
    tokens[np.arange(LENGTH) >= lengths[:, None]] = 0
    return (Block("text", "tokens", 0, LENGTH, WORDS),), tokens, classes


def tables(random):
    """A number, a category of three, words and tokens, all of which count."""
    number, kind = random.normal(size=(ALL, 1)), np.eye(3)[random.integers(3, size=ALL)]
    words, (_, tokens, told) = random.integers(2, size=(ALL, 4)), texts(random)
    classes = (number[:, 0] + kind[:, 0] - kind[:, 2] + words[:, 0] - words[:, 1] + 2 * told > 1).astype(np.int64)
    blocks = (
        Block("number", "number", 0, 1),
        Block("kind", "category", 1, 3, 2),
        Block("words", "words", 4, 4, 2),
        Block("text", "tokens", 8, LENGTH, WORDS),
    )
    return blocks, np.concatenate([number, kind, words, tokens], axis=1), classes


CASES = {
    "mlp": (tables, {"epochs": 12}),
    "cnn": (images, {"epochs": 4}),
    "resnet": (images, {"epochs": 3}),
    "transformer": (texts, {"epochs": 8}),
    "gru": (sequences, {"epochs": 6}),
    "tcn": (sequences, {"epochs": 4}),
    "gru of texts": (texts, {"epochs": 14}),
    "tcn of texts": (texts, {"epochs": 8}),
}


def test_every_template_is_tried():
    assert {name.split()[0] for name in CASES} == set(TEMPLATES)


@pytest.mark.parametrize("case", CASES)
def test_a_template_learns_better_than_chance_and_its_graph_answers_like_it(case, tmp_path):
    make, parameters = CASES[case]
    blocks, features, classes = make(np.random.default_rng(3))
    features = features.reshape(ALL, -1).astype(np.float32)
    material = Material(Problem(blocks, 2), Part(features[:TRAIN], classes[:TRAIN]), None)
    copied = tmp_path / "mine.py"
    copied.write_text(TEMPLATES[case.split()[0]].source())
    how = {"batch_size": 16, "learning_rate": 0.005, "patience": 0, **parameters}
    fitted = RECIPE.fit(material, TrainingContext(), how, load(f"{copied}:build"))
    rest, wanted = features[TRAIN:], classes[TRAIN:]
    scores = fitted.scores(rest)
    # Of 100 rows that were guessed, 70 are right once in 25,000 times.
    assert (scores.argmax(axis=1) == wanted).mean() >= 0.7
    for part in (slice(None), slice(0, 1), slice(1, 3)):
        # Both calculate in float32, in another order.
        assert np.abs(graph_answers(fitted.graph, rest[part]) - scores[part]).max() <= 1e-5


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_is_short_and_needs_pytorch_alone(name):
    source = TEMPLATES[name].source()
    assert len(source.splitlines()) < 100
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            assert (node.module or "").split(".")[0] in {"torch", *sys.stdlib_module_names}
        if isinstance(node, ast.Import):
            assert {alias.name for alias in node.names} == {"torch"}


@pytest.mark.parametrize(
    ("name", "words"), [("cnn", "no square image"), ("resnet", "no square image"), ("transformer", "column of tokens")]
)
def test_a_template_for_something_else_says_what_it_is_for(name, words):
    problem = Problem((Block("x", "number", 0, 1), Block("kind", "category", 1, 2, 2)), 2)
    with pytest.raises(ValueError, match=words):
        importlib.import_module(f"lepton.training.templates.{name}").build(problem)
