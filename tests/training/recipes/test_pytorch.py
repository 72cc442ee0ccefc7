"""The recipe `pytorch`: the contract of recipes, and what only it does."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from lepton.core.errors import InvalidInput
from lepton.testing.recipe_tasks import make_task
from lepton.testing.recipe_workers import Job, train
from lepton.testing.recipes import RecipeContract, graph_answers
from lepton.training.context import TrainingContext
from lepton.training.recipes.pytorch import RECIPE

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


class Greedy(nn.Module):
    """Out of memory for more than 20 rows, as a GPU would say it."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(7, 2)

    def forward(self, features):
        if len(features) > 20:
            raise RuntimeError("CUDA out of memory. Tried to allocate 20.00 GiB.")
        return self.layer(features)


class Partly(nn.Module):
    """Has weights that are no part of any answer, which DDP does not like."""

    def __init__(self, problem):
        super().__init__()
        self.layer, self.unused = nn.Linear(problem.width, 2), nn.Linear(3, 3)

    def forward(self, features):
        return self.layer(features)


def fit(parameters, model=None, task="binary"):
    return RECIPE.fit(make_task(task).material(), TrainingContext(), parameters, model)


def test_a_batch_that_does_not_fit_into_memory_is_refused_with_one_that_does():
    with pytest.raises(InvalidInput, match="A batch of 128 rows does not fit.*; 16 rows do.*batch_size=16"):
        fit({}, Greedy)


def test_a_failure_of_a_model_that_has_nothing_to_do_with_memory_stays_what_it_is():
    class Broken(Greedy):
        def forward(self, features):
            raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        fit({}, Broken)


@pytest.mark.parametrize(
    ("model", "task", "words"),
    [
        (nn.Linear(7, 5), "three", r"The model answers \[n, 5\]; it must answer logits \[n, 3\] for target"),
        (nn.Linear(7, 2), "regression", r"The model answers \[n, 2\]; it must answer numbers \[n\] or \[n, 1\]"),
        (nn.GRU(7, 2), "three", "The model answers a tuple; it must answer logits"),
        (nn.Flatten(), "binary", "no weights to learn"),
        ("resnet50", "binary", "The model is a str. The recipe pytorch takes a torch.nn.Module"),
    ],
)
def test_a_model_that_does_not_fit_the_problem_is_refused_in_a_sentence(model, task, words):
    with pytest.raises(InvalidInput, match=words):
        fit({}, model, task)


@pytest.mark.parametrize(
    ("parameters", "model", "words"),
    [
        ({"optimizer": "lion"}, None, "optimizer is 'lion'. Choose one of: adamw, sgd"),
        ({"precision": "float8"}, None, "Choose one of: auto, float32, bfloat16"),
        ({"network": "vgg"}, None, "network is 'vgg'. Choose one of: mlp, cnn"),
        ({"epochs": 0}, None, "epochs is 0; it must be 1 or more"),
        ({"learning_rate": 0}, None, "learning_rate is 0; it must be more than 0"),
        ({"dropout": 1.0}, None, "dropout is 1; it must be 0 or more, and less than 1"),
        ({"hidden": [0]}, None, "each width must be 1 or more"),
        ({"hidden": 8}, Net, "hidden is for a network of ours, and you bring your own"),
        ({"network": "gru", "hidden": 8}, None, "hidden is for the network mlp. Copy the template gru"),
    ],
)
def test_a_parameter_out_of_range_or_out_of_place_is_refused_in_a_sentence(parameters, model, words):
    with pytest.raises(InvalidInput, match=words):
        fit(parameters, model)


def test_a_model_that_a_user_holds_and_the_process_around_it_stay_as_they_were():
    model = nn.Linear(7, 2)
    before, random, threads = model.weight.detach().clone(), torch.get_rng_state(), torch.get_num_threads()
    fit({"epochs": 1}, model)
    assert torch.equal(model.weight, before)
    assert torch.equal(torch.get_rng_state(), random)
    assert torch.get_num_threads() == threads
    assert not torch.are_deterministic_algorithms_enabled()


def test_half_of_the_precision_learns_as_well_and_leaves_a_graph_in_float32():
    task = make_task("binary")
    fitted = fit({**FAST, "precision": "bfloat16", "optimizer": "sgd", "learning_rate": 0.5, "clip_norm": 1.0})
    scores = fitted.scores(task.fixed[0])
    assert (scores.argmax(axis=1) == task.fixed[1]).mean() >= 0.88
    assert np.abs(graph_answers(fitted.graph, task.fixed[0]) - scores).max() <= 1e-5  # float32 on both sides


def test_workers_of_unlike_size_learn_a_model_of_which_a_part_has_no_use(tmp_path):
    job = Job("pytorch", "noise", {"epochs": 2, "batch_size": 50}, model=f"{__file__}:Partly", valid=False)
    outcome = train(job, workers=2, folder=tmp_path)
    assert outcome.scores.shape == (160, 2)
