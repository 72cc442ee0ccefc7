"""XGBoost: trees, on one worker or on several, and after kills."""

import numpy as np
import pytest

from lepton.core.errors import InvalidInput
from lepton.testing.recipe_tasks import make_task
from lepton.testing.recipe_workers import Job, train
from lepton.testing.recipes import RecipeContract
from lepton.training.context import TrainingContext
from lepton.training.recipes.known import find


class TestXGBoost(RecipeContract):
    recipe_name = "xgboost"
    same_for_workers = 0.0  # worker 0 has the rows of both, in the same order
    kills = 2

    def quick(self, task):
        return {"rounds": 60, "max_depth": 4}

    def short(self):
        return {"rounds": 6, "max_depth": 3, "subsample": 0.7, "colsample": 0.6}

    def unknown(self):
        return {"learning_rat": "learning_rate", "max_dept": "max_depth"}

    def early(self):
        return {"rounds": 200, "learning_rate": 0.3, "patience": 5}, 200

    def models(self):
        import xgboost

        return {
            "parameters": ({"eta": 0.2, "max_depth": 3, "subsample": 0.8}, {"rounds": 40}),
            "estimator": (xgboost.XGBClassifier(n_estimators=40, max_depth=3), {}),
            "class": (xgboost.XGBClassifier, {"rounds": 40}),
            "function": (lambda problem: {"max_depth": problem.width}, {"rounds": 40}),
        }

    def long(self):
        return {"rounds": 100_000, "patience": 0}


def test_workers_that_are_given_a_network_learn_what_one_learns(tmp_path):
    told = {"rounds": 10, "max_depth": 3}
    task = make_task("binary")
    alone = find("xgboost").fit(task.material(), TrainingContext(), told, None).scores(task.fixed[0])
    two = train(Job("xgboost", "binary", {**told, "network": "127.0.0.1"}), workers=2, folder=tmp_path)
    assert np.abs(two.scores - alone).max() <= 1e-5  # sums of histograms are added in another order


def test_parameters_that_are_not_possible_are_refused_in_a_sentence():
    for told, word in (({"max_depth": -5}, "max_depth"), ({"subsample": 7.0}, "subsample")):
        with pytest.raises(InvalidInput, match=f"XGBoost refuses: .*{word}"):
            find("xgboost").fit(make_task("binary").material(), TrainingContext(), {"rounds": 2, **told}, None)
    with pytest.raises(InvalidInput, match="ONNX graph. Take gbtree"):
        find("xgboost").fit(make_task("binary").material(), TrainingContext(), {}, {"booster": "dart"})
