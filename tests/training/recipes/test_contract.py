"""The contract of recipes, run over the smallest recipe there can be, and the parts that recipes share."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest

from lepton.core.errors import InvalidInput
from lepton.testing.recipe_workers import load
from lepton.testing.recipes import RecipeContract
from lepton.training.recipes.building import build_model
from lepton.training.recipes.parameters import at_least, choose, read_parameters
from lepton.training.recipes.port import Block, Problem

FILE = Path(__file__).with_name("plain_recipe.py")
PROBLEM = Problem((Block("x", "number", 0, 1),), 2)
DEFAULTS = {"epochs": 10, "learning_rate": 0.1, "optimizer": "adamw", "nesterov": False, "hidden": (64,), "free": None}


class TestPlain(RecipeContract):
    recipe_name = f"{FILE}:RECIPE"
    same_for_workers = 1e-9  # float64, added in another order
    kills = 5

    def quick(self, task):
        return {"epochs": 300}

    def short(self):
        return {"epochs": 5, "batch_size": 100}

    def whole(self, rows):
        return {"epochs": 50, "batch_size": rows}

    def unknown(self):
        return {"learning_rat": "learning_rate"}

    def early(self):
        return {"epochs": 500, "patience": 5, "learning_rate": 2.0}, 500

    def diverging(self):
        return {"learning_rate": 1e30}

    def models(self):
        zeros = load(f"{FILE}:Zeros")
        return {"an object": (zeros(), {}), "a class": (zeros, {}), "a function": (lambda problem: zeros(), {})}

    def long(self):
        return {"epochs": 10**6}


def test_what_is_not_said_has_its_default_and_what_is_typed_gets_the_type_of_its_default():
    assert read_parameters(DEFAULTS, {}) == DEFAULTS
    read = read_parameters(DEFAULTS, {"epochs": 3.0, "learning_rate": 1, "hidden": "32, 16", "free": "x"})
    assert read == {**DEFAULTS, "epochs": 3, "learning_rate": 1.0, "hidden": (32, 16), "free": "x"}
    assert [type(read[name]) for name in ("epochs", "learning_rate")] == [int, float]
    assert read_parameters(DEFAULTS, {"hidden": 8})["hidden"] == (8,)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("epochs", 2.5, "'2.5'; it must be a whole number"),
        ("epochs", True, "a whole number"),
        ("epochs", float("inf"), "a whole number"),
        ("learning_rate", "fast", "'fast'; it must be a number"),
        ("learning_rate", float("nan"), "a number"),
        ("nesterov", 1, "true or false"),
        ("optimizer", 3, "text"),
        ("hidden", "a,b", "whole numbers such as 64,32"),
        ("hidden", [1.5], "whole numbers"),
        ("epoch", 3, "There is no parameter 'epoch' here. Did you mean epochs?"),
    ],
)
def test_a_parameter_of_another_type_or_name_is_refused_in_a_sentence(name, value, words):
    with pytest.raises(InvalidInput) as caught:
        read_parameters(DEFAULTS, {name: value})
    assert words in caught.value.message
    assert name in caught.value.message


def test_a_word_or_a_number_out_of_range_is_refused():
    assert choose("optimizer", "sgd", ("adamw", "sgd")) == "sgd"
    with pytest.raises(InvalidInput, match="'lion'. Choose one of: adamw, sgd"):
        choose("optimizer", "lion", ("adamw", "sgd"))
    at_least("epochs", 1, 1)
    with pytest.raises(InvalidInput, match="epochs is 0; it must be 1 or more"):
        at_least("epochs", 0, 1)


class Bare:
    def __init__(self, problem=None, *, depth=2):
        self.problem = problem


class Positional:
    def __init__(self, what):
        self.problem = what


class Greedy:
    def __init__(self, width, outputs):
        pass


class Callable:
    """As a network is: an object that can be called."""

    def __call__(self, rows):
        raise AssertionError("it is a model, and no factory")


def test_classes_and_functions_make_a_model_and_objects_are_one():
    assert build_model(Bare, PROBLEM).problem is PROBLEM
    assert build_model(Positional, PROBLEM).problem is PROBLEM
    assert build_model(lambda problem: [problem], PROBLEM) == [PROBLEM]
    assert build_model(lambda: "made", PROBLEM) == "made"
    assert build_model(lambda depth=3: depth, PROBLEM) == 3
    assert build_model(functools.partial(Bare, depth=3), PROBLEM).problem is PROBLEM
    model = Callable()
    assert build_model(model, PROBLEM) is model


def test_a_model_that_asks_for_more_than_the_problem_is_refused_with_what_it_asks_for():
    with pytest.raises(InvalidInput, match="Greedy asks for width, outputs"):
        build_model(Greedy, PROBLEM)
