"""The recipe `pytorch`: the contract of recipes, and what only it does."""

from __future__ import annotations

import pytest
from torch import nn

from lepton.testing.recipes import RecipeContract

pytestmark = pytest.mark.usefixtures("onnx_operators_read_once")
FAST = {"epochs": 12, "batch_size": 40, "learning_rate": 0.01}


class Net(nn.Module):
    def __init__(self, problem):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(problem.width, 16), nn.Tanh(), nn.Linear(16, problem.outputs))

    def forward(self, features):
        return self.layers(features)


def one_logit(problem):
    """Two classes, one number."""
    return nn.Sequential(nn.Linear(problem.width, 1), nn.Flatten(0))


class TestPyTorch(RecipeContract):
    recipe_name = "pytorch"
    same_for_workers = 1e-5  # float32, summed in another order, over 12 steps

    def quick(self, task):
        return FAST

    def short(self):
        return {"epochs": 3, "batch_size": 160, "dropout": 0.2}

    def whole(self, rows):
        return {"epochs": 12, "batch_size": rows, "learning_rate": 0.01}

    def unknown(self):
        return {"learning_rat": "learning_rate", "hiden": "hidden"}

    def early(self):
        return {"epochs": 200, "batch_size": 160, "learning_rate": 0.01, "patience": 3}, 200

    def diverging(self):
        return {"learning_rate": 1e30}

    def models(self):
        return {
            "an object": (nn.Sequential(nn.Linear(7, 2)), FAST),
            "a class": (Net, FAST),
            "a function": (one_logit, FAST),
        }

    def long(self):
        return {"epochs": 10**6}
