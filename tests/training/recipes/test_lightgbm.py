"""LightGBM: trees, on several workers and after kills."""

import pytest

from lepton.core.errors import InvalidInput, Unavailable
from lepton.testing.recipe_tasks import make_task
from lepton.testing.recipes import RecipeContract
from lepton.training.checkpoints import Checkpoints
from lepton.training.collective import LocalCollective
from lepton.training.context import TrainingContext
from lepton.training.recipes.lightgbm import RECIPE


class TestLightGBM(RecipeContract):
    recipe_name = "lightgbm"
    # few leaves: with several workers LightGBM estimates the rows of a leaf from its sums, and with many leaves decides
    # otherwise where `min_rows` matters; what is left is the order in which the sums of histograms are added
    same_for_workers = 1e-6
    kills = 2

    def quick(self, task):
        return {"rounds": 60, "leaves": 15}

    def short(self):
        return {"rounds": 6, "leaves": 7, "subsample": 0.7, "colsample": 0.6}

    def whole(self, rows):
        return {"rounds": 20, "leaves": 4, "min_rows": 1}

    def unknown(self):
        return {"learning_rat": "learning_rate", "num_leaves": "leaves"}

    def early(self):
        return {"rounds": 200, "learning_rate": 0.3, "patience": 5}, 200

    def models(self):
        import lightgbm

        return {
            "parameters": ({"eta": 0.2, "num_leaves": 7, "subsample": 0.8, "subsample_freq": 1}, {"rounds": 40}),
            "estimator": (lightgbm.LGBMClassifier(n_estimators=40, num_leaves=7), {}),
            "class": (lightgbm.LGBMClassifier, {"rounds": 40}),
            "function": (lambda problem: {"num_leaves": problem.width}, {"rounds": 40}),
        }

    def long(self):
        return {"rounds": 100_000, "patience": 0}


def test_a_training_that_had_ended_leaves_the_same_graph_again(tmp_path):
    told = {"rounds": 6, "leaves": 7, "subsample": 0.7}
    context = TrainingContext(checkpoints=Checkpoints(tmp_path, every=3))
    first, again = (RECIPE.fit(make_task("three").material(), context, told, None) for _ in range(2))
    assert first.graph == again.graph


def test_parameters_that_are_not_possible_are_refused_in_a_sentence():
    material = make_task("binary").material()
    with pytest.raises(InvalidInput, match=r"LightGBM refuses: \(bagging_fraction\) <= \(1.0\)$"):
        RECIPE.fit(material, TrainingContext(), {"rounds": 2, "subsample": 7.0}, None)
    with pytest.raises(InvalidInput, match="The objective 'lambdarank' is not possible"):
        RECIPE.fit(material, TrainingContext(), {}, {"objective": "lambdarank"})


class FakeLost(LocalCollective):
    """Two workers of the same rows, of which the other is lost while trees grow."""

    world_size = 2
    calls = 0

    def gather(self, data):
        self.calls += 1
        if self.calls > 30:
            raise Unavailable("Worker 1 was lost.")
        return [data, data]


def test_the_loss_of_a_worker_ends_learning_instead_of_crashing_it():
    with pytest.raises(Unavailable, match="Worker 1 was lost"):
        RECIPE.fit(make_task("regression").material(), TrainingContext(collective=FakeLost()), {"rounds": 5}, None)
