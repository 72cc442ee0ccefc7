"""The whole search: within its time, going on after a kill, with what a person wants to know."""

import time

import numpy as np
import pytest

from lepton.core.errors import InvalidInput
from lepton.testing.recipe_tasks import make_task
from lepton.training.auto.recipe import RECIPE
from lepton.training.auto.results import SLOW, Result, pack
from lepton.training.checkpoints import Checkpoints
from lepton.training.collective import LocalCollective
from lepton.training.context import TrainingContext
from lepton.training.problems import TrainingDataError
from lepton.training.recipes.port import Block, Material, Part, Problem

FEW = {"candidates": "linear,products", "folds": 3, "budget_s": 600.0, "trials": 2}
LATE_S = 30.0
"""Beyond the budget: what a busy machine needs to end processes and to fit the linear model that is left."""


@pytest.fixture(scope="module")
def fitted():
    """The ring: no line tells it, products of columns do; a copy of the target is among the columns."""
    rng = np.random.default_rng(0)
    features = rng.normal(size=(400, 3)).astype(np.float32)
    targets = (features[:, 0] ** 2 + features[:, 1] ** 2 + 0.3 * rng.normal(size=400) > 1.4).astype(np.int64)
    blocks = tuple(Block(name, "number", place, 1) for place, name in enumerate(("east", "north", "dust")))
    material = Material(Problem(blocks, 2, "inside"), Part(features, targets), None)
    return RECIPE.fit(material, TrainingContext(threads=2), FEW, None)


def test_the_candidate_that_can_learn_it_is_found_and_told(fitted):
    board = fitted.plots["leaderboard"]
    assert board["names"][0].startswith("Linear model with products of columns")
    assert board["scores"] == sorted(board["scores"])
    assert board["scores"][0] < 0.5 < board["scores"][-1]  # a coin has 0.69, and no line does better
    assert sum(board["weights"]) == pytest.approx(1.0)
    assert fitted.notes == ()


def test_what_matters_is_measured_by_columns_of_the_table(fitted):
    found = fitted.plots["importance"]
    assert found["names"][2] == "dust"
    assert found["values"][1] > 0.1 > abs(found["values"][2])
    said = fitted.plots["report"]["sentences"]
    assert any(
        s.startswith("What matters most is ") and s.endswith("1 other columns make no clear difference.") for s in said
    )


def test_every_plot_is_there_and_is_json(fitted):
    import json

    assert set(fitted.plots) == {"leaderboard", "importance", "certainty", "failures", "report"}
    json.dumps(fitted.plots)


def test_the_budget_is_kept_even_if_nothing_can_be_finished_in_it():
    task, began = make_task("binary"), time.monotonic()
    asked = {"candidates": "random_forest", "budget_s": 1.0}
    fitted = RECIPE.fit(task.material(valid=False), TrainingContext(), asked, None)
    assert time.monotonic() - began < 1.0 + LATE_S
    assert fitted.plots["report"]["sentences"]
    assert fitted.scores(task.fixed[0]).shape == (160, 2)


def test_time_that_was_spent_before_a_kill_is_gone(tmp_path):
    """A run with all of its time behind it ends at once: nothing that was finished is tried again."""
    slow = Result("linear", 0, "linear", {"strength": 1.0}, 384, SLOW, why="ended after 9 s")
    Checkpoints(tmp_path).save(1, lambda: pack([(slow, None)], 3600.0), LocalCollective())
    said, task = [], make_task("binary")
    context = TrainingContext(checkpoints=Checkpoints(tmp_path), say=said.append)
    began = time.monotonic()
    fitted = RECIPE.fit(task.material(valid=False), context, {**FEW, "candidates": "linear"}, None)
    assert time.monotonic() - began < LATE_S
    assert said == ["goes on after 1 candidates, 3600 of 600 seconds are gone"]
    assert "No candidate was finished in time" in " ".join(fitted.notes)


def test_a_table_that_does_not_fit_is_learned_from_in_part_and_said_so():
    rng = np.random.default_rng(0)
    features = rng.normal(size=(60_000, 200)).astype(np.float32)
    blocks = tuple(Block(f"x{i}", "number", i, 1) for i in range(200))
    material = Material(Problem(blocks, 2), Part(features, (features[:, 0] > 0).astype(np.int64)), None)
    fitted = RECIPE.fit(material, TrainingContext(), {"memory_mb": 400, "budget_s": 1.0}, None)
    assert any(note.startswith("Only 49,152 of 60,000 rows were learned from: 150 MB") for note in fitted.notes)


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"candidates": "linear,oak"}, "The parameter candidates is 'oak'. Choose one of: linear, neighbors"),
        ({"budget_s": 0.2}, "The parameter budget_s is 0.2; it must be 1 or more."),
        ({"folds": 50}, "The parameter folds is 50; it can be 1 to 20"),
    ],
)
def test_what_cannot_be_asked_for_is_said_with_what_can(parameters, sentence):
    with pytest.raises(InvalidInput, match=sentence.replace(".", r"\.")):
        RECIPE.fit(make_task("binary").material(), TrainingContext(), parameters, None)


def test_a_model_of_ones_own_and_rows_of_one_class_are_refused():
    with pytest.raises(InvalidInput, match="brings its own candidates"):
        RECIPE.fit(make_task("binary").material(), TrainingContext(), {}, object())
    material = Material(
        Problem((Block("x", "number", 0, 1),), 2), Part(np.zeros((20, 1), np.float32), np.zeros(20, int)), None
    )
    with pytest.raises(TrainingDataError, match="have one class"):
        RECIPE.fit(material, TrainingContext(), {}, None)
