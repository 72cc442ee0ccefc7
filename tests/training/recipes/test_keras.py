"""The recipe keras, by the contract of all recipes on TensorFlow, and on the other back ends in processes of their own."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

from lepton.testing.recipe_tasks import make_task
from lepton.testing.recipe_workers import Job, train
from lepton.testing.recipes import RecipeContract, graph_answers
from lepton.training.recipes.port import Parameters


class TestKeras(RecipeContract):
    recipe_name = "keras"

    def quick(self, task: str) -> Parameters:
        return {"epochs": 25, "batch_size": 60, "learning_rate": 0.02}

    def short(self) -> Parameters:
        return {"epochs": 3, "batch_size": 120, "learning_rate": 0.02, "dropout": 0.1}

    def whole(self, rows: int) -> Parameters:
        return {"epochs": 20, "batch_size": rows, "learning_rate": 0.02}

    def early(self) -> tuple[Parameters, int]:
        return {"epochs": 200, "patience": 3, "learning_rate": 0.02}, 200

    def diverging(self) -> Parameters:
        return {"optimizer": "sgd", "learning_rate": 1e12}

    def long(self) -> Parameters:
        return {"epochs": 100_000, "patience": 0}

    def unknown(self) -> Mapping[str, str]:
        return {"learning_rat": "learning_rate"}

    def models(self) -> Mapping[str, tuple[object, Parameters]]:
        import keras

        class Network(keras.Model):
            def __init__(self, problem):
                super().__init__()
                self.first = keras.layers.Dense(16, activation="relu")
                self.norm = keras.layers.BatchNormalization(momentum=0.9)
                self.drop = keras.layers.Dropout(0.1)
                self.last = keras.layers.Dense(problem.outputs)

            def call(self, x, training=False):
                return self.last(self.drop(self.norm(self.first(x)), training=training))

        def compiled(problem):
            layers = [keras.layers.Dense(16, activation="relu"), keras.layers.Dense(1, activation="sigmoid")]
            network = keras.Sequential([keras.layers.Input((problem.width,)), *layers])
            network.compile(optimizer=keras.optimizers.Adam(0.02), loss="binary_crossentropy")
            return network

        object_ = keras.Sequential([keras.layers.Dense(16, "relu"), keras.layers.Dense(2, "softmax")])
        parameters = {"epochs": 25, "batch_size": 60}
        rate = {"learning_rate": 0.02}
        return {
            "a class": (Network, parameters | rate),
            "a function of a compiled model": (compiled, parameters),
            "an object that answers probabilities": (object_, parameters | rate),
        }


@pytest.mark.parametrize("back_end", ["torch", "jax"])
def test_two_workers_learn_on_other_back_ends(back_end, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", back_end)
    monkeypatch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
    parameters = {"epochs": 12, "batch_size": 60, "learning_rate": 0.03, "hidden": 16}
    got = train(Job("keras", "binary", parameters), workers=2, folder=tmp_path)
    features, targets = make_task("binary").fixed
    assert (got.scores.argmax(axis=1) == targets).mean() >= 0.88
    # the same calculation in float32, in another order
    assert np.abs(graph_answers(got.graph, features) - got.scores).max() <= 1e-5
