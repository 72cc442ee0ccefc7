"""Every recipe goes the whole road inside a confined run: rows over the platform's door, a graph, a version."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

import lepton
from lepton.training.recipes.known import RECIPES

ROWS = 240
ASKED: dict[str, dict[str, Any]] = {
    "auto": {"budget_s": 12, "params": {"candidates": "linear,boosting", "folds": 3}},
    "jax": {"params": {"epochs": 12, "batch_size": 32, "learning_rate": 0.01}},
    "keras": {"params": {"epochs": 12, "batch_size": 32, "learning_rate": 0.01}},
    "lightgbm": {"params": {"rounds": 20}},
    "pytorch": {"params": {"epochs": 12, "batch_size": 32, "learning_rate": 0.01}},
    "sklearn": {},
    "transformers": {"params": {"epochs": 8, "batch_size": 32, "learning_rate": 0.002, "tokens": 6}},
    "xgboost": {"params": {"rounds": 20}},
}
"""How each is told to be quick. Lightning has no network of its own: its tests are in tests/training/recipes."""


@pytest.fixture(scope="module")
def opinions(client: lepton.Client) -> str:
    """Texts whose words, and numbers whose signs, say what they are."""
    rng = np.random.default_rng(0)
    good = rng.random(ROWS) < 0.5
    words = {True: ["fine", "lovely", "great", "warm"], False: ["poor", "broken", "cold", "late"]}
    other = ["the", "soup", "table", "waiter", "music"]
    texts = [" ".join(rng.permutation([*rng.choice(words[bool(one)], 2), *rng.choice(other, 3)])) for one in good]
    frame = pl.DataFrame(
        {
            "text": [f"{text} {number}" for number, text in enumerate(texts)],
            "stars": good * 2.0 + rng.normal(0, 0.5, ROWS),
            "good": np.where(good, "yes", "no"),
        }
    )
    return client.datasets.import_(frame, name="opinions").ref


@pytest.mark.parametrize("recipe", sorted(ASKED))
def test_a_recipe_leaves_a_version_that_answers(client: lepton.Client, opinions: str, recipe: str) -> None:
    made = client.models.train(f"{recipe}-model", dataset=opinions, target="good", recipe=recipe, **ASKED[recipe])
    assert made.recipe == recipe
    assert made.metrics["accuracy"] >= 0.8  # 48 rows; guessing has 0.5, and words and stars tell nearly all
    measured = client.models.evaluate(made.ref, dataset=opinions)
    assert measured.metrics["accuracy"] >= 0.8


def test_no_recipe_is_left_out() -> None:
    assert set(RECIPES) - set(ASKED) == {"lightning"}
